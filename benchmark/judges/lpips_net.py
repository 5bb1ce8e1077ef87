"""LPIPS v0.1: distance of two pictures in the features of AlexNet or VGG-16, weighted as people judged.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018. Features at five
ReLUs are scaled to unit length along channels, their squared differences weighted by channel (no weight is below
0), averaged over the picture and summed over the five. Pictures are taken as uint8 and brought to the network's
range here, so that a wrong range cannot be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mitds.annotators.runtime import single_threaded
from mitds.weights import resolve
from mitds.weights.arrays import read_arrays

Picture = NDArray[np.uint8]
Trunk = Literal["alex", "vgg"]

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""Of the channels R, G, B in -1..1. Release v0.0 left this out."""
EPSILON = 1e-10
"""Added to a feature's length before the division by it, as in the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the weights do not say of a network of convolutions, each followed by a ReLU.

    Attributes:
        root: Of the names of its weights.
        first: Stride and padding of convolution 0; all others have stride 1 and keep the size.
        window: Side of the max pools; their stride is 2.
        pooled: Convolutions with a pool before them.
        taps: Convolutions whose ReLU is looked at.
        least: Shortest side that leaves a pixel at the last tap.
    """

    root: str
    first: tuple[int, int]
    window: int
    pooled: tuple[int, ...]
    taps: tuple[int, ...]
    least: int


PLANS: dict[Trunk, Plan] = {
    "alex": Plan(root="AlexNet_0", first=(4, 2), window=3, pooled=(1, 2), taps=(0, 1, 2, 3, 4), least=31),
    "vgg": Plan(
        root="VGG16_0", first=(1, 1), window=2, pooled=(2, 4, 7, 10), taps=(1, 3, 6, 9, 12), least=16
    ),
}


class LpipsNet:
    """The network with its five heads.

    Args:
        plan: What the weights do not say.
        arrays: Kernels [H, W, in, out] and biases by name, as `read_arrays` gives them.
    """

    def __init__(self, plan: Plan, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._plan = plan
        self._layers = [
            (
                _kernel(arrays[f"{plan.root}/Conv_{k}/kernel"]),
                torch.from_numpy(arrays[f"{plan.root}/Conv_{k}/bias"]),
            )
            for k in range(plan.taps[-1] + 1)
        ]
        self._heads = [
            torch.from_numpy(arrays[f"NetLinLayer_{k}/Conv_0/kernel"].reshape(-1, 1, 1)).double()
            for k in range(len(plan.taps))
        ]

    def distance(self, x_HWC: Picture, y_HWC: Picture) -> float:
        """Return LPIPS of two uint8 RGB pictures of one size: 0 for equal ones, about 1 for unlike ones."""
        return sum(float(map_HW.mean()) for map_HW in self.maps(x_HWC, y_HWC))

    @torch.inference_mode()
    def maps(self, x_HWC: Picture, y_HWC: Picture) -> list[Tensor]:
        """Return the distance by place before it is averaged, float64 [H', W'] for each tap.

        Each picture goes through alone: its features depend on nothing but itself.
        """
        pairs = zip(self._features(_input(x_HWC)), self._features(_input(y_HWC)), self._heads, strict=True)
        return [(head * (_unit(x_CHW) - _unit(y_CHW)) ** 2).sum(0) for x_CHW, y_CHW, head in pairs]

    def _features(self, x_BCHW: Tensor) -> list[Tensor]:
        found = []
        stride, padding = self._plan.first
        for k, (kernel, bias) in enumerate(self._layers):
            if k in self._plan.pooled:
                x_BCHW = F.max_pool2d(x_BCHW, self._plan.window, 2)
            if k > 0:
                stride, padding = 1, kernel.shape[-1] // 2
            x_BCHW = F.conv2d(x_BCHW, kernel, bias, stride, padding).relu_()
            if k in self._plan.taps:
                found.append(x_BCHW[0])
        return found


@cache
def lpips_net(trunk: Trunk) -> LpipsNet:
    """Load the network, once in a process, to run on one thread.

    Raises:
        MissingWeights: If no mirror has its weights, or they are of another kind.
    """
    single_threaded()
    return LpipsNet(PLANS[trunk], read_arrays(resolve(weight_name(trunk))))


def weight_name(trunk: Trunk) -> str:
    """Return the catalogued name of the weights."""
    return f"metrics.lpips_{trunk}"


def _kernel(kernel_HWIO: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(kernel_HWIO.transpose(3, 2, 0, 1)))


def _input(frame_HWC: Picture) -> Tensor:
    x_HWC = (frame_HWC / 127.5 - 1 - SHIFT) / SCALE
    return torch.from_numpy(np.ascontiguousarray(x_HWC.transpose(2, 0, 1)[None], np.float32))


def _unit(x_CHW: Tensor) -> Tensor:
    x_CHW = x_CHW.double()
    return x_CHW / (x_CHW.square().sum(0).sqrt() + EPSILON)
