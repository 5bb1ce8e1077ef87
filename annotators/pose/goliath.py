"""Goliath's 308 keypoints (Sapiens, Khirodkar et al. 2024) as COCO-WholeBody's 133.

Goliath numbers the points of a curve from the picture's left to its right and by halving: 1 and 2 are the
middles of the halves, 3 to 6 those of the quarters. Each iBUG point takes the nearest of them. Of the jaw
Goliath has the tip of the chin alone, so the other 16 jaw points (23..30 and 32..39) are absent.
"""

from __future__ import annotations

import numpy as np

from mitds.annotators.pose.per_person import KEYPOINTS, absent
from mitds.manifests.records import Array

GOLIATH_KEYPOINTS = 308

_BODY = (0, 1, 2, 3, 4, 5, 6, 7, 8, 62, 41, 9, 10, 11, 12, 13, 14)
_FEET = (15, 16, 17, 18, 19, 20)
_BROWS = (80, 83, 81, 84, 78, 87, 92, 90, 93, 89)
_NOSE = (71, 74, 75, 178, 183, 182, 179, 185, 186)
_EYES = (121, 126, 127, 120, 168, 167, 96, 103, 102, 97, 150, 151)
_OUTER_LIPS = (188, 196, 197, 190, 198, 199, 189, 203, 202, 191, 201, 200)
_INNER_LIPS = (204, 208, 206, 209, 205, 211, 207, 210)
_CHIN = 77


def _hand(wrist: int, thumb_tip: int) -> list[int]:
    """Return Goliath's points of a hand in COCO's order: wrist, then each finger from its root to its tip."""
    return [wrist, *(thumb_tip + 4 * finger + joint for finger in range(5) for joint in (3, 2, 1, 0))]


FROM_GOLIATH: dict[int, int] = dict(enumerate((*_BODY, *_FEET)))
"""Goliath keypoint by COCO-WholeBody keypoint; what is missing has no counterpart."""
FROM_GOLIATH[31] = _CHIN
FROM_GOLIATH |= dict(enumerate((*_BROWS, *_NOSE, *_EYES, *_OUTER_LIPS, *_INNER_LIPS), start=40))
FROM_GOLIATH |= dict(enumerate((*_hand(62, 42), *_hand(41, 21)), start=91))


def from_goliath(pose_G3: Array) -> Array:
    """Turn one person's 308 keypoints into pose_K3 with K = 133; points without counterpart are absent."""
    pose_K3 = absent(KEYPOINTS)
    pose_K3[list(FROM_GOLIATH)] = np.asarray(pose_G3, np.float32)[list(FROM_GOLIATH.values())]
    return pose_K3
