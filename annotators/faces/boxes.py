"""Plain geometry of boxes (x1, y1, x2, y2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Geometry is computed in whatever precision comes in; records hold float32."""


def _intersection(a_A4: Floats, b_B4: Floats) -> Floats:
    low_AB2 = np.maximum(a_A4[:, None, :2], b_B4[None, :, :2])
    high_AB2 = np.minimum(a_A4[:, None, 2:], b_B4[None, :, 2:])
    shared_AB: Floats = np.clip(high_AB2 - low_AB2, 0, None).prod(axis=2)
    return shared_AB


def area(box_N4: Floats) -> Floats:
    """Return areas, px squared."""
    area_N: Floats = np.clip(box_N4[:, 2:] - box_N4[:, :2], 0, None).prod(axis=1)
    return area_N


def iou(a_A4: Floats, b_B4: Floats) -> Floats:
    """Return intersection over union of every pair, iou_AB in 0..1."""
    shared_AB = _intersection(a_A4, b_B4)
    union_AB = area(a_A4)[:, None] + area(b_B4)[None] - shared_AB
    iou_AB: Floats = shared_AB / np.maximum(union_AB, 1e-9)
    return iou_AB


def coverage(a_A4: Floats, b_B4: Floats) -> Floats:
    """Return intersection over the smaller box of every pair, 0..1: 1 where one lies inside the other."""
    smaller_AB = np.minimum(area(a_A4)[:, None], area(b_B4)[None])
    coverage_AB: Floats = _intersection(a_A4, b_B4) / np.maximum(smaller_AB, 1e-9)
    return coverage_AB


def distance(a_A4: Floats, b_B4: Floats) -> Floats:
    """Return the distance of centres of every pair, in sides of the larger box."""
    centre_A2, centre_B2 = (box_N4.reshape(-1, 2, 2).mean(axis=1) for box_N4 in (a_A4, b_B4))
    side_AB = np.sqrt(np.maximum(area(a_A4)[:, None], area(b_B4)[None]))
    apart_AB: Floats = np.sqrt(((centre_A2[:, None] - centre_B2[None]) ** 2).sum(axis=2))
    return apart_AB / np.maximum(side_AB, 1e-9)


def distinct(box_N4: Floats, limit: float) -> NDArray[np.intp]:
    """Return the rows, best first, that no better row covers by more than `limit` of the smaller box."""
    covered_NN = coverage(box_N4, box_N4) > limit
    kept: list[int] = []
    for n in range(len(box_N4)):
        if not covered_NN[n, kept].any():
            kept.append(n)
    return np.array(kept, np.intp)
