"""What the top-down backends share: a box from the face, refined and followed by the points in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.people import veiled
from mitds.annotators.pose.per_person import KEYPOINTS, absent, estimate_each
from mitds.annotators.pose.region import Region
from mitds.manifests.records import Array

PADDING = 1.25
"""Side of the crop over that of the person's box, as in the training of all these networks."""

SURE, HEAD = 0.3, slice(0, 5)
"""Confidence of the points that decide where a person is; nose, eyes and ears."""

Points = Callable[[Frame, Array], Array]
"""Frame and person box (xyxy, px) to pose_K3 in picture pixels."""


def estimate_top_down(
    points: Points, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]
) -> Array:
    """Estimate everybody on every frame with a network that takes one person's box.

    Args:
        points: The network.
        frames: T frames.
        face_xyxy_NT4: The face box that says who is meant; NaN where unknown.
        visible_NT: False where the person is not in view.
    """
    last: dict[int, Array] = {}

    def estimate(frame_HWC: Frame, face_N4: Array) -> Array:
        pose_NK3 = absent(len(face_N4), KEYPOINTS)
        for n in np.flatnonzero(np.isfinite(face_N4).all(axis=1)):
            own_HWC = veiled(frame_HWC, face_N4, int(n))
            pose_K3 = _follow(points, own_HWC, face_N4[n], last.pop(int(n), None))
            if pose_K3 is not None:
                pose_NK3[n] = last[int(n)] = pose_K3
        return pose_NK3

    return estimate_each(frames, face_xyxy_NT4, visible_NT, estimate)


def _follow(points: Points, frame_HWC: Frame, face_4: Array, last_K3: Array | None) -> Array | None:
    """Look where the person was; else below the face, and again where that look found the person."""
    if last_K3 is not None:
        pose_K3 = points(frame_HWC, box_of(last_K3, face_4))
        if is_ours(pose_K3, face_4):
            return pose_K3
    first_K3 = points(frame_HWC, box_below(face_4, frame_HWC))
    if not is_ours(first_K3, face_4):
        return None
    pose_K3 = points(frame_HWC, box_of(first_K3, face_4))
    return pose_K3 if is_ours(pose_K3, face_4) else first_K3


def box_below(face_4: Array, frame_HWC: Frame) -> Array:
    """Return the box of a whole standing person with that face, as far as it lies in the picture."""
    x, top = (face_4[0] + face_4[2]) / 2, face_4[1]
    height = face_4[3] - face_4[1]
    body_4 = np.array([x - 2 * height, top - 0.4 * height, x + 2 * height, top + 8.6 * height])
    return np.asarray(np.clip(body_4, 0, [*frame_HWC.shape[1::-1]] * 2), np.float32)


def box_of(pose_K3: Array, face_4: Array) -> Array:
    """Return the box of a person's sure points and face."""
    sure_K2 = pose_K3[pose_K3[:, 2] >= SURE, :2]
    corners_P2 = np.concatenate([sure_K2, face_4.reshape(2, 2)])
    return np.concatenate([corners_P2.min(axis=0), corners_P2.max(axis=0)])


def is_ours(pose_K3: Array, face_4: Array) -> bool:
    """Tell whether the sure points of the head lie in the face box, or a quarter of it around."""
    head_H3 = pose_K3[HEAD][pose_K3[HEAD, 2] >= SURE]
    if not len(head_H3):
        return False
    place_2 = (np.median(head_H3[:, :2], axis=0) - face_4[:2]) / (face_4[2:] - face_4[:2])
    return bool(((place_2 > -0.25) & (place_2 < 1.25)).all())


def padded_region(box_4: Array, size: tuple[int, int]) -> Region:
    """Return the region around a box with the proportions of a (width, height) input."""
    width, height = PADDING * (box_4[2:] - box_4[:2])
    aspect = size[0] / size[1]
    x, y = (box_4[:2] + box_4[2:]) / 2
    return Region(float(x), float(y), float(max(width, height * aspect)), float(max(height, width / aspect)))


def normalised(crop_HWC: Frame, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """Turn an RGB crop into a batch of one, channels first, normalised on the scale 0..255."""
    values_HWC = (crop_HWC - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(values_HWC.transpose(2, 0, 1)[None])


def with_scores(points_K2: Array, score_K: Array, min_point: float) -> Array:
    """Join points and scores, clipped to 0..1; points below `min_point` are absent."""
    pose_K3 = np.column_stack([points_K2, np.clip(score_K, 0.0, 1.0)]).astype(np.float32)
    pose_K3[pose_K3[:, 2] < min_point] = (np.nan, np.nan, 0.0)
    return pose_K3
