"""Which detection continues which trajectory: Hungarian assignment on overlap, and on identity where that is unsure.

Two rounds as in ByteTrack (Zhang et al., 2022): confident detections choose first, faint ones may only
continue what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mitds.annotators.faces.boxes import distance, iou
from mitds.annotators.faces.trajectory import Trajectory
from mitds.manifests.records import Array

Similarity = Callable[[int, int], float]
"""Cosine of trajectory t and detection d; NaN where either has no embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationConfig:
    """When a detection may continue a trajectory.

    Attributes:
        min_iou: Overlap of expected and detected box that makes a pair possible.
        sure_iou: Overlap above which the only possible pair needs no look at identity.
        reach: After a gap a pair without overlap is possible up to this distance of centres, in box sides.
        different: Cosine below which a pair is refused.
        same: Cosine that a pair without overlap needs.
    """

    min_iou: float = 0.2
    sure_iou: float = 0.5
    reach: float = 1.5
    different: float = 0.1
    same: float = 0.4


def associate(
    trajectories: Sequence[Trajectory],
    box_N4: Array,
    strong_N: NDArray[np.bool_],
    frame: int,
    similarity: Similarity,
    config: AssociationConfig,
) -> list[tuple[int, int]]:
    """Return pairs (trajectory, detection); each occurs at most once."""
    if not len(trajectories) or not len(box_N4):
        return []
    expected_M4 = np.stack([t.expected(frame) for t in trajectories])
    gap_M = np.array([frame - t.last.frame - 1 for t in trajectories])
    pairs: list[tuple[int, int]] = []
    for group_N in (strong_N, ~strong_N):
        free_M = np.ones(len(trajectories), bool)
        free_M[[t for t, _ in pairs]] = False
        rows, columns = np.flatnonzero(free_M), np.flatnonzero(group_N)
        nearness_MN = _nearness(expected_M4[rows], gap_M[rows], box_N4[columns], config)
        affinity_MN = _affinity(
            nearness_MN, gap_M[rows], lambda m, n, r=rows, c=columns: similarity(r[m], c[n]), config
        )
        pairs += [(int(rows[m]), int(columns[n])) for m, n in _best(affinity_MN)]
    return pairs


def _nearness(expected_M4: Array, gap_M: Array, box_N4: Array, config: AssociationConfig) -> Array:
    """Return IoU where a pair overlaps enough, a token value where it is within reach, else 0 (impossible)."""
    iou_MN = iou(expected_M4, box_N4)
    nearness_MN = np.where(iou_MN >= config.min_iou, iou_MN, 0.0)
    within_MN = (distance(expected_M4, box_N4) <= config.reach) & (gap_M > 0)[:, None]
    return np.where(within_MN & (nearness_MN == 0), 1e-3, nearness_MN)


def _affinity(nearness_MN: Array, gap_M: Array, similarity: Similarity, config: AssociationConfig) -> Array:
    """Return nearness, plus the cosine for every pair that nearness alone does not settle; 0 is impossible."""
    possible_MN = nearness_MN > 0
    rivals_MN = (possible_MN.sum(axis=1, keepdims=True) > 1) | (possible_MN.sum(axis=0, keepdims=True) > 1)
    unsure_MN = possible_MN & (rivals_MN | (nearness_MN < config.sure_iou) | (gap_M > 0)[:, None])
    affinity_MN = nearness_MN.astype(float)
    for m, n in np.argwhere(unsure_MN):
        overlaps = nearness_MN[m, n] >= config.min_iou
        affinity_MN[m, n] = _judged(float(nearness_MN[m, n]), similarity(m, n), overlaps, config)
    return affinity_MN


def _judged(nearness: float, cosine: float, overlaps: bool, config: AssociationConfig) -> float:
    if np.isnan(cosine):
        return nearness if overlaps else 0.0
    if cosine < (config.different if overlaps else config.same):
        return 0.0
    return nearness + cosine


def _best(affinity_MN: Array) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(affinity_MN, maximize=True)
    return [(m, n) for m, n in zip(rows, columns, strict=True) if affinity_MN[m, n] > 0]
