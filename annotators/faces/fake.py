"""A face tracker for tests: faces that stand still, or exactly the tracks it was given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.manifests.records import FaceTrack

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFaceTrackerConfig:
    """Who is in view.

    Attributes:
        boxes: One face per box (x1, y1, x2, y2), px, at the same place in every frame of every shot.
    """

    boxes: tuple[Box, ...] = ()


class FakeFaceTracker:
    """Consumes the frames as a real tracker would, without looking at them.

    Args:
        config: Who is in view.
        tracks: Returned by every call in place of the configured faces.
    """

    name = "fake"

    def __init__(
        self,
        config: FakeFaceTrackerConfig = FakeFaceTrackerConfig(),
        *,
        tracks: Sequence[FaceTrack] | None = None,
    ) -> None:
        self.config = config
        self._tracks = tracks

    def track(self, frames: Iterable[Frame]) -> list[FaceTrack]:
        """Return the given tracks, or one track per configured box over all frames."""
        count = sum(1 for _ in frames)
        if self._tracks is not None:
            return list(self._tracks)
        boxes = self.config.boxes if count else ()
        return [_standing(n, box, count, len(boxes)) for n, box in enumerate(boxes)]


def _standing(number: int, box: Box, count: int, people: int) -> FaceTrack:
    """Build a track of one face at one place; its embedding is orthogonal to everybody else's."""
    xyxy_4 = np.array(box, np.float32)
    shares_52 = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]], np.float32)
    landmarks_52 = xyxy_4[:2] + shares_52 * (xyxy_4[2:] - xyxy_4[:2])
    return FaceTrack(
        track=number,
        first=0,
        xyxy_T4=np.tile(xyxy_4, (count, 1)),
        score_T=np.full(count, 0.9, np.float32),
        landmarks_T52=np.tile(landmarks_52, (count, 1, 1)),
        detected_T=np.ones(count, bool),
        embedding_D=np.eye(people, dtype=np.float32)[number],
    )
