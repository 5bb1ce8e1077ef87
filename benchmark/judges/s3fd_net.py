"""The S3FD network (Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector", 2017).

VGG-16 without its classifier, two coarser stages, and at six strides a head that says "face" and moves an anchor.
The attributes bear the parameter names of the published `sfd_face.pth`, so that it loads without renaming.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (4, 8, 16, 32, 64, 128)
"""Pixels from one anchor to the next, by head."""
ANCHORS = (16, 32, 64, 128, 256, 512)
"""Sides of the square anchors, px."""
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2

_VGG = (64, 64, "M", 128, 128, "M", 256, 256, 256, "C", 512, 512, 512, "M", 512, 512, 512, "M")
_TAPS = (16, 23, 30)
"""Layers of the trunk after which a head looks: conv3_3, conv4_3, conv5_3."""
_WIDTHS = (256, 512, 512, 1024, 512, 256)
_BACKGROUNDS = 3
"""The finest head has three background classes, the strongest of which counts ("max-out")."""


class L2Norm(nn.Module):
    """Scales each position's features to unit length, then by a learned weight a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalise over channels."""
        length_B1HW = x_BCHW.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10
        return x_BCHW / length_B1HW * self.weight[:, None, None]


def _trunk() -> nn.ModuleList:
    layers: list[nn.Module] = []
    width = 3
    for step in _VGG:
        if isinstance(step, int):
            layers += [nn.Conv2d(width, step, 3, padding=1), nn.ReLU()]
            width = step
        else:
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=step == "C"))
    layers += [nn.Conv2d(width, 1024, 3, padding=6, dilation=6), nn.ReLU()]
    return nn.ModuleList([*layers, nn.Conv2d(1024, 1024, 1), nn.ReLU()])


class S3fdNet(nn.Module):
    """The detector up to scores and boxes, before any of them is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = _trunk()
        self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3 = L2Norm(256), L2Norm(512), L2Norm(512)
        self.extras = nn.ModuleList(
            [
                nn.Conv2d(1024, 256, 1),
                nn.Conv2d(256, 512, 3, stride=2, padding=1),
                nn.Conv2d(512, 128, 1),
                nn.Conv2d(128, 256, 3, stride=2, padding=1),
            ]
        )
        self.loc = nn.ModuleList([nn.Conv2d(width, 4, 3, padding=1) for width in _WIDTHS])
        classes = (_BACKGROUNDS + 1, 2, 2, 2, 2, 2)
        self.conf = nn.ModuleList(
            [nn.Conv2d(width, n, 3, padding=1) for width, n in zip(_WIDTHS, classes, strict=True)]
        )

    def forward(self, picture_1CHW: Tensor) -> tuple[Tensor, Tensor]:
        """Look at one picture, RGB minus the channel means.

        Returns:
            score_A: Probability of a face at each anchor.
            xyxy_A4: Boxes, px of this picture.
        """
        seen = [self._look(head, x) for head, x in enumerate(self._levels(picture_1CHW))]
        return torch.cat([score for score, _ in seen]), torch.cat([box for _, box in seen])

    def _levels(self, x: Tensor) -> list[Tensor]:
        norms = dict(zip(_TAPS, (self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3), strict=True))
        levels: list[Tensor] = []
        for number, layer in enumerate(self.vgg, start=1):
            x = layer(x)
            levels += [norms[number](x)] if number in norms else []
        levels.append(x)
        for number, layer in enumerate(self.extras):
            x = functional.relu(layer(x))
            levels += [x] if number % 2 else []
        return levels

    def _look(self, head: int, x_1CHW: Tensor) -> tuple[Tensor, Tensor]:
        logit_KHW, move_4HW = self.conf[head](x_1CHW)[0], self.loc[head](x_1CHW)[0]
        logit_2HW = torch.stack([logit_KHW[:-1].amax(dim=0), logit_KHW[-1]])
        score_A = torch.softmax(logit_2HW, dim=0)[1].flatten()
        return score_A, _boxes(move_4HW, STRIDES[head], ANCHORS[head]).flatten(1).T


def _boxes(move_4HW: Tensor, stride: int, anchor: int) -> Tensor:
    """Move anchors that stand at the middle of every cell, and give their corners, xyxy_4HW."""
    rows, columns = ((torch.arange(n) + 0.5) * stride for n in move_4HW.shape[1:])
    middle_2HW = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    middle_2HW = middle_2HW + move_4HW[:2] * CENTRE_VARIANCE * anchor
    half_2HW = anchor * torch.exp(move_4HW[2:] * SIZE_VARIANCE) / 2
    return torch.cat([middle_2HW - half_2HW, middle_2HW + half_2HW])
