"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mitds.manifests.ledger import FunnelRow

if TYPE_CHECKING:
    from mitds.pipeline.doctor import Check

COLOURS = {
    "kept": "green",
    "filtered": "yellow",
    "failed": "red",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}


def funnel_table(rows: Sequence[FunnelRow], title: str) -> Table:
    """Show what became of every input, with the sum of each kind."""
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in ("what", "ended", "why", "stage"):
        table.add_column(column)
    table.add_column("count", justify="right")
    for kind in dict.fromkeys(row.kind for row in rows):
        own = [row for row in rows if row.kind == kind]
        for row in own:
            status = f"[{COLOURS[row.status]}]{row.status}[/]"
            table.add_row(kind, status, row.reason, row.stage, str(row.count))
        table.add_row(
            f"{kind}s in all", "", "", "", str(sum(row.count for row in own)), style="bold", end_section=True
        )
    return table


def rows_table(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> Table:
    """Show rows of text under their column names."""
    table = Table(show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[column]) for column in columns))
    return table


def doctor_table(checks: Sequence[Check]) -> Table:
    """Show what can run here, and what to do about the rest."""
    table = Table(show_edge=False)
    for column in ("check", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        level = f"[{COLOURS[check.level]}]{check.level}[/]"
        table.add_row(check.name, level, escape(check.found), escape(check.remedy))
    return table
