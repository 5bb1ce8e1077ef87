"""Tables print what they are given, brackets included."""

from __future__ import annotations

import io

from rich.console import Console

from mitds.pipeline.doctor import Check
from mitds.pipeline.tables import doctor_table, rows_table


def text(table: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_brackets_are_text_and_not_markup():
    check = Check("packages", "warn", "missing [x]", "pip install 'mitds[diar]'")
    assert "pip install 'mitds[diar]'" in text(doctor_table([check]))
    assert "[red]name[/red]" in text(rows_table([{"name": "[red]name[/red]"}], ("name",)))
