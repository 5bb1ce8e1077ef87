"""The network of TransNet V2 (Soucek and Lokoc, 2020), with the names of the published weights.

Axes: B batch, T frames, H 27 rows, W 48 columns, C channels, K lookup steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LOOKUP = 101
_DILATIONS = (1, 2, 4, 8)


class SeparableConv(nn.Module):
    """A 3x3 convolution in space, then a dilated one of three frames in time."""

    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(channels, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(
            2 * filters, filters, (3, 1, 1), dilation=(dilation, 1, 1), padding=(dilation, 0, 0), bias=False
        )
        self.layers = nn.ModuleList([space, time])

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return `filters` channels of the same T, H, W."""
        for layer in self.layers:
            x_BCTHW = layer(x_BCTHW)
        return x_BCTHW


class DilatedBlock(nn.Module):
    """Four separable convolutions of growing reach, side by side, then batch normalisation."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", SeparableConv(channels, filters, dilation))
        self.bn = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return 4 * filters channels."""
        branches = [self.get_submodule(f"Conv3D_{d}")(x_BCTHW) for d in _DILATIONS]
        out_BCTHW: Tensor = self.bn(torch.cat(branches, dim=1))
        return out_BCTHW


class Stack(nn.Module):
    """Two dilated blocks with a shortcut, then 2x2 mean pooling in space."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([DilatedBlock(channels, filters), DilatedBlock(4 * filters, filters)])

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return 4 * filters channels at half the height and width."""
        first_BCTHW = functional.relu(self.DDCNN[0](x_BCTHW))
        both_BCTHW = functional.relu(self.DDCNN[1](first_BCTHW)) + first_BCTHW
        return functional.avg_pool3d(both_BCTHW, (1, 2, 2))


def neighbours(x_BTD: Tensor) -> Tensor:
    """Return the cosine of each frame with the 50 before it, itself and the 50 after it: cosine_BTK."""
    unit_BTD = functional.normalize(x_BTD, dim=2)
    reach = _LOOKUP // 2
    padded = functional.pad(unit_BTD @ unit_BTD.transpose(1, 2), (reach, reach))
    frames = torch.arange(x_BTD.shape[1])[:, None] + torch.arange(_LOOKUP)[None]
    return padded.gather(2, frames.expand(len(x_BTD), -1, -1))


class FrameSimilarity(nn.Module):
    """Compares the learned features of neighbouring frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, 128)
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Take the output of every stack, x_BCTHW; return similarity_BTD."""
        mean_BTC = torch.cat([x.mean(dim=(3, 4)) for x in stages], dim=1).transpose(1, 2)
        return functional.relu(self.fc(neighbours(self.projection(mean_BTC))))


class ColorHistograms(nn.Module):
    """Compares the 512-bin colour histograms of neighbouring frames."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, frames_BTHWC: Tensor) -> Tensor:
        """Take uint8 RGB; return similarity_BTD."""
        red, green, blue = (frames_BTHWC.long() >> 5).flatten(2, 3).unbind(-1)
        bins_BTP = (red << 6) + (green << 3) + blue
        counts_BTD = torch.zeros(*bins_BTP.shape[:2], 512)
        counts_BTD.scatter_add_(2, bins_BTP, torch.ones(bins_BTP.shape))
        return functional.relu(self.fc(neighbours(counts_BTD)))


class TransNet(nn.Module):
    """Frames in, the logit of "a shot ends here" out."""

    def __init__(self) -> None:
        super().__init__()
        self.SDDCNN = nn.ModuleList([Stack(3, 16), Stack(64, 32), Stack(128, 64)])
        self.frame_sim_layer = FrameSimilarity(64 + 128 + 256)
        self.color_hist_layer = ColorHistograms()
        self.fc1 = nn.Linear(3 * 6 * 256 + 128 + 128, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)  # marks all frames of a transition; trained, unused here

    def forward(self, frames_BTHWC: Tensor) -> Tensor:
        """Take uint8 RGB of 27x48; return logit_BT."""
        x_BCTHW = frames_BTHWC.permute(0, 4, 1, 2, 3).float() / 255
        stages = []
        for stack in self.SDDCNN:
            x_BCTHW = stack(x_BCTHW)
            stages.append(x_BCTHW)
        pixels_BTD = x_BCTHW.permute(0, 2, 3, 4, 1).flatten(2)
        similar_BTD, colours_BTD = self.frame_sim_layer(stages), self.color_hist_layer(frames_BTHWC)
        hidden_BTD = functional.relu(self.fc1(torch.cat([colours_BTD, similar_BTD, pixels_BTD], dim=2)))
        logit_BT: Tensor = self.cls_layer1(hidden_BTD).squeeze(2)
        return logit_BT
