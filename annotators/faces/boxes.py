"""Plain geometry of boxes (x1, y1, x2, y2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array


def _intersection(a_A4: Array, b_B4: Array) -> Array:
    low_AB2 = np.maximum(a_A4[:, None, :2], b_B4[None, :, :2])
    high_AB2 = np.minimum(a_A4[:, None, 2:], b_B4[None, :, 2:])
    return np.clip(high_AB2 - low_AB2, 0, None).prod(axis=2)


def area(box_N4: Array) -> Array:
    """Return areas, px squared."""
    return np.clip(box_N4[:, 2:] - box_N4[:, :2], 0, None).prod(axis=1)


def iou(a_A4: Array, b_B4: Array) -> Array:
    """Return intersection over union of every pair, iou_AB in 0..1."""
    shared_AB = _intersection(a_A4, b_B4)
    union_AB = area(a_A4)[:, None] + area(b_B4)[None] - shared_AB
    return shared_AB / np.maximum(union_AB, 1e-9)


def coverage(a_A4: Array, b_B4: Array) -> Array:
    """Return intersection over the smaller box of every pair, 0..1: 1 where one lies inside the other."""
    smaller_AB = np.minimum(area(a_A4)[:, None], area(b_B4)[None])
    return _intersection(a_A4, b_B4) / np.maximum(smaller_AB, 1e-9)


def distance(a_A4: Array, b_B4: Array) -> Array:
    """Return the distance of centres of every pair, in sides of the larger box."""
    centre_A2, centre_B2 = (box_N4.reshape(-1, 2, 2).mean(axis=1) for box_N4 in (a_A4, b_B4))
    side_AB = np.sqrt(np.maximum(area(a_A4)[:, None], area(b_B4)[None]))
    return np.linalg.norm(centre_A2[:, None] - centre_B2[None], axis=2) / np.maximum(side_AB, 1e-9)


def distinct(box_N4: Array, limit: float) -> NDArray[np.intp]:
    """Return the rows, best first, that no better row covers by more than `limit` of the smaller box."""
    covered_NN = coverage(box_N4, box_N4) > limit
    kept: list[int] = []
    for n in range(len(box_N4)):
        if not covered_NN[n, kept].any():
            kept.append(n)
    return np.array(kept, np.intp)
