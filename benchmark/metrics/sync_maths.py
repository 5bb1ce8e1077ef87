"""The mathematics of Sync-C and Sync-D, on embeddings alone.

Embeddings of window i of a mouth are compared with those of window i + k of a sound for shifts k of up to 15 windows
either way (0.6 s): D(k) is the mean Euclidean distance. Sync-D is the least D(k), Sync-C the median of D(k) less that
least one, and the offset is -k at the least one: **positive where the sound leads**, so that sound which comes 3
frames late gives -3. Source: Chung and Zisserman, "Out of time" (2016); joonson/syncnet_python, `SyncNetInstance.py`.

Two ways to treat shifts that leave the sound:

- `padded_curve`, the release: windows outside count as zero vectors. Distances to a zero vector are shorter than
  distances to a wrong one, so that for perfect sync of unit vectors Sync-C is sqrt(2) - 8 (sqrt(2) - 1) / W: 1.25 for
  W = 20 windows, 1.33 for 40, 1.41 for 400. Scores of videos of different length cannot be compared.
- `overlap_curve`: only pairs that both exist count; sqrt(2) at any length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]
Float64 = NDArray[np.float64]

SHIFT = 15
"""Largest shift, windows."""
_EPSILON = 1e-6
"""`torch.pairwise_distance` adds it to every difference."""


@dataclass(frozen=True, slots=True)
class Sync:
    """What a curve says.

    Attributes:
        confidence: Sync-C, never negative.
        distance: Sync-D.
        offset: Frames by which the sound leads.
    """

    confidence: float
    distance: float
    offset: int


def padded_curve(lips_WD: Floats, sound_WD: Floats) -> Float64:
    """Return the release's D(k) for k in -15..15, curve_K.

    Args:
        lips_WD: Embeddings of the mouth, at least one.
        sound_WD: Embeddings of the sound, as many.
    """
    padded_VD = np.pad(sound_WD.astype(np.float64), ((SHIFT, SHIFT), (0, 0)))
    windows = len(lips_WD)
    return np.array(
        [
            _distances(lips_WD, padded_VD[first : first + windows], _EPSILON).mean()
            for first in range(2 * SHIFT + 1)
        ]
    )


def overlap_curve(lips_WD: Floats, sound_VD: Floats, wanted_W: NDArray[np.bool_] | None = None) -> Float64:
    """Return D(k) for k in -15..15 over the pairs that exist, curve_K; NaN for shifts that leave none.

    Args:
        lips_WD: Embeddings of the mouth.
        sound_VD: Embeddings of the sound; V may differ from W.
        wanted_W: Windows of the mouth that count; None for all. Rows that do not count may hold NaN.
    """
    wanted_W = np.ones(len(lips_WD), bool) if wanted_W is None else wanted_W
    at_W = np.flatnonzero(wanted_W)
    curve_K = np.full(2 * SHIFT + 1, np.nan)
    for place, shift in enumerate(range(-SHIFT, SHIFT + 1)):
        both_P = at_W[(at_W + shift >= 0) & (at_W + shift < len(sound_VD))]
        if len(both_P):
            curve_K[place] = _distances(lips_WD[both_P], sound_VD[both_P + shift]).mean()
    return curve_K


def reading(curve_K: Float64) -> Sync:
    """Read a curve without NaN; of equal minima the first counts."""
    best = int(np.argmin(curve_K))
    least = float(curve_K[best])
    return Sync(float(np.median(curve_K)) - least, least, SHIFT - best)


def _distances(a_WD: Floats, b_WD: Floats, epsilon: float = 0.0) -> Float64:
    difference_WD = a_WD.astype(np.float64) - b_WD.astype(np.float64) + epsilon
    distance_W: Float64 = np.sqrt((difference_WD**2).sum(axis=1))
    return distance_W
