"""A speaker scorer without networks, for tests of what comes after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logit

from mitds.annotators.asd.rows import Calibration, abstention, heard_rows, scores_of
from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array, FaceTrack, SpeakingScores


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeScorerConfig:
    """What the fake says.

    Attributes:
        speaking: Spans of grid frames, [start, end), in which a track speaks, by track number.
        sure: Probability it gives to speaking; the rest for silence.
    """

    speaking: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    sure: float = 0.9


class FakeScorer:
    """Says what it was told, wherever there is sound.

    Args:
        config: What it says.
    """

    name = "fake"

    def __init__(self, config: FakeScorerConfig = FakeScorerConfig()) -> None:
        self.config = config

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Consume the frames as a real scorer would and return the scores it was told."""
        deque(frames, maxlen=0)
        if wave_S is None:
            return [abstention(track, self.name) for track in tracks]
        return [self._say(track, heard_rows(track, wave_S)) for track in tracks]

    def _say(self, track: FaceTrack, rows: int) -> SpeakingScores:
        frame_n = track.first + np.arange(rows)
        speaks_n = np.zeros(rows, np.bool_)
        for start, end in self.config.speaking.get(track.track, ()):
            speaks_n |= (start <= frame_n) & (frame_n < end)
        odds = logit(self.config.sure)
        return scores_of(track, np.where(speaks_n, odds, -odds), Calibration(), self.name)
