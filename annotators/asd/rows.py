"""What all speaker scorers share: walking tracks along the frames, and turning scores into probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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


def visits(frames: Iterable[Frame], tracks: Sequence[FaceTrack]) -> Iterator[tuple[Frame, int, int]]:
    """Yield every frame with the number (in `tracks`) and the row of each track that it shows, in one pass.

    Reading stops after the last row of the last track, or where the frames end.
    """
    last = max((track.last for track in tracks), default=-1)
    for index, frame_HWC in zip(range(last + 1), frames, strict=False):
        for number, track in enumerate(tracks):
            if track.first <= index <= track.last:
                yield frame_HWC, number, index - track.first


def heard_rows(track: FaceTrack, wave_S: Array) -> int:
    """Return how many rows of a track begin before the sound ends."""
    frames = -(-len(wave_S) // SAMPLES_PER_FRAME)
    return max(0, min(frames, track.last + 1) - track.first)


def scores_of(track: FaceTrack, logit_n: Array, calibration: Calibration, model: str) -> SpeakingScores:
    """Wrap the scores of a track's first rows; the rows beyond them are NaN."""
    logit_T = np.full(len(track.score_T), np.nan, np.float32)
    logit_T[: len(logit_n)] = logit_n
    probability_T = expit(calibration.scale * logit_T + calibration.offset).astype(np.float32)
    return SpeakingScores(track=track.track, logit_T=logit_T, probability_T=probability_T, model=model)


def abstention(track: FaceTrack, model: str) -> SpeakingScores:
    """Return the scores of a track that cannot be judged at all: NaN throughout."""
    return scores_of(track, np.zeros(0, np.float32), Calibration(), model)
