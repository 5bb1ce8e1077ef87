"""The COCO-WholeBody skeleton (Jin et al. 2020): names, limbs, left-right pairs, and its drawing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array

BODY, FEET, FACE = slice(0, 17), slice(17, 23), slice(23, 91)
LEFT_HAND, RIGHT_HAND = slice(91, 112), slice(112, 133)

_BODY_NAMES = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
)
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HAND_NAMES = ("root", *(f"{finger}{joint}" for finger in _FINGERS for joint in range(1, 5)))

NAMES: tuple[str, ...] = (
    *_BODY_NAMES.split(),
    *(f"face-{i}" for i in range(68)),
    *(f"left_hand_{name}" for name in _HAND_NAMES),
    *(f"right_hand_{name}" for name in _HAND_NAMES),
)
"""The 133 keypoints in order: 17 body, 6 feet, 68 face (iBUG), 21 left hand, 21 right hand."""

_FACE_FLIPS = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)),
)
FLIP_PAIRS: tuple[tuple[int, int], ...] = (
    *((i, i + 1) for i in range(1, 17, 2)),
    *((i, i + 3) for i in range(17, 20)),
    *((23 + a, 23 + b) for a, b in _FACE_FLIPS),
    *((i, i + 21) for i in range(91, 112)),
)
"""Keypoints that change places when the picture is mirrored."""


@dataclass(frozen=True, slots=True)
class Limbs:
    """A group of limbs drawn alike.

    Attributes:
        pairs: Keypoints that a limb connects.
        colour: RGB.
        width: Thickness over that of the body's limbs.
    """

    pairs: tuple[tuple[int, int], ...]
    colour: tuple[int, int, int]
    width: float


def _chain(first: int, last: int, *, closed: bool = False) -> tuple[tuple[int, int], ...]:
    pairs = tuple((i, i + 1) for i in range(first, last))
    return (*pairs, (last, first)) if closed else pairs


def _hand(root: int) -> tuple[tuple[int, int], ...]:
    fingers = (_chain(root + 1 + 4 * f, root + 4 + 4 * f) for f in range(5))
    return (*((root, root + 1 + 4 * f) for f in range(5)), *(pair for finger in fingers for pair in finger))


_FACE_RUNS = ((23, 39), (40, 44), (45, 49), (50, 53), (54, 58))
_FACE_RINGS = ((59, 64), (65, 70), (71, 82), (83, 90))

LIMBS: dict[str, Limbs] = {
    "torso": Limbs(((5, 6), (11, 12)), (236, 236, 236), 1.0),
    "left": Limbs(
        ((5, 7), (7, 9), (5, 11), (11, 13), (13, 15), (15, 17), (15, 18), (15, 19), (0, 1), (1, 3)),
        (66, 165, 245),
        1.0,
    ),
    "right": Limbs(
        ((6, 8), (8, 10), (6, 12), (12, 14), (14, 16), (16, 20), (16, 21), (16, 22), (0, 2), (2, 4)),
        (255, 138, 61),
        1.0,
    ),
    "left hand": Limbs(_hand(91), (128, 222, 234), 0.5),
    "right hand": Limbs(_hand(112), (255, 213, 79), 0.5),
    "face": Limbs(
        (
            *(pair for run in _FACE_RUNS for pair in _chain(*run)),
            *(pair for ring in _FACE_RINGS for pair in _chain(*ring, closed=True)),
        ),
        (240, 240, 240),
        0.35,
    ),
}
"""Limbs by group: the person's left in blue, the right in orange."""


def draw_pose(image_HWC: Frame, pose_K3: Array, min_confidence: float = 0.3) -> Frame:
    """Draw one person's pose, anti-aliased, on a copy of a picture.

    Args:
        image_HWC: RGB picture.
        pose_K3: x px, y px, confidence 0..1; absent points are NaN.
        min_confidence: Points below it, and limbs that end in them, are left out.
    """
    canvas = image_HWC.copy()
    thickness = max(1.0, min(canvas.shape[:2]) / 240)
    shown_K = np.isfinite(pose_K3[:, :2]).all(axis=1) & (pose_K3[:, 2] >= min_confidence)
    points_K2 = np.round((np.nan_to_num(pose_K3[:, :2]) - 0.5) * 16).astype(int)  # 4 bits of sub-pixel
    for limbs in LIMBS.values():
        width = max(1, round(thickness * limbs.width))
        for a, b in limbs.pairs:
            if shown_K[a] and shown_K[b]:
                cv2.line(canvas, points_K2[a], points_K2[b], limbs.colour, width, cv2.LINE_AA, 4)
    for k in np.flatnonzero(shown_K[: FEET.stop]):
        cv2.circle(canvas, points_K2[k], round(thickness * 20), (255, 255, 255), -1, cv2.LINE_AA, 4)
    return canvas
