"""Metrics as the pages show them: numbers already written out, plots already drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import Anchor, Estimate, MetricResult, Results, Row
from mitds.benchmark.site import plots, wording

_PEOPLE = tuple(f"people-{n}" for n in range(1, 5))


@dataclass(frozen=True, slots=True)
class MetricView:
    """One metric of one system."""

    card: Card
    group: str
    result: MetricResult
    places: int
    bar: Markup
    spread: Markup | None
    ladder: Markup | None

    @property
    def note(self) -> str:
        """What the evaluation adds: why there is no value, or no score."""
        return str(self.result.detail.get("reason") or self.result.detail.get("note") or "")


def metric_views(
    results: Results,
    rows: Mapping[str, Sequence[Row]],
    cards: Mapping[str, Card],
    anchors: Mapping[str, Anchor],
) -> list[MetricView]:
    """Prepare a system's metrics: those of the aggregate first, then by family and title."""
    shown = [(cards[metric], result) for metric, result in results.metrics.items() if metric in cards]
    shown.sort(key=lambda pair: _order(pair[0]))
    return [
        _view(card, result, results, rows.get(card.id, ()), anchors.get(card.id)) for card, result in shown
    ]


def _order(card: Card) -> tuple[bool, int, str]:
    return (not card.axis, wording.GROUPS.index(wording.group_of(card)), card.title)


def _view(
    card: Card, result: MetricResult, results: Results, rows: Sequence[Row], anchor: Anchor | None
) -> MetricView:
    return MetricView(
        card=card,
        group=wording.group_of(card),
        result=result,
        places=wording.estimates_decimals([result.raw]),
        bar=plots.score_bar(result.score),
        spread=_spread(card, result, rows, anchor),
        ladder=_ladder(card, results),
    )


def _spread(card: Card, result: MetricResult, rows: Sequence[Row], anchor: Anchor | None) -> Markup | None:
    by_item: dict[str, list[Row]] = {}
    for row in rows:
        if row.charged is not None:
            by_item.setdefault(row.item, []).append(row)
    if not by_item:
        return None
    sound: list[float] = []
    failed: list[float] = []
    for found in by_item.values():
        mean = sum(float(row.charged or 0.0) for row in found) / len(found)
        (sound if all(row.status == "ok" for row in found) else failed).append(mean)
    ends = [("floor", anchor.floor), ("real", anchor.real)] if anchor is not None else []
    return plots.histogram(sound, failed, mean=result.raw, ends=ends, title=f"{card.title} over items")


def _ladder(card: Card, results: Results) -> Markup | None:
    """Draw the metric against the number of people, as scores where all of them are known."""
    found = [(s, results.subsets.get(s, {}).get(card.id)) for s in _PEOPLE]
    steps = [(wording.people_of(s), r) for s, r in found if r is not None and r.raw is not None]
    if len(steps) < 2:
        return None
    scores = [(name, r.score) for name, r in steps if r.score is not None]
    scaled = len(scores) == len(steps)
    points: list[tuple[str, Estimate]] = (
        scores if scaled else [(n, r.raw) for n, r in steps if r.raw is not None]
    )
    what = "score" if scaled else card.unit or "value"
    return plots.ladder(points, title=f"{card.title} by number of people, {what}", unit_range=scaled)


@dataclass(frozen=True, slots=True)
class ItemValue:
    """One metric of one item: a text for the item or for each person, and whether any of them failed."""

    card: Card
    parts: list[tuple[str, str, bool]]


def item_values(
    rows: Sequence[Row], cards: Mapping[str, Card], persons: Sequence[str], places: Mapping[str, int]
) -> list[ItemValue]:
    """Prepare the measurements of one item, those of the aggregate first."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        if row.metric in cards:
            grouped.setdefault(row.metric, []).append(row)
    ordered = sorted(grouped, key=lambda metric: _order(cards[metric]))
    return [
        ItemValue(cards[m], [_part(row, persons, places.get(m, 3)) for row in grouped[m]]) for m in ordered
    ]


def _part(row: Row, persons: Sequence[str], places: int) -> tuple[str, str, bool]:
    who = "" if row.person is None else _name(persons, row.person)
    if row.status == "ok":
        return who, wording.fixed(row.value, places), False
    if row.status == "undefined":
        return who, "not defined", False
    return who, f"{wording.STATUSES[row.status]} (counts as {wording.fixed(row.charged, places)})", True


def _name(persons: Sequence[str], person: int) -> str:
    return persons[person] if person < len(persons) else f"person {person + 1}"


def matrices(
    rows: Sequence[Row], cards: Mapping[str, Card], persons: Sequence[str]
) -> list[tuple[str, Markup]]:
    """Draw the binding matrices among an item's measurements, with the titles of their metrics."""
    drawn = []
    for row in rows:
        matrix = _matrix(json.loads(row.detail))
        if matrix is not None and row.metric in cards:
            title = cards[row.metric].title
            names = [_name(persons, n) for n in range(len(matrix))]
            drawn.append((title, plots.heat_map(matrix, names, title=title)))
    return drawn


def _matrix(detail: Mapping[str, object]) -> list[list[float | None]] | None:
    """Return a detail's square matrix of at least two persons; None where it has none."""
    matrix = detail.get("matrix")
    if not isinstance(matrix, list) or len(matrix) < 2:
        return None
    square = all(isinstance(row, list) and len(row) == len(matrix) for row in matrix)
    return matrix if square else None
