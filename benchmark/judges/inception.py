"""Inception as a judge: still pictures as the 2048 pooled activations that FID is computed on.

The weight is the network of the TensorFlow FID of 2015 ("inception-2015-12-05") as a TorchScript archive: a program
as well as numbers. It is opened only after its sha256 has been checked against the catalog.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Arrays
from mitds.benchmark.footage import Footage, Frames
from mitds.benchmark.judges.cache import judge_id, judged
from mitds.weights import resolve

WEIGHTS = "metrics.inception"
STEP = 25
"""Of how many frames one is looked at."""
SIDE = 299

Features = NDArray[np.float32]


def pictures(footage: Footage) -> Arrays:
    """Return {"pool_ND"}: a row for one frame of each 25, drawn by the content."""
    frames_NHWC, judge = footage.frames_THWC[footage.sample(STEP)], judge_id("inception", 1, WEIGHTS)
    return judged(
        footage,
        judge,
        {"one_of": STEP},
        lambda: {"pool_ND": np.stack([pool(frame) for frame in frames_NHWC])},
    )


def pool(frame_HWC: Frames) -> Features:
    """Return the pool_D, 2048 numbers, of one picture, uint8 RGB of any size."""
    x_1CHW = (resized(frame_HWC, SIDE) - 128) / 128
    with torch.inference_mode():
        pool_D: Features = _net()(x_1CHW)[0].numpy()
    return pool_D


def resized(frame_HWC: Frames, side: int) -> Tensor:
    """Resize a picture to 1 x C x side x side, 0..255, as clean-FID does: bicubic with anti-aliasing, not rounded.

    It equals Pillow's resizing of float pictures to 2e-5, in float64; in float32 it would be 6e-3 off. The original
    network's own resizing (bilinear, without anti-aliasing) has no part in it.
    """
    x_1CHW = torch.from_numpy(np.ascontiguousarray(frame_HWC.transpose(2, 0, 1)[None])).double()
    return F.interpolate(x_1CHW, (side, side), mode="bicubic", align_corners=False, antialias=True).float()


@functools.cache
def _net() -> Callable[[Tensor], Tensor]:
    single_threaded()
    archive = torch.jit.load(str(resolve(WEIGHTS)), map_location="cpu")  # type: ignore[no-untyped-call]
    net: Callable[[Tensor], Tensor] = archive.eval()
    return net
