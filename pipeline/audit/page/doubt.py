"""The page's tables of doubt: do probabilities hold, and does abstaining help."""

from __future__ import annotations

from itertools import pairwise

from mitds.pipeline.audit.page.runs import Run, Runs
from mitds.pipeline.audit.page.words import LABELS, NONE, number, once, paragraph, table
from mitds.pipeline.audit.results import Reliability

ANSWERED = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Shares of speech that a binder answers for, at which the page says how much of it is right."""

_RELIABILITY = (
    "Does a stated probability come true? Each row is a bin of stated probabilities: the mean of what was stated, "
    "the share that came true, and the cases. The error is their mean distance, weighted by cases."
)
_ABSTENTION = (
    "A binding may be left open. The more probability one asks of it, the less speech gets an owner, and the more of "
    "what gets one is right. Columns: the share of speech that is answered; cells: the share right of it, read off "
    "between the measured points."
)


def reliability(board: Runs) -> list[str]:
    """Return a table a kind of probability and whole set; nothing if no probability was judged."""
    blocks = []
    for label in ("speaking", "binding"):
        for set_ in board.wholes:
            runs = [run for name in board.names if (run := board.get(name, set_)) and _of(run, label)]
            if runs:
                title = f"{LABELS[label].capitalize()}, {board.known.about(set_).title}"
                blocks += [f"### {title}", _bins(runs, label)]
    return ["## Calibration", paragraph(_RELIABILITY), *blocks] if blocks else []


def _of(run: Run, label: str) -> Reliability | None:
    return next((r for r in run.audit.reliability if r.label == label), None)


def _bins(runs: list[Run], label: str) -> str:
    """Lay out the bins, three columns a run; bins of other edges get rows of their own."""
    found = [(run.name, curve) for run in runs if (curve := _of(run, label)) is not None]
    spans = sorted({span for _, curve in found for span in pairwise(curve.edges)})
    rows = [
        [f"{low:.2f}–{high:.2f}", *(cell for _, curve in found for cell in _bin(curve, low, high))]
        for low, high in spans
    ]
    errors = [cell for _, curve in found for cell in ("", number(curve.error), f"{sum(curve.count):,}")]
    heads = [head for name, _ in found for head in (f"`{name}` said", "came true", "cases")]
    rows = [row for row in rows if any(cell != NONE for cell in row[1:])]
    return table(["bin", *heads], [*rows, ["error", *errors]], right=range(1, len(heads) + 1))


def _bin(curve: Reliability, low: float, high: float) -> tuple[str, str, str]:
    spans = list(pairwise(curve.edges))
    if (low, high) not in spans or not curve.count[spans.index((low, high))]:
        return NONE, NONE, NONE
    k = spans.index((low, high))
    return number(curve.said[k]), number(curve.found[k]), f"{curve.count[k]:,}"


def abstention(board: Runs) -> list[str]:
    """Return the share right by the share answered, a row a run; nothing if no run has a curve."""
    runs = [
        run
        for s in board.wholes
        for name in board.names
        if (run := board.get(name, s)) and run.audit.abstention
    ]
    if not runs:
        return []
    rows = [
        [board.known.about(run.set).title, f"`{run.name}`"]
        + [number(right_at(run.audit.abstention, share)) for share in ANSWERED]
        for run in runs
    ]
    heads = [
        "on",
        "profile",
        *(f"{100 * share:.0f} %" for share in ANSWERED),
    ]
    table_ = table(heads, once(rows), right=range(2, len(heads)))
    return ["## Abstention", paragraph(_ABSTENTION), table_]


def right_at(curve: tuple[tuple[float, float], ...], answered: float) -> float | None:
    """Read an abstention curve at a share answered; None outside of what was measured."""
    points = sorted(curve)
    for (a, right_a), (b, right_b) in pairwise([*points[:1], *points]):
        if a <= answered <= b:
            return right_b if a == b else right_a + (right_b - right_a) * (answered - a) / (b - a)
    return None
