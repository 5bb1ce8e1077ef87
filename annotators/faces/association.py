"""Which detection continues which trajectory: Hungarian on overlap, and on identity where that is unsure.

Rounds as in ByteTrack (Zhang et al., 2022): confident detections choose first, faint ones may only continue
what is left. Last, confident detections that are still free may end a gap of a face that moved meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mitds.annotators.faces.boxes import Floats, distance, iou
from mitds.annotators.faces.trajectory import Trajectory

Similarity = Callable[[int, int], float]
"""Cosine of trajectory t and detection d; NaN where either has no embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationConfig:
    """When a detection may continue a trajectory.

    Attributes:
        min_iou: Overlap of expected and detected box that makes a pair possible.
        sure_iou: Overlap above which the only possible pair needs no look at identity.
        different: Cosine below which an overlapping pair is refused.
        reach: After a gap a pair without overlap is possible up to this distance of centres, in box sides.
        same: Cosine that a pair without overlap needs.
    """

    min_iou: float = 0.2
    sure_iou: float = 0.5
    different: float = 0.15
    reach: float = 1.5
    same: float = 0.45


def associate(
    trajectories: Sequence[Trajectory],
    box_N4: Floats,
    strong_N: NDArray[np.bool_],
    frame: int,
    similarity: Similarity,
    config: AssociationConfig,
) -> list[tuple[int, int]]:
    """Return pairs (trajectory, detection); each occurs at most once.

    Args:
        trajectories: Faces that are followed.
        box_N4: Detections of one frame, px.
        strong_N: True for confident detections.
        frame: Number of that frame, later than all sightings.
        similarity: Asked for pairs that overlap alone does not settle.
        config: When a pair is possible.
    """
    pairs: list[tuple[int, int]] = []
    expected_M4 = np.array([t.expected(frame) for t in trajectories]).reshape(-1, 4)
    lost_M = np.array([frame - t.last.frame > 1 for t in trajectories], bool)
    for affinity, allowed_N in ((_continued, strong_N), (_continued, ~strong_N), (_regained, strong_N)):
        rows = np.array([t for t in range(len(trajectories)) if t not in {p for p, _ in pairs}], int)
        columns = np.array([n for n in np.flatnonzero(allowed_N) if n not in {q for _, q in pairs}], int)
        if len(rows) and len(columns):
            ask = _renumbered(similarity, rows, columns)
            affinity_MN = affinity(expected_M4[rows], lost_M[rows], box_N4[columns], ask, config)
            pairs += [(int(rows[m]), int(columns[n])) for m, n in _best(affinity_MN)]
    return pairs


def _continued(
    expected_M4: Floats,
    lost_M: NDArray[np.bool_],
    box_N4: Floats,
    similarity: Similarity,
    config: AssociationConfig,
) -> Floats:
    """Return IoU, plus the cosine for every pair that IoU alone does not settle; 0 is impossible."""
    iou_MN = iou(expected_M4, box_N4)
    affinity_MN = np.where(iou_MN >= config.min_iou, iou_MN, 0.0)
    possible_MN = affinity_MN > 0
    rivals_MN = (possible_MN.sum(axis=1, keepdims=True) > 1) | (possible_MN.sum(axis=0, keepdims=True) > 1)
    for m, n in np.argwhere(possible_MN & (rivals_MN | lost_M[:, None] | (iou_MN < config.sure_iou))):
        cosine = similarity(m, n)
        if not np.isnan(cosine):
            affinity_MN[m, n] = affinity_MN[m, n] + cosine if cosine >= config.different else 0.0
    return affinity_MN


def _regained(
    expected_M4: Floats,
    lost_M: NDArray[np.bool_],
    box_N4: Floats,
    similarity: Similarity,
    config: AssociationConfig,
) -> Floats:
    """Return the cosine of pairs within reach after a gap; 0 is impossible."""
    within_MN = (distance(expected_M4, box_N4) <= config.reach) & lost_M[:, None]
    affinity_MN = np.zeros(within_MN.shape)
    for m, n in np.argwhere(within_MN):
        cosine = similarity(m, n)
        affinity_MN[m, n] = cosine if cosine >= config.same else 0.0
    return affinity_MN


def _renumbered(similarity: Similarity, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Similarity:
    return lambda m, n: similarity(int(rows[m]), int(columns[n]))


def _best(affinity_MN: Floats) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(affinity_MN, maximize=True)
    return [(m, n) for m, n in zip(rows, columns, strict=True) if affinity_MN[m, n] > 0]
