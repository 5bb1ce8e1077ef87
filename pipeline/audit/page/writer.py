"""Writes the page of published accuracy from audits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mitds
from mitds.pipeline.audit.conditions import CONDITIONS
from mitds.pipeline.audit.page import doubt, numbers
from mitds.pipeline.audit.page.runs import Run, Runs, shown
from mitds.pipeline.audit.page.words import LABELS, paragraph, table
from mitds.pipeline.audit.results import Measure
from mitds.store import write_bytes

_LEAD = (
    "How often the labels of mitds are right, measured where the truth is known, with the doubt that is left. "
    "This page is written by `mitds audit-page` from the records of `mitds audit`; edit neither by hand."
)
_INTERVALS = (
    "Behind each value stands its 95 % interval in brackets: the 2.5th to 97.5th percentile of the pooled value over "
    "resampled videos. One video gives no interval, few give a rough one, and none speaks of footage of another kind. "
    "*n* is what a value rests on."
)
_KINDS = {
    "composite": "Composites are made of real people in real clips, put into scenes whose truth is exact because they "
    "were scripted. They overrate whoever follows bare lip motion.",
    "real": "Real clips are conversations as filmed, with truth found by people. They are few, and they hold what no "
    "script thinks of.",
}
_LIMITS = (
    "Footage unlike these sets: other languages, light, lenses, crowds and ages. `mitds compose` and `mitds audit` "
    "measure it on yours.",
    "Intervals of the reference toolchain: its numbers are single values.",
    "What was labelled by hand outside the passages whose labels are certain.",
)


def write_page(runs: Sequence[Run], out: Path) -> None:
    """Write the page of published accuracy, in Markdown; the same audits give the same bytes.

    Args:
        runs: The audits, in the order of the columns; profiles' targets are found by `Run.name`.
        out: The page, usually ``docs/accuracy.md``.

    Raises:
        UsageError: If there is no run, or one twice.
        StorageFault: If the page cannot be written.
    """
    board = Runs(runs)
    blocks = [
        "# Accuracy of the labels",
        paragraph(_LEAD),
        *_measured(board),
        *numbers.against_reference(board),
        *numbers.every_measure(board),
        *numbers.conditions(board),
        *doubt.reliability(board),
        *doubt.abstention(board),
        *_not_measured(board),
        *_definitions(board),
        *_commands(board, out),
    ]
    write_bytes(out, ("\n\n".join(blocks) + "\n").encode())


def _measured(board: Runs) -> list[str]:
    abouts = [board.known.about(name) for name in board.sets]
    kinds = [text for kind, text in _KINDS.items() if any(about.kind == kind for about in abouts)]
    sets = [
        paragraph(f"**{about.title}**: {about.about or _listed(board, name)}", "- ")
        for name, about in zip(board.sets, abouts, strict=True)
    ]
    what = ", ".join(words for label, words in LABELS.items() if label in board.judged)
    text = f"Judged are: {what}. {' '.join(kinds)}"
    notes = _notes(board)
    return [
        "## What was measured, and on what",
        paragraph(text),
        "\n".join(sets),
        paragraph(_INTERVALS),
        *(["\n".join(paragraph(note, "- ") for note in notes)] if notes else []),
        *_models(board),
    ]


def _notes(board: Runs) -> list[str]:
    """Return what the audits say a reader has to know, each once, with the audits that say it unless all do."""
    said: dict[str, list[Run]] = {}
    for run in board.runs:
        for note in run.audit.notes:
            said.setdefault(note, []).append(run)
    notes = []
    for note, runs in said.items():
        titles = dict.fromkeys(board.known.about(run.set).title for run in runs)
        notes.append(note if len(runs) == len(board.runs) else f"{', '.join(titles)}: {note}")
    return notes


def _listed(board: Runs, name: str) -> str:
    names = sorted({video for run in board.runs if run.set == name for video in run.audit.names})
    shown = ", ".join(names[:8])
    return f"{len(names)} videos: {shown}{' and others' if len(names) > 8 else ''}."


def _models(board: Runs) -> list[str]:
    """Return the backends that made the labels, a column a run name."""
    models = {run.name: run.audit.models for run in reversed(board.runs)}
    stages = list(dict.fromkeys(stage for name in board.names for stage in models[name]))
    if not stages:
        return []
    rows = [[stage, *(models[name].get(stage, "") for name in board.names)] for stage in stages]
    return ["Made by:", table(["step", *board.names], rows)]


def _not_measured(board: Runs) -> list[str]:
    known = board.known
    absent = [known.about(t.set).title for t in known.targets if t.set not in board.sets]
    lines = [f"There is no audit here on: {', '.join(dict.fromkeys(absent))}."] if absent else []
    without = [words for label, words in LABELS.items() if label not in board.judged]
    lines += [f"Label types without a truth: {', '.join(without)}."] if without else []
    for run in board.runs:
        title, audit = known.about(run.set).title, run.audit
        if audit.missing:
            names = ", ".join(audit.missing)
            lines.append(f"`{run.name}` left no labels for {names} ({title}); they count as wrong.")
    empty = [f"`{m.id}`{f' ({m.by})' if m.by else ''}" for m in _never_scored(board)]
    lines += [f"Defined, but no case of it in these videos: {', '.join(empty)}."] if empty else []
    return ["## What is not measured", "\n".join(paragraph(line, "- ") for line in (*lines, *_LIMITS))]


def _never_scored(board: Runs) -> list[Measure]:
    keys = [*board.keys(conditional=False), *board.keys(conditional=True)]
    found = [[m for s in board.sets if (m := board.of_set(s, *key)) is not None] for key in keys]
    return [ms[0] for ms in found if all(m.value is None for m in ms)]


def _definitions(board: Runs) -> list[str]:
    lines: dict[str, str] = {}
    for id_, by in (*board.keys(conditional=False), *board.keys(conditional=True)):
        measure = next(m for s in board.sets if (m := board.of_set(s, id_, by)) is not None)
        lines.setdefault(id_, paragraph(f"**{measure.title}** (`{id_}`): {measure.definition}", "- "))
    present = dict.fromkeys(by for _, by in board.keys(conditional=True))
    conditions = [paragraph(f"**{by}**: {CONDITIONS[by]}", "- ") for by in present if by in CONDITIONS]
    under = ["Conditions, under which a measure is taken of a part of its cases:", "\n".join(conditions)]
    return ["## Definitions", "\n".join(lines.values()), *(under if conditions else [])]


def _commands(board: Runs, out: Path) -> list[str]:
    profile = board.names[0]
    page = " \\\n  ".join(["mitds audit-page", *map(str, board.runs), f"--out {shown(out)}"])
    return [
        "## The commands that made it",
        paragraph(f"mitds {mitds.__version__}. For each set of videos, and each profile (here `{profile}`):"),
        "```\nmitds ingest videos.txt --out raw\n"
        f"mitds annotate --shards 'raw/shots-*.tar' --profile {profile} --out labels --keep-all\n"
        "mitds audit --shards 'labels/clips-*.tar' --truth TRUTH --out audited\n```",
        "Then this page:",
        f"```\n{page}\n```",
    ]
