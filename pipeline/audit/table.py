"""The audit as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from mitds.pipeline.audit.page.words import NONE, told
from mitds.pipeline.audit.results import Audit, Measure

ARROWS = {"higher": "↑", "lower": "↓", "": " "}
BY_CONDITION = "speaking.ap"
"""The one measure that is shown under each condition; audit.json and the report have all."""


def audit_table(audit: Audit) -> Table:
    """Show every measure that has a value or cases, with its interval and what it rests on; fits 80 columns."""
    profile = f", profile {audit.profile}" if audit.profile else ""
    title = f"Labels of {len(audit.names)} video(s) against the truth{profile}"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measure")
    for column in ("value", "95 %", "over"):
        table.add_column(column, justify="right", no_wrap=True)
    shown = list(_shown(audit))
    for measure, following in zip(shown, [*shown[1:], None], strict=True):
        table.add_row(*_row(measure), end_section=following is None or following.label != measure.label)
    return table


def _shown(audit: Audit) -> Iterator[Measure]:
    known = [m for m in audit.measures if told(m)]
    for measure in known:
        if not measure.by:
            yield measure
            yield from (m for m in known if m.by and m.id == measure.id == BY_CONDITION)


def _row(measure: Measure) -> tuple[str, ...]:
    bounds = "" if measure.low is None or measure.high is None else f"{measure.low:.3f} to {measure.high:.3f}"
    title = f"  {measure.by}" if measure.by else measure.title
    value = NONE if measure.value is None else f"{ARROWS[measure.better]} {measure.value:.3f}"
    return escape(title), value, bounds, f"{measure.n:,.0f} {measure.unit}"
