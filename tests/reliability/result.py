"""Results of the long tests: each notes its own; `python -m tests.reliability.result` writes docs/reliability.md."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "docs" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"
ROWS = Path(__file__).with_name("rows.md")


def note(test: str, *, rows: Sequence[int], figures: Mapping[str, float | str]) -> None:
    """Write down what a long test found."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[test] = {
        "rows": list(rows),
        "figures": dict(figures),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "where": f"Python {platform.python_version()}, {os.cpu_count()} cores",
    }
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def page() -> str:
    """Return the page."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    lines = [
        f"| {name} | {', '.join(map(str, r['rows']))} | {_words(r['figures'])} | {r['day']}, {r['where']} |"
        for name, r in known.items()
    ]
    table = "\n".join(["| long test | rows | result | when, where |", "|---|---|---|---|", *lines])
    return ROWS.read_text().replace("{results}", table)


def _words(figures: Mapping[str, float | str]) -> str:
    return "; ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )


if __name__ == "__main__":
    PAGE.write_text(page())
