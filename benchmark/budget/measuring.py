"""Measuring the budget: the same items scored again and again, each time with one step done otherwise."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitds.benchmark.budget.alterations import ALTERATIONS
from mitds.benchmark.budget.comparing import sample_rows, step_rows
from mitds.benchmark.budget.looking import Values
from mitds.benchmark.budget.steps import BASE, DEFAULT_METRICS, OUTPUTS, BudgetRow, judges
from mitds.benchmark.evaluation.anchors import ANCHORS, REAL, read_anchors
from mitds.benchmark.evaluation.engine import Chosen, EngineConfig, Progress, choose, score_outputs
from mitds.benchmark.evaluation.scale import place
from mitds.benchmark.isolation import Limits, run_isolated
from mitds.benchmark.registries import metric_id
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.results import MetricResult, read_results, read_rows
from mitds.errors import UsageError

PROCESSORS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENCV_CPU_DISABLE": "AVX512-SKX",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FP16,AVX",
        "OPENCV_IPP": "disabled",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
}
"""What tells libraries to pass for ones on an older processor. TFLite and onnxruntime cannot be told."""

_X86 = platform.machine().lower() in ("x86_64", "amd64")
_LIMITS = Limits(memory_bytes=None, cpu_s=36_000, wall_s=36_000)
_NO_CACHE = {"MITDS_JUDGE_CACHE": "0"}


def measure_budget(folder: Path, items: int, names: Sequence[str], progress: Progress) -> list[BudgetRow]:
    """Measure what each step moves, on a few items of a release, with outputs of controls as generated videos.

    Args:
        folder: The release; its anchors have been measured, so that outputs of controls lie there.
        items: How many items.
        names: Metrics; those of `DEFAULT_METRICS` by default.
        progress: Told how far it is.

    Raises:
        UsageError: If outputs of controls are missing, or no metric can run.
    """
    release = open_release(folder)
    chosen = choose([metric_id(n) for n in names or DEFAULT_METRICS])
    if not chosen.cards:
        raise UsageError("no metric can run", remedy="; ".join(chosen.unavailable.values()))
    videos = _videos(release, items, chosen.cards)
    job = {
        "release": str(folder),
        "outputs": {item: _control(path) for item, path in videos.items()},
        "metrics": sorted(chosen.cards),
    }
    found: dict[str, Values] = {}
    for done, (what, environment, extra) in enumerate(_RUNS):
        progress("measuring the budget", done, len(_RUNS) + 2)
        found |= _isolated(what, job | extra, _NO_CACHE | environment)
    for done, (step, workers, environment) in enumerate(_ENGINE_RUNS, len(_RUNS)):
        progress("measuring the budget", done, len(_RUNS) + 2)
        with _environment(environment):
            found[step] = _by_engine(release, videos, chosen, workers, backwards=step == "workers")
    progress("measuring the budget", len(_RUNS) + 2, len(_RUNS) + 2)
    spans = _spans(release)
    rows = [replace(row, items=len(videos)) for row in step_rows(found, chosen.cards, spans)]
    return rows + sample_rows(_results(release, chosen), spans)


_RUNS: tuple[tuple[str, dict[str, str], dict[str, Any]], ...] = (
    ("alterations", {}, {"names": list(ALTERATIONS)}),
    ("threads", {"OMP_WAIT_POLICY": "passive"}, {"names": [BASE], "as": "threads", "threads": 2}),
    *((name, known, {"names": [BASE], "as": name}) for name, known in PROCESSORS.items() if _X86),
)
"""Processes: what for, environment, and the rest of the job."""

_ENGINE_RUNS = (("workers", 2, _NO_CACHE), ("cache", 1, {"MITDS_JUDGE_CACHE": "1"}))


def _videos(release: OpenRelease, items: int, metrics: Collection[str]) -> dict[str, Path]:
    """Choose an output for each item measured: the controls in turn."""
    picked = _picked(release, items, metrics)
    videos = {
        id: release.folder / "controls" / OUTPUTS[n % len(OUTPUTS)] / "videos" / f"{id}.mp4"
        for n, id in enumerate(picked)
    }
    missing = [path for path in videos.values() if not path.is_file()]
    if missing:
        remedy = f"Run: mitds release anchors {release.folder}"
        raise UsageError("an output of a control is missing", where=str(missing[0]), remedy=remedy)
    return videos


def _picked(release: OpenRelease, items: int, metrics: Collection[str]) -> list[str]:
    """Return the items on which most metrics of items are defined, as the real footage was scored; sorted."""
    path = release.folder / "controls" / REAL / "rows.parquet"
    rows = read_rows(path) if path.is_file() else []
    defined = {(row.item, row.metric) for row in rows if row.metric in metrics and row.value is not None}
    counts = Counter(item for item, _ in defined)
    return sorted(sorted(release.ids, key=lambda id: (-counts[id], id))[:items])


def _control(video: Path) -> str:
    return video.parents[1].name


def _isolated(what: str, job: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Values]:
    with _environment(environment):
        outcome = run_isolated("mitds.benchmark.budget.looking:look", job, _LIMITS)
    if outcome.status != "value":
        raise UsageError(f"{what} cannot be measured: {outcome.what}", remedy=outcome.remedy)
    found: dict[str, Values] = outcome.value
    return found if "as" not in job else {job["as"]: found[BASE]}


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started inside: libraries read them when they are imported."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _by_engine(
    release: OpenRelease, videos: Mapping[str, Path], chosen: Chosen, workers: int, backwards: bool
) -> Values:
    """Score as `mitds eval` does."""
    items = [release.item(id) for id in videos]
    part = replace(release.release, items=tuple(items[::-1] if backwards else items))
    config = EngineConfig(workers=workers)
    got = score_outputs(release.folder, part, videos, chosen, config, lambda *_: None, "budget")
    values: Values = {metric: {} for metric in chosen.cards}
    for row in got.rows:
        needs = chosen.cards[row.metric].needs
        if row.value is not None and judges(needs, _control(videos[row.item])):
            values[row.metric][place(row.item, row.person)] = row.value
    return values | {m: {"set": s.value} for m, s in got.sets.items() if s.value is not None}


def _spans(release: OpenRelease) -> dict[str, float]:
    """Return |real - floor| by metric; nothing where the release has no anchors."""
    if not (release.folder / ANCHORS).is_file():
        return {}
    metrics = read_anchors(release.folder, release.release).metrics
    return {name: abs(a.real - a.floor) for name, a in metrics.items() if a.real != a.floor}


def _results(release: OpenRelease, chosen: Chosen) -> list[dict[str, MetricResult]]:
    """Return what the controls' evaluations on the whole release say."""
    paths = [release.folder / "controls" / name / "results.json" for name in OUTPUTS]
    results = [read_results(path).metrics for path in paths if path.is_file()]
    return [{m: one for m, one in metrics.items() if m in chosen.cards} for metrics in results]
