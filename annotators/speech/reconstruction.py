"""From named glimpses back to the steps of the wave: who talks in each, overlap included, and the turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.speech.glimpses import Glimpses, runs_of
from mitds.annotators.speech.segmentation import HOP_S, STEP_S, Segmentation
from mitds.manifests.records import Array

NOBODY = -1
NEARBY_S = 1.0
"""Seconds over which a voice's lone speech vouches for who it is in an overlap."""

SNAP_S = 0.2
"""Seconds around a change of voice within which the quietest step is taken for the border."""


def smooth_labels(like_GV: Array, run_G: NDArray[np.int64], switch: float) -> NDArray[np.int64]:
    """Return label_G: per run, the sequence of voices of greatest likeness minus `switch` per change (Viterbi)."""
    label_G = np.zeros(len(run_G), np.int64)
    for run in np.unique(run_G):
        index = np.flatnonzero(run_G == run)
        label_G[index] = _best_path(like_GV[index], switch)
    return label_G


def _best_path(like_GV: Array, switch: float) -> NDArray[np.int64]:
    total_V, came_from = like_GV[0].astype(np.float64), []
    for like_V in like_GV[1:]:
        best = int(total_V.argmax())
        stay_V = total_V >= total_V[best] - switch
        came_from.append(np.where(stay_V, np.arange(len(total_V)), best))
        total_V = np.maximum(total_V, total_V[best] - switch) + like_V
    path = [int(total_V.argmax())]
    for origin_V in reversed(came_from):
        path.append(int(origin_V[path[-1]]))
    return np.array(path[::-1], np.int64)


def loudness(wave_S: Array, steps: int) -> Array:
    """Return the mean square of each step, averaged over 0.1 s."""
    padded_S = np.pad(wave_S, (0, steps * STEP_S - len(wave_S)))
    power_F = np.square(padded_S).reshape(steps, STEP_S).mean(axis=1)
    return np.convolve(power_F, np.full(5, 0.2, np.float32), mode="same")[:steps]


def label_steps(
    runs: list[tuple[int, int]], glimpses: Glimpses, label_G: NDArray[np.int64], power_F: Array
) -> NDArray[np.int64]:
    """Return label_F: the voice of each step of lone speech, NOBODY elsewhere; borders fall into quiet steps."""
    label_F = np.full(len(power_F), NOBODY, np.int64)
    snap = round(SNAP_S / HOP_S)
    for r, (first, end) in enumerate(runs):
        index = np.flatnonzero(glimpses.run_G == r)
        label_F[first:end] = label_G[index[0]]
        for g in index[1:][np.diff(label_G[index]) != 0]:
            low, high = glimpses.middle_G[g - 1 : g + 1]
            low, high = max(first, int(low) - snap), min(end, int(high) + snap)
            border = low + int(power_F[low:high].argmin())
            label_F[border:end] = label_G[g]
    return label_F


def fill_nearest(label_F: NDArray[np.int64], speech_F: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return label_F with each unnamed step of speech named after the nearest named one."""
    named = np.flatnonzero(label_F != NOBODY)
    open_ = np.flatnonzero(speech_F & (label_F == NOBODY))
    filled_F = label_F.copy()
    if len(named) and len(open_):
        right = np.searchsorted(named, open_).clip(0, len(named) - 1)
        left = (right - 1).clip(0)
        nearer = np.where(np.abs(named[left] - open_) <= np.abs(named[right] - open_), named[left], named[right])
        filled_F[open_] = label_F[nearer]
    return filled_F


def name_overlaps(segmentation: Segmentation, label_F: NDArray[np.int64], voices: int) -> NDArray[np.int64]:
    """Return pair_F2: the two voices of each step of overlap, NOBODY where there is none or nobody vouches."""
    pair_F2 = np.full((len(label_F), 2), NOBODY, np.int64)
    for first, end in runs_of(segmentation.two_F >= 0.5):
        pair_F2[first:end] = _two_voices(segmentation, label_F, (first, end), voices)
    return pair_F2


def _two_voices(
    segmentation: Segmentation, label_F: NDArray[np.int64], run: tuple[int, int], voices: int
) -> tuple[int, int]:
    middle = sum(run) // 2
    start, active_FK = segmentation.around(middle)
    here_K = active_FK[run[0] - start : run[1] - start].sum(axis=0)
    k, l = np.argsort(-here_K, kind="stable")[:2]
    label_window_F = label_F[start : start + len(active_FK)]
    near_F = np.exp(-np.abs(np.arange(len(active_FK)) + start - middle) * HOP_S / NEARBY_S)
    near_F[label_window_F == NOBODY] = 0
    vote_KV = np.stack(
        [np.bincount(label_window_F.clip(0), near_F * active_FK[:, x], voices) for x in (k, l)]
    )
    joint_VV = vote_KV[0][:, None] + vote_KV[1][None, :]
    np.fill_diagonal(joint_VV, -1)
    v, w = np.unravel_index(joint_VV.argmax(), joint_VV.shape)
    known = [int(x) if vote_KV[i, x] > 0 and joint_VV.max() > 0 else NOBODY for i, x in enumerate((v, w))]
    return known[0], known[1]


def activity(
    segmentation: Segmentation, label_F: NDArray[np.int64], pair_F2: NDArray[np.int64], voices: int
) -> Array:
    """Return activity_FV: the probability that somebody talks for a step's voice, both voices in overlap."""
    activity_FV = np.zeros((len(label_F), voices), np.float32)
    both_F = (pair_F2 != NOBODY).any(axis=1)
    for voice_F in (np.where(both_F, NOBODY, label_F), pair_F2[:, 0], pair_F2[:, 1]):
        step = np.flatnonzero(voice_F != NOBODY)
        activity_FV[step, voice_F[step]] = segmentation.any_F[step]
    return activity_FV


def turns_of(activity_F: Array, *, onset: float, offset: float, shortest: int, pause: int) -> list[tuple[int, int]]:
    """Return runs [first, end) of one voice.

    A turn begins above `onset` and ends below `offset`; gaps of at most `pause` steps are bridged, then turns of
    fewer than `shortest` steps dropped.
    """
    loud = [(a, b) for a, b in runs_of(activity_F > offset) if activity_F[a:b].max() > onset]
    joined: list[tuple[int, int]] = []
    for a, b in loud:
        if joined and a - joined[-1][1] <= pause:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return [(a, b) for a, b in joined if b - a >= shortest]
