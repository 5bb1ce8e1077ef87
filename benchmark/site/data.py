"""What `data.json` holds: enough to compute every aggregate, interval and tie again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mitds.benchmark.evaluation.scale import place
from mitds.benchmark.site.entries import Board, Entry
from mitds.benchmark.site.ranking import Ranking, Standing
from mitds.benchmark.statistics import DRAWS, LEVEL


def board_data(board: Board, standings: Mapping[str, Standing], ranking: Ranking) -> dict[str, Any]:
    """Return the board as plain data.

    Charged values stand by entry, metric and place ("ITEM" or "ITEM/PERSON"); a measurement that is undefined for
    every system is left out.
    """
    return {
        "schema": "mitds.board/1",
        "title": board.title,
        "release": board.release.name,
        "release_digest": board.release_digest,
        "floor_band": board.floor_band,
        "draws": DRAWS,
        "level": LEVEL,
        "items": [
            {"id": i.id, "cluster": i.cluster, "people": len(i.people), "subsets": i.subsets}
            for i in board.release.items
        ],
        "metrics": {card.id: card for card in board.cards.values()},
        "anchors": {m: {"floor": a.floor, "real": a.real} for m, a in board.anchors.items()},
        "entries": [_entry(entry, standings[entry.slug], ranking) for entry in board.entries],
        "comparisons": [
            {"first": c.first, "second": c.second, "difference": c.difference, "p": c.p}
            for c in ranking.comparisons
        ],
        "smallest_detectable_difference": ranking.detectable,
    }


def _entry(entry: Entry, reached: Standing, ranking: Ranking) -> dict[str, Any]:
    charged: dict[str, dict[str, float]] = {}
    failed: dict[str, dict[str, str]] = {}
    for row in entry.rows:
        name = place(row.item, row.person)
        if row.charged is not None:
            charged.setdefault(row.metric, {})[name] = row.charged
        if row.status not in ("ok", "undefined"):
            failed.setdefault(row.metric, {})[name] = row.status
    return {
        "slug": entry.slug,
        "name": entry.name,
        "kind": entry.kind,
        "tier": entry.tier,
        "notes": entry.notes,
        "aggregate": reached.aggregate if entry.results.aggregate is not None else None,
        "axes": reached.axes,
        "group": ranking.groups.get(entry.slug),
        "rank": ranking.ranks.get(entry.slug),
        "metrics": entry.results.metrics,
        "outputs": entry.results.outputs,
        "signature": entry.results.signature,
        "charged": charged,
        "failed": failed,
    }
