"""Who ought to speak when, by the labels alone, and the arithmetic of voices against faces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.optimize import linear_sum_assignment

from mitds.benchmark.contracts import Score
from mitds.manifests.records import Clip
from mitds.manifests.turns import Mask, spoken_NT, spoken_T
from mitds.time import CLIP_FPS

Reals = NDArray[np.float64]
Scores = NDArray[np.floating[Any]]
"""Judges give float32, arithmetic is float64."""

FPS = int(CLIP_FPS)
SHORTEST = 15
"""Frames of solo speech, or of listening, below which nothing is concluded: 0.6 s."""
RIM = 2
"""Frames taken off both ends of solo speech, as labels are not exact."""
REACTION = 8
"""Frames before and after a person's own speech in which a moving mouth is no leakage: about 0.3 s."""
PAUSE = 13
"""Frames of silence that make the next word an onset, and the last one an offset: half a second."""
STEP = np.ones(3, np.bool_)


def solo_NT(clip: Clip) -> Mask:
    """Return when each person speaks and nobody else, in view or not; two frames are taken off each end."""
    own_NT = spoken_NT(clip)
    others_NT = own_NT.sum(axis=0) - own_NT > 0
    strange_T = spoken_T(chain(clip.offscreen, clip.unassigned), clip.frames)
    alone_NT = own_NT & ~others_NT & ~strange_T
    return np.array([_eroded(row_T) for row_T in alone_NT], np.bool_).reshape(alone_NT.shape)


def listening_NT(clip: Clip) -> Mask:
    """Return when each person is silent while somebody else speaks, in view or not.

    Not within 0.3 s of the person's own speech, nor where it is open who speaks.
    """
    own_NT = spoken_NT(clip)
    others_NT = own_NT.sum(axis=0) - own_NT > 0
    heard_NT = others_NT | spoken_T(clip.offscreen, clip.frames)
    open_T = spoken_T(clip.unassigned, clip.frames)
    near_NT = np.array([binary_dilation(row_T, STEP, REACTION) for row_T in own_NT], np.bool_)
    free_NT: Mask = heard_NT & ~near_NT.reshape(own_NT.shape) & ~open_T
    return free_NT


def _eroded(mask_T: Mask) -> Mask:
    """Take RIM frames off each run's ends; the item's own edges are no ends of speech."""
    eroded_T: Mask = binary_erosion(mask_T, STEP, RIM, border_value=1)
    return eroded_T


def binding_matrix(score_NT: Scores, solo_NT: Mask, asked_NT: Mask) -> Reals:
    """Return how much face j seems to speak while voice i is heard alone, S_NN in 0..1.

    Args:
        score_NT: Probability that face j speaks; NaN where the output shows no such face. There the output is
            given the worst: 0 for the voice's own face and 1 for another's, so that hiding a face never pays.
        solo_NT: When voice i is heard alone.
        asked_NT: When face j can be judged in the real footage; other frames are left out.

    Returns:
        S_NN; NaN where fewer than 15 frames (0.6 s) remain.
    """
    persons = len(score_NT)
    matrix_NN = np.full((persons, persons), np.nan)
    for i, j in np.ndindex(persons, persons):
        frames_T = solo_NT[i] & asked_NT[j]
        if frames_T.sum() >= SHORTEST:
            matrix_NN[i, j] = worst_if_absent(score_NT[j, frames_T], float(i != j)).mean()
    return matrix_NN


def worst_if_absent(score_T: Scores, worst: float) -> Reals:
    """Replace NaN, the score of a face that is not there, by the worst score."""
    return np.where(np.isnan(score_T), worst, score_T.astype(np.float64))


def margins(matrix_NN: Reals) -> Reals:
    """Return, for each voice, its own face's score less the best of the others', margin_N in -1..1.

    NaN for voices whose own face, or every other face, could not be judged.
    """
    others_NN = matrix_NN.copy()
    np.fill_diagonal(others_NN, np.nan)
    best_N = np.where(np.isnan(others_NN), -np.inf, others_NN).max(axis=1, initial=-np.inf)
    margin_N: Reals = np.where(np.isfinite(best_N), np.diag(matrix_NN) - best_N, np.nan)
    return margin_N


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a binding matrix says.

    Attributes:
        margin: Mean margin over the judged voices, -1..1; None where there is none.
        voices: Rows of the matrix that were judged.
        accuracy: Share of them whose own face has the highest score.
        assigned: True where the best one-to-one assignment of these voices to faces is the right one.
    """

    margin: float | None
    voices: list[int]
    accuracy: float = 0.0
    assigned: bool = False


def verdict(matrix_NN: Reals) -> Verdict:
    """Reduce a binding matrix over the voices that can be judged."""
    margin_N = margins(matrix_NN)
    voices = np.flatnonzero(np.isfinite(margin_N))
    if not len(voices):
        return Verdict(None, [])
    judged_MN = np.nan_to_num(matrix_NN[voices], nan=-1.0)
    rows, columns = linear_sum_assignment(judged_MN, maximize=True)
    right = judged_MN[np.arange(len(voices)), voices].sum()
    return Verdict(
        float(margin_N[voices].mean()),
        voices.tolist(),
        float((margin_N[voices] > 0).mean()),
        bool(right > 0 and right >= judged_MN[rows, columns].sum()),
    )


def listed(matrix_NN: Reals) -> list[list[float | None]]:
    """Return a matrix as JSON has it: None for NaN."""
    return [[None if np.isnan(value) else float(value) for value in row] for row in matrix_NN]


def onsets(speaks_T: Mask) -> list[int]:
    """Return the frames at which speech begins after half a second of silence and goes on for half a second.

    Silence and speech must both be seen: what begins too near to the item's edges is left out.
    """
    frames = len(speaks_T)
    merged_T = _bridged(speaks_T)
    starts = np.flatnonzero(merged_T[1:] & ~merged_T[:-1]) + 1
    return [
        int(k)
        for k in starts
        if PAUSE <= k <= frames - PAUSE
        and not merged_T[k - PAUSE : k].any()
        and merged_T[k : k + PAUSE].all()
    ]


def offsets(speaks_T: Mask) -> list[int]:
    """Return the first silent frames after speech: the onsets of the reversed time."""
    return sorted(len(speaks_T) - k for k in onsets(speaks_T[::-1]))


def _bridged(speaks_T: Mask) -> Mask:
    """Count pauses of less than half a second between two words as speech."""
    merged_T = speaks_T.copy()
    known = np.flatnonzero(speaks_T)
    for before, after in pairwise(known):
        if after - before <= PAUSE:
            merged_T[before:after] = True
    return merged_T


def undefined(reason: str, person: int | None = None) -> Score:
    """Return the score of what the scene alone makes impossible."""
    return Score(value=None, status="undefined", person=person, detail={"reason": reason})
