"""A run as a table, as a line and as sentences: for a terminal, for a log, for `mitds status`."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mitds.pipeline.watching.tally import StageRow, View

UNKNOWN = "-"
COLUMNS = ("done", "now", "waits", "failed", "before", "again", "jobs/min", "media s/min")
"""`before`: done by earlier runs; `again`: tried once more."""


def duration(seconds: float | None) -> str:
    """Write a time left as a person would say it; "-" while it is not known."""
    if seconds is None:
        return UNKNOWN
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes:02d} min" if hours else f"about {minutes} min"


def run_table(view: View, *, over: bool = False) -> Group:
    """Show a run: a row a stage, then what it is at altogether unless it is over, then the last failures."""
    table = Table(show_edge=False, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for row in view.rows:
        table.add_row(escape(row.stage), *_cells(row), style="red" if row.failed else "")
    lines = [] if over else [Text(f"time left {duration(view.left_s)}, {_workers(view.busy)}")]
    if view.dashboard and not over:
        lines.append(Text(f"Ray's dashboard: {view.dashboard}"))
    lines += [
        Text(f"failed  {f.stage} {f.item}: {f.reason or 'unknown'}", style="red") for f in view.failures[-3:]
    ]
    return Group(table, *lines)


def run_line(view: View) -> str:
    """Say the same in one line, of the stages that have work."""
    stages = [
        _stage(row) for row in view.rows if row.done + row.failed + row.recalled + row.running + row.waiting
    ]
    return "  ".join([*stages, f"time left {duration(view.left_s)}", _workers(view.busy)])


def _stage(row: StageRow) -> str:
    ended = row.done + row.failed + row.recalled
    failed = f" ({row.failed} failed)" if row.failed else ""
    return f"{row.stage} {ended}/{ended + row.running + row.waiting}{failed}"


def _workers(busy: int) -> str:
    return f"{busy} worker{'' if busy == 1 else 's'} busy"


def _cells(row: StageRow) -> list[str]:
    counts = (row.done, row.running, row.waiting, row.failed, row.recalled, row.retries)
    return [*(str(count) for count in counts), _rate(row.jobs_per_min), _rate(row.media_per_min)]


def _rate(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"
