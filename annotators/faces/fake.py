"""A face tracker for tests: it returns what it was given and still consumes the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mitds.annotators.contracts import Frame
from mitds.manifests.records import FaceTrack


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFaceTrackerConfig:
    """Nothing to set."""


class FakeFaceTracker:
    """Returns given tracks.

    Args:
        config: Nothing to set.
        tracks: What every call to `track` returns.
    """

    name = "fake"

    def __init__(
        self, config: FakeFaceTrackerConfig = FakeFaceTrackerConfig(), *, tracks: Sequence[FaceTrack] = ()
    ) -> None:
        self.config = config
        self._tracks = list(tracks)

    def track(self, frames: Iterable[Frame]) -> list[FaceTrack]:
        """Consume the frames as a real tracker would, and return the given tracks."""
        deque(frames, maxlen=0)
        return list(self._tracks)
