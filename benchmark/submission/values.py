"""V: claimed measurements that could be true; some of them measured again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from mitds.benchmark.cards import card_of
from mitds.benchmark.contracts import Card
from mitds.benchmark.registries import METRICS
from mitds.benchmark.results import Row
from mitds.benchmark.submission.bundle import SCORES, Bundle
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, ScoreRow
from mitds.manifests.items import Item, Release

Rescore = Callable[[str, int, str], Sequence[Row]]
"""Measures one video again: (item, seed, metric id) to the rows of that item."""


def check_values(contents: Contents, release: Release) -> Iterator[Problem]:
    """Hold each measurement against its metric's card and its item."""
    items = {item.id: item for item in release.items}
    cards: dict[str, Card | None] = {}
    for row in contents.scores:
        if row.metric not in cards:
            cards[row.metric] = known = _card(row.metric)
            if known is None:
                yield problem("V-METRIC", f"{row.metric} is unknown, or measures sets", SCORES, row.line)
        yield from _row(row, cards[row.metric], items.get(row.item))
    yield from _undefined(contents)


def _card(metric: str) -> Card | None:
    """Return the card of a metric of single items; None where there is no such metric."""
    if metric not in METRICS.names():
        return None
    card = card_of(metric)
    return None if card.needs == "set" else card


def _row(row: ScoreRow, card: Card | None, item: Item | None) -> Iterator[Problem]:
    if (row.value is not None) != (row.status == "ok"):
        yield problem("V-STATUS", f"the value {row.value} with status {row.status}", SCORES, row.line)
    if card is not None and row.value is not None and not within(card, row.value):
        what = f"{row.metric} is {row.value!r}, and lies in {_span(card)}"
        yield problem("V-RANGE", what, SCORES, row.line)
    if item is not None and row.n > most(item):
        what = f"{row.metric} rests on n={row.n}; item {row.item} has at most {most(item)}"
        yield problem("V-COUNT", what, SCORES, row.line)


def within(card: Card, value: float) -> bool:
    """True where a value may be one of the metric's, give or take its tolerance."""
    low, high = card.bounds
    return (low is None or value >= low - card.tolerance) and (high is None or value <= high + card.tolerance)


def most(item: Item) -> int:
    """Return the largest n a measurement may rest on: every frame, of every person, against every person."""
    return item.frames * max(1, len(item.people)) ** 2


def _span(card: Card) -> str:
    low, high = ("any" if bound is None else f"{bound:g}" for bound in card.bounds)
    return f"{low} to {high}"


def _undefined(contents: Contents) -> Iterator[Problem]:
    """Whether a measurement is defined is decided by the real footage alone: alike for all seeds."""
    first: dict[tuple[str, str, int | None], ScoreRow] = {}
    for row in contents.scores:
        before = first.setdefault((row.metric, row.item, row.person), row)
        if (row.status == "undefined") != (before.status == "undefined"):
            what = f"{row.metric} of item {row.item} is {row.status}, and {before.status} with seed {before.seed}"
            yield problem("V-UNDEFINED", what, SCORES, row.line)


def picked(bundle: Bundle, contents: Contents, salt: str, count: int) -> list[ScoreRow]:
    """Return the rows to be measured again: those with the least hash of submission id, salt and row.

    Whoever submits cannot choose them as long as the salt is published only after the upload.
    """

    def rank(row: ScoreRow) -> str:
        text = f"{bundle.id}\x1f{salt}\x1f{row.item}\x1f{row.seed}\x1f{row.metric}\x1f{row.person}"
        return hashlib.sha256(text.encode()).hexdigest()

    return sorted(contents.scores, key=rank)[:count]


def check_recomputed(
    bundle: Bundle, contents: Contents, rescore: Rescore, salt: str, count: int
) -> Iterator[Problem]:
    """Measure some rows again and compare within each metric's tolerance.

    Args:
        bundle: The bundle.
        contents: What it claims.
        rescore: Measures one video by one metric.
        salt: Public randomness.
        count: Rows to measure.
    """
    done: dict[tuple[str, int, str], dict[int | None, Row]] = {}
    for row in picked(bundle, contents, salt, count):
        card = _card(row.metric)
        if card is None:
            continue
        key = (row.item, row.seed, row.metric)
        if key not in done:
            done[key] = {again.person: again for again in rescore(*key)}
        again = done[key].get(row.person)
        if again is None or not agrees(card, row, again):
            yield problem("V-RECOMPUTED", _difference(row, again), SCORES, row.line)


def agrees(card: Card, row: ScoreRow, again: Row) -> bool:
    """True where a claimed measurement and its repetition say the same."""
    if row.status != again.status:
        return False
    if row.value is None or again.value is None:
        return row.value == again.value
    return abs(row.value - again.value) <= card.tolerance


def _difference(row: ScoreRow, again: Row | None) -> str:
    found = "nothing" if again is None else f"{again.value!r} ({again.status})"
    return f"{row.metric} of item {row.item}, seed {row.seed}: {row.value!r} ({row.status}) claimed, {found} measured"
