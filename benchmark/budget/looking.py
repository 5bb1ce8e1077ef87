"""Inside the measuring process: cases are scored under each alteration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from mitds.benchmark.budget.alterations import ALTERATIONS, Case
from mitds.benchmark.budget.steps import BASE, judges
from mitds.benchmark.contracts import Arrays, Metric, Scene, SetMetric
from mitds.benchmark.evaluation.scale import place
from mitds.benchmark.footage import Footage, Frames, read_footage
from mitds.benchmark.registries import CONTROLS, METRICS
from mitds.benchmark.release import OpenRelease, open_release

Values = dict[str, dict[str, float]]
"""Metric id, then place ("ITEM", "ITEM/0" or "set"), to value."""


def look(job: dict[str, Any]) -> dict[str, Values]:
    """Score all cases under each alteration; runs in an isolated process.

    Args:
        job: "release"; "outputs", the control that answers, by item; "metrics"; "names" of alterations; and
            "threads" that networks may use, where that is not one.
    """
    release = open_release(job["release"])
    metrics = [METRICS.get(name)() for name in job["metrics"]]
    with tempfile.TemporaryDirectory(prefix="mitds-budget-") as folder:
        cases = (_case(release, item, control, Path(folder)) for item, control in job["outputs"].items())
        if "threads" in job:
            first, control = next(iter(job["outputs"].items()))
            measured([_case(release, first, control, Path(folder))], metrics, [BASE])  # loads the networks
            _take_threads(job["threads"])
        return measured(cases, metrics, job["names"])


def _take_threads(count: int) -> None:
    """Undo `single_threaded` for networks that have been loaded under it."""
    import cv2
    import torch

    cv2.setNumThreads(count)
    torch.set_num_threads(count)


def _case(release: OpenRelease, item: str, control: str, folder: Path) -> Case:
    scene = release.scene(item)
    output_file = release.folder / "controls" / control / "videos" / f"{item}.mp4"
    real_file = folder / f"{item}.mp4"
    real_file.write_bytes(release.member(item, "mp4"))
    output = Footage(read_footage(output_file, scene.real.shape).frames_THWC, scene.real.wave_S)

    def raw() -> Frames:
        return np.stack(list(CONTROLS.get(control)().spoil(release.request(item), scene.real.frames_THWC)))

    return Case(scene, output, real_file, output_file, raw, control)


@dataclass
class _Sheet:
    """What one alteration gives: values of metrics of items, and what metrics of sets have seen."""

    values: Values = field(default_factory=dict)
    sets: dict[str, list[tuple[Arrays, Arrays]]] = field(default_factory=dict)


def measured(
    cases: Iterable[Case], metrics: Sequence[Metric | SetMetric], names: Sequence[str]
) -> dict[str, Values]:
    """Return the values of all cases under each alteration; what turns out equal is judged once."""
    sheets = {name: _Sheet() for name in names}
    for case in cases:
        known: dict[str, _Sheet] = {}
        for name in names:
            scene, output = ALTERATIONS[name].change(case)
            key = f"{scene.real.digest} {output.digest} {ALTERATIONS[name].only}"
            touched = [m for m in metrics if _touches(name, m.card.needs, case)]
            if key not in known:
                known[key] = _scored(scene, output, touched)
            _add(sheets[name], known[key])
    return {name: sheet.values | _reduced(sheet, metrics) for name, sheet in sheets.items()}


def _touches(name: str, needs: str, case: Case) -> bool:
    return ALTERATIONS[name].only in ("", needs) and judges(needs, case.control)


def _scored(scene: Scene, output: Footage, metrics: Sequence[Metric | SetMetric]) -> _Sheet:
    sheet = _Sheet()
    for metric in metrics:
        id = metric.card.id
        if metric.card.needs == "set":
            of = cast(SetMetric, metric)
            sheet.sets[id] = [(of.observe(scene, scene.real), of.observe(scene, output))]
        else:
            scores = cast(Metric, metric).score(scene, output)
            sheet.values[id] = {place(scene.id, s.person): s.value for s in scores if s.value is not None}
    return sheet


def _add(sheet: _Sheet, more: _Sheet) -> None:
    for id, values in more.values.items():
        sheet.values.setdefault(id, {}).update(values)
    for id, seen in more.sets.items():
        sheet.sets.setdefault(id, []).extend(seen)


def _reduced(sheet: _Sheet, metrics: Sequence[Metric | SetMetric]) -> Values:
    found: Values = {}
    for metric in metrics:
        seen = sheet.sets.get(metric.card.id)
        if seen:
            value = cast(SetMetric, metric).reduce([real for real, _ in seen], [out for _, out in seen]).value
            found[metric.card.id] = {} if value is None else {"set": value}
    return found
