"""Glimpses: short overlapping stretches of lone speech, each turned into a voice embedding.

The segmentation network often gives two people who talk in turn to one local speaker. So its stretches only
count as places where one person talks at a time; who that is, and where another takes over, is heard from
glimpses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.speech.segmentation import HOP_S, STEP_S, Segmentation
from mitds.manifests.records import Array
from mitds.runs import Run, bridge, runs_of

PER_GLIMPSE = 4
"""A new glimpse starts every quarter of a glimpse."""

IMPURE = 0.02
"""Weight of a glimpse that is half another's voice: it must not count, but a piece may have no better one."""


class Embedder(Protocol):
    """Turns sound of one voice into a unit-norm embedding."""

    def embed(self, wave_S: Array) -> Array:
        """Return embedding_D."""


@dataclass(frozen=True, slots=True)
class Glimpses:
    """Embedded stretches, in order of time.

    Attributes:
        runs: The runs that they are laid over: lone speech, or overlap that no lone speech explains.
        span_G2: First step and end step of each glimpse.
        run_G: Which run each lies in.
        embedding_GD: Unit-norm embeddings.
    """

    runs: tuple[Run, ...]
    span_G2: NDArray[np.int64]
    run_G: NDArray[np.int64]
    embedding_GD: Array

    @property
    def middle_G(self) -> NDArray[np.float64]:
        """Return the middle step of each glimpse."""
        middle_G: NDArray[np.float64] = self.span_G2.mean(axis=1)
        return middle_G

    @property
    def seconds_G(self) -> NDArray[np.float64]:
        """Return the length of each glimpse."""
        seconds_G: NDArray[np.float64] = (self.span_G2[:, 1] - self.span_G2[:, 0]) * np.float64(HOP_S)
        return seconds_G

    def only(self, keep_G: NDArray[np.bool_]) -> Glimpses:
        """Return some of the glimpses; the runs stay as they are."""
        return replace(
            self,
            span_G2=self.span_G2[keep_G],
            run_G=self.run_G[keep_G],
            embedding_GD=self.embedding_GD[keep_G],
        )


def lone_runs(segmentation: Segmentation, *, shortest: int, pause: int) -> list[Run]:
    """Return runs of at least `shortest` steps in which one person talks at a time.

    Pauses of at most `pause` steps do not end a run; overlap does, and a handover that most windows hear.
    """
    lone_F = _speech(segmentation, pause)
    for first, end in runs_of(segmentation.handover_F > 0.5):
        lone_F[(first + end) // 2] = False
    return [(a, b) for a, b in runs_of(lone_F & (segmentation.two_F < 0.5)) if b - a >= shortest]


def orphan_runs(segmentation: Segmentation, lone: list[Run], *, shortest: int, pause: int) -> list[Run]:
    """Return runs of at least `shortest` steps of speech, overlap included, that lone speech cannot name.

    Their voices talk alone nowhere in the window around. A mixture is a poor glimpse of a voice, but it is
    the only one there is: without it, people who talk at once throughout would be silence.
    """
    lone_F = np.zeros(len(segmentation.any_F), np.bool_)
    for first, end in lone:
        lone_F[first:end] = True
    rest = [(a, b) for a, b in runs_of(_speech(segmentation, pause) & ~lone_F) if b - a >= shortest]
    return [run for run in rest if not _vouched(segmentation, lone_F, run)]


def _speech(segmentation: Segmentation, pause: int) -> NDArray[np.bool_]:
    """Return where somebody talks, pauses of at most `pause` steps included."""
    speech_F = np.zeros(len(segmentation.any_F), np.bool_)
    for first, end in bridge(runs_of(segmentation.any_F > 0.5), pause):
        speech_F[first:end] = True
    return speech_F


def _vouched(segmentation: Segmentation, lone_F: NDArray[np.bool_], run: Run) -> bool:
    """Tell whether the window around a run hears one of its two busiest local speakers alone."""
    start, active_F2 = segmentation.busiest_two(*run)
    return bool((lone_F[start : start + len(active_F2)] & active_F2.any(axis=1)).any())


def lay(run: Run, length: int) -> list[Run]:
    """Lay glimpses of about `length` steps over a run; those at its ends are shorter by a quarter."""
    first, end = run
    hop = length / PER_GLIMPSE
    if end - first <= length:
        return [run]
    count = int(np.ceil((end - first - 2 * hop) / hop)) + 1
    middles = np.linspace(first + hop, end - hop, count).tolist()
    return [(max(first, round(m - length / 2)), min(end, round(m + length / 2))) for m in middles]


def look(wave_S: Array, runs: list[Run], length: int, embedder: Embedder) -> Glimpses:
    """Lay glimpses over all runs and embed them; at least one run."""
    placed = [(r, span) for r, run in enumerate(runs) for span in lay(run, length)]
    return Glimpses(
        tuple(runs),
        np.array([span for _, span in placed]),
        np.array([r for r, _ in placed]),
        np.stack([embedder.embed(wave_S[a * STEP_S : b * STEP_S]) for _, (a, b) in placed]),
    )


@dataclass(frozen=True, slots=True)
class Pieces:
    """Consecutive glimpses of one run without a change of voice.

    Attributes:
        piece_G: Piece of each glimpse, 0 .. P-1 in order of time.
        span_P2: First step and end step of each piece.
        weight_G: How much a glimpse counts in its piece: its seconds, hardly any where half another's.
    """

    piece_G: NDArray[np.int64]
    span_P2: NDArray[np.float64]
    weight_G: NDArray[np.float64]

    @property
    def seconds_P(self) -> NDArray[np.float64]:
        """Return the length of each piece."""
        return (self.span_P2[:, 1] - self.span_P2[:, 0]) * HOP_S

    @classmethod
    def of(cls, glimpses: Glimpses, likeness: float) -> Pieces:
        """Part the runs where two glimpses that just do not overlap are less alike than `likeness`."""
        starts = np.zeros(len(glimpses.run_G), np.bool_)
        for run in np.unique(glimpses.run_G):
            index = np.flatnonzero(glimpses.run_G == run)
            starts[index[0]] = True
            starts[index[change_points(glimpses.embedding_GD[index], likeness)]] = True
        piece_G = np.cumsum(starts) - 1
        span_P2 = _spans(glimpses, np.flatnonzero(starts))
        return cls(piece_G, span_P2, glimpses.seconds_G * _purity(glimpses.span_G2, span_P2[piece_G]))


def change_points(embedding_GD: Array, likeness: float) -> NDArray[np.int64]:
    """Return the glimpses of one run at which another voice takes over: where neighbours are least alike."""
    gap = np.arange(1, len(embedding_GD))
    half = PER_GLIMPSE // 2
    before, after = np.maximum(gap - half, 0), np.minimum(gap + half - 1, len(embedding_GD) - 1)
    like_G = np.einsum("gd,gd->g", embedding_GD[before], embedding_GD[after])
    lowest = [like == like_G[max(0, g - half) : g + half + 1].min() for g, like in enumerate(like_G)]
    change: NDArray[np.int64] = gap[(like_G < likeness) & np.array(lowest, np.bool_)]
    return change


def _spans(glimpses: Glimpses, first_P: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return span_P2: a piece ends with its run, or midway to the first glimpse of the next piece."""
    run_P2 = np.array(glimpses.runs, np.float64)[glimpses.run_G[first_P]]
    middle_G, run_P = glimpses.middle_G, glimpses.run_G[first_P]
    border = (middle_G[first_P[1:] - 1] + middle_G[first_P[1:]]) / 2
    inside = run_P[1:] == run_P[:-1]
    run_P2[1:, 0] = np.where(inside, border, run_P2[1:, 0])
    run_P2[:-1, 1] = np.where(inside, border, run_P2[:-1, 1])
    return run_P2


def _purity(span_G2: NDArray[np.int64], own_G2: NDArray[np.float64]) -> NDArray[np.float64]:
    inside_G = np.minimum(span_G2[:, 1], own_G2[:, 1]) - np.maximum(span_G2[:, 0], own_G2[:, 0])
    share_G = inside_G / (span_G2[:, 1] - span_G2[:, 0])
    purity_G: NDArray[np.float64] = np.maximum(IMPURE, np.clip(2 * share_G - 1, 0, 1) ** 2)
    return purity_G
