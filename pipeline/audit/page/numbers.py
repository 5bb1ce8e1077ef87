"""The page's tables of numbers: against the reference toolchain, every measure, and by condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mitds.pipeline.audit.page.reference import Figure
from mitds.pipeline.audit.page.runs import Runs
from mitds.pipeline.audit.page.words import (
    LABELS,
    NONE,
    estimate,
    number,
    once,
    over,
    paragraph,
    short,
    table,
)
from mitds.pipeline.audit.results import Measure

_HEADLINES = ("people.exact", "pose.pck")
"""Shown with the targets though nothing is there to compare them with, so that every label type has a row."""

_ROUNDING = 1e-9


def against_reference(board: Runs) -> list[str]:
    """Return the main table: label type by profile, beside the reference toolchain and the targets."""
    rows = []
    for id_, set_ in _compared(board):
        measure = board.of_set(set_, id_)
        if measure is None or not measure.n:
            continue
        cells = [cell for name in board.names for cell in _judged(board, name, set_, id_)]
        tools = _tools(board.known.figures_of(id_, set_))
        title = board.known.about(set_).title
        rows.append(
            [LABELS.get(measure.label, measure.label), short(measure), title, tools, *cells, over(measure)]
        )
    heads = [head for name in board.names for head in (f"`{name}`", "target")]
    text = (
        f"The reference numbers were {board.known.source}; they have no interval. A target is met where the value "
        "reaches it, though the interval may reach beyond."
    )
    return [
        "## Beside the reference toolchain",
        paragraph(text),
        table(
            ["label", "measure", "on", "reference toolchain", *heads, "n"],
            once(rows),
            right=[4 + len(heads)],
        ),
        *(verdict for name in board.names if (verdict := _verdict(board, name))),
    ]


def _compared(board: Runs) -> list[tuple[str, str]]:
    """Return the (measure, set) that have a figure, a target or a place among the headlines, by label type."""
    known = board.known
    wanted = {(f.measure, f.set) for f in known.figures} | {(t.measure, t.set) for t in known.targets}
    wanted |= {(id_, set_) for id_ in _HEADLINES for set_ in board.wholes}
    return [(id_, s) for id_, _ in board.keys(conditional=False) for s in board.sets if (id_, s) in wanted]


def _tools(figures: Sequence[Figure]) -> str:
    notes = dict.fromkeys(f.note for f in figures if f.note)
    text = ", ".join(f"{f.tool} {number(f.value)}" for f in figures)
    return f"{text} ({'; '.join(notes)})" if notes else text or NONE


def _judged(board: Runs, name: str, set_: str, id_: str) -> tuple[str, str]:
    measure, goal = board.measure(name, set_, id_), board.known.goal(id_, set_, name)
    if goal is None:
        return estimate(measure), ""
    known = measure or board.of_set(set_, id_)
    sign = "≤" if known is not None and known.better == "lower" else "≥"
    if measure is None or measure.value is None:
        return NONE, f"{sign} {_goal(goal)}"
    return estimate(measure), f"{sign} {_goal(goal)} {'met' if met(measure, goal) else '**missed**'}"


def met(measure: Measure, goal: float) -> bool:
    """Say whether a value reaches its target; one that could not be scored doesn't."""
    if measure.value is None:
        return False
    gap = measure.value - goal if measure.better != "lower" else goal - measure.value
    return gap >= -_ROUNDING


def _verdict(board: Runs, name: str) -> str:
    """Count the targets that a run name meets, name those it misses, and count those nobody looked at."""
    goals = {(t.measure, t.set): t.goals[name] for t in board.known.targets if name in t.goals}
    judged = [(m, s, goal) for (id_, s), goal in goals.items() if (m := board.measure(name, s, id_)) and m.n]
    if not goals:
        return ""
    short = [
        f"{m.title}, {board.known.about(s).title}: {number(m.value)}, target {_goal(goal)}"
        for m, s, goal in judged
        if not met(m, goal)
    ]
    left = len(goals) - len(judged)
    count = f"`{name}` meets {len(judged) - len(short)} of the {len(judged)} targets audited here"
    count += f" ({left} more are not audited)" if left else ""
    lines = [paragraph(line, "- ") for line in short]
    return "\n".join([f"{count}, and misses:", "", *lines] if short else [f"{count}."])


def _goal(value: float) -> str:
    return f"{value:g}".removeprefix("0") or "0"


def every_measure(board: Runs) -> list[str]:
    """Return a table a label type: all measures over everybody and everything, by set and run name."""
    keys = board.keys(conditional=False)
    blocks = ["## Every measure"]
    for label, words in LABELS.items():
        rows = [
            [short(m), title, *values, n]
            for id_, by in keys
            for m, title, values, n in _by_set(board, board.sets, id_, by)
            if m.label == label
        ]
        if rows:
            blocks += [f"### {words.capitalize()}", _valued(board, ["measure"], rows)]
    return blocks


def conditions(board: Runs) -> list[str]:
    """Return the table of measures under a condition; nothing if there is none."""
    rows = [
        [m.title, m.by, title, *values, n]
        for id_, by in board.keys(conditional=True)
        for m, title, values, n in _by_set(board, board.wholes, id_, by)
    ]
    return ["## By condition", _valued(board, ["measure", "condition"], rows)] if rows else []


def _by_set(
    board: Runs, sets: Sequence[str], id_: str, by: str
) -> Iterator[tuple[Measure, str, list[str], str]]:
    """Yield a measure, a set's title, the values by run name, and n, for each set that scored it."""
    for set_ in sets:
        measures = [board.measure(name, set_, id_, by) for name in board.names]
        scored = [m for m in measures if m is not None and m.value is not None]
        if scored:
            yield scored[0], board.known.about(set_).title, [estimate(m) for m in measures], over(scored[0])


def _valued(board: Runs, heads: Sequence[str], rows: list[list[str]]) -> str:
    columns = [*heads, "on", *(f"`{name}`" for name in board.names), "n"]
    return table(columns, once(rows), right=[len(columns) - 1])
