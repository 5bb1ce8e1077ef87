"""The loop that all pose backends share: the visible people of every frame, absent rows elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.errors import UsageError
from mitds.manifests.records import Array

KEYPOINTS = 133

EstimateFrame = Callable[[Frame, Array], Array]
"""Frame and face_N4 (NaN: not in view) to pose_NK3 in picture pixels."""


def absent(*shape: int) -> Array:
    """Return keypoints that say nothing: NaN, NaN, 0 in the last axis."""
    points = np.full((*shape, 3), np.nan, np.float32)
    points[..., 2] = 0.0
    return points


def estimate_each(
    frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_], estimate: EstimateFrame
) -> Array:
    """Apply an estimator to the visible people of each frame, in order of time.

    A frame that repeats the one before (a 25 fps grid repeats frames of slower sources) repeats its poses.

    Returns:
        pose_NTK3, with points outside the picture absent.

    Raises:
        UsageError: There are fewer or more frames than face boxes.
    """
    persons, steps = visible_NT.shape
    known_NT = visible_NT & np.isfinite(face_xyxy_NT4).all(axis=-1)
    pose_NTK3, previous = absent(persons, steps, KEYPOINTS), None
    for t, frame_HWC in enumerate(_exactly(frames, steps)):
        repeated = previous is not None and np.array_equal(frame_HWC, previous)
        if repeated and (known_NT[:, t] == known_NT[:, t - 1]).all():
            pose_NTK3[:, t] = pose_NTK3[:, t - 1]
        elif known_NT[:, t].any():
            face_N4 = np.where(known_NT[:, t, None], face_xyxy_NT4[:, t], np.nan)
            pose_NTK3[:, t] = within(estimate(frame_HWC, face_N4), frame_HWC)
        previous = frame_HWC.copy()  # the caller may reuse its buffer
    return pose_NTK3


def within(pose_NK3: Array, frame_HWC: Frame) -> Array:
    """Make the points outside the picture, and those without confidence, absent."""
    height, width = frame_HWC.shape[:2]
    x, y, confidence = np.moveaxis(pose_NK3, -1, 0)
    with np.errstate(invalid="ignore"):
        seen = (x >= 0) & (y >= 0) & (x <= width) & (y <= height) & (confidence > 0)
    return np.where(seen[..., None], pose_NK3, absent(*seen.shape))


def _exactly(frames: Iterable[Frame], steps: int) -> Iterator[Frame]:
    count = 0
    for frame in frames:
        count += 1
        if count > steps:
            break
        yield frame
    if count != steps:
        got = "more" if count > steps else count
        raise UsageError(
            f"pose estimation got {got} frames for {steps} steps of face boxes",
            remedy="Give one frame per step.",
        )
