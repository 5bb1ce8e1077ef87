"""The SyncNet v2 network (Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016), as released.

Two convolutional towers end in embeddings that lie close together where mouth and voice belong together. The
attributes bear the parameter names of the released `syncnet_v2.model`, so that it loads without renaming.

Axes: B batch, W windows of 0.2 s, T = W + 4 frames, C channels or coefficients, F cepstra at 100 Hz, D = 1024.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mitds.errors import MissingWeights

DIM = 1024
"""Width of an embedding."""
WINDOW = 5
"""Frames of a picture window."""
CEPSTRA = 20
"""Cepstra of a sound window: the same 0.2 s."""
SIDE = 224
"""Height and width of a face crop, px."""

_COUNTER = "num_batches_tracked"
"""Training counters: files of PyTorch before 0.4.1 lack them, and they change nothing here."""

Size2 = int | tuple[int, int]
Size3 = int | tuple[int, int, int]


def _sound(n_in: int, n_out: int, size: Size2, pad: Size2) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, size, padding=pad), nn.BatchNorm2d(n_out), nn.ReLU()]


def _lips(n_in: int, n_out: int, size: Size3, stride: Size3, pad: Size3) -> list[nn.Module]:
    return [nn.Conv3d(n_in, n_out, size, stride=stride, padding=pad), nn.BatchNorm3d(n_out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, DIM))


def _sound_tower() -> nn.Sequential:
    return nn.Sequential(
        *_sound(1, 64, 3, 1),
        nn.MaxPool2d(1, 1),
        *_sound(64, 192, 3, 1),
        nn.MaxPool2d(3, (1, 2)),
        *_sound(192, 384, 3, 1),
        *_sound(384, 256, 3, 1),
        *_sound(256, 256, 3, 1),
        nn.MaxPool2d(3, 2),
        *_sound(256, 512, (5, 4), 0),
    )


def _lip_tower() -> nn.Sequential:
    return nn.Sequential(
        *_lips(3, 96, (WINDOW, 7, 7), (1, 2, 2), 0),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_lips(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        *_lips(256, 256, (1, 3, 3), 1, (0, 1, 1)),
        *_lips(256, 256, (1, 3, 3), 1, (0, 1, 1)),
        *_lips(256, 256, (1, 3, 3), 1, (0, 1, 1)),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_lips(256, 512, (1, 6, 6), 1, 0),
    )


class SyncNet(nn.Module):
    """Both towers, their embeddings not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud, self.netfcaud = _sound_tower(), _head()
        self.netcnnlip, self.netfclip = _lip_tower(), _head()

    def embed_sound(self, mfcc_BCF: Tensor) -> Tensor:
        """Embed sound windows, 13 x 20 coefficients each, to embedding_BD."""
        embedding_BD: Tensor = self.netfcaud(self.netcnnaud(mfcc_BCF.unsqueeze(1)).flatten(1))
        return embedding_BD

    def embed_lips(self, crops_CTHW: Tensor) -> Tensor:
        """Embed every window of five frames, BGR 0..255, to embedding_WD with W = T - 4.

        Only the first layer mixes frames, so the tower runs over the frames once instead of window by window.
        """
        features_CW = self.netcnnlip(crops_CTHW.unsqueeze(0))[0, :, :, 0, 0]
        embedding_WD: Tensor = self.netfclip(features_CW.T)
        return embedding_WD


def load_syncnet(path: Path) -> SyncNet:
    """Read the released weights: a dictionary of tensors, every name and shape of which must be right.

    Raises:
        MissingWeights: If the file is anything else.
    """
    net = SyncNet()
    weights = {name: value for name, value in _read(path).items() if not name.endswith(_COUNTER)}
    wanted = {name: value for name, value in net.state_dict().items() if not name.endswith(_COUNTER)}
    wrong = sorted(wanted.keys() ^ weights.keys()) or [
        f"{name} {tuple(weights[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if weights[name].shape != value.shape
    ]
    if wrong:
        raise _not_syncnet(path, f"{len(wrong)} parameters differ, first {wrong[0]}")
    net.load_state_dict(weights, strict=False)
    return net.eval()


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise _not_syncnet(path, f"it holds more than tensors, or is torn: {error}") from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise _not_syncnet(path, f"it holds a {type(content).__name__}, not named tensors")
    return content


def _not_syncnet(path: Path, why: str) -> MissingWeights:
    return MissingWeights(
        f"not the released SyncNet v2: {why}",
        where=str(path),
        remedy="Fetch syncnet_v2.model anew (54,573,114 bytes); `mitds weights` says from where.",
    )
