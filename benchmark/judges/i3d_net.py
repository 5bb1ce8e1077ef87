"""I3D, the RGB stream trained on Kinetics-400: the network whose logits are the features of FVD.

Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017: Inception v1 inflated to three dimensions, with
TensorFlow's "SAME" padding. The same numbers as the original within 2e-5, arranged for one thread of a CPU:

* one window at a time, frames first and channels innermost, so that planes and volumes are views of each other;
* batch norm is folded into the convolutions;
* the three 1x1x1 convolutions at the head of a block read the same input, so they are one convolution;
* the maximum over a cube is the maximum over frames of the maximum over pixels. Padding it by zeros is padding by
  -inf, as only values behind a ReLU are pooled.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

LOGITS = 400
SIDE = 224
"""Input size, px; the last average covers the 7 x 7 places that remain of it."""
EPSILON = 1e-3
"""Of the batch norms (Sonnet v1)."""

Widths = tuple[int, int, int, int, int, int]

_BLOCKS: dict[str, tuple[int, Widths]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Channels in, and channels out of branches 0, 1a, 1b, 2a, 2b and 3."""


class Unit(nn.Conv3d):
    """A convolution with its batch norm folded in, and a ReLU; "SAME" padding.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        side: Of the kernel, along T, H and W.
        stride: Along T, H and W.
    """

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride)
        self.weight = nn.Parameter(self.weight.contiguous(memory_format=torch.channels_last_3d))
        self.pads = [0 if stride > 1 else side // 2] * 3

    def forward(self, x_TCHW: Tensor) -> Tensor:
        """Return [T', outputs, H', W']."""
        x_BCTHW = x_TCHW.transpose(0, 1)[None]
        if self.stride[0] > 1:
            x_BCTHW = F.pad(x_BCTHW, _same(x_BCTHW.shape[2:], self.kernel_size[0], self.stride[0]))
        return self._convolved(x_BCTHW)[0].transpose(0, 1).relu_()

    def _convolved(self, x_BCTHW: Tensor) -> Tensor:
        if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return F.conv3d(x_BCTHW, self.weight, self.bias, self.stride, self.pads)
        # The operator behind conv3d: for batches of one, conv3d picks another that takes twice the time.
        return torch.mkldnn_convolution(
            x_BCTHW, self.weight, self.bias, self.pads, self.stride, self.dilation, self.groups
        )


class Block(nn.Module):
    """An Inception block: 1x1x1, 1x1x1 to 3x3x3 twice, and a pool to 1x1x1, side by side."""

    def __init__(self, inputs: int, widths: Widths) -> None:
        super().__init__()
        b0, b1, b1_out, b2, b2_out, b3 = widths
        self.heads = [b0, b1, b2]
        self.head = Unit(inputs, sum(self.heads), 1)
        self.branch_1 = Unit(b1, b1_out, 3)
        self.branch_2 = Unit(b2, b2_out, 3)
        self.branch_3 = Unit(inputs, b3, 1)

    def forward(self, x_TCHW: Tensor) -> Tensor:
        """Return the branches' outputs, one after the other along C."""
        y0, y1, y2 = self.head(x_TCHW).split(self.heads, dim=1)
        pooled = highest_of_frames(F.max_pool2d(x_TCHW, 3, 1, 1), 3, 1)
        return torch.cat([y0, self.branch_1(y1), self.branch_2(y2), self.branch_3(pooled)], dim=1)


class I3d(nn.Module):
    """The network. It is built with random numbers; `load` returns it trained."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (inputs, widths) in _BLOCKS.items():
            self.add_module(name, Block(inputs, widths))
        self.Logits = nn.Linear(1024, LOGITS)

    def forward(self, x_TCHW: Tensor) -> Tensor:
        """Return logits_L, averaged over time, before any softmax.

        Args:
            x_TCHW: RGB in -1..1, at least 9 frames of 224 x 224 px.
        """
        x = x_TCHW.contiguous(memory_format=torch.channels_last)
        x = highest_of_pixels(self.Conv3d_1a_7x7(x))
        x = highest_of_pixels(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)))
        x = self._blocks("3", x)
        x = self._blocks("4", highest_of_frames(highest_of_pixels(x), 3, 2))
        x = self._blocks("5", highest_of_frames(F.max_pool2d(x, 2, 2), 2, 2))
        means_TC = x.mean(dim=(2, 3))
        means_TC = (means_TC[:-1] + means_TC[1:]) / 2
        logits_L: Tensor = self.Logits(means_TC).mean(dim=0)
        return logits_L

    def _blocks(self, stage: str, x_TCHW: Tensor) -> Tensor:
        for name in _BLOCKS:
            if name.startswith(f"Mixed_{stage}"):
                x_TCHW = self.get_submodule(name)(x_TCHW)
        return x_TCHW


def highest_of_pixels(x_TCHW: Tensor) -> Tensor:
    """Halve H and W, both even, by the maximum over 3 x 3 px, with "SAME" padding."""
    return F.max_pool2d(x_TCHW, 3, 2, ceil_mode=True)


def highest_of_frames(x_TCHW: Tensor, side: int, stride: int) -> Tensor:
    """Return the maximum over windows of `side` frames, with "SAME" padding; nothing may be negative."""
    padded = F.pad(x_TCHW, [0] * 6 + _same([len(x_TCHW)], side, stride))
    last = len(padded) - side
    return functools.reduce(torch.maximum, [padded[k : last + k + 1 : stride] for k in range(side)])


def _same(sizes: Sequence[int], side: int, stride: int) -> list[int]:
    """Return what `F.pad` adds so that ceil(size / stride) places remain: an odd zero goes to the end."""
    pads: list[int] = []
    for size in sizes:
        total = max((-(-size // stride) - 1) * stride + side - size, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


def load(arrays: Mapping[str, NDArray[Any]]) -> I3d:
    """Build the network from the arrays of weight `metrics.i3d`."""
    net = I3d()
    for name in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"):
        _fill(net, name, folded(arrays, name))
    for name in _BLOCKS:
        heads = [folded(arrays, f"{name}/Branch_{k}/Conv3d_0a_1x1") for k in range(3)]
        kernels, biases = zip(*heads, strict=True)
        _fill(net, f"{name}.head", (np.concatenate(kernels), np.concatenate(biases)))
        for k, size in ((1, "3x3"), (2, "3x3"), (3, "1x1")):
            _fill(net, f"{name}.branch_{k}", folded(arrays, f"{name}/Branch_{k}/Conv3d_0b_{size}"))
    kernel_THWIO = arrays["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"]
    _fill(net, "Logits", (kernel_THWIO[0, 0, 0].T, arrays["params/Logits/Conv3d_0c_1x1/Conv_0/bias"]))
    return net.eval().requires_grad_(False)


def folded(arrays: Mapping[str, NDArray[Any]], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return kernel_OITHW and bias_O of a unit, its batch norm (which has no scale) folded in, in float64."""
    mean_O, var_O = (
        arrays[f"batch_stats/{name}/BatchNorm_0/{part}"].reshape(-1).astype(np.float64)
        for part in ("mean", "var")
    )
    scale_O = 1 / np.sqrt(var_O + EPSILON)
    kernel_THWIO = arrays[f"params/{name}/Conv_0/kernel"] * scale_O
    return kernel_THWIO.transpose(4, 3, 0, 1, 2), arrays[f"params/{name}/BatchNorm_0/bias"] - mean_O * scale_O


def _fill(net: nn.Module, name: str, parameters: tuple[NDArray[Any], NDArray[Any]]) -> None:
    weight, bias = (torch.from_numpy(np.ascontiguousarray(part)) for part in parameters)
    module = net.get_submodule(name)
    module.load_state_dict({"weight": weight, "bias": bias})
