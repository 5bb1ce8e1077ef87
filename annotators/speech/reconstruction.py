"""From named glimpses back to the steps of the wave: who talks in each, overlap included, and the turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.speech.glimpses import Glimpses, Pieces
from mitds.annotators.speech.segmentation import HOP_S, Segmentation
from mitds.manifests.records import Array
from mitds.runs import Run, bridge, runs_of

Labels = NDArray[np.int64]

NOBODY = -1
"""Label of steps without a named voice."""

NEARBY_S = 1.0
"""Time constant by which a voice's lone speech vouches for who it is in an overlap."""

SNAP_S = 0.2
"""Seconds around a change of voice within which the quietest step is taken for the border."""

BESIDE_S = 0.5
"""A piece at most this far from an overlap holds one of its two voices."""


def smooth_labels(like_GV: Array, run_G: Labels, switch: float) -> Labels:
    """Return label_G: per run, the path of voices of greatest likeness less `switch` per change (Viterbi)."""
    label_G = np.zeros(len(run_G), np.int64)
    for run in np.unique(run_G):
        index = np.flatnonzero(run_G == run)
        label_G[index] = _best_path(like_GV[index], switch)
    return label_G


def _best_path(like_GV: Array, switch: float) -> Labels:
    total_V, came_from = like_GV[0].astype(np.float64), []
    for like_V in like_GV[1:]:
        best = int(total_V.argmax())
        stay_V = total_V >= total_V[best] - switch
        came_from.append(np.where(stay_V, np.arange(len(total_V)), best))
        total_V = np.where(stay_V, total_V, total_V[best] - switch) + like_V
    path = [int(total_V.argmax())]
    for origin_V in reversed(came_from):
        path.append(int(origin_V[path[-1]]))
    return np.array(path[::-1], np.int64)


def label_steps(glimpses: Glimpses, label_G: Labels, level_F: Array) -> Labels:
    """Return label_F: the voice of each step of lone speech, NOBODY elsewhere; borders lie in the quiet."""
    label_F = np.full(len(level_F), NOBODY, np.int64)
    snap = round(SNAP_S / HOP_S)
    middle_G = glimpses.middle_G
    for run in np.unique(glimpses.run_G):
        first, end = glimpses.runs[run]
        index = np.flatnonzero(glimpses.run_G == run)
        label_F[first:end] = label_G[index[0]]
        for g in index[1:][np.diff(label_G[index]) != 0]:
            low, high = max(first, int(middle_G[g - 1]) - snap), min(end, int(middle_G[g]) + snap)
            label_F[low + int(level_F[low:high].argmin()) : end] = label_G[g]
    return label_F


def fill_nearest(label_F: Labels, speech_F: NDArray[np.bool_], reach: int) -> Labels:
    """Return label_F with unnamed steps of speech named after the nearest named step within `reach` steps."""
    named, unnamed = np.flatnonzero(label_F != NOBODY), np.flatnonzero(speech_F & (label_F == NOBODY))
    after = np.searchsorted(named, unnamed).clip(0, len(named) - 1)
    before = (after - 1).clip(0)
    left, right = named[before], named[after]
    nearest = np.where(np.abs(left - unnamed) <= np.abs(right - unnamed), left, right)
    near = np.abs(nearest - unnamed) <= reach
    filled_F = label_F.copy()
    filled_F[unnamed[near]] = label_F[nearest[near]]
    return filled_F


def name_scraps(
    segmentation: Segmentation, label_F: Labels, lone_F: Labels, speech_F: NDArray[np.bool_], longest: int
) -> Labels:
    """Return label_F with unnamed scraps of lone speech named after their window's local speaker.

    Overlap or a pause parts them from speech that has a name, and they are too short for a glimpse of their own.

    Args:
        segmentation: The segmentation of the wave.
        label_F: Voices so far.
        lone_F: Voices by glimpses alone; they vouch for who a local speaker is.
        speech_F: Where somebody talks.
        longest: Stretches of more steps without a glimpse that has a name are no scraps: their voice is nobody's.
    """
    named_F = label_F.copy()
    for first, end in runs_of(speech_F & (lone_F == NOBODY) & (segmentation.two_F < 0.5)):
        if end - first <= longest:
            scrap_F = named_F[first:end]
            scrap_F[scrap_F == NOBODY] = _one_voice(segmentation, lone_F, (first, end))
    return named_F


def _one_voice(segmentation: Segmentation, label_F: Labels, run: Run) -> int:
    """Name the local speaker of a run after the voice it has alone nearby; NOBODY where the window hears none."""
    start, active_F2 = segmentation.busiest_two(*run)
    if not active_F2[max(0, run[0] - start) : run[1] - start, 0].any():
        return NOBODY
    vote_V = _votes(segmentation, label_F, run, int(label_F.max()) + 1)[0]
    return int(vote_V.argmax()) if vote_V.max() > 0 else NOBODY


def overlaps_of(segmentation: Segmentation) -> list[Run]:
    """Return the runs in which two people talk at once."""
    return runs_of(segmentation.two_F >= 0.5)


def barred_pairs(segmentation: Segmentation, pieces: Pieces) -> list[tuple[int, int]]:
    """Return pairs of pieces that are two people beyond doubt: one leads into an overlap, one out of it.

    The window around the overlap must hear both local speakers in it, one alone before, one alone after.
    """
    pairs, beside = [], round(BESIDE_S / HOP_S)
    for first, end in overlaps_of(segmentation):
        before = int(np.searchsorted(pieces.span_P2[:, 1], first, side="right")) - 1
        after = int(np.searchsorted(pieces.span_P2[:, 0], end, side="left"))
        if before < 0 or after == len(pieces.span_P2):
            continue
        near = first - pieces.span_P2[before, 1] <= beside and pieces.span_P2[after, 0] - end <= beside
        if near and _hands_over(segmentation, (first, end), beside):
            pairs.append((before, after))
    return pairs


def _hands_over(segmentation: Segmentation, overlap: Run, beside: int) -> bool:
    start, active_FK = segmentation.around(sum(overlap) // 2)
    first, end = max(0, overlap[0] - start), overlap[1] - start
    alone_FK = active_FK & (active_FK.sum(1, keepdims=True) == 1)
    before_K, after_K = alone_FK[max(0, first - beside) : first].sum(0), alone_FK[end : end + beside].sum(0)
    both_K = active_FK[first:end].mean(0) > 0.5
    old, new = int(before_K.argmax()), int(after_K.argmax())
    return bool(old != new and before_K[old] and after_K[new] and both_K[old] and both_K[new])


def name_overlaps(segmentation: Segmentation, label_F: Labels, voices: int) -> Labels:
    """Return pair_F2: the two voices of each step of overlap, NOBODY where nothing vouches."""
    pair_F2 = np.full((len(label_F), 2), NOBODY, np.int64)
    for first, end in overlaps_of(segmentation):
        pair_F2[first:end] = _two_voices(segmentation, label_F, (first, end), voices)
    return pair_F2


def _two_voices(segmentation: Segmentation, label_F: Labels, overlap: Run, voices: int) -> tuple[int, int]:
    """Name the window's two busiest local speakers after the voices they have alone nearby, never alike."""
    vote_2V = _votes(segmentation, label_F, overlap, voices)
    joint_VV = vote_2V[0][:, None] + vote_2V[1][None, :]
    np.fill_diagonal(joint_VV, -1)
    v, w = (int(x) for x in np.unravel_index(joint_VV.argmax(), joint_VV.shape))
    return (v if vote_2V[0, v] > 0 else NOBODY, w if vote_2V[1, w] > 0 and v != w else NOBODY)


def _votes(segmentation: Segmentation, label_F: Labels, run: Run, voices: int) -> Array:
    """Return vote_2V: how much each voice talks alone near a run as each of its two busiest local speakers."""
    middle = sum(run) // 2
    start, active_F2 = segmentation.busiest_two(*run)
    window_F = label_F[start : start + len(active_F2)]
    near_F = np.exp(-np.abs(np.arange(len(active_F2)) + start - middle) * HOP_S / NEARBY_S)
    near_F[window_F == NOBODY] = 0
    return np.stack([np.bincount(window_F.clip(0), near_F * active_F2[:, k], voices) for k in (0, 1)])


def activity(segmentation: Segmentation, label_F: Labels, pair_F2: Labels, voices: int) -> Array:
    """Return activity_FV: the probability of speech, for a step's voice or the two of an overlap."""
    activity_FV = np.zeros((len(label_F), voices), np.float32)
    lone_F = np.where((pair_F2 != NOBODY).any(axis=1), NOBODY, label_F)
    for voice_F in (lone_F, pair_F2[:, 0], pair_F2[:, 1]):
        step = np.flatnonzero(voice_F != NOBODY)
        activity_FV[step, voice_F[step]] = segmentation.any_F[step]
    return activity_FV


def turns_of(activity_F: Array, *, onset: float, offset: float, shortest: int, pause: int) -> list[Run]:
    """Return the runs of one voice.

    A turn must rise above `onset` and lasts while above `offset`; gaps of at most `pause` steps are
    bridged, then turns of fewer than `shortest` steps dropped.
    """
    loud = [(a, b) for a, b in runs_of(activity_F > offset) if activity_F[a:b].max() > onset]
    return [(a, b) for a, b in bridge(loud, pause) if b - a >= shortest]
