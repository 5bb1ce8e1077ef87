"""I3D as a judge: a video's windows of 16 frames, each as the 400 logits that FVD is computed on."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Arrays
from mitds.benchmark.footage import Footage, Frames
from mitds.benchmark.judges import i3d_net
from mitds.benchmark.judges.cache import judge_id, judged
from mitds.weights import resolve
from mitds.weights.arrays import read_arrays

WEIGHTS = "metrics.i3d"
WINDOW = 16
"""Frames in a window, and from one window to the next."""

Features = NDArray[np.float32]


def windows(footage: Footage) -> Arrays:
    """Return {"logits_ND"}: a row for each of the T // 16 windows that lie end to end from frame 0.

    The tail of less than 16 frames is not looked at; a video shorter than that has no row.
    """
    judge = judge_id("i3d", 1, WEIGHTS)
    return judged(footage, judge, {"window": WINDOW}, lambda: {"logits_ND": _see(footage.frames_THWC)})


def _see(frames_THWC: Frames) -> Features:
    starts = range(0, len(frames_THWC) - WINDOW + 1, WINDOW)
    rows = [logits(frames_THWC[start : start + WINDOW]) for start in starts]
    return np.stack(rows) if rows else np.empty((0, i3d_net.LOGITS), np.float32)


def logits(frames_THWC: Frames) -> Features:
    """Return the logits_D of one window, averaged over time, before softmax: TF's `RGB/inception_i3d/Mean`.

    Args:
        frames_THWC: uint8 RGB of any size, at least 9 frames; squashed to 224 x 224 px.
    """
    x_TCHW = torch.from_numpy(squashed(frames_THWC, i3d_net.SIDE)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits_D: Features = _net()(x_TCHW * (2 / 255) - 1).numpy()
    return logits_D


def squashed(frames_THWC: Frames, side: int) -> NDArray[np.float32]:
    """Resize to side x side px as TensorFlow 1's `resize_bilinear` does, whatever the aspect ratio; 0..255.

    Output pixel i lies at i * size / side of the input, without a half-pixel offset, and is interpolated between the
    two input pixels around it: pixels further away do not count, so fine detail may alias. This is what the
    reference implementation of FVD feeds its network.
    """
    rows, rows_after, down_H = _taps(frames_THWC.shape[1], side)
    columns, columns_after, across_W = _taps(frames_THWC.shape[2], side)
    above, below = (
        _between(
            frames_THWC[:, line][:, :, columns], frames_THWC[:, line][:, :, columns_after], across_W[:, None]
        )
        for line in (rows, rows_after)
    )
    return _between(above, below, down_H[:, None, None])


def _between(
    first: NDArray[np.generic], second: NDArray[np.generic], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    start = first.astype(np.float32)
    return start + (second.astype(np.float32) - start) * share


def _taps(size: int, side: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each output pixel the input pixel before it, the one after it, and its share, in float32 as TF."""
    places = np.arange(side, dtype=np.float32) * np.float32(size / side)
    before = places.astype(np.intp)
    return before, np.minimum(before + 1, size - 1), places - before.astype(np.float32)


@functools.cache
def _net() -> i3d_net.I3d:
    single_threaded()
    return i3d_net.load(read_arrays(resolve(WEIGHTS)))
