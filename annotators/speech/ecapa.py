"""Voice embeddings by ECAPA-TDNN (Desplanques et al., Interspeech 2020), for the published VoxCeleb weights.

The modules are named so that their state dict has the keys of the checkpoint
``speechbrain/spkrec-ecapa-voxceleb``; the filter bank follows the front end it was trained with.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mitds.annotators.runtime import single_threaded
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ
from mitds.weights import resolve

WINDOW = 400
HOP = 160
MELS = 80
TOP_DB = 80.0
CHANNELS = 1024
EMBEDDING = 192
SCALE = 8
BOTTLENECK = 128
TINY = 1e-10


def mel_filters() -> Tensor:
    """Return triangular filters over 0..8 kHz, filter_FM; each as wide on both sides as its left flank."""
    top = 2595 * np.log10(1 + AUDIO_HZ / 2 / 700)
    edge_hz = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    bin_hz = np.linspace(0, AUDIO_HZ / 2, WINDOW // 2 + 1)
    width = np.diff(edge_hz)[:-1]
    filter_FM = np.maximum(0, 1 - np.abs(bin_hz[:, None] - edge_hz[1:-1]) / width)
    return torch.from_numpy(filter_FM.astype(np.float32))


class FilterBank(nn.Module):
    """Log mel energies in dB, 80 bands every 10 ms, minus their mean over the utterance."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hamming_window(WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)

    def forward(self, wave_BS: Tensor) -> Tensor:
        """Return features, feature_BMT, of waves at 16 kHz."""
        window: Tensor = self.get_buffer("window")
        spectrum = torch.stft(
            wave_BS, WINDOW, HOP, WINDOW, window, center=True, pad_mode="constant", return_complex=True
        )
        power_BTF = (spectrum.real**2 + spectrum.imag**2).transpose(1, 2)
        level_BTM = 10 * torch.log10((power_BTF @ self.get_buffer("filters")).clamp(min=TINY))
        floor = level_BTM.amax(dim=(1, 2), keepdim=True) - TOP_DB
        level_BTM = torch.maximum(level_BTM, floor)
        return (level_BTM - level_BTM.mean(dim=1, keepdim=True)).transpose(1, 2)


def convolution(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Build a convolution over time that keeps the length, mirrored at both ends."""
    same = dilation * (kernel - 1) // 2
    mode: Literal["reflect", "zeros"] = "reflect" if same else "zeros"
    conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=same, padding_mode=mode)
    return nn.Sequential(OrderedDict(conv=conv))


def normalisation(channels: int) -> nn.Sequential:
    """Build a batch normalisation under the name that the checkpoint gives it."""
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm1d(channels)))


def time_delay(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Build convolution, ReLU, normalisation."""
    conv = convolution(inputs, outputs, kernel, dilation)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(), norm=normalisation(outputs)))


class Res2Net(nn.Module):
    """Eight slices of the channels; each but the first is filtered together with its predecessor's result."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        self.blocks = nn.ModuleList(time_delay(width, width, 3, dilation) for _ in range(SCALE - 1))

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Filter, slice by slice."""
        first, *rest = x_BCT.chunk(SCALE, dim=1)
        slices, carry = [first], torch.zeros_like(first)
        for block, part in zip(self.blocks, rest, strict=True):
            carry = block(part + carry)
            slices.append(carry)
        return torch.cat(slices, dim=1)


class SqueezeExcite(nn.Module):
    """Channel gates from the channels' means over time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels, BOTTLENECK)
        self.conv2 = convolution(BOTTLENECK, channels)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Scale the channels."""
        gate = torch.relu(self.conv1(x_BCT.mean(dim=2, keepdim=True)))
        return x_BCT * torch.sigmoid(self.conv2(gate))


class Block(nn.Module):
    """SE-Res2Net block with a skip connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.tdnn1 = time_delay(channels, channels)
        self.res2net_block = Res2Net(channels, dilation)
        self.tdnn2 = time_delay(channels, channels)
        self.se_block = SqueezeExcite(channels)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Return input plus result."""
        change_BCT: Tensor = self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x_BCT))))
        return x_BCT + change_BCT


class AttentivePooling(nn.Module):
    """Mean and deviation over time, weighted per channel by attention that sees the global statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tdnn = time_delay(3 * channels, BOTTLENECK)
        self.conv = convolution(BOTTLENECK, channels)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Return the statistics, pooled_BC."""
        uniform = torch.full_like(x_BCT, 1 / x_BCT.shape[2])
        context = _statistics(x_BCT, uniform).unsqueeze(2).expand(-1, -1, x_BCT.shape[2])
        attention = self.conv(torch.tanh(self.tdnn(torch.cat([x_BCT, context], dim=1))))
        return _statistics(x_BCT, torch.softmax(attention, dim=2))


def _statistics(x_BCT: Tensor, weight_BCT: Tensor) -> Tensor:
    mean = (weight_BCT * x_BCT).sum(dim=2)
    variance = (weight_BCT * (x_BCT - mean.unsqueeze(2)) ** 2).sum(dim=2)
    return torch.cat([mean, variance.clamp(min=1e-12).sqrt()], dim=1)


class EcapaTdnn(nn.Module):
    """ECAPA-TDNN with 1024 channels: features to 192 numbers."""

    def __init__(self) -> None:
        super().__init__()
        entry = time_delay(MELS, CHANNELS, kernel=5)
        self.blocks = nn.ModuleList([entry, *(Block(CHANNELS, dilation) for dilation in (2, 3, 4))])
        self.mfa = time_delay(3 * CHANNELS, 3 * CHANNELS)
        self.asp = AttentivePooling(3 * CHANNELS)
        self.asp_bn = normalisation(6 * CHANNELS)
        self.fc = convolution(6 * CHANNELS, EMBEDDING)

    def forward(self, feature_BMT: Tensor) -> Tensor:
        """Return raw embeddings, embedding_BD."""
        x, depths = feature_BMT, []
        for block in self.blocks:
            x = block(x)
            depths.append(x)
        pooled = self.asp(self.mfa(torch.cat(depths[1:], dim=1)))
        embedding_BD: Tensor = self.fc(self.asp_bn(pooled.unsqueeze(2))).squeeze(2)
        return embedding_BD


def load_ecapa(path: Path) -> EcapaTdnn:
    """Load the published checkpoint, every key of it."""
    model = EcapaTdnn()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


class VoiceEmbedder:
    """Turns stretches of one voice into embeddings; the weights load on first use."""

    @cached_property
    def _model(self) -> nn.Sequential:
        single_threaded()
        return nn.Sequential(FilterBank(), load_ecapa(resolve("speech.ecapa"))).eval()

    @torch.inference_mode()
    def embed(self, wave_S: Array) -> Array:
        """Return the unit-norm embedding, embedding_D, of at least 0.1 s of one voice."""
        raw_D: Array = self._model(torch.tensor(wave_S)[None])[0].numpy()
        return raw_D / np.linalg.norm(raw_D)
