"""An audit as a section of the report: tables, diagrams, and what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitds.pipeline.audit.conditions import CONDITIONS
from mitds.pipeline.audit.page.charts import Chart, charts
from mitds.pipeline.audit.page.words import told, unmeasured
from mitds.pipeline.audit.results import Audit, Measure, read_audit

MAX_VIDEOS = 100
"""Rows of the table of videos; all are in audit.json."""

_PER_VIDEO = {
    "shots.hard.f1": "hard cuts, F1",
    "faces.recall": "faces found",
    "speaking.ap": "who speaks, AP",
    "binding.right": "binding right",
    "diarization.der": "DER",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the report shows of an audit.

    Attributes:
        tables: As `tables` returns them.
        charts: Diagrams.
        terms: Title and definition of each measure and condition that the tables show.
    """

    tables: list[dict[str, Any]]
    charts: list[Chart]
    terms: list[tuple[str, str]]


def section(path: Path) -> Section | None:
    """Return the section of an audit's record; None where there is none.

    Raises:
        BadShard: If the record is damaged.
    """
    if not path.exists():
        return None
    audit = read_audit(path)
    shown = [m for m in audit.measures if told(m)]
    terms = {m.id: (m.title, m.definition) for m in reversed(shown)}
    conditions = {m.by: CONDITIONS[m.by] for m in shown if m.by in CONDITIONS}
    return Section(
        tables=tables(audit), charts=charts(audit), terms=[*reversed(terms.values()), *conditions.items()]
    )


def tables(audit: Audit) -> list[dict[str, Any]]:
    """Return an audit's tables for the report: over everything, by condition, by video.

    Each is {"title", "columns", "rows", "note"}; tables without rows are left out.
    """
    return [table for table in (_overall(audit), _conditional(audit), _videos(audit)) if table["rows"]]


def _overall(audit: Audit) -> dict[str, Any]:
    videos = f"{len(audit.names)} {'video' if len(audit.names) == 1 else 'videos'}"
    made = f"labels of the profile {audit.profile}" if audit.profile else "labels"
    interval = "The interval is the middle 95 % of the pooled value over resampled videos."
    return {
        "title": f"The {made} against the truth of {videos}",
        "columns": ["measure", "value", "95 % interval", "over"],
        "rows": [[m.title, *_cells(m)] for m in audit.measures if not m.by and told(m)],
        "note": " ".join(filter(None, [interval, *audit.notes, unmeasured(audit)])),
    }


def _conditional(audit: Audit) -> dict[str, Any]:
    return {
        "title": "The same by condition",
        "columns": ["measure", "condition", "value", "95 % interval", "over"],
        "rows": [[m.title, m.by, *_cells(m)] for m in audit.measures if m.by and told(m)],
        "note": "",
    }


def _videos(audit: Audit) -> dict[str, Any]:
    every = audit.per_video.values()
    ids = [id_ for id_ in _PER_VIDEO if any(values.get(id_) is not None for values in every)]
    shown = list(audit.per_video.items())[:MAX_VIDEOS]
    left = len(audit.per_video) - len(shown)
    return {
        "title": "Video by video",
        "columns": ["video", *(_PER_VIDEO[id_] for id_ in ids)],
        "rows": [[name, *(values.get(id_) for id_ in ids)] for name, values in shown if ids],
        "note": f"{left} more are in audit.json." if left else "",
    }


def _cells(measure: Measure) -> list[Any]:
    known = measure.low is not None and measure.high is not None
    span = f"{measure.low:.3f}–{measure.high:.3f}" if known else None
    return [measure.value, span, f"{round(measure.n):,} {measure.unit}"]
