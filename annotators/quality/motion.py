"""How a picture, or a part of it, moves from one sample to the next: sparse optical flow and one similarity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array

Grey = NDArray[np.uint8]

MAX_POINTS = 240
MIN_POINTS = 12
MIN_AGREEING = 0.4
"""Share of the followed points that must move as one; below it the picture has no single motion."""

_CELLS = (4, 6)
_FLOW = {"winSize": (21, 21), "maxLevel": 4}
_RETURN_PX = 1.0
_AGREE_PX = 1.5


@dataclass(frozen=True, slots=True)
class Motion:
    """A similarity that takes points of the earlier picture to the later one.

    Attributes:
        matrix_23: Scaled rotation and shift, px.
    """

    matrix_23: NDArray[np.float64]

    @property
    def log_scale(self) -> float:
        """Natural logarithm of the zoom."""
        return float(np.log(np.hypot(self.matrix_23[0, 0], self.matrix_23[1, 0])))

    def moved(self, points_P2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far each point goes, px."""
        return points_P2 @ self.matrix_23[:, :2].T + self.matrix_23[:, 2] - points_P2


def corners(grey_HW: Grey, mask_HW: Grey | None = None) -> Array:
    """Return points that can be followed, spread over the picture's cells, at most MAX_POINTS: points_P2, px."""
    height, width = grey_HW.shape
    rows, columns = _CELLS
    found = []
    for r, c in np.ndindex(rows, columns):
        part = (
            slice(r * height // rows, (r + 1) * height // rows),
            slice(c * width // columns, (c + 1) * width // columns),
        )
        mask = None if mask_HW is None else mask_HW[part]
        points = cv2.goodFeaturesToTrack(grey_HW[part], MAX_POINTS // (rows * columns), 0.02, 5, mask=mask)
        if points is not None:
            found.append(points[:, 0] + np.array([part[1].start, part[0].start], np.float32))
    return np.concatenate(found) if found else np.zeros((0, 2), np.float32)


def motion_between(before_HW: Grey, after_HW: Grey, points_P2: Array) -> Motion | None:
    """Find the one motion that most of the points share; None where there are too few or they disagree.

    Pyramidal Lucas-Kanade forward and back, then a similarity by RANSAC (OpenCV's is seeded).
    """
    if len(points_P2) < MIN_POINTS:
        return None
    start = points_P2[:, None]
    there, ok, _ = cv2.calcOpticalFlowPyrLK(before_HW, after_HW, start, None, **_FLOW)  # type: ignore[call-overload]
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(after_HW, before_HW, there, None, **_FLOW)  # type: ignore[call-overload]
    returns = np.linalg.norm((back - start)[:, 0], axis=1) < _RETURN_PX
    good = (ok[:, 0] == 1) & (ok_back[:, 0] == 1) & returns
    if good.sum() < MIN_POINTS:
        return None
    matrix_23, agree = cv2.estimateAffinePartial2D(start[good], there[good], ransacReprojThreshold=_AGREE_PX)
    if matrix_23 is None or agree.mean() < MIN_AGREEING:
        return None
    return Motion(matrix_23)
