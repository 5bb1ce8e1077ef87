"""What all speaker scorers share: walking tracks along the frames, and turning scores into probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array, FaceTrack, SpeakingScores
from mitds.time import AUDIO_HZ, CLIP_FPS

SAMPLES_PER_FRAME = int(AUDIO_HZ / CLIP_FPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Platt's map from a raw score to a probability: expit(scale * score + offset), fitted on labels."""

    scale: float = 1.0
    offset: float = 0.0

    def log_odds(self, logit_T: Array) -> Array:
        """Return the calibrated log odds of raw scores."""
        return (self.scale * logit_T + self.offset).astype(np.float32)


def visits(frames: Iterable[Frame], tracks: Sequence[FaceTrack]) -> Iterator[tuple[Frame, int, int]]:
    """Yield every frame with the number (in `tracks`) and the row of each track that it shows, in one pass.

    Reading stops after the last row of the last track, or where the frames end.
    """
    last = max((track.last for track in tracks), default=-1)
    for index, frame_HWC in zip(range(last + 1), frames, strict=False):
        for number, track in enumerate(tracks):
            if track.first <= index <= track.last:
                yield frame_HWC, number, index - track.first


class Watch(Protocol):
    """Scoring of the tracks of one shot in progress."""

    def see(self, frame_HWC: Frame, number: int, row: int) -> None:
        """Look at one row of the track at place `number`; rows of a track come in order."""

    def scores(self) -> list[SpeakingScores]:
        """Return the scores of all tracks; called once, at the end."""


class Watcher(Protocol):
    """A speaker scorer that looks at frames as they come, so that several can share one pass."""

    name: str

    def watch(self, tracks: Sequence[FaceTrack], wave_S: Array) -> Watch:
        """Begin to score the tracks of one shot; there is sound, and there are tracks."""


def watched(
    watcher: Watcher, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
) -> list[SpeakingScores]:
    """Score a shot with a watcher; without sound every score is NaN and no frame is read."""
    if wave_S is None or not len(wave_S) or not tracks:
        return [abstention(track, watcher.name) for track in tracks]
    watch = watcher.watch(tracks, wave_S)
    for frame_HWC, number, row in visits(frames, tracks):
        watch.see(frame_HWC, number, row)
    return watch.scores()


def heard_rows(track: FaceTrack, wave_S: Array) -> int:
    """Return how many rows of a track begin before the sound ends."""
    frames = -(-len(wave_S) // SAMPLES_PER_FRAME)
    return max(0, min(frames, track.last + 1) - track.first)


def scores_of(track: FaceTrack, logit_n: Array, calibration: Calibration, model: str) -> SpeakingScores:
    """Wrap the scores of a track's first rows; the rows beyond them are NaN."""
    logit_T = np.full(len(track.score_T), np.nan, np.float32)
    logit_T[: len(logit_n)] = logit_n
    probability_T = np.asarray(expit(calibration.log_odds(logit_T)), np.float32)
    return SpeakingScores(track=track.track, logit_T=logit_T, probability_T=probability_T, model=model)


def abstention(track: FaceTrack, model: str) -> SpeakingScores:
    """Return the scores of a track that cannot be judged at all: NaN throughout."""
    return scores_of(track, np.zeros(0, np.float32), Calibration(), model)
