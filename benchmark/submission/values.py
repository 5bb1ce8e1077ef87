"""V: claimed measurements that could be true; some of them measured again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from mitds.benchmark.cards import all_cards, card_of
from mitds.benchmark.contracts import Card
from mitds.benchmark.registries import METRICS
from mitds.benchmark.results import Row
from mitds.benchmark.submission.bundle import SCORES, Bundle
from mitds.benchmark.submission.completeness import FAILED
from mitds.benchmark.submission.places import Places
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, ScoreRow
from mitds.manifests.items import Item, Release

Rescore = Callable[[str, int, str], Sequence[Row]]
"""Measures one video again: (item, seed, metric id) to the rows of that item."""


def check_values(contents: Contents, release: Release, places: Places | None = None) -> Iterator[Problem]:
    """Hold each measurement against its metric's card, its item, and what the release can be measured by.

    Args:
        contents: What the bundle says.
        release: The release's list.
        places: Where each metric is defined; None where the release does not say.
    """
    items = {item.id: item for item in release.items}
    cards: dict[str, Card | None] = {}
    for row in contents.scores:
        if row.metric not in cards:
            cards[row.metric] = known = _card(row.metric)
            if known is None:
                yield problem("V-METRIC", f"{row.metric} is unknown, or measures sets", SCORES, row.line)
        yield from _row(row, cards[row.metric], items.get(row.item))
    yield from _undefined(contents, places or {})


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


def _undefined(contents: Contents, places: Places) -> Iterator[Problem]:
    """Whether a measurement is defined is decided by the real footage alone: as its rows say, alike for all seeds."""
    first: dict[tuple[str, str, int | None], ScoreRow] = {}
    for row in contents.scores:
        if row.metric in places:
            yield from _unlike_the_real(row, places[row.metric].get((row.item, row.person)))
            continue
        before = first.setdefault((row.metric, row.item, row.person), row)
        if (row.status == "undefined") != (before.status == "undefined"):
            what = f"{row.metric} of item {row.item} is {row.status}, and {before.status} with seed {before.seed}"
            yield problem("V-UNDEFINED", what, SCORES, row.line)


def _unlike_the_real(row: ScoreRow, defined: bool | None) -> Iterator[Problem]:
    """Compare with the real footage's row of this place; None where it has none, which `C-SCORES` is about."""
    if defined is None or row.status in FAILED or (row.status != "undefined") == defined:
        return
    of_real = "defined" if defined else "undefined"
    what = f"{row.metric} of item {row.item}, person {row.person} is {row.status}; of the real footage it is {of_real}"
    yield problem("V-UNDEFINED", what, SCORES, row.line)


def axis_metrics(places: Places | None = None) -> list[str]:
    """Return the metrics of single items that the aggregate rests on, of those that a release is measured by."""
    cards = [card for card in all_cards() if card.axis and card.needs != "set"]
    return [card.id for card in cards if places is None or card.id in places]


def picked(bundle: Bundle, contents: Contents, salt: str, count: int) -> list[ScoreRow]:
    """Return the rows to be measured again: of each metric of an axis, and of all others together, `count` rows.

    They are those with the least hash of submission id, salt and row: whoever submits cannot choose them as long as
    the salt is published only after the upload. A lie about one axis is not diluted by many true rows of others.
    """
    of_axes = frozenset(axis_metrics())
    groups: dict[str, list[ScoreRow]] = {}
    for row in contents.scores:
        groups.setdefault(row.metric if row.metric in of_axes else "", []).append(row)

    def rank(row: ScoreRow) -> str:
        text = f"{bundle.id}\x1f{salt}\x1f{row.item}\x1f{row.seed}\x1f{row.metric}\x1f{row.person}"
        return hashlib.sha256(text.encode()).hexdigest()

    return [row for _, rows in sorted(groups.items()) for row in sorted(rows, key=rank)[:count]]


def check_recomputed(
    bundle: Bundle,
    contents: Contents,
    rescore: Rescore,
    salt: str,
    count: int,
    places: Places | None = None,
) -> Iterator[Problem]:
    """Measure some rows again and compare within each metric's tolerance.

    Args:
        bundle: The bundle.
        contents: What it claims.
        rescore: Measures one video by one metric.
        salt: Public randomness.
        count: Rows to measure of each metric of an axis, and of all others together.
        places: Which metrics the release is measured by; None where it does not say.
    """
    absent = sorted(set(axis_metrics(places)) - {row.metric for row in contents.scores})
    if absent:
        yield problem(
            "C-SCORES", f"there are no rows of {', '.join(absent)}, which the aggregate needs", SCORES
        )
        return
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
