"""The page of one evaluation: the numbers with their intervals, how they spread, and every output to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import Anchor, Results, Row, rows_by_metric
from mitds.benchmark.site import metric_views, plots, wording
from mitds.benchmark.site.rendering import copy_in, environment, publish, write_html
from mitds.manifests.records import Turn
from mitds.store import safe_name
from mitds.time import CLIP_FPS


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """An item as it is shown.

    Attributes:
        id: Item id.
        title: For people.
        subsets: Names of the subsets it is in.
        persons: Names of the persons, in the order of the arrays.
        turns: When each speaks, seconds on the item's clock.
        frames: T, at 25 fps.
        real: The real footage, MP4.
        generated: The output; None where there is none to show.
        skeleton: The labels as a video.
        status: How the output ended, a `contracts.Status`.
    """

    id: str
    title: str
    subsets: tuple[str, ...]
    persons: tuple[str, ...]
    turns: tuple[tuple[Turn, ...], ...]
    frames: int
    real: Path
    generated: Path | None
    skeleton: Path | None
    status: str


@dataclass(frozen=True, slots=True)
class Screen:
    """One of the videos that move in step; `missing` says why there is none."""

    caption: str
    source: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person's bar: turns in per cent of the item's length."""

    name: str
    turns: list[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class Player:
    """Videos in step over the bars of who speaks."""

    frames: int
    screens: list[Screen]
    speakers: list[Speaker]


@dataclass(frozen=True, slots=True)
class ItemPart:
    """Everything the page shows of one item."""

    item: ItemView
    number: int
    player: Player
    values: list[metric_views.ItemValue]
    matrices: list[tuple[str, Markup]]
    failed: bool


def write_page(
    folder: Path,
    *,
    results: Results,
    rows: Sequence[Row],
    cards: Mapping[str, Card],
    items: Sequence[ItemView],
    anchors: Mapping[str, Anchor] | None = None,
) -> Path:
    """Write `index.html` with its style, script and videos into a folder; it opens without a server.

    Args:
        folder: Where to write; videos that do not lie under it are copied to `media/`.
        results: The summary.
        rows: Every measurement, charged.
        cards: By metric id.
        items: What to show, in order; all of the release or some of it.
        anchors: By metric id; with them the plots mark floor and real footage.

    Returns:
        The page.

    Raises:
        UsageError: If a video is not there.
        StorageFault: If the folder cannot be written.
    """
    publish(folder, "style.css", "player.js", "items.js")
    grouped = rows_by_metric(rows)
    metrics = metric_views.metric_views(results, grouped, cards, anchors or {})
    places = {view.card.id: view.places for view in metrics}
    by_item: dict[str, list[Row]] = {}
    for row in rows:
        by_item.setdefault(row.item, []).append(row)
    parts = [_part(n, item, by_item.get(item.id, ()), cards, places, folder) for n, item in enumerate(items)]
    return write_html(
        folder / "index.html",
        environment().get_template("page.html"),
        results=results,
        metrics=metrics,
        axes=[
            (axis, score, plots.score_bar(score, results.floor_band)) for axis, score in results.axes.items()
        ],
        unavailable=[
            (cards[m].title if m in cards else m, why) for m, why in sorted(results.unavailable.items())
        ],
        parts=parts,
        subsets=sorted({subset for item in items for subset in item.subsets}),
    )


def _part(
    number: int,
    item: ItemView,
    rows: Sequence[Row],
    cards: Mapping[str, Card],
    places: Mapping[str, int],
    folder: Path,
) -> ItemPart:
    values = metric_views.item_values(rows, cards, item.persons, places)
    failed = item.status != "ok" or any(bad for value in values for _, _, bad in value.parts)
    return ItemPart(
        item=item,
        number=number,
        player=player(item.frames, _screens(number, item, folder), item.persons, item.turns),
        values=values,
        matrices=metric_views.matrices(rows, cards, item.persons),
        failed=failed,
    )


def _screens(number: int, item: ItemView, folder: Path) -> list[Screen]:
    stem = f"media/{number:04d}-{safe_name(item.id, 40)}"
    screens = [Screen("real", copy_in(item.real, folder, f"{stem}.real.mp4"))]
    if item.generated is None:
        why = wording.STATUSES.get(item.status, item.status) if item.status != "ok" else "not kept"
        screens.append(Screen("generated", "", why))
    else:
        screens.append(Screen("generated", copy_in(item.generated, folder, f"{stem}.generated.mp4")))
    if item.skeleton is not None:
        screens.append(Screen("labels", copy_in(item.skeleton, folder, f"{stem}.skeleton.mp4")))
    return screens


def player(
    frames: int, screens: list[Screen], persons: Sequence[str], turns: Sequence[Sequence[Turn]]
) -> Player:
    """Prepare videos of `frames` frames that move in step, and who speaks under them."""
    seconds = float(frames / CLIP_FPS)
    return Player(frames, screens, [_speaker(*who, seconds) for who in zip(persons, turns, strict=True)])


def _speaker(name: str, turns: Sequence[Turn], seconds: float) -> Speaker:
    return Speaker(
        name,
        [
            (
                100 * turn.start_s / seconds,
                100 * (turn.end_s - turn.start_s) / seconds,
                f"{turn.start_s:.2f} to {turn.end_s:.2f} s",
            )
            for turn in turns
        ],
    )
