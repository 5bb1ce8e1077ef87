"""Charging and scaling: what damage costs, where chance and real footage lie, and what the aggregate is.

A failed output is charged the metric's penalty, the worst value that any control has on that item and person, and no
value counts as worse than its penalty: so no output can gain by being damaged or left out. Scores are 0 at the floor
(the control that the card names) and 1 at real footage, and nowhere does a measurement count for more than real footage
does there: overacting on one item must not pay for another. The aggregate is the lowest of the axes' scores, because
a conversation is no better than its weakest ability, and because every control is at chance on one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mitds.benchmark.contracts import Card, SetScore
from mitds.benchmark.results import Anchor, Estimate, Row
from mitds.benchmark.statistics import Floats, cluster_weights, interval, weighted_means

WHOLE = "*"
"""The place of a measurement of the whole set."""

_FAILED = frozenset({"no_face", "missing", "unreadable", "wrong_shape", "crashed", "timeout"})


def place(item: str, person: int | None) -> str:
    """Return the name of a measurement's place: "ITEM" or "ITEM/PERSON"."""
    return item if person is None else f"{item}/{person}"


def worse(card: Card, value: float, other: float, real: float) -> float:
    """Return the worse of two values of a metric; for two-sided ones the one further from real footage."""
    if card.better == "higher":
        return min(value, other)
    if card.better == "lower":
        return max(value, other)
    return value if abs(value - real) >= abs(other - real) else other


def charge(row: Row, card: Card, anchor: Anchor) -> Row:
    """Fill in what a measurement costs or earns."""
    if row.status == "undefined":
        return row
    penalty = anchor.penalty.get(place(row.item, row.person), anchor.floor)
    if row.status in _FAILED or row.value is None:
        return replace(row, charged=penalty)
    bad = worse(card, row.value, penalty, anchor.real)
    return replace(row, charged=penalty if bad == row.value else row.value)


def charge_set(found: SetScore, card: Card, anchor: Anchor | None, failed: int) -> SetScore:
    """Return what a distance between sets costs: the penalty, where it is worse or an output failed.

    A distance needs the whole set: with one output less an unbiased one may rise or fall by luck.

    Args:
        found: The distance, failed outputs seen as uniform grey.
        card: Of the metric.
        anchor: Its scale.
        failed: How many outputs failed.
    """
    if anchor is None or found.value is None:
        return found
    penalty = anchor.penalty.get(WHOLE, anchor.floor)
    if not failed:
        bad = worse(card, found.value, penalty, anchor.real)
        return replace(found, value=penalty) if bad == found.value else found
    note = f"{failed} outputs failed, and a distance needs the whole set: the worst control's counts"
    return replace(found, value=penalty, detail={**found.detail, "note": note, "with_grey": found.value})


def has_scale(card: Card, anchor: Anchor) -> bool:
    """True where real footage beats chance on this release: without that a score says nothing."""
    return anchor.real != anchor.floor and worse(card, anchor.real, anchor.floor, anchor.real) == anchor.floor


def item_values(rows: Iterable[Row], items: Sequence[str]) -> Floats:
    """Return one metric's charged value per item, the mean over persons; NaN where undefined."""
    values: dict[str, list[float]] = {item: [] for item in items}
    for row in rows:
        if row.charged is not None:
            values[row.item].append(row.charged)
    return np.array([np.mean(values[item]) if values[item] else np.nan for item in items])


def scaled(card: Card, anchor: Anchor, values_I: Floats) -> Floats:
    """Return values as scores: 0 at the floor, 1 at real footage, not clipped."""
    span = anchor.real - anchor.floor
    if card.better == "closer":
        return np.asarray(1 - np.abs(values_I - anchor.real) / abs(span))
    return np.asarray((values_I - anchor.floor) / span)


def item_scores(card: Card, anchor: Anchor, rows: Iterable[Row], items: Sequence[str]) -> Floats:
    """Return one metric's scores per item: 0 at the floor, at most 1 where real footage has its mean value.

    Args:
        card: Of the metric.
        anchor: Its scale.
        rows: Charged.
        items: Item ids, in the order of the result.
    """
    return scaled(card, anchor, item_values((_capped(row, card, anchor) for row in rows), items))


def _capped(row: Row, card: Card, anchor: Anchor) -> Row:
    real = anchor.at_real.get(place(row.item, row.person))
    if row.charged is None or real is None or card.better == "closer":
        return row
    return replace(row, charged=worse(card, row.charged, real, anchor.real))


def score_draws(scores_I: Floats, clusters: Sequence[str]) -> Floats:
    """Return the bootstrap draws of a mean score, clipped to 0..1."""
    return np.clip(weighted_means(scores_I, cluster_weights(clusters)), 0, 1)


def score_estimate(scores_I: Floats, clusters: Sequence[str]) -> Estimate | None:
    """Return the mean score, clipped to 0..1, with its interval."""
    there_I = np.isfinite(scores_I)
    if not there_I.any():
        return None
    value = float(np.clip(scores_I[there_I].mean(), 0, 1))
    if len({c for c, there in zip(clusters, there_I, strict=True) if there}) < 2:
        return Estimate(value=value, n=int(there_I.sum()))
    low, high = interval(score_draws(scores_I, clusters))
    return Estimate(value=value, low=low, high=high, n=int(there_I.sum()))


def axis_scores(
    rows: Mapping[str, Sequence[Row]],
    cards: Mapping[str, Card],
    anchors: Mapping[str, Anchor],
    items: Sequence[str],
) -> dict[str, Floats]:
    """Return each axis's scores per item, by the metric of it that is lowest; axes without a scale are left out.

    Args:
        rows: Charged rows by metric id.
        cards: By metric id.
        anchors: By metric id.
        items: Item ids, in the order of the result.
    """
    found: dict[str, list[Floats]] = {}
    for metric, card in cards.items():
        anchor = anchors.get(metric)
        if card.axis and anchor is not None and metric in rows and has_scale(card, anchor):
            scores_I = item_scores(card, anchor, rows[metric], items)
            if np.isfinite(scores_I).any():
                found.setdefault(card.axis, []).append(scores_I)
    return {axis: min(scores, key=lambda s: float(np.nanmean(s))) for axis, scores in sorted(found.items())}


def aggregate_draws(scores: Mapping[str, Floats], clusters: Sequence[str]) -> Floats:
    """Return the bootstrap draws of the lowest axis."""
    lowest_B: Floats = np.min([score_draws(scores_I, clusters) for scores_I in scores.values()], axis=0)
    return lowest_B


def aggregate(scores: Mapping[str, Floats], clusters: Sequence[str]) -> Estimate | None:
    """Return the lowest axis's score, with its interval."""
    estimates = [score_estimate(scores_I, clusters) for scores_I in scores.values()]
    if not estimates or any(e is None for e in estimates):
        return None
    value = min(e.value for e in estimates if e is not None)
    if len(set(clusters)) < 2:
        return Estimate(value=value, n=len(clusters))
    low, high = interval(aggregate_draws(scores, clusters))
    return Estimate(value=value, low=low, high=high, n=len(clusters))


def floor_band(chance: Mapping[str, Floats], clusters: Sequence[str]) -> float:
    """Return the largest aggregate that a system at chance on one axis may reach by luck.

    Args:
        chance: By axis, the scores per item of the control that is that axis's floor.
        clusters: Cluster of each item.
    """
    upper = [score_estimate(scores_I, clusters) for scores_I in chance.values()]
    return max((e.high if e.high is not None else e.value for e in upper if e is not None), default=0.0)
