"""Skeletons as a model sees them: COCO-WholeBody 133 keypoints, drawn sparsely, without a mouth.

What is drawn, as in the figures of the paper: limbs of the body and feet, lines of the fingers, and few lines of
the face: nose to eyes to ears, the rims of the eyes, the nose. Deliberately neither lips nor jaw: a skeleton that
draws the mouth tells every model when its owner speaks, and nothing is left for voices to do.

The subject's left is drawn in blues, the right in oranges, so that a person seen from behind, or one with crossed
arms, is told from a mirrored one. Points without confidence are not drawn, nor are lines that end in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.manifests.items import Frame
from mitds.manifests.records import Array

CONFIDENT = 0.3
"""Keypoints below this confidence count as absent."""

PX_A_WIDTH = 100
"""The body's lines are one px wide for so many px of the picture's shorter side."""

_SUBPIXEL = 4
"""Bits of sub-pixel accuracy of drawn points."""

Line = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ink:
    """Lines drawn alike.

    Attributes:
        colour: RGB, 0..255.
        width: Over that of the body's lines.
        lines: Keypoints that each line runs through.
    """

    colour: tuple[int, int, int]
    width: float
    lines: tuple[Line, ...]

    @property
    def pairs_L2(self) -> NDArray[np.int64]:
        """Which keypoints each straight piece connects."""
        return np.array([pair for line in self.lines for pair in pairwise(line)])


def _fingers(wrist: int, hand: int) -> tuple[Line, ...]:
    """Return the lines of a hand whose root is keypoint `hand`; an arm's wrist is joined to it."""
    return ((wrist, hand), *((hand, *range(hand + 1 + 4 * f, hand + 5 + 4 * f)) for f in range(5)))


INKS: dict[str, Ink] = {
    "trunk": Ink((220, 220, 220), 1.0, ((5, 6), (11, 12))),
    "left body": Ink((40, 130, 255), 1.0, ((11, 5, 7, 9), (11, 13, 15))),
    "right body": Ink((255, 120, 30), 1.0, ((12, 6, 8, 10), (12, 14, 16))),
    "left foot": Ink((90, 100, 255), 0.5, ((15, 17), (15, 18), (15, 19))),
    "right foot": Ink((255, 70, 60), 0.5, ((16, 20), (16, 21), (16, 22))),
    "left head": Ink((80, 200, 255), 0.5, ((0, 1, 3),)),
    "right head": Ink((255, 190, 60), 0.5, ((0, 2, 4),)),
    "left eye": Ink((0, 255, 220), 0.5, ((65, 66, 67, 68, 69, 70, 65),)),
    "right eye": Ink((230, 255, 0), 0.5, ((59, 60, 61, 62, 63, 64, 59),)),
    "nose": Ink((255, 255, 255), 0.5, ((50, 51, 52, 53), (54, 55, 56, 57, 58))),
    "left hand": Ink((150, 150, 255), 0.5, _fingers(9, 91)),
    "right hand": Ink((255, 150, 130), 0.5, _fingers(10, 112)),
}
"""All that is drawn, later ones over earlier ones; left and right are the subject's."""

_PAIRS = {name: ink.pairs_L2 for name, ink in INKS.items()}

_FACE = 23
"""First of the 68 points of the face."""
_MIRRORED_FACE: Line = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *range(54, 47, -1),  # upper lip, outer rim
    *range(59, 54, -1),  # lower lip, outer rim
    *range(64, 59, -1),  # upper lip, inner rim
    *range(67, 64, -1),  # lower lip, inner rim
)

MIRRORED: NDArray[np.int64] = np.array([
    0, *(k for pair in range(1, 17, 2) for k in (pair + 1, pair)),  # nose; body
    *range(20, 23), *range(17, 20),  # feet
    *(_FACE + k for k in _MIRRORED_FACE),
    *range(112, 133), *range(91, 112),  # hands
])  # fmt: skip
"""Which keypoint takes the place of each one when the picture is mirrored."""


def mirrored(pose_K3: Array) -> Array:
    """Return the keypoints under the names that they have in the mirror: left and right change places.

    Args:
        pose_K3: Keypoints whose x is mirrored already; leading axes are free.
    """
    return pose_K3[..., MIRRORED, :]


def draw(pose_K3: Array, size_HW: tuple[int, int]) -> Frame:
    """Return one person's skeleton on black, RGB uint8, anti-aliased.

    Args:
        pose_K3: x px, y px, confidence; px of the picture to be drawn, NaN where absent.
        size_HW: Size of that picture, px.
    """
    canvas_HWC = np.zeros((*size_HW, 3), np.uint8)
    shown_K = confident(pose_K3)
    # OpenCV counts from the middle of the first pixel.
    middle_K2 = np.where(shown_K[:, None], pose_K3[:, :2], 0) - 0.5
    points_K2 = np.round(middle_K2 * 2**_SUBPIXEL).astype(np.int32)
    for name, ink in INKS.items():
        pairs_L2 = _PAIRS[name]
        seen_L2 = pairs_L2[shown_K[pairs_L2].all(axis=1)]
        width = max(1, round(ink.width * min(size_HW) / PX_A_WIDTH))
        cv2.polylines(canvas_HWC, list(points_K2[seen_L2]), False, ink.colour, width, cv2.LINE_AA, _SUBPIXEL)
    return canvas_HWC


def confident(pose_K3: Array) -> NDArray[np.bool_]:
    """Return which keypoints are there: finite and of enough confidence; leading axes are free."""
    there_K = np.isfinite(pose_K3).all(axis=-1) & (pose_K3[..., 2] >= CONFIDENT)
    return np.asarray(there_K, np.bool_)
