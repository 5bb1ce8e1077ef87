"""The leaderboard: a folder of static files that opens from disk and says no more than the numbers allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import Anchor
from mitds.benchmark.site import data, systems, wording
from mitds.benchmark.site.entries import Board, Entry
from mitds.benchmark.site.ranking import Ranking, Standing, rank, standing
from mitds.benchmark.site.rendering import copy_in, environment, json_for_script, publish, write_html
from mitds.benchmark.site.table import ALL, Table, draw_bar, table
from mitds.benchmark.statistics import DRAWS
from mitds.manifests.items import Release
from mitds.manifests.records import Turn
from mitds.store import write_json


def build_site(
    out: Path,
    *,
    release: Release,
    release_digest: str,
    entries: Sequence[Entry],
    cards: Mapping[str, Card],
    anchors: Mapping[str, Anchor],
    floor_band: float | None,
    title: str,
    turns: Mapping[str, tuple[tuple[Turn, ...], ...]] | None = None,
) -> Path:
    """Write the site: `index.html`, `systems/SLUG.html`, `rules.html`, `data.json`, and the videos.

    Aggregates, groups of ties and ranks are computed here from the charged rows, never taken from a bundle; entries
    that are only claimed are shown on demand and never ranked.

    Args:
        out: Folder to write to; pages and videos of an earlier build are replaced or removed.
        release: The items.
        release_digest: Digest of release and anchors that every entry's results must bear.
        entries: Rows of the board.
        cards: By metric id.
        anchors: By metric id.
        floor_band: Largest aggregate that chance on one axis may reach by luck.
        title: Of the site.
        turns: Who speaks when, by item, one tuple a person; for the bars under the videos.

    Returns:
        The front page.

    Raises:
        UsageError: Entries of other releases, of one address, or of unknown items; videos that are not there.
        StorageFault: If the folder cannot be written.
    """
    board = Board(
        release=release,
        release_digest=release_digest,
        entries=tuple(entries),
        cards=cards,
        anchors=anchors,
        floor_band=floor_band,
        title=title,
        turns=turns or {},
    )
    board.check()
    standings = _standings(board)
    ranking = rank(
        {e.slug: standings[ALL][e.slug] for e in board.entries if e.ranked},
        [item.cluster for item in release.items],
    )
    shown = table(board, standings, ranking)
    media = {entry.slug: _media(entry, out) for entry in board.entries}
    publish(out, "style.css", "board.js", "player.js")
    write_json(out / "data.json", data.board_data(board, standings[ALL], ranking))
    systems.write_systems(out, board, standings, ranking, media)
    _sweep(
        out, {f"systems/{slug}.html" for slug in media} | {a for own in media.values() for a in own.values()}
    )
    template = environment().get_template("rules.html")
    write_html(out / "rules.html", template, board=board)
    return _front(out, board, shown, standings[ALL], ranking)


def _standings(board: Board) -> dict[str, dict[str, Standing]]:
    """Return every entry's standing on all items and on each subset, by subset, then slug."""
    subsets = {ALL: list(board.release.items)}
    for name in sorted({subset for item in board.release.items for subset in item.subsets}):
        subsets[name] = [item for item in board.release.items if name in item.subsets]
    return {
        name: {
            entry.slug: standing(
                entry.rows, board.cards, board.anchors, [i.id for i in items], [i.cluster for i in items]
            )
            for entry in board.entries
        }
        for name, items in subsets.items()
    }


def _media(entry: Entry, out: Path) -> dict[str, str]:
    """Copy an entry's videos; return their addresses from the site's root."""
    return {
        item: copy_in(path, out, f"media/{entry.slug}/{item}.mp4")
        for item, path in sorted(entry.videos.items())
    }


def _sweep(out: Path, written: set[str]) -> None:
    """Remove pages and videos of earlier builds: what was withdrawn must not stay published."""
    for path in (*out.glob("systems/*.html"), *out.glob("media/*/*.mp4")):
        if path.relative_to(out).as_posix() not in written:
            path.unlink()


def _front(
    out: Path, board: Board, shown: Table, standings: Mapping[str, Standing], ranking: Ranking
) -> Path:
    return write_html(
        out / "index.html",
        environment().get_template("board.html"),
        board=board,
        table=shown,
        ranking=ranking,
        cheating=cheating_controls(board, standings),
        claimed=sum(entry.tier == "claimed" for entry in board.entries),
        notes=shown.notes,
        cells=json_for_script(shown.plain()),
        draw_bar=draw_bar,
        tiers=list(wording.TIERS),
        clusters=len({item.cluster for item in board.release.items}),
        draws=DRAWS,
        signatures=sorted({entry.results.signature for entry in board.entries}),
        subset_names=[(s, "all items" if s == ALL else wording.people_of(s)) for s in shown.subsets],
    )


def cheating_controls(board: Board, standings: Mapping[str, Standing]) -> list[tuple[Entry, float]]:
    """Return the degenerate controls whose aggregate lies above the floor band: then the board proves nothing."""
    found = []
    for entry in board.of("control"):
        reached = standings[entry.slug].aggregate
        if board.floor_band is not None and reached is not None and reached.value > board.floor_band:
            found.append((entry, reached.value))
    return found
