"""Order with its doubt: aggregates from charged rows, groups of ties, intervals of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mitds.benchmark.contracts import Card
from mitds.benchmark.evaluation.scale import aggregate, aggregate_draws, axis_scores, score_estimate
from mitds.benchmark.results import Anchor, Estimate, Row, rows_by_metric
from mitds.benchmark.statistics import (
    DRAWS,
    LEVEL,
    Comparison,
    Floats,
    compare,
    holm,
    least_p,
    tie_groups,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one entry reached on some items: the aggregate and its axes; None where an axis is undefined."""

    aggregate: Estimate | None
    axes: dict[str, Estimate]
    scores: dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The comparison of all ranked entries.

    Attributes:
        order: Slugs, best first.
        groups: Group of ties by slug, from 1.
        ranks: First and last place by slug that the draws leave open.
        detectable: Median half-width of the intervals of all paired differences; None below two entries.
        comparisons: Every pair, the better one first.
        exhausted: True where there are more pairs than clusters or draws can tell apart after Holm's correction.
    """

    order: tuple[str, ...]
    groups: dict[str, int]
    ranks: dict[str, tuple[int, int]]
    detectable: float | None
    comparisons: tuple[Comparison, ...]
    exhausted: bool


def standing(
    rows: Sequence[Row],
    cards: Mapping[str, Card],
    anchors: Mapping[str, Anchor],
    items: Sequence[str],
    clusters: Sequence[str],
) -> Standing:
    """Compute an entry's aggregate and axes on some items from its charged rows."""
    wanted = set(items)
    grouped = rows_by_metric([row for row in rows if row.item in wanted])
    scores = axis_scores(grouped, cards, anchors, items)
    found = {axis: score_estimate(values_I, clusters) for axis, values_I in scores.items()}
    axes = {axis: estimate for axis, estimate in found.items() if estimate is not None}
    return Standing(aggregate=aggregate(scores, clusters), axes=axes, scores=scores)


def rank(standings: Mapping[str, Standing], clusters: Sequence[str]) -> Ranking:
    """Compare entries pairwise on the same draws.

    Args:
        standings: By slug, all with an aggregate.
        clusters: The cluster of each item of the release.
    """
    values = {slug: s.aggregate.value for slug, s in standings.items() if s.aggregate is not None}
    draws = {slug: aggregate_draws(standings[slug].scores, clusters) for slug in values}
    order = sorted(values, key=lambda slug: (-values[slug], slug))
    count = len(set(clusters))
    pairs = [compare(better, worse, draws, values, count) for better, worse in combinations(order, 2)]
    rejected = holm([pair.p for pair in pairs])
    different = {(c.first, c.second): r for c, r in zip(pairs, rejected, strict=True)}
    return Ranking(
        order=tuple(order),
        groups=dict(zip(order, tie_groups(order, different), strict=True)),
        ranks=_rank_intervals(order, draws),
        detectable=_detectable(pairs),
        comparisons=tuple(pairs),
        exhausted=len(pairs) > 0 and (1 - LEVEL) / len(pairs) < max(2 / (DRAWS + 1), least_p(count)),
    )


def _rank_intervals(order: Sequence[str], draws: Mapping[str, Floats]) -> dict[str, tuple[int, int]]:
    """Return the places each entry takes in 95 % of the draws; of equals in a draw, each may be first or last."""
    if not order:
        return {}
    draws_EB = np.array([draws[slug] for slug in order])
    draws_EB = draws_EB[:, np.isfinite(draws_EB).all(axis=0)]
    if not draws_EB.size:
        return {slug: (1, len(order)) for slug in order}
    ranks = {}
    for slug, own_B in zip(order, draws_EB, strict=True):
        first_B, last_B = 1 + (draws_EB > own_B).sum(axis=0), (draws_EB >= own_B).sum(axis=0)
        low = np.quantile(first_B, (1 - LEVEL) / 2, method="inverted_cdf")
        high = np.quantile(last_B, (1 + LEVEL) / 2, method="inverted_cdf")
        ranks[slug] = (int(low), int(high))
    return ranks


def _detectable(pairs: Sequence[Comparison]) -> float | None:
    widths = [
        (pair.difference.high - pair.difference.low) / 2
        for pair in pairs
        if pair.difference.low is not None and pair.difference.high is not None
    ]
    return float(np.median(widths)) if widths else None
