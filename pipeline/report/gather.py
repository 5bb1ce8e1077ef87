"""What a run left in its folder, read for the page: run, ledger, sources, clips."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitds.errors import BadShard
from mitds.manifests import schemas
from mitds.manifests.ledger import KINDS, End, FunnelRow, funnel, read_ledger
from mitds.manifests.records import Binding
from mitds.manifests.source_labels import SourceLabels
from mitds.pipeline.export.reading import source_labels
from mitds.pipeline.report.reasons import Reason, explain

Row = dict[str, Any]
_TITLES = {"source": "Sources", "shot": "Shots", "clip": "Candidate clips"}
_ITEM = 16
"""Digits of a source id that ledgers and sample keys use."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source that became a clip, or did not; per cent of the source's length."""

    left: float
    width: float
    status: str
    title: str


@dataclass(slots=True)
class SourceView:
    """One source as the page shows it."""

    name: str
    url: str = ""
    about: str = ""
    rights: dict[str, str | None] = field(default_factory=dict)
    status: str = "kept"
    reason: Reason = field(default_factory=lambda: explain(""))
    detail: str = ""
    shots: int | None = None
    tracks: int | None = None
    bindings: tuple[Binding, ...] = ()
    spans: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FunnelView:
    """The ends of all items of one kind."""

    title: str
    total: int
    rows: list[tuple[FunnelRow, Reason, float]]
    """Row, its reason in words, and seconds of media."""
    shares: dict[str, int]
    """Count by status, zero included."""


def read_json(path: Path) -> Row:
    """Read an optional JSON file; an absent one is empty.

    Raises:
        BadShard: If it is there and is not a JSON object.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadShard(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise BadShard("not a JSON object", where=str(path))
    return value


def read_table(path: Path) -> list[Row]:
    """Read an optional parquet table; an absent one has no rows."""
    return schemas.read_table(path).to_pylist() if path.exists() else []


def read_ends(folder: Path) -> list[End]:
    """Read the ledger of a run; an absent one is empty."""
    path = folder / "ledger.jsonl"
    return read_ledger(path) if path.exists() else []


def listed(lines: Sequence[Row], ends: Sequence[End]) -> list[End]:
    """Return the ends of the lines of the user's list that the folder's own ledger does not hold."""
    known = {end.item for end in ends if end.kind == "source"}
    return [
        End(
            kind="source",
            item=str(row["row"]),
            stage="ingest",
            status=row["status"],
            reason=row["reason"],
            detail=row["detail"],
            seconds=row["duration_s"],
        )
        for row in lines
        if str(row["row"]) not in known
    ]


def funnels(ends: Sequence[End], listed: Sequence[End]) -> list[FunnelView]:
    """Group ends by kind, with counts and seconds; lines of the user's list come first."""
    groups = [("Lines of the list", list(listed))]
    groups += [(_TITLES[kind], [end for end in ends if end.kind == kind]) for kind in KINDS]
    return [_funnel(title, group) for title, group in groups if group]


def _funnel(title: str, ends: Sequence[End]) -> FunnelView:
    seconds: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for end in ends:
        seconds[end.stage, end.status, end.reason] += end.seconds or 0.0
    rows = funnel(ends, {ends[0].kind: len(ends)})
    shares = {s: sum(r.count for r in rows if r.status == s) for s in ("kept", "filtered", "failed")}
    words = [(r, explain(r.reason), seconds[r.stage, r.status, r.reason]) for r in rows]
    return FunnelView(title, len(ends), words, shares)


def sources(
    folder: Path, ends: Sequence[End], lines: Sequence[Row], clips: Sequence[Row]
) -> tuple[list[SourceView], dict[str, SourceView]]:
    """Return all sources of a run, in order, and by the items that ledgers call them.

    First the lines of the user's list, where ``sources.parquet`` has them, then what ``sources-*.tar`` adds;
    sources that only the ledger knows come last.
    """
    views: list[SourceView] = []
    by_item: dict[str, SourceView] = {}
    for row in lines:
        views.append(_from_row(row))
        by_item[str(row["row"])] = views[-1]
        if row["id"]:  # a later line with the same id is a duplicate
            by_item.setdefault(row["id"][:_ITEM], views[-1])
    clips_of: dict[str, list[Row]] = {}
    for row in clips:
        clips_of.setdefault(row["source_id"], []).append(row)
    for labels in source_labels(sorted(folder.glob("sources-*.tar"))):
        if labels.key not in by_item:
            views.append(_from_labels(labels))
            by_item[labels.key] = views[-1]
        view = by_item[labels.key]
        view.shots, view.tracks, view.bindings = len(labels.shots), len(labels.tracks), labels.bindings
        view.spans = _spans(labels, clips_of.get(labels.source.id or "", []))
    for end in (e for e in ends if e.kind == "source"):
        if end.item not in by_item:
            views.append(SourceView(name=end.item))
            by_item[end.item] = views[-1]
        if end.status != "kept":
            view = by_item[end.item]
            view.status, view.reason, view.detail = end.status, explain(end.reason), end.detail
    return views, by_item


def name_of(by_item: Mapping[str, SourceView], end: End) -> str:
    """Return the name of the source that an item belongs to, as far as its key tells."""
    view = by_item.get(end.item if end.kind == "source" else end.item.partition("-")[0])
    return view.name if view else ""


def _spans(labels: SourceLabels, clips: Sequence[Row]) -> list[Span]:
    probe = labels.source.probe
    if probe is None:
        return []
    start_s, length_s = float(probe.start), float(probe.duration) or 1.0
    return [
        Span(
            left=100 * (row["start_s"] - start_s) / length_s,
            width=100 * (row["end_s"] - row["start_s"]) / length_s,
            status=row["status"],
            title=_span_title(row),
        )
        for row in clips
    ]


def _span_title(row: Row) -> str:
    why = "; ".join(explain(code).what for code in row["reasons"]) or "kept"
    return f"{row['start_s']:.1f} to {row['end_s']:.1f} s: {why}"


def _from_row(row: Row) -> SourceView:
    return SourceView(
        name=row["name"],
        url=row["url"],
        about=_about(row["duration_s"], row["width"], row["height"], row["fps"], row["audio_codec"]),
        rights={name: row[name] for name in ("licence", "consent", "note")},
        status=row["status"],
        reason=explain(row["reason"]),
        detail=row["detail"],
    )


def _from_labels(labels: SourceLabels) -> SourceView:
    source, probe = labels.source, labels.source.probe
    about = (
        _about(float(probe.duration), probe.width, probe.height, str(probe.fps), probe.audio_codec)
        if probe
        else ""
    )
    rights = {"licence": source.rights.licence, "consent": source.rights.consent, "note": source.rights.note}
    return SourceView(
        source.name, source.url, about, rights, source.status, explain(source.reason), source.detail
    )


def _about(seconds: float | None, width: int | None, height: int | None, fps: str, audio: str | None) -> str:
    if seconds is None:
        return ""
    number, _, base = fps.partition("/")
    rate = float(number) / float(base or 1)
    return f"{clock(seconds)} · {width}×{height} · {rate:.4g} fps · {audio or 'no sound'}"


def clock(seconds: float) -> str:
    """Write a length as a person would: "8.7 s", "12:05", "1:02:03"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
