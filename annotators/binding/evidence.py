"""Brings faces and voices onto one clock: per shot, what each face and each voice does on each grid frame.

Legend: I identities of the source, V voices, T grid frames of one shot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mitds.manifests.records import Array, FaceTrack, SpeakingScores, Voices
from mitds.time import Grid

ACTIVE = 0.5
"""Probability from which a voice counts as speaking."""


@dataclass(frozen=True, slots=True)
class ShotEvidence:
    """What is seen and heard in one shot.

    Attributes:
        logit_IT: Speaking logit of each identity; NaN where it is not in view or not scored.
        activity_TV: Probability that each voice speaks.
        speech_T: Probability that anybody speaks.
        overlap_T: Probability that two people speak at once; 0 where the diarizer does not say.
    """

    logit_IT: Array
    activity_TV: Array
    speech_T: Array
    overlap_T: Array


def identities(tracks_by_shot: Sequence[Sequence[FaceTrack]]) -> list[str]:
    """Return the identities of a source in the order of their number."""
    found = {t.identity for tracks in tracks_by_shot for t in tracks if t.identity is not None}
    return sorted(found, key=lambda name: (len(name), name))


def logit(probability: Array) -> Array:
    """Return log odds, kept finite for probabilities of 0 and 1; NaN stays NaN."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p) - np.log1p(-p), np.float32)


def shot_evidence(
    grid: Grid,
    tracks: Sequence[FaceTrack],
    scores: Sequence[SpeakingScores],
    names: Sequence[str],
    voices: Voices | None,
    sound_start: Fraction,
) -> ShotEvidence:
    """Gather one shot's evidence on its grid; without sound the voice arrays are empty or zero."""
    logit_IT = np.full((len(names), grid.count), np.nan, np.float32)
    by_track = {s.track: s for s in scores}
    for track in tracks:
        if track.identity is not None and track.track in by_track:
            row = logit_IT[names.index(track.identity), track.first : track.last + 1]
            row[:] = logit(by_track[track.track].probability_T)[: len(row)]
    if voices is None:
        silence_T = np.zeros(grid.count, np.float32)
        return ShotEvidence(logit_IT, np.zeros((grid.count, 0), np.float32), silence_T, silence_T)
    offset_s = float(grid.start - sound_start)
    activity_TV = on_grid(voices.activity_FV, voices.hop_s, offset_s, grid)
    speech_T = on_grid(voices.speech_F[:, None], voices.hop_s, offset_s, grid)[:, 0]
    overlap_F = np.zeros_like(voices.speech_F) if voices.overlap_F is None else voices.overlap_F
    overlap_T = on_grid(overlap_F[:, None], voices.hop_s, offset_s, grid)[:, 0]
    return ShotEvidence(logit_IT, activity_TV, speech_T, overlap_T)


def on_grid(values_FC: Array, hop_s: float, offset_s: float, grid: Grid) -> Array:
    """Average step values over each grid frame; frames outside the sound are 0 (nobody is heard there)."""
    starts = offset_s + np.arange(grid.count) / float(grid.fps)
    first = np.floor(starts / hop_s + 1e-6).astype(int)
    last = np.maximum(np.ceil((starts + 1 / float(grid.fps)) / hop_s - 1e-6).astype(int), first + 1)
    total = np.vstack([np.zeros((1, values_FC.shape[1])), np.cumsum(values_FC, axis=0, dtype=np.float64)])
    low, high = np.clip(first, 0, len(values_FC)), np.clip(last, 0, len(values_FC))
    return np.asarray((total[high] - total[low]) / np.maximum(last - first, 1)[:, None], np.float32)
