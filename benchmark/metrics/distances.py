"""What all distances between two sets of videos share: pooling, refusal of tiny sets, and the floor of real footage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import SetScore
from mitds.benchmark.metrics.frechet import frechet

Features = NDArray[Any]
Distance = Callable[[Sequence[Features], Sequence[Features]], float]
"""Of two sets of videos, each as its features_ND; never of a set that is empty, or of a video without samples."""

SPLITS = 10


def frechet_score(
    real: Sequence[Features], generated: Sequence[Features], *, unit: str, few: int
) -> SetScore:
    """Measure the Fréchet distance of two sets of videos, with the floor that real footage sets beside it.

    Args:
        real: Features_ND of each real video; videos too short for a sample have no row.
        generated: The same of the outputs.
        unit: What a row is, in words: "windows".
        few: Number of rows below which the value is bias more than anything; the detail then says so.
    """
    real, generated = seen(real), seen(generated)
    counts = sizes(real, generated)
    n = min(counts.values())
    if n < 2:
        return SetScore(value=None, n=n, reason=f"{n} {unit}: a covariance needs two")
    note = {"note": f"n={n} < {few}: mostly bias, compare with floor_halves only"} if n < few else {}
    detail = {**counts, **floor(real, pooled_frechet), **note}
    return SetScore(value=pooled_frechet(real, generated), n=n, detail=detail)


def pooled_frechet(real: Sequence[Features], generated: Sequence[Features]) -> float:
    """Return the squared Fréchet distance of all samples of two sets of videos."""
    return frechet(np.concatenate(real), np.concatenate(generated))


def seen(videos: Sequence[Features]) -> list[Features]:
    """Return the videos that have samples."""
    return [features_ND for features_ND in videos if len(features_ND)]


def sizes(real: Sequence[Features], generated: Sequence[Features]) -> dict[str, int]:
    """Count the samples of both sets."""
    return {"n_real": sum(map(len, real)), "n_generated": sum(map(len, generated))}


def floor(real: Sequence[Features], distance: Distance) -> dict[str, float | int | None]:
    """Measure real footage against real footage: over random splits of the videos into two disjoint halves.

    A split is random but fixed: the videos in the order of a digest of their features and the split's number, so
    that neither a seed nor the order of files plays a part. All samples of a video go to the same half.

    Returns:
        "floor_halves", the mean over splits; "floor_spread", their standard deviation; "floor_n", the samples in the
        smallest half. All None with fewer than four videos. A half has fewer samples than the whole, so a distance
        that is biased for few samples has a higher floor here than it has for the whole.
    """
    if len(real) < 4:
        return {"floor_halves": None, "floor_spread": None, "floor_n": None}
    splits = [_halves(real, split) for split in range(SPLITS)]
    values = [distance(*halves) for halves in splits]
    return {
        "floor_halves": float(np.mean(values)),
        "floor_spread": float(np.std(values, ddof=1)),
        "floor_n": min(sum(map(len, half)) for halves in splits for half in halves),
    }


def _halves(videos: Sequence[Features], split: int) -> tuple[list[Features], list[Features]]:
    def drawn(features_ND: Features) -> bytes:
        return hashlib.sha256(f"{split}:".encode() + features_ND.tobytes()).digest()

    shuffled = sorted(videos, key=drawn)
    return shuffled[::2], shuffled[1::2]
