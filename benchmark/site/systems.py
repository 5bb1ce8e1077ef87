"""One page an entry: what it says of itself, what the host found, item by item, with its videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import MetricResult, Row, rows_by_metric
from mitds.benchmark.site import metric_views, plots, wording
from mitds.benchmark.site.entries import Board, Entry
from mitds.benchmark.site.page import Player, Screen, player
from mitds.benchmark.site.ranking import Ranking, Standing
from mitds.benchmark.site.rendering import environment, write_html
from mitds.benchmark.site.table import ALL
from mitds.manifests.items import Item

Media = Mapping[str, Mapping[str, str]]
"""Addresses of videos from the site's root, by slug, then item."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item in the table of a system: what counts for each metric of the aggregate, and what failed."""

    item: Item
    charged: list[tuple[str, bool]]
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """An item whose videos are shown."""

    item: Item
    player: Player
    values: list[metric_views.ItemValue]


def write_systems(
    out: Path,
    board: Board,
    standings: Mapping[str, Mapping[str, Standing]],
    ranking: Ranking,
    media: Media,
) -> None:
    """Write `systems/SLUG.html` for every entry."""
    template = environment().get_template("system.html")
    real = next((media[entry.slug] for entry in board.of("real")), {})
    for entry in board.entries:
        content = _content(board, entry, standings, media[entry.slug], real)
        content |= {"board": board, "entry": entry, "ranking": ranking, "root": "../"}
        write_html(out / "systems" / f"{entry.slug}.html", template, **content)


def _content(
    board: Board,
    entry: Entry,
    standings: Mapping[str, Mapping[str, Standing]],
    videos: Mapping[str, str],
    real: Mapping[str, str],
) -> dict[str, Any]:
    metrics = metric_views.metric_views(entry.results, rows_by_metric(entry.rows), board.cards, board.anchors)
    places = {view.card.id: view.places for view in metrics}
    rows: dict[str, list[Row]] = {item.id: [] for item in board.release.items}
    for row in entry.rows:
        rows[row.item].append(row)
    axis_cards = [view.card for view in metrics if view.card.axis]
    reached = standings[ALL][entry.slug]
    return {
        "about": about(entry.about),
        "reached": reached,
        "aggregate": reached.aggregate if entry.results.aggregate is not None else None,
        "axes": _axes(board, reached),
        "metrics": metrics,
        "subsets": [s for s in standings if s != ALL],
        "by_subset": lambda view, subset: _of_subset(entry, view.card, subset),
        "item_metrics": axis_cards,
        "item_rows": [_item_row(i, rows[i.id], axis_cards, places) for i in board.release.items],
        "shown": [
            _shown(board, item, rows[item.id], places, videos.get(item.id), real.get(item.id))
            for item in board.release.items
            if item.id in videos or (real and any(r.status not in ("ok", "undefined") for r in rows[item.id]))
        ],
    }


def about(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a submission says of itself as plain text; links stay text, as nobody vouches for them."""
    return [
        (str(name).replace("_", " "), _text(value))
        for name, value in fields.items()
        if value not in ("", None)
    ]


def _text(value: Any) -> str:
    """Write a declared value as a person would."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(_text(inner) for inner in value) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "–"


def _axes(board: Board, reached: Standing) -> list[tuple[str, Any, Markup]]:
    return [(axis, score, plots.score_bar(score, board.floor_band)) for axis, score in reached.axes.items()]


def _of_subset(entry: Entry, card: Card, subset: str) -> MetricResult | None:
    return entry.results.subsets.get(subset, {}).get(card.id)


def _item_row(item: Item, rows: Sequence[Row], cards: Sequence[Card], places: Mapping[str, int]) -> ItemRow:
    charged, failures = [], set()
    for card in cards:
        own = [row for row in rows if row.metric == card.id]
        values = [row.charged for row in own if row.charged is not None]
        mean = sum(values) / len(values) if values else None
        bad = {row.status for row in own if row.status not in ("ok", "undefined")}
        charged.append((wording.fixed(mean, places[card.id]), bool(bad)))
        failures |= bad
    return ItemRow(item, charged, [wording.STATUSES[status] for status in sorted(failures)])


def _shown(
    board: Board,
    item: Item,
    rows: Sequence[Row],
    places: Mapping[str, int],
    video: str | None,
    real: str | None,
) -> Shown:
    screens = [Screen("real", f"../{real}")] if real is not None and real != video else []
    if video is not None:
        screens.append(Screen("real" if real == video else "generated", f"../{video}"))
    else:
        screens.append(Screen("generated", "", _why(rows)))
    turns = board.turns.get(item.id, ())
    persons = item.people if turns else ()
    return Shown(
        item,
        player(item.frames, screens, persons, turns),
        metric_views.item_values(rows, board.cards, item.people, places),
    )


def _why(rows: Sequence[Row]) -> str:
    """Say in words why there is no video; of several reasons that of the whole output."""
    failed = {row.status for row in rows if row.status not in ("ok", "undefined", "no_face")}
    return "; ".join(wording.STATUSES[status] for status in sorted(failed)) or "not kept"
