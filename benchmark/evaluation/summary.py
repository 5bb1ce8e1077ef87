"""Rows to results: charged, scaled, averaged, with intervals, for all items and for each subset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mitds.benchmark.cards import all_cards
from mitds.benchmark.contracts import Card, SetScore
from mitds.benchmark.evaluation.scale import (
    aggregate,
    axis_scores,
    charge,
    charge_set,
    has_scale,
    item_scores,
    item_values,
    place,
    scaled,
    score_estimate,
    worse,
)
from mitds.benchmark.results import Anchor, Estimate, MetricResult, Results, Row, rows_by_metric
from mitds.benchmark.statistics import estimate
from mitds.config import digest
from mitds.manifests.items import Item, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Both ends of every metric's scale on one release; `anchors.json` beside `release.json`.

    Attributes:
        release: Digest of the release they were measured on.
        metrics: By metric id.
        floor_band: Largest aggregate that chance on one axis may reach by luck.
        controls: The degenerate controls that were measured.
    """

    release: str
    metrics: dict[str, Anchor]
    floor_band: float | None
    controls: tuple[str, ...]
    schema: str = "mitds.anchors/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the workers brought back for one system.

    Attributes:
        outputs: Status of each item's output.
        messages: What went wrong, by item.
        rows: Measurements of the sound outputs, not charged yet.
        sets: Metrics of the whole set.
        unavailable: Metric id to what to do about it.
    """

    outputs: dict[str, str]
    messages: dict[str, str]
    rows: tuple[Row, ...]
    sets: dict[str, SetScore]
    unavailable: dict[str, str] = field(default_factory=dict)


def charged(measured: Measured, cards: Mapping[str, Card], anchors: Anchors) -> list[Row]:
    """Charge all rows, and add those of the outputs that failed: one wherever the controls were measured."""
    rows = [
        charge(row, cards[row.metric], anchors.metrics[row.metric])
        for row in measured.rows
        if row.metric in anchors.metrics
    ]
    for item, status in measured.outputs.items():
        if status != "ok":
            rows += _failed(item, status, cards, anchors)
    return rows


def _failed(item: str, status: Any, cards: Mapping[str, Card], anchors: Anchors) -> list[Row]:
    return [
        Row(item=item, metric=metric, person=person, value=None, charged=penalty, status=status, n=0)
        for metric, anchor in anchors.metrics.items()
        if metric in cards
        for person, penalty in _places(item, anchor)
    ]


def _places(item: str, anchor: Anchor) -> list[tuple[int | None, float]]:
    found: list[tuple[int | None, float]] = []
    for name, penalty in anchor.penalty.items():
        head, _, person = name.partition("/")
        if head == item:
            found.append((int(person) if person else None, penalty))
    return found


def summarise(
    name: str,
    kind: Literal["model", "control", "videos", "submission"],
    release: Release,
    anchors: Anchors,
    measured: Measured,
    rows: Sequence[Row],
    cards: Mapping[str, Card],
    settings: Mapping[str, Any],
) -> Results:
    """Build the summary of one system from its charged rows."""
    items = [item.id for item in release.items]
    clusters = [item.cluster for item in release.items]
    grouped = rows_by_metric(rows)
    axes = axis_scores(grouped, cards, anchors.metrics, items)
    metrics = {
        metric: _metric_result(cards[metric], anchors.metrics[metric], found, release.items)
        for metric, found in sorted(grouped.items())
    }
    failed = sum(status != "ok" for status in measured.outputs.values())
    for m, found in sorted(measured.sets.items()):
        anchor = anchors.metrics.get(m)
        metrics[m] = _set_result(cards[m], anchor, charge_set(found, cards[m], anchor, failed))
    return Results(
        system=name,
        kind=kind,
        release=release.name,
        release_digest=digest(release, anchors),
        items=len(items),
        outputs=dict(sorted(Counter(measured.outputs.values()).items())),
        metrics=metrics,
        axes={axis: e for axis, s in axes.items() if (e := score_estimate(s, clusters)) is not None},
        aggregate=aggregate(axes, clusters) if _complete(axes, cards, measured) else None,
        floor_band=anchors.floor_band,
        subsets=_subsets(grouped, cards, anchors, release.items),
        unavailable=measured.unavailable,
        signature=signature(release, anchors, sorted(metrics)),
        settings=dict(settings),
    )


def _complete(axes: Mapping[str, Any], cards: Mapping[str, Card], measured: Measured) -> bool:
    """True where no axis is missing: an aggregate of fewer abilities must not bear its name."""
    return (
        bool(axes)
        and set(axes) == all_axes()
        and not any(cards[m].axis for m in measured.unavailable if m in cards)
    )


def all_axes() -> frozenset[str]:
    """Return the abilities the aggregate is made of."""
    return frozenset(card.axis for card in all_cards() if card.axis)


def signature(release: Release, anchors: Anchors, metrics: Sequence[str]) -> str:
    """Return the one line that names everything the numbers depend on."""
    from mitds import __version__

    return "|".join(
        (
            f"release:{release.name}",
            f"digest:{digest(release, anchors)}",
            f"items:{len(release.items)}",
            f"clusters:{len({i.cluster for i in release.items})}",
            f"metrics:{digest(list(metrics))[:8]}",
            f"mitds:{__version__}",
        )
    )


def _metric_result(card: Card, anchor: Anchor, rows: Sequence[Row], items: Sequence[Item]) -> MetricResult:
    ids, clusters = [i.id for i in items], [i.cluster for i in items]
    wanted = set(ids)
    known = [row for row in rows if row.item in wanted]
    defined = [row for row in known if row.status != "undefined"]
    values_I = item_values(known, ids)
    score: Estimate | None = None
    if has_scale(card, anchor):
        score = score_estimate(item_scores(card, anchor, known, ids), clusters)
    return MetricResult(
        raw=estimate(values_I, clusters),
        score=score,
        coverage=float(np.mean([row.status == "ok" for row in defined])) if defined else None,
        detail={}
        if has_scale(card, anchor)
        else {"note": "real footage does not beat chance on this release"},
    )


def _set_result(card: Card, anchor: Anchor | None, found: SetScore) -> MetricResult:
    detail = dict(found.detail) | ({"reason": found.reason} if found.reason else {})
    if found.value is None:
        return MetricResult(raw=None, detail=detail)
    score: Estimate | None = None
    if anchor is not None and has_scale(card, anchor):
        scaled_1 = scaled(card, anchor, np.array([found.value]))
        score = Estimate(value=float(np.clip(scaled_1[0], 0, 1)), n=found.n)
    return MetricResult(raw=Estimate(value=found.value, n=found.n), score=score, detail=detail)


def _subsets(
    grouped: Mapping[str, Sequence[Row]], cards: Mapping[str, Card], anchors: Anchors, items: Sequence[Item]
) -> dict[str, dict[str, MetricResult]]:
    names = sorted({subset for item in items for subset in item.subsets})
    return {
        subset: {
            metric: _metric_result(
                cards[metric], anchors.metrics[metric], found, [i for i in items if subset in i.subsets]
            )
            for metric, found in sorted(grouped.items())
        }
        for subset in names
    }


def penalties(rows_by_control: Sequence[Sequence[Row]], card: Card, real: float) -> dict[str, float]:
    """Return the worst value any control has at each place; chance itself, where the card gives it as a number.

    Args:
        rows_by_control: One metric's rows of each control.
        card: The metric's card.
        real: Its value on real footage.
    """
    worst: dict[str, float] = {}
    for row in (row for rows in rows_by_control for row in rows if row.value is not None):
        name = place(row.item, row.person)
        value = float(row.value)  # type: ignore[arg-type]
        known = worst.get(name, card.floor if isinstance(card.floor, float) else value)
        worst[name] = worse(card, known, value, real)
    return worst
