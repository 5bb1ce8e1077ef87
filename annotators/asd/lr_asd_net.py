"""The LR-ASD network (Liao et al., "LR-ASD: Lightweight and Robust Network for Active Speaker Detection").

Two encoders of factorised convolutions (space or cepstrum first, then time), an attention that weighs their
joint features, and one recurrent layer each way. The attributes bear the parameter names of the published
checkpoint, so that it loads without renaming.

Axes: B batch, T frames at 25 fps, S audio steps at 100 Hz (S = 4 T), C channels, D = 128 dimensions.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

DIM = 128
"""Width of an embedding."""

Plane = Literal["s", "m"]
"""What a block looks at before time: "s" the picture's height and width, "m" the cepstrum."""
PLANE_AXES: dict[Plane, tuple[int, ...]] = {"s": (0, 1, 1), "m": (1, 0)}
TIME_AXES: dict[Plane, tuple[int, ...]] = {"s": (1, 0, 0), "m": (0, 1)}


def _convolution(axes: tuple[int, ...], n_in: int, n_out: int, size: int, stride: int) -> nn.Module:
    """Build a convolution of `size` over the axes marked 1 and of one over the others."""
    make = nn.Conv3d if len(axes) == 3 else nn.Conv2d
    kernel, pad, step = zip(*[(size, size // 2, stride) if on else (1, 0, 1) for on in axes], strict=True)
    module: nn.Module = make(n_in, n_out, kernel, stride=step, padding=pad, bias=False)
    return module


class Block(nn.Module):
    """Two convolutions over the plane, then two over time, each normalised and rectified."""

    def __init__(self, plane: Plane, n_in: int, n_out: int, *, stride: int = 1) -> None:
        super().__init__()
        half = n_out // 2
        norm = nn.BatchNorm3d if plane == "s" else nn.BatchNorm2d
        self.layers = [
            (f"{plane}_1", PLANE_AXES[plane], n_in, half, 5, stride),
            (f"{plane}_2", PLANE_AXES[plane], half, n_out, 3, 1),
            ("t_1", TIME_AXES[plane], n_out, n_out, 5, 1),
            ("t_2", TIME_AXES[plane], n_out, n_out, 3, 1),
        ]
        for name, axes, width_in, width, size, step in self.layers:
            self.add_module(name, _convolution(axes, width_in, width, size, step))
            self.add_module(name.replace("_", "_norm_"), norm(width, eps=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the four layers in order."""
        for name, *_ in self.layers:
            x = self.get_submodule(name)(x)
            x = torch.relu(self.get_submodule(name.replace("_", "_norm_"))(x))
        return x


class VisualEncoder(nn.Module):
    """Mouth-region crops, crops_BTHW grey 0..255, to embedding_BTD."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = Block("s", 1, 32, stride=2)
        self.block2 = Block("s", 32, 64)
        self.block3 = Block("s", 64, DIM)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, crops_BTHW: Tensor) -> Tensor:
        """Embed each frame with nine more to either side."""
        x = ((crops_BTHW / 255 - 0.4161) / 0.1688).unsqueeze(1)
        x = self.block3(self.pool(self.block2(self.pool(self.block1(x)))))
        embedding_BTD: Tensor = x.amax(dim=(3, 4)).transpose(1, 2)
        return embedding_BTD


class AudioEncoder(nn.Module):
    """Cepstra, mfcc_BSC, to embedding_BTD with T = S / 4."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = Block("m", 1, 32)
        self.block2 = Block("m", 32, 64)
        self.block3 = Block("m", 64, DIM)
        self.pool = nn.MaxPool2d((1, 3), stride=(1, 2), padding=(0, 1))

    def forward(self, mfcc_BSC: Tensor) -> Tensor:
        """Embed each picture frame's four steps with their surroundings."""
        x = mfcc_BSC.transpose(1, 2).unsqueeze(1)
        x = self.block3(self.pool(self.block2(self.pool(self.block1(x)))))
        embedding_BTD: Tensor = x.mean(dim=2).transpose(1, 2)
        return embedding_BTD


class Fusion(nn.Module):
    """Weighs each of the joined features of each frame by a gate between zero and one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Conv1d(width, width, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm1d(width, eps=1e-3)

    def forward(self, left_BTD: Tensor, right_BTD: Tensor) -> Tensor:
        """Return the gated concatenation."""
        x = torch.cat((left_BTD, right_BTD), dim=2).transpose(1, 2)
        return (x * torch.sigmoid(self.bn(self.attention(x)))).transpose(1, 2)


class Detector(nn.Module):
    """A recurrent layer each way over the whole track, fused."""

    def __init__(self) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(2 * DIM, DIM // 2, batch_first=True)
        self.gru_backward = nn.GRU(2 * DIM, DIM // 2, batch_first=True)
        self.attention = Fusion(DIM)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Give every frame its past and its future."""
        past, _ = self.gru_forward(x_BTD)
        future, _ = self.gru_backward(x_BTD.flip(1))
        fused: Tensor = self.attention(past, future.flip(1))
        return fused


class Backend(nn.Module):
    """Embeddings of one face and the sound to the log odds that this face speaks."""

    def __init__(self, net: LrAsdNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, audio_BTD: Tensor, visual_BTD: Tensor) -> Tensor:
        """Return logit_BT: the class score of "speaking" less that of "not speaking"."""
        fused = self.net.model.detector(self.net.model.fusion(audio_BTD, visual_BTD))
        score_BT2 = self.net.lossAV.FC(fused)
        logit_BT: Tensor = score_BT2[..., 1] - score_BT2[..., 0]
        return logit_BT


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder = VisualEncoder()
        self.audioEncoder = AudioEncoder()
        self.fusion = Fusion(2 * DIM)
        self.detector = Detector()


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.FC = nn.Linear(DIM, 2)


class LrAsdNet(nn.Module):
    """All parts under the checkpoint's names; `lossV` is the training-time head on the picture alone."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _Model()
        self.lossAV = _Head()
        self.lossV = _Head()

    def part(self, name: str) -> nn.Module:
        """Return one of the nets that are run apart: "visual", "audio" or "backend", to infer with."""
        nets = {
            "visual": self.model.visualEncoder,
            "audio": self.model.audioEncoder,
            "backend": Backend(self),
        }
        return nets[name].eval()


def load(path: Path) -> LrAsdNet:
    """Load a published checkpoint; every parameter must fit."""
    net = LrAsdNet()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


EXAMPLES: dict[str, list[tuple[int, ...]]] = {
    "visual": [(1, 20, 112, 112)],
    "audio": [(1, 80, 13)],
    "backend": [(1, 20, DIM), (1, 20, DIM)],
}


def export(path: Path, net: LrAsdNet, part: str) -> None:
    """Write one part as ONNX: inputs "x0" (and "x1"), output "y", a batch of one, axis 1 (time) free."""
    inputs = tuple(torch.zeros(shape) for shape in EXAMPLES[part])
    names = [f"x{k}" for k in range(len(inputs))]
    with torch.no_grad(), warnings.catch_warnings():
        # torch deprecates the tracing exporter, and warns of recurrent nets fed another batch size.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.part(part),
            inputs,
            str(path),
            input_names=names,
            output_names=["y"],
            dynamic_axes={name: {1: "time"} for name in [*names, "y"]},
            opset_version=17,
            dynamo=False,
        )
