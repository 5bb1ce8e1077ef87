"""Cuts found against true ones, within two frames; gradual transitions apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mitds.pipeline.audit.scenes import Scene
from mitds.pipeline.audit.statistics import Found, Spec, Sums, f1, ratio, shares

TOLERANCE = 2

PRECISION = Spec(
    "shots.hard.precision",
    "Cuts: precision",
    "Found cuts that lie within 2 frames of a hard cut of their own, among those not within 2 frames of a "
    "gradual transition.",
    "found cuts",
)
RECALL = Spec(
    "shots.hard.recall", "Cuts: recall", "Hard cuts with a found cut of their own within 2 frames.", "cuts"
)
F1 = Spec("shots.hard.f1", "Cuts: F1", "Harmonic mean of precision and recall of hard cuts.", "cuts")
SOFT = Spec(
    "shots.soft.recall",
    "Gradual transitions found",
    "Gradual transitions with a found cut in them or within 2 frames of them that no hard cut explains.",
    "transitions",
)


def measure_shots(scenes: Sequence[Scene]) -> list[Found]:
    """Score the cuts of every scene whose cuts are known."""
    counts = [count(scene) if scene.truth.cuts is not None else (0, 0, 0, 0) for scene in scenes]
    soft = [(found, len(s.truth.soft)) for (*_, found), s in zip(counts, scenes, strict=True)]
    hits_V3 = np.array([c[:3] for c in counts], np.float64).reshape(-1, 3)
    return [
        Found(PRECISION, shares([(hit, hit + false) for hit, false, _, _ in counts])),
        Found(RECALL, shares([(hit, hit + missed) for hit, _, missed, _ in counts])),
        Found(F1, Sums(hits_V3, hits_V3.sum(axis=1), f1)),
        Found(SOFT, Sums(np.array(soft, np.float64), np.array([n for _, n in soft], np.float64), ratio)),
    ]


def count(scene: Scene) -> tuple[int, int, int, int]:
    """Return hits, false alarms and misses of hard cuts, and gradual transitions found."""
    true, said = sorted(scene.truth.cuts or ()), sorted({cut for cut in scene.labels.cuts if cut > 0})
    used = matches(true, said)
    rest = [cut for k, cut in enumerate(said) if k not in used]
    near = [[a - TOLERANCE <= cut <= b + TOLERANCE for cut in rest] for a, b in scene.truth.soft]
    excused = sum(any(column) for column in zip(*near, strict=True))
    return len(used), len(rest) - excused, len(true) - len(used), sum(any(row) for row in near)


def matches(true: Sequence[int], said: Sequence[int]) -> set[int]:
    """Return which of the sorted cuts said have a true one of their own; as many as can be."""
    used, i, j = set[int](), 0, 0
    while i < len(true) and j < len(said):
        if abs(true[i] - said[j]) <= TOLERANCE:
            used.add(j)
            i, j = i + 1, j + 1
        elif said[j] < true[i]:
            j += 1
        else:
            i += 1
    return used
