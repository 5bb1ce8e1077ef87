"""Hand landmarks (MediaPipe Hands, Zhang et al. 2020): 21 points of the one hand in a region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.region import Region, tensor
from mitds.annotators.pose.tflite import Graph
from mitds.manifests.records import Array
from mitds.weights import resolve

HAND_SIDE = 224
PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Points without the finger tips: their extent hardly changes when fingers move."""


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand.

    Attributes:
        presence: Probability 0..1 that the region shows a hand.
        right: Probability 0..1 that it is the person's right hand.
        points_P2: 21 points in COCO-WholeBody order, px.
    """

    presence: float
    right: float
    points_P2: Array

    @property
    def size(self) -> float:
        """Distance from the wrist to the base of the middle finger, px."""
        return float(np.linalg.norm(self.points_P2[9] - self.points_P2[0]))

    @property
    def region(self) -> Region:
        """Where the network should look for the same hand next."""
        knuckles = (self.points_P2[5] + 2 * self.points_P2[9] + self.points_P2[13]) / 4
        angle = _upward(knuckles - self.points_P2[0])
        tight = Region.around(self.points_P2[list(PALM)], angle, 1.0)
        return _ahead(tight.x, tight.y, 2.0 * max(tight.width, tight.height), angle)


class HandLandmarks:
    """Estimates the one hand in a region."""

    def __init__(self) -> None:
        self._net = Graph(resolve("pose.hand"), ["input_1"], ["Identity", "Identity_1", "Identity_2"])

    def estimate(self, frame_HWC: Frame, region: Region) -> Hand:
        """Return the hand in a region; `presence` says whether to believe it."""
        size = (HAND_SIDE, HAND_SIDE)
        out = self._net(tensor(region.crop(frame_HWC, size)))
        points_P2 = region.to_picture(out["Identity"].reshape(-1, 3)[:, :2], size)
        return Hand(float(out["Identity_1"].item()), float(out["Identity_2"].item()), points_P2)


def region_of_fingers(wrist_2: Array, index_pinky_22: Array) -> Region:
    """Return where a hand should be, from the body's wrist, index and little finger."""
    middle_2 = (2 * index_pinky_22[0] + index_pinky_22[1]) / 3
    reach = float(np.linalg.norm(middle_2 - wrist_2))
    return _ahead(middle_2[0], middle_2[1], 2.7 * 2 * reach, _upward(middle_2 - wrist_2))


def region_beyond(elbow_2: Array, wrist_2: Array, face_height: float) -> Region:
    """Return where a hand should be, from the forearm and the size of the face alone."""
    angle = _upward(wrist_2 - elbow_2) if np.isfinite(elbow_2).all() else 0.0
    return _ahead(wrist_2[0], wrist_2[1], 2.0 * face_height, angle)


def _upward(direction_2: Array) -> float:
    """Turn of a region whose upward axis points in a direction."""
    return float(np.arctan2(direction_2[0], -direction_2[1]))


def _ahead(x: float, y: float, side: float, angle: float) -> Region:
    """Square shifted a tenth of its side towards the finger tips, as in the network's training."""
    shift = 0.1 * side
    return Region.square(x + shift * np.sin(angle), y - shift * np.cos(angle), side, angle)
