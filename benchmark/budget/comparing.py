"""Comparing what was measured: how far apart two ways of doing a step are, and what the sample moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mitds.benchmark.budget.looking import Values
from mitds.benchmark.budget.steps import STEPS, BudgetRow
from mitds.benchmark.contracts import Card
from mitds.benchmark.evaluation.scale import item_values
from mitds.benchmark.results import MetricResult, Row


def step_rows(
    found: Mapping[str, Values], cards: Mapping[str, Card], spans: Mapping[str, float]
) -> list[BudgetRow]:
    """Return a row for each step and metric.

    Args:
        found: What was measured, by step or by what steps are compared with.
        cards: By metric id.
        spans: |real - floor| by metric id.
    """
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
    share = _share(change, metric, spans)
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
            step="sample", metric=metric, change=half, share=_share(half, metric, spans), values=n, items=n
        )
        for metric, (half, n) in ((metric, max(found)) for metric, found in widths.items())
    ]


def _share(change: float, metric: str, spans: Mapping[str, float]) -> float | None:
    return change / spans[metric] if metric in spans else None


def _half_width(result: MetricResult) -> float | None:
    """Return half of the 95 % interval, for sets 1.96 standard errors, or standard deviations over random halves."""
    raw = result.raw
    if raw is not None and raw.low is not None and raw.high is not None:
        return (raw.high - raw.low) / 2
    error = result.detail.get("error", result.detail.get("floor_spread"))
    return None if error is None else 1.96 * float(error)
