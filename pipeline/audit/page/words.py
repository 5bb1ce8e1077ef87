"""How numbers and texts of an audit are written."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mitds.pipeline.audit.results import Audit, Measure

NONE = "–"
LABELS = {
    "shots": "shots",
    "faces": "faces",
    "people": "people",
    "speaking": "who speaks",
    "binding": "binding",
    "diarization": "diarization",
    "pose": "pose",
}
"""Label types in the order of pages, in words."""

_COLUMNS = 119


def number(value: float | None) -> str:
    """Write a value: ".974", "1.000", "12.0"; a dash for None."""
    if value is None:
        return NONE
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def told(measure: Measure) -> bool:
    """Say whether a table has anything to show of a measure: a value, or cases that gave none."""
    return measure.value is not None or measure.n > 0


def unmeasured(audit: Audit) -> str:
    """Name the label types that an audit tells nothing of, as a note; empty where there is none."""
    known = {m.label for m in audit.measures if told(m)}
    absent = [words for label, words in LABELS.items() if label not in known]
    return f"Not measured, because no case of it is known: {', '.join(absent)}." if absent else ""


def short(measure: Measure) -> str:
    """Return a measure's title without the label type, for tables that name that already."""
    head, colon, rest = measure.title.partition(": ")
    return rest if colon and head.lower() in (measure.label, LABELS.get(measure.label)) else measure.title


def interval(measure: Measure) -> str:
    """Write the 95 % interval: ".961–.983"; a dash where there is none."""
    if measure.low is None or measure.high is None:
        return NONE
    return f"{number(measure.low)}–{number(measure.high)}"


def over(measure: Measure) -> str:
    """Say what the value rests on: "8,412 face frames"."""
    return f"{round(measure.n):,} {measure.unit}".rstrip()


def estimate(measure: Measure | None) -> str:
    """Write a value with its interval: ".974 (.961–.983)"."""
    if measure is None or measure.value is None:
        return NONE
    known = measure.low is not None and measure.high is not None
    return number(measure.value) + (f" ({interval(measure)})" if known else "")


def paragraph(text: str, bullet: str = "") -> str:
    """Wrap prose to the width of the documentation."""
    return textwrap.fill(
        f"{bullet}{text}",
        _COLUMNS,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Lay out a Markdown table that reads well raw, too.

    Args:
        columns: Heads.
        rows: Cells.
        right: Columns that are set flush right.
    """
    cells = [[_cell(text) for text in row] for row in (columns, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * (w - 1) + (":" if k in right else "-") for k, w in enumerate(widths)]
    lines = [
        [t.rjust(w) if k in right else t.ljust(w) for k, (t, w) in enumerate(zip(row, widths, strict=True))]
        for row in (cells[0], rule, *cells[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def once(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Leave out what the row above says in its first cells."""
    shown = [list(row) for row in rows]
    for above, row, place in zip(rows, rows[1:], shown[1:], strict=False):
        for column in range(min(2, len(row) - 1)):
            if above[: column + 1] != row[: column + 1]:
                break
            place[column] = ""
    return shown


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
