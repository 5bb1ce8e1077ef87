"""The table of the front page: columns, rows, and what every cell says on every subset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import Estimate, MetricResult, Row
from mitds.benchmark.site import plots, wording
from mitds.benchmark.site.entries import Board, Entry
from mitds.benchmark.site.ranking import Ranking, Standing

ALL = "all"
OVERVIEW = "Axes"
_SECTIONS = ("real", "submission", "floor", "control")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values: the aggregate, an axis or a metric; `group` is "" where it is always shown."""

    key: str
    name: str
    title: str
    group: str
    unit: str
    better: str
    says: str
    places: int
    barred: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says.

    Attributes:
        order: Goodness, for sorting: larger is better; None where there is no value.
        text: The value.
        span: Its interval.
        note: Coverage where it is not complete.
        bar: Left end, right end and value of the score, per cent; None without a bar.
    """

    order: float | None
    text: str
    span: str = ""
    note: str = ""
    bar: tuple[float, float, float] | None = None

    def plain(self) -> list[Any]:
        """Return what the page's script needs to show it."""
        return [self.order, self.text, self.span, self.note, self.bar]


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table; `entry` is None for the ends of the scale that nobody handed in."""

    slug: str
    name: str
    kind: str
    tier: str
    entry: Entry | None
    group: int | None
    ranks: tuple[int, int] | None
    coverage: dict[str, float | None]
    cells: dict[str, dict[str, Cell]]
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Everything the front page shows."""

    columns: list[Column]
    groups: list[str]
    subsets: list[str]
    sections: list[tuple[str, list[Line]]]
    notes: list[tuple[Entry, int, str]]

    def plain(self) -> dict[str, Any]:
        """Return the cells of all subsets: by subset, slug, column key."""
        lines = [line for _, lines in self.sections for line in lines]
        return {
            subset: {
                line.slug: {
                    "coverage": _coverage_cell(line.coverage.get(subset)).plain(),
                    **{key: cell.plain() for key, cell in line.cells[subset].items()},
                }
                for line in lines
            }
            for subset in self.subsets
        }


def table(board: Board, standings: Mapping[str, Mapping[str, Standing]], ranking: Ranking) -> Table:
    """Lay out the board: real footage on top, submissions best first, the floor, then the controls."""
    subsets = list(standings)
    columns = [*_score_columns(standings[ALL]), *_metric_columns(board)]
    notes = [(entry, note) for entry in board.entries for note in entry.notes]
    numbered = [(entry, number, note) for number, (entry, note) in enumerate(notes, 1)]
    lines = [_line(board, entry, columns, standings, ranking, numbered) for entry in board.entries]
    lines += [_end(board, kind, columns, subsets) for kind in ("real", "floor") if not board.of(kind)]
    lines.sort(key=_standing_order)
    groups = [OVERVIEW, *(g for g in wording.GROUPS if any(c.group == g for c in columns))]
    sections = [(kind, [line for line in lines if line.kind == kind]) for kind in _SECTIONS]
    return Table(columns, groups, subsets, sections, numbered)


def _standing_order(line: Line) -> tuple[bool, float, str]:
    order = line.cells[ALL]["aggregate"].order
    return order is None, -(order or 0.0), line.slug


def _score_columns(standings: Mapping[str, Standing]) -> Iterator[Column]:
    says = "The lowest of the axes: 0 is chance, 1 is real footage."
    yield Column("aggregate", "aggregate", "Aggregate", "", "", "higher", says, 3, True)
    for axis in sorted({axis for reached in standings.values() for axis in reached.axes}):
        says = f"Score of the metrics of {axis}: 0 is chance, 1 is real footage."
        yield Column(f"axis-{axis}", axis, axis.capitalize(), OVERVIEW, "", "higher", says, 3, True)


def _metric_columns(board: Board) -> Iterator[Column]:
    measured = {metric for entry in board.entries for metric in entry.results.metrics}
    cards = [card for metric, card in board.cards.items() if metric in measured]
    for card in sorted(cards, key=lambda c: (wording.GROUPS.index(wording.group_of(c)), c.title)):
        raws = [e.results.metrics[card.id].raw for e in board.entries if card.id in e.results.metrics]
        places = wording.estimates_decimals(raws)
        group = wording.group_of(card)
        yield Column(card.id, card.name, card.title, group, card.unit, card.better, card.says, places, False)


def _line(
    board: Board,
    entry: Entry,
    columns: Sequence[Column],
    standings: Mapping[str, Mapping[str, Standing]],
    ranking: Ranking,
    notes: Sequence[tuple[Entry, int, str]],
) -> Line:
    return Line(
        slug=entry.slug,
        name=entry.name,
        kind=entry.kind,
        tier=entry.tier,
        entry=entry,
        group=ranking.groups.get(entry.slug),
        ranks=ranking.ranks.get(entry.slug),
        coverage={subset: _coverage(board, entry, subset) for subset in standings},
        cells={
            subset: {c.key: _cell(board, entry, c, subset, reached[entry.slug]) for c in columns}
            for subset, reached in standings.items()
        },
        notes=tuple(number for owner, number, _ in notes if owner is entry),
    )


def _cell(board: Board, entry: Entry, column: Column, subset: str, reached: Standing) -> Cell:
    if column.key == "aggregate":
        # The evaluation says whether all axes were measured: fewer must not pass for all.
        complete = entry.results.aggregate is not None
        return _score_cell(reached.aggregate if complete else None, column.places)
    if column.key not in board.cards:
        return _score_cell(reached.axes.get(column.name), column.places)
    results = entry.results
    metrics = results.metrics if subset == ALL else results.subsets.get(subset, {})
    return _metric_cell(board, board.cards[column.key], column, metrics.get(column.key))


def _score_cell(score: Estimate | None, places: int) -> Cell:
    if score is None:
        return Cell(None, wording.NONE)
    low, high = (score.value if v is None else v for v in (score.low, score.high))
    bar = (round(100 * low, 1), round(100 * high, 1), round(100 * score.value, 1))
    return Cell(score.value, wording.fixed(score.value, places), wording.span(score, places), "", bar)


def _metric_cell(board: Board, card: Card, column: Column, result: MetricResult | None) -> Cell:
    if result is None or result.raw is None:
        return Cell(None, wording.NONE)
    partial = result.coverage is not None and result.coverage < 1
    note = f"{wording.percent(result.coverage)} covered" if partial else ""
    text, span = wording.fixed(result.raw.value, column.places), wording.span(result.raw, column.places)
    return Cell(_goodness(board, card, result.raw.value), text, span, note)


def _goodness(board: Board, card: Card, value: float) -> float | None:
    if card.better == "higher":
        return value
    if card.better == "lower":
        return -value
    anchor = board.anchors.get(card.id)
    return -abs(value - anchor.real) if anchor is not None else None


def _coverage(board: Board, entry: Entry, subset: str) -> float | None:
    """Return the share of measurements, of those that are defined, that did not fail."""
    items = {i.id for i in board.release.items if subset in (ALL, *i.subsets)}
    defined = [row for row in entry.rows if row.item in items and _counts(row)]
    return sum(row.status == "ok" for row in defined) / len(defined) if defined else None


def _counts(row: Row) -> bool:
    return row.status != "undefined"


def _coverage_cell(share: float | None) -> Cell:
    return Cell(share, wording.percent(share))


def _end(board: Board, kind: str, columns: Sequence[Column], subsets: Sequence[str]) -> Line:
    """Return an end of the scale as a row, from the anchors, where no entry stands for it."""
    cells = {column.key: _anchor_cell(board, column, kind) for column in columns}
    blank = {key: Cell(None, wording.NONE) for key in cells}
    name = "Real footage" if kind == "real" else "Floor band"
    by_subset = {subset: cells if subset == ALL else blank for subset in subsets}
    return Line(f"scale-{kind}", name, kind, "", None, None, None, {}, by_subset, ())


def _anchor_cell(board: Board, column: Column, kind: str) -> Cell:
    anchor = board.anchors.get(column.key)
    if anchor is not None:
        value = anchor.real if kind == "real" else anchor.floor
        return Cell(_goodness(board, board.cards[column.key], value), wording.fixed(value, column.places))
    if column.key in board.cards:
        return Cell(None, wording.NONE)
    if kind == "real":
        return _score_cell(Estimate(value=1.0), column.places)
    band = board.floor_band if column.key == "aggregate" else 0.0
    return _score_cell(Estimate(value=band) if band is not None else None, column.places)


def draw_bar(cell: Cell, band: float | None) -> Markup:
    """Draw a cell's score; all its parts are there, so that a script can move them."""
    low, high, value = (v / 100 for v in cell.bar or (0.0, 0.0, 0.0))
    return plots.score_bar(Estimate(value=value, low=low, high=high), band)
