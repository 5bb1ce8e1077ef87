"""I3D, the RGB stream trained on Kinetics-400: the network whose logits are the features of FVD.

Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017: Inception v1 inflated to three dimensions, with
TensorFlow's "SAME" padding. Written for one thread of a CPU, with the numbers of the original:

* batch norm is folded into the convolutions;
* the three 1x1x1 convolutions at the head of an Inception block read the same input, so they are one convolution;
* padding by zeros stands for padding by -inf before max pooling, as all inputs of pools follow a ReLU;
* a 3x3x3 maximum is a maximum over planes of a maximum over pixels, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

LOGITS = 400
EPSILON = 1e-3
"""Of the batch norms (Sonnet v1)."""

_BLOCKS: dict[str, tuple[int, tuple[int, int, int, int, int, int]]] = {
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
"""Input channels, and output channels of branches 0, 1a, 1b, 2a, 2b, 3."""


class Unit(nn.Module):
    """A convolution with its batch norm folded in, and a ReLU; "SAME" padding.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Its side along T, H and W.
        stride: The same along all three.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride)
        self.padding = kernel // 2 if stride == 1 else 0

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return [B, outputs, T', H', W']."""
        kernel, stride = self.conv.kernel_size, self.conv.stride
        if not self.padding:
            x_BCTHW = pad_same(x_BCTHW, kernel, stride)
        return F.conv3d(x_BCTHW, self.conv.weight, self.conv.bias, stride, self.padding).relu_()


class Block(nn.Module):
    """An Inception block: 1x1x1, 1x1x1 to 3x3x3 twice, and a pool to 1x1x1, side by side."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        b0, b1, b1_out, b2, b2_out, b3 = widths
        self.heads = (b0, b1, b2)
        self.head = Unit(inputs, sum(self.heads), 1)
        self.branch_1 = Unit(b1, b1_out, 3)
        self.branch_2 = Unit(b2, b2_out, 3)
        self.branch_3 = Unit(inputs, b3, 1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return the branches' outputs, one after the other along C."""
        y0, y1, y2 = self.head(x_BCTHW).split(self.heads, dim=1)
        pooled = F.max_pool3d(x_BCTHW, 3, 1, 1)
        return torch.cat([y0, self.branch_1(y1), self.branch_2(y2), self.branch_3(pooled)], dim=1)


def pad_same(x_BCTHW: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Pad by zeros so that the output has ceil(size / stride) places, the odd zero at the end, as TensorFlow does."""
    pads: list[int] = []
    for size, side, step in zip(x_BCTHW.shape[2:], kernel, stride, strict=True):
        total = max((-(-size // step) - 1) * step + side - size, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x_BCTHW, pads)


def pool_same(x_BCTHW: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Max-pool values that are nowhere negative, with "SAME" padding."""
    return F.max_pool3d(pad_same(x_BCTHW, kernel, stride), kernel, stride)


class I3d(nn.Module):
    """The network. Built with random numbers; `load` gives it the trained ones."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (inputs, widths) in _BLOCKS.items():
            self.add_module(name, Block(inputs, widths))
        self.Logits = nn.Conv3d(1024, LOGITS, 1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits_BL, averaged over time, before any softmax.

        Args:
            x_BCTHW: RGB in -1..1, T >= 9 frames of 224 x 224 px.
        """
        x = pool_same(self.Conv3d_1a_7x7(x_BCTHW), (1, 3, 3), (1, 2, 2))
        x = pool_same(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        x = pool_same(self.Mixed_3c(self.Mixed_3b(x)), (3, 3, 3), (2, 2, 2))
        x = self.Mixed_4f(self.Mixed_4e(self.Mixed_4d(self.Mixed_4c(self.Mixed_4b(x)))))
        x = self.Mixed_5c(self.Mixed_5b(pool_same(x, (2, 2, 2), (2, 2, 2))))
        return self.Logits(F.avg_pool3d(x, (2, 7, 7), 1)).mean(dim=(2, 3, 4))


def load(arrays: Mapping[str, NDArray[Any]]) -> I3d:
    """Build the network from the arrays of weight `metrics.i3d`, batch norm folded in float64."""
    net = I3d()
    for name in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"):
        _fill(net.get_submodule(name).conv, [_folded(arrays, name)])
    for name in _BLOCKS:
        block = net.get_submodule(name)
        heads = [_folded(arrays, f"{name}/Branch_{k}/Conv3d_0a_1x1") for k in range(3)]
        _fill(block.head.conv, heads)
        for branch in (1, 2, 3):
            _fill(block.get_submodule(f"branch_{branch}").conv, [_folded(arrays, f"{name}/Branch_{branch}/Conv3d_0b_{'1x1' if branch == 3 else '3x3'}")])
    _fill(net.Logits, [_plain(arrays, "Logits/Conv3d_0c_1x1")])
    return net.eval().requires_grad_(False)


def _plain(arrays, name):
    return arrays[f"params/{name}/Conv_0/kernel"], arrays[f"params/{name}/Conv_0/bias"]


def _folded(arrays, name):
    bias, mean, var = (arrays[f"{key}"].reshape(-1).astype(np.float64) for key in (f"params/{name}/BatchNorm_0/bias", f"batch_stats/{name}/BatchNorm_0/mean", f"batch_stats/{name}/BatchNorm_0/var"))
    scale = 1 / np.sqrt(var + EPSILON)
    return arrays[f"params/{name}/Conv_0/kernel"] * scale, bias - mean * scale


def _fill(conv, parts):
    kernel = np.concatenate([k for k, _ in parts], axis=-1).transpose(4, 3, 0, 1, 2)
    conv.weight.data.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
    conv.bias.data.copy_(torch.from_numpy(np.concatenate([b for _, b in parts])))
