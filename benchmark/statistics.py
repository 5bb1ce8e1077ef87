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


def compare(first: str, second: str, draws: Mapping[str, Floats], values: Mapping[str, float]) -> Comparison:
    """Compare two systems by their paired draws.

    Args:
        first: Name of a system.
        second: Name of another.
        draws: Bootstrap draws by system, of the same stream.
        values: Point values by system.
    """
    difference_B = draws[first] - draws[second]
    known_B = difference_B[np.isfinite(difference_B)]
    low, high = interval(difference_B)
    # A difference as seen or further from zero, were zero the truth: the usual shift of the bootstrap.
    beyond = min((known_B <= 0).mean(), (known_B >= 0).mean()) if len(known_B) else 1.0
    p = min(1.0, 2.0 * max(float(beyond), 1.0 / (len(known_B) + 1)))
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
