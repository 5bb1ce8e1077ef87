"""The loop that all pose backends share: every visible person on every frame, absent rows elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.errors import UsageError
from mitds.manifests.records import Array

KEYPOINTS = 133

EstimateOne = Callable[[Frame, int, Array], Array]
"""Frame, person and face box to pose_K3 in picture pixels."""


def absent(*shape: int) -> Array:
    """Return keypoints that say nothing: NaN, NaN, 0 in the last axis."""
    points = np.full((*shape, 3), np.nan, np.float32)
    points[..., 2] = 0.0
    return points


def estimate_each(
    frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_], estimate: EstimateOne
) -> Array:
    """Apply an estimator to each visible person of each frame, in order of time.

    A frame that repeats the one before (a 25 fps grid repeats frames of slower sources) repeats its poses.

    Returns:
        pose_NTK3, with points outside the picture absent.

    Raises:
        UsageError: There are fewer or more frames than face boxes.
    """
    persons, steps = visible_NT.shape
    pose_NTK3 = absent(persons, steps, KEYPOINTS)
    done, previous = np.zeros((persons, steps), bool), None
    for t, frame_HWC in enumerate(_exactly(frames, steps)):
        repeated = previous is not None and np.array_equal(frame_HWC, previous)
        for n in np.flatnonzero(visible_NT[:, t] & np.isfinite(face_xyxy_NT4[:, t]).all(axis=-1)):
            if repeated and done[n, t - 1]:
                pose_NTK3[n, t] = pose_NTK3[n, t - 1]
            else:
                pose_NTK3[n, t] = within(estimate(frame_HWC, int(n), face_xyxy_NT4[n, t]), frame_HWC)
            done[n, t] = True
        previous = frame_HWC.copy()  # the caller may reuse its buffer
    return pose_NTK3


def within(pose_K3: Array, frame_HWC: Frame) -> Array:
    """Make the points outside the picture, and those without confidence, absent."""
    height, width = frame_HWC.shape[:2]
    x, y, confidence = pose_K3.T
    seen = (x >= 0) & (y >= 0) & (x <= width) & (y <= height) & (confidence > 0)
    return np.where(seen[:, None], pose_K3, absent(len(pose_K3)))


def _exactly(frames: Iterable[Frame], steps: int) -> Iterable[Frame]:
    count = 0
    for count, frame in enumerate(frames, 1):  # noqa: B007
        if count > steps:
            break
        yield frame
    if count != steps:
        raise UsageError(
            f"pose estimation got {'more' if count > steps else count} frames for {steps} steps of face boxes",
            remedy="Give one frame per step.",
        )
