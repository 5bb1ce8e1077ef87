"""The anchors of a release: every degenerate control is made and scored, and says where chance and damage lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path

import numpy as np

from mitds.benchmark.contracts import Card
from mitds.benchmark.evaluation.engine import (
    Chosen,
    EngineConfig,
    Progress,
    make_outputs,
    score_outputs,
)
from mitds.benchmark.evaluation.scale import WHOLE, axis_scores, floor_band, place, worse
from mitds.benchmark.evaluation.summary import Anchors, Measured, charged, penalties, summarise
from mitds.benchmark.registries import CONTROLS
from mitds.benchmark.results import Anchor, Row, rows_by_metric, write_results, write_rows
from mitds.config import plain
from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import from_plain
from mitds.manifests.items import Release
from mitds.store import write_json

ANCHORS = "anchors.json"
REAL = "real"


def measure_anchors(
    folder: Path, release: Release, chosen: Chosen, config: EngineConfig, progress: Progress
) -> Anchors:
    """Make and score all controls of a release; write `anchors.json` and `controls/NAME/...` beside it.

    Args:
        folder: The release.
        release: Its record.
        chosen: The metrics to anchor.
        config: Workers and limits.
        progress: Told how far it is.
    """
    measured = {name: _measure(folder, release, name, chosen, config, progress) for name in CONTROLS.names()}
    degenerate = tuple(name for name in CONTROLS.names() if name != REAL)
    found = {metric: _anchor(metric, card, measured, degenerate) for metric, card in chosen.cards.items()}
    anchors = Anchors(
        release=release.digest,
        metrics={metric: anchor for metric, anchor in found.items() if anchor is not None},
        floor_band=None,
        controls=degenerate,
    )
    rows_of = {name: charged(one, chosen.cards, anchors) for name, one in measured.items()}
    anchors = replace(anchors, floor_band=_band(release, chosen.cards, anchors, rows_of))
    write_json(folder / ANCHORS, anchors)
    for name, found_here in measured.items():
        rows = rows_of[name]
        results = summarise(
            name,
            "control",
            release,
            anchors,
            found_here,
            rows,
            chosen.cards,
            plain(config) | {"control": name},
        )
        write_rows(folder / "controls" / name / "rows.parquet", rows)
        write_results(folder / "controls" / name / "results.json", results)
    return anchors


def read_anchors(folder: Path, release: Release) -> Anchors:
    """Read a release's anchors.

    Raises:
        UsageError: If there are none, or they were measured on another release.
    """
    path = folder / ANCHORS
    remedy = f"Run: mitds release anchors {folder}"
    if not path.is_file():
        raise UsageError("the release has no anchors yet", where=str(folder), remedy=remedy)
    try:
        anchors = from_plain(Anchors, json.loads(path.read_bytes()))
    except ValueError as error:
        raise BadShard(f"not anchors: {error}", where=str(path), remedy=remedy) from error
    if anchors.release != release.digest:
        raise UsageError("the anchors belong to another release", where=str(path), remedy=remedy)
    return anchors


def _measure(
    folder: Path, release: Release, name: str, chosen: Chosen, config: EngineConfig, progress: Progress
) -> Measured:
    videos = folder / "controls" / name / "videos"
    failed = make_outputs(folder, release, "control", name, videos, config, progress)
    if failed:
        raise UsageError(
            f"the control {name} cannot be made: {failed}",
            remedy="This is a fault of the release or of mitds: see the message.",
        )
    paths = {item.id: videos / f"{item.id}.mp4" for item in release.items}
    measured = score_outputs(folder, release, paths, chosen, config, progress, name)
    if measured.messages:
        raise UsageError(
            f"the control {name} cannot be scored: {measured.messages}",
            remedy="This is a fault of the release or of mitds: see the message.",
        )
    return measured


def _anchor(
    metric: str, card: Card, measured: Mapping[str, Measured], degenerate: tuple[str, ...]
) -> Anchor | None:
    real = _value(measured[REAL], metric)
    floor = card.floor if isinstance(card.floor, float) else _value(measured[str(card.floor)], metric)
    if real is None or floor is None:
        return None
    if card.needs == "set":
        distances = [v for name in degenerate if (v := _value(measured[name], metric)) is not None]
        return Anchor(
            floor=floor, real=real, penalty={WHOLE: reduce(partial(worse, card, real=real), distances)}
        )
    rows = [rows_by_metric(measured[name].rows).get(metric, []) for name in degenerate]
    at_real = {
        place(row.item, row.person): float(row.value)
        for row in rows_by_metric(measured[REAL].rows).get(metric, [])
        if row.value is not None
    }
    return Anchor(floor=floor, real=real, penalty=penalties(rows, card, real), at_real=at_real)


def _value(measured: Measured, metric: str) -> float | None:
    """Return a control's value over the release: the mean over items of the mean over persons."""
    if metric in measured.sets:
        return measured.sets[metric].value
    by_item: dict[str, list[float]] = {}
    for row in measured.rows:
        if row.metric == metric and row.value is not None:
            by_item.setdefault(row.item, []).append(row.value)
    return float(np.mean([np.mean(values) for _, values in sorted(by_item.items())])) if by_item else None


def _band(
    release: Release, cards: Mapping[str, Card], anchors: Anchors, rows_of: Mapping[str, Sequence[Row]]
) -> float | None:
    chance = {}
    for card in cards.values():
        if card.axis and isinstance(card.floor, str):
            rows = rows_by_metric(rows_of[card.floor])
            scores = axis_scores(rows, cards, anchors.metrics, [item.id for item in release.items])
            if card.axis in scores:
                chance[card.axis] = scores[card.axis]
    return floor_band(chance, [item.cluster for item in release.items]) if chance else None
