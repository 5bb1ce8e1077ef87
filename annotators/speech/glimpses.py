"""Glimpses: short overlapping stretches of lone speech, each turned into a voice embedding.

The segmentation network often gives two people who talk in turn to one local speaker. So its stretches are only
taken as places where one person talks at a time; who that is, and where another takes over, is heard from glimpses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.speech.ecapa import VoiceEmbedder
from mitds.annotators.speech.segmentation import STEP_S, Segmentation
from mitds.manifests.records import Array

PER_GLIMPSE = 4
"""A new glimpse starts every quarter of a glimpse."""


@dataclass(frozen=True, slots=True)
class Glimpses:
    """Embedded stretches, in order of time.

    Attributes:
        span_G2: First step and end step.
        run_G: Which run of lone speech each lies in.
        embedding_GD: Unit-norm embeddings.
    """

    span_G2: NDArray[np.int64]
    run_G: NDArray[np.int64]
    embedding_GD: Array

    @property
    def middle_G(self) -> NDArray[np.float64]:
        """Return the middle step of each glimpse."""
        return self.span_G2.mean(axis=1)


def runs_of(mask_F: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs [first, end) of True."""
    edge = np.flatnonzero(np.diff(np.concatenate([[False], mask_F, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edge[::2], edge[1::2], strict=True)]


def lone_runs(segmentation: Segmentation, shortest: int) -> list[tuple[int, int]]:
    """Return runs of at least `shortest` steps in which exactly one person talks at a time."""
    lone_F = (segmentation.any_F > 0.5) & (segmentation.two_F < 0.5)
    return [(a, b) for a, b in runs_of(lone_F) if b - a >= shortest]


def lay(run: tuple[int, int], length: int) -> list[tuple[int, int]]:
    """Lay glimpses of about `length` steps over a run; those at its ends are shorter by a quarter."""
    first, end = run
    hop = length / PER_GLIMPSE
    if end - first <= length:
        return [run]
    count = int(np.ceil((end - first - 2 * hop) / hop)) + 1
    middle_G = np.linspace(first + hop, end - hop, count)
    return [
        (max(first, round(m - length / 2)), min(end, round(m + length / 2))) for m in middle_G.tolist()
    ]


def look(wave_S: Array, runs: list[tuple[int, int]], length: int, embedder: VoiceEmbedder) -> Glimpses:
    """Lay glimpses over all runs and embed them."""
    span_G2 = [(r, span) for r, run in enumerate(runs) for span in lay(run, length)]
    embedding_GD = [embedder.embed(wave_S[a * STEP_S : b * STEP_S]) for _, (a, b) in span_G2]
    return Glimpses(
        np.array([span for _, span in span_G2], np.int64).reshape(-1, 2),
        np.array([r for r, _ in span_G2], np.int64),
        np.array(embedding_GD, np.float32).reshape(len(span_G2), -1),
    )


def pieces_of(glimpses: Glimpses, likeness: float) -> NDArray[np.int64]:
    """Return piece_G: consecutive glimpses of one run stay in one piece until the voice changes.

    The voice changes where two glimpses that just do not overlap are less alike than `likeness`, at the least
    alike of such places.
    """
    piece_G = np.zeros(len(glimpses.run_G), np.int64)
    piece = 0
    for run in range(int(glimpses.run_G.max(initial=-1)) + 1):
        index = np.flatnonzero(glimpses.run_G == run)
        starts = change_points(glimpses.embedding_GD[index], likeness)
        piece_G[index] = piece + np.searchsorted(starts, np.arange(len(index)), side="right")
        piece += len(starts) + 1
    return piece_G


def change_points(embedding_GD: Array, likeness: float) -> NDArray[np.int64]:
    """Return the glimpses of one run at which another voice takes over."""
    gap = np.arange(1, len(embedding_GD))
    half = PER_GLIMPSE // 2
    before, after = np.maximum(gap - half, 0), np.minimum(gap + half - 1, len(embedding_GD) - 1)
    like_G = np.einsum("gd,gd->g", embedding_GD[before], embedding_GD[after])
    lowest_G = [like == like_G[max(0, g - half) : g + half + 1].min() for g, like in enumerate(like_G)]
    return gap[(like_G < likeness) & np.array(lowest_G, np.bool_)]
