"""Telling people apart in one picture: face boxes that hide neighbours, and joints that two people claim."""

from __future__ import annotations

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.skeleton import LEFT_HAND, RIGHT_HAND
from mitds.manifests.records import Array

_LOWER = list(range(11, 23))
CLAIMS = (
    (5, [5], 0.3, [5, 7, 9, *_LOWER]),
    (6, [6], 0.3, [6, 8, 10, *_LOWER]),
    (9, [9, 10], 0.5, [9]),
    (10, [9, 10], 0.5, [10]),
)
"""A shoulder or wrist, what it may be of a neighbour, within how many face heights, and what goes with it."""


HANDS = ((LEFT_HAND, 9), (RIGHT_HAND, 10))
"""Keypoints of a hand, and its wrist among the body's."""


def veiled(frame_HWC: Frame, face_N4: Array, n: int) -> Frame:
    """Paint over everybody's face but one, so that no network can take the neighbour for the person meant."""
    others = [k for k in np.flatnonzero(np.isfinite(face_N4).all(axis=1)) if k != n]
    if not others:
        return frame_HWC
    veiled_HWC = frame_HWC.copy()
    for k in others:
        area = _head(face_N4[k], frame_HWC)
        if frame_HWC[area].size:
            veiled_HWC[area] = frame_HWC[area].mean(axis=(0, 1))
    own = _head(face_N4[n], frame_HWC)
    veiled_HWC[own] = frame_HWC[own]
    return veiled_HWC


def _head(xyxy_4: Array, frame_HWC: Frame) -> tuple[slice, slice]:
    """Return the rows and columns of a face box grown to the head."""
    width, height = xyxy_4[2:] - xyxy_4[:2]
    grown_4 = xyxy_4 + np.array([-0.2 * width, -0.3 * height, 0.2 * width, 0.1 * height])
    x1, y1, x2, y2 = np.clip(grown_4, 0, [*frame_HWC.shape[1::-1]] * 2).astype(int)
    return slice(y1, y2), slice(x1, x2)


def overlap(xyxy_N4: Array, xyxy_4: Array) -> Array:
    """Return the intersection over union of boxes with one box."""
    low_N2, high_N2 = np.maximum(xyxy_N4[:, :2], xyxy_4[:2]), np.minimum(xyxy_N4[:, 2:], xyxy_4[2:])
    common_N = np.prod(np.clip(high_N2 - low_N2, 0, None), axis=1)
    area_N = np.prod(xyxy_N4[:, 2:] - xyxy_N4[:, :2], axis=1) + np.prod(xyxy_4[2:] - xyxy_4[:2])
    return np.asarray(common_N / np.maximum(area_N - common_N, 1e-9), np.float32)


def without_borrowed(pose_NK3: Array, face_N4: Array) -> Array:
    """Take from each person the arms that are a neighbour's.

    Where two people claim one place for a wrist, or for the shoulder of one side, it belongs to the one whose
    face is nearer, in heights of that face. The other loses it, and with a shoulder the arm, hips and legs,
    for then the body is the neighbour's. Opposite shoulders and elbows prove nothing: those of people side by
    side do meet.

    Args:
        pose_NK3: Everybody's keypoints.
        face_N4: Everybody's face boxes.
    """
    result_NK3 = pose_NK3.copy()
    height_N = face_N4[:, 3] - face_N4[:, 1]
    centre_N2 = (face_N4[:, :2] + face_N4[:, 2:]) / 2
    for joint, kind, near, lost in CLAIMS:
        reach_NJ = np.linalg.norm(result_NK3[:, kind, :2] - centre_N2[:, None], axis=-1) / height_N[:, None]
        for n, m in np.argwhere(~np.eye(len(height_N), dtype=bool)):
            apart_J = np.linalg.norm(result_NK3[m, kind, :2] - result_NK3[n, joint, :2], axis=-1)
            nearer_J = reach_NJ[m] < reach_NJ[n, kind.index(joint)]
            if (nearer_J & (apart_J < near * max(height_N[n], height_N[m]))).any():
                result_NK3[n, lost] = (np.nan, np.nan, 0.0)
    return result_NK3


def without_shared_hands(pose_NK3: Array) -> Array:
    """Leave a hand that two people claim to the one whose wrist is nearer to its root."""
    result_NK3 = pose_NK3.copy()
    off_NS = np.stack(
        [np.linalg.norm(pose_NK3[:, h.start, :2] - pose_NK3[:, w, :2], axis=1) for h, w in HANDS], axis=1
    )
    slots = list(np.ndindex(*off_NS.shape))
    for n, s in slots:
        own_P2 = pose_NK3[n, HANDS[s][0], :2]
        palm = np.linalg.norm(own_P2[9] - own_P2[0])
        for m, r in slots:
            apart = np.linalg.norm(pose_NK3[m, HANDS[r][0], :2] - own_P2, axis=1).mean()
            if m != n and apart < 0.5 * palm and off_NS[m, r] < off_NS[n, s]:
                result_NK3[n, HANDS[s][0]] = (np.nan, np.nan, 0.0)
    return result_NK3
