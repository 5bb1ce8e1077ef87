"""Intervals and comparisons: cluster bootstrap over items, paired between systems, ties after Holm.

The stream of draws is fixed, and the same for every system of a release: comparisons are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.results import Estimate

DRAWS = 10_000
LEVEL = 0.95
EXACT_CLUSTERS = 14
"""Up to so many clusters all flips of their signs are counted; beyond, `DRAWS` of them are drawn."""
_SEED = 20_261_120

Floats = NDArray[np.float64]


def cluster_weights(clusters: Sequence[str], draws: int = DRAWS) -> Floats:
    """Draw clusters with replacement; return how often each item is in each draw, weight_BI.

    Args:
        clusters: The cluster of each item: items of one cluster are drawn together.
        draws: B.
    """
    return _weights(tuple(clusters), draws)


@lru_cache(maxsize=32)
def _weights(clusters: tuple[str, ...], draws: int) -> Floats:
    names = sorted(set(clusters))
    number = {name: n for n, name in enumerate(names)}
    generator = np.random.Generator(np.random.PCG64(_SEED))
    drawn_BC = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    weights_BI: Floats = drawn_BC[:, [number[c] for c in clusters]].astype(np.float64)
    weights_BI.setflags(write=False)
    return weights_BI


def weighted_means(values_I: Floats, weights_BI: Floats) -> Floats:
    """Return the mean of the values that are there (not NaN) in each draw; NaN where a draw holds none."""
    there_I = np.isfinite(values_I)
    # No BLAS: its threads may change the order of sums.
    total_B = np.einsum("bi,i->b", weights_BI[:, there_I], values_I[there_I])
    weight_B = weights_BI[:, there_I].sum(axis=1)
    mean_B: Floats = np.divide(total_B, weight_B, out=np.full(len(total_B), np.nan), where=weight_B > 0)
    return mean_B


def interval(draws_B: Floats) -> tuple[float | None, float | None]:
    """Return the percentile interval; None where fewer than half of the draws say anything."""
    known_B = draws_B[np.isfinite(draws_B)]
    if len(known_B) < len(draws_B) / 2:
        return None, None
    low, high = np.quantile(known_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def estimate(values_I: Floats, clusters: Sequence[str]) -> Estimate | None:
    """Return the mean over items with its interval; None where there is no value; no bounds below two clusters."""
    there_I = np.isfinite(values_I)
    if not there_I.any():
        return None
    mean = float(values_I[there_I].mean())
    count = int(there_I.sum())
    if len({c for c, there in zip(clusters, there_I, strict=True) if there}) < 2:
        return Estimate(value=mean, n=count)
    low, high = interval(weighted_means(values_I, cluster_weights(clusters)))
    return Estimate(value=mean, low=low, high=high, n=count)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same items: the mean difference, its interval, and a two-sided bootstrap p-value."""

    first: str
    second: str
    difference: Estimate
    p: float


def least_p(clusters: int) -> float:
    """Return the smallest honest two-sided p-value: that of all clusters on one side, 2^(1-C)."""
    return float(min(1.0, 2.0 ** (1 - clusters)))


def sign_flip_p(values_I: Floats, clusters: Sequence[str]) -> float:
    """Test paired differences against none: were there none, each cluster's sum could as well have the other sign.

    Two-sided randomisation test (Fisher 1935, The Design of Experiments, section 21) on sums of clusters, valid for
    few of them (Canay, Romano and Shaikh 2017, Econometrica 85:1013). Exact up to `EXACT_CLUSTERS`; beyond, of a
    fixed stream of flips, the observed one counted in (Phipson and Smyth 2010, arXiv:1603.05766).

    Args:
        values_I: Differences by item; NaN is left out.
        clusters: The cluster of each item; C counts those with a finite difference.

    Returns:
        At least 2^(1-C); 1 where there is no difference to test.
    """
    sums: dict[str, float] = {}
    for value, cluster in zip(values_I, clusters, strict=True):
        if np.isfinite(value):
            sums[cluster] = sums.get(cluster, 0.0) + float(value)
    sums_C = np.array([sums[cluster] for cluster in sorted(sums)])
    flips_FC = _flips(len(sums_C))
    # No BLAS: its threads may change the order of sums. Flips that only rounding keeps from a tie are ties.
    flipped_F = np.abs(np.einsum("fc,c->f", flips_FC, sums_C))
    as_far = int((flipped_F >= abs(sums_C.sum()) - 1e-12 * np.abs(sums_C).sum()).sum())
    if len(sums_C) <= EXACT_CLUSTERS:
        return as_far / len(flips_FC)
    return (as_far + 1) / (len(flips_FC) + 1)


@lru_cache(maxsize=8)
def _flips(count: int) -> Floats:
    """Return signs, 1 or -1: all combinations, or drawn ones where there are too many."""
    if count <= EXACT_CLUSTERS:
        bits_FC = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        generator = np.random.Generator(np.random.PCG64(_SEED))
        bits_FC = generator.integers(0, 2, size=(DRAWS, count))
    flips_FC: Floats = (1 - 2 * bits_FC).astype(np.float64)
    flips_FC.setflags(write=False)
    return flips_FC


def compare(
    first: str, second: str, draws: Mapping[str, Floats], values: Mapping[str, float], clusters: int
) -> Comparison:
    """Compare two systems by their paired draws.

    Args:
        first: Name of a system.
        second: Name of another.
        draws: Bootstrap draws by system, of the same stream.
        values: Point values by system.
        clusters: C; whatever the draws say, p is at least 2^(1-C).
    """
    difference_B = draws[first] - draws[second]
    known_B = difference_B[np.isfinite(difference_B)]
    low, high = interval(difference_B)
    # A difference as seen or further from zero, were zero the truth: the usual shift of the bootstrap.
    beyond = min((known_B <= 0).mean(), (known_B >= 0).mean()) if len(known_B) else 1.0
    p = min(1.0, max(2.0 * max(float(beyond), 1.0 / (len(known_B) + 1)), least_p(clusters)))
    return Comparison(
        first,
        second,
        Estimate(value=values[first] - values[second], low=low, high=high, n=len(known_B)),
        p,
    )


def holm(p_values: Sequence[float], level: float = 1 - LEVEL) -> list[bool]:
    """Return which hypotheses are rejected by Holm's step-down procedure."""
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    rejected = [False] * len(p_values)
    for step, n in enumerate(order):
        if p_values[n] > level / (len(p_values) - step):
            break
        rejected[n] = True
    return rejected


def tie_groups(names: Sequence[str], different: Mapping[tuple[str, str], bool]) -> list[int]:
    """Group systems, best first: a group ends before the first system that differs from the group's best.

    Args:
        names: Systems, best first.
        different: For each pair (better, worse) whether they differ significantly.

    Returns:
        Group number of each system, from 1.
    """
    groups: list[int] = []
    leader = ""
    for name in names:
        if not groups or different[leader, name]:
            groups.append(groups[-1] + 1 if groups else 1)
            leader = name
        else:
            groups.append(groups[-1])
    return groups
