"""A pose estimator without networks, for tests of what comes after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.per_person import KEYPOINTS, absent, estimate_each
from mitds.manifests.records import Array

FIGURE = {0: (0.5, 0.6), 1: (0.7, 0.4), 2: (0.3, 0.4), 5: (1.5, 1.5), 6: (-0.5, 1.5)}
"""Where the fake sees nose, eyes and shoulders, in widths and heights of the face from its corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePoseConfig:
    """What the fake says.

    Attributes:
        confidence: Of every point it places.
    """

    confidence: float = 0.9


class FakePose:
    """Hangs the same few points on every face.

    Args:
        config: What it says.
    """

    name = "fake"

    def __init__(self, config: FakePoseConfig = FakePoseConfig()) -> None:
        self.config = config

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Place the points of each visible face; see `PoseEstimator`."""
        return estimate_each(frames, face_xyxy_NT4, visible_NT, self._figures)

    def _figures(self, _: Frame, face_N4: Array) -> Array:
        pose_NK3 = absent(len(face_N4), KEYPOINTS)
        for keypoint, place in FIGURE.items():
            pose_NK3[:, keypoint, :2] = face_N4[:, :2] + place * (face_N4[:, 2:] - face_N4[:, :2])
            pose_NK3[np.isfinite(face_N4).all(axis=1), keypoint, 2] = self.config.confidence
        return pose_NK3
