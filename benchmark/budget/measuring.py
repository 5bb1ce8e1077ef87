"""Measuring the budget: the same items scored again and again, each time with one step done otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitds.benchmark.budget.alterations import ALTERATIONS
from mitds.benchmark.budget.looking import Values
from mitds.benchmark.budget.steps import BASE, DEFAULT_METRICS, OUTPUTS, STEPS, BudgetRow
from mitds.benchmark.contracts import Card
from mitds.benchmark.evaluation.anchors import ANCHORS, read_anchors
from mitds.benchmark.evaluation.engine import Chosen, EngineConfig, Progress, choose, score_outputs
from mitds.benchmark.evaluation.scale import item_values, place
from mitds.benchmark.isolation import Limits, run_isolated
from mitds.benchmark.registries import metric_id
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.results import MetricResult, Row, read_results
from mitds.errors import UsageError
from mitds.manifests.items import Item

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

_LIMITS = Limits(memory_bytes=None, cpu_s=36_000, wall_s=36_000)
_NO_CACHE = {"MITDS_JUDGE_CACHE": "0"}


def measure_budget(folder: Path, items: int, names: Sequence[str], progress: Progress) -> list[BudgetRow]:
    """Measure what each step moves, on items spread over a release, with outputs of controls as generated videos.

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
    videos = _videos(release, items)
    job = {
        "release": str(folder),
        "outputs": {item: path.parents[1].name for item, path in videos.items()},
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
    return [*_rows(found, chosen.cards, spans), *sample_rows(_results(release, chosen), spans)]


_RUNS: tuple[tuple[str, dict[str, str], dict[str, Any]], ...] = (
    ("alterations", {}, {"names": list(ALTERATIONS)}),
    ("threads", {}, {"names": [BASE], "as": "threads", "threads": 2}),
    *((name, known, {"names": [BASE], "as": name}) for name, known in PROCESSORS.items()),
)
"""Processes: what for, environment, and the rest of the job."""

_ENGINE_RUNS = (("workers", 2, _NO_CACHE), ("cache", 1, {"MITDS_JUDGE_CACHE": "1"}))


def _videos(release: OpenRelease, items: int) -> dict[str, Path]:
    """Choose items, spread over the list, and an output for each: the controls in turn."""
    listed = release.release.items
    step = max(1, len(listed) // max(1, items))
    picked: Sequence[Item] = listed[::step][:items]
    videos = {
        item.id: release.folder / "controls" / OUTPUTS[n % len(OUTPUTS)] / "videos" / f"{item.id}.mp4"
        for n, item in enumerate(picked)
    }
    for path in videos.values():
        if not path.is_file():
            raise UsageError(
                "an output of a control is missing", where=str(path),
                remedy=f"Run: mitds release anchors {release.folder}",
            )  # fmt: skip
    return videos


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
        if row.value is not None:
            values[row.metric][place(row.item, row.person)] = row.value
    return values | {m: {"set": s.value} for m, s in got.sets.items() if s.value is not None}


def _spans(release: OpenRelease) -> dict[str, float]:
    """Return |real - floor| by metric; nothing where the release has no anchors."""
    if not (release.folder / ANCHORS).is_file():
        return {}
    metrics = read_anchors(release.folder, release.release).metrics
    return {name: abs(a.real - a.floor) for name, a in metrics.items() if a.real != a.floor}


def _rows(
    found: Mapping[str, Values], cards: Mapping[str, Card], spans: Mapping[str, float]
) -> list[BudgetRow]:
    rows: list[BudgetRow] = []
    for name, step in STEPS.items():
        varied = found.get(step.varied or name, {})
        for metric in [m for m in cards if m in varied]:
            limit = {"zero": 0.0, "tolerance": cards[metric].tolerance, "none": None}[step.limit]
            row = compared(name, metric, found[step.against][metric], varied[metric], spans, limit)
            rows += [row] if row is not None else []
    return rows


def compared(
    step: str,
    metric: str,
    before: Mapping[str, float],
    after: Mapping[str, float],
    spans: Mapping[str, float],
    limit: float | None,
) -> BudgetRow | None:
    """Compare one metric's measurements with one step done in two ways; None where there is nothing to compare."""
    both = [(before[name], after[name]) for name in before if name in after]
    lost = len(before.keys() ^ after.keys())
    means = [] if lost or not both or "set" in before else [(mean(before), mean(after))]
    if not both and not lost:
        return None
    change = max((abs(y - x) for x, y in both + means), default=0.0)
    share = change / spans[metric] if metric in spans else None
    return BudgetRow(
        step=step, metric=metric, change=change, share=share, values=len(both), lost=lost, limit=limit
    )


def mean(values: Mapping[str, float]) -> float:
    """Return the mean over items of the mean over persons, of values by place, as an evaluation takes it."""
    rows = [_row_at(name, value) for name, value in values.items()]
    return float(item_values(rows, list(dict.fromkeys(row.item for row in rows))).mean())


def _row_at(name: str, value: float) -> Row:
    item, _, person = name.partition("/")
    at = int(person) if person else None
    return Row(item=item, metric="", person=at, value=value, charged=value, status="ok", n=0)


def _results(release: OpenRelease, chosen: Chosen) -> list[dict[str, MetricResult]]:
    """Return what the controls' evaluations on the whole release say."""
    paths = [release.folder / "controls" / name / "results.json" for name in OUTPUTS]
    results = [read_results(path).metrics for path in paths if path.is_file()]
    return [{m: one for m, one in metrics.items() if m in chosen.cards} for metrics in results]


def sample_rows(results: Sequence[Mapping[str, MetricResult]], spans: Mapping[str, float]) -> list[BudgetRow]:
    """Return the largest half width of each metric's interval over some evaluations of a whole release."""
    widths: dict[str, list[tuple[float, int]]] = {}
    for metrics in results:
        for metric, result in metrics.items():
            half = _half_width(result)
            if half is not None and result.raw is not None:
                widths.setdefault(metric, []).append((half, result.raw.n))
    return [
        BudgetRow(
            step="sample",
            metric=metric,
            change=max(found)[0],
            share=max(found)[0] / spans[metric] if metric in spans else None,
            values=max(found)[1],
        )
        for metric, found in widths.items()
    ]


def _half_width(result: MetricResult) -> float | None:
    """Return half of the 95 % interval, for sets 1.96 standard errors, or standard deviations over random halves."""
    raw = result.raw
    if raw is not None and raw.low is not None and raw.high is not None:
        return (raw.high - raw.low) / 2
    error = result.detail.get("error", result.detail.get("floor_spread"))
    return None if error is None else 1.96 * float(error)
