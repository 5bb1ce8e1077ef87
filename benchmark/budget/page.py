"""docs/error-budget.md: the measured budget, with what each step is and what is done about it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mitds.benchmark.budget.prose import HEAD, PARTS, READING_HEAD, TABLE_HEAD
from mitds.benchmark.budget.steps import STEPS, BudgetRow
from mitds.benchmark.cards import card_of
from mitds.benchmark.words import number_text
from mitds.manifests.items import Release
from mitds.store import write_bytes

_NOTICED = 0.05
"""Share of |real - floor| from which a step is named as one that moves a metric."""
_OURS = ("held", "linear", "crf12", "threads", "avx2", "sse")
"""Steps that a recomputation may take otherwise without knowing it."""

Cell = Callable[[BudgetRow], str]


def write_budget(path: Path, rows: Sequence[BudgetRow], release: Release, items: int) -> None:
    """Write the page.

    Args:
        path: Where to.
        rows: What was measured.
        release: On which release.
        items: On how many of its items.
    """
    parts = [HEAD, _measured_on(release, items), _reading(rows), *_tables(rows), _numerics(rows)]
    parts += [PARTS[part] + _lines_of(part, rows) for part in PARTS]
    write_bytes(path, ("\n\n".join(part.strip() for part in parts) + "\n").encode())


def _measured_on(release: Release, items: int) -> str:
    seconds = sorted({item.frames / 25 for item in release.items})
    lengths = " to ".join(f"{s:g}" for s in dict.fromkeys((seconds[0], seconds[-1])))
    side = max(max(item.width, item.height) for item in release.items)
    used = min(items, len(release.items))
    return (
        f"Measured on {used} of the {len(release.items)} items of the release `{release.name}` "
        f"(digest `{release.digest[:8]}`; {lengths} s each, longest side {side} px), on a {_processor()}."
    )


def _processor() -> str:
    import torch

    return f"{platform.machine()} processor with {torch.backends.cpu.get_cpu_capability()} kernels"


def _reading(rows: Sequence[BudgetRow]) -> str:
    lines = [_exact(rows), _within(rows), _moving(rows), _sampling(rows)]
    return READING_HEAD + "".join(f"- {line}\n" for line in lines if line)


def _exact(rows: Sequence[BudgetRow]) -> str:
    exact = [row for row in rows if row.limit == 0]
    if not exact:
        return ""
    broken = [row for row in exact if not row.holds]
    labels = ", ".join(_labels(exact))
    if broken:
        return f"**These must move nothing, and do:** {_list(broken)}."
    return f"**Nothing, not one bit**, is moved by: {labels}. {len(exact)} comparisons, all exactly 0."


def _within(rows: Sequence[BudgetRow]) -> str:
    bound = [row for row in rows if row.limit]
    if not bound:
        return ""
    broken = [row for row in bound if not row.holds]
    if broken:
        return f"**Beyond the card's tolerance:** {_list(broken)}."
    nearest = max(bound, key=_of_limit)
    return (
        f"**Below the card's tolerance**, in every metric: {', '.join(_labels(bound))}. The nearest to it is "
        f"{_title(nearest.metric)} with {100 * _of_limit(nearest):.2g} % of its tolerance "
        f"({STEPS[nearest.step].label})."
    )


def _of_limit(row: BudgetRow) -> float:
    return row.change / row.limit if row.limit else 0.0


def _moving(rows: Sequence[BudgetRow]) -> str:
    free = [row for row in rows if row.limit is None and row.step != "sample"]
    found = []
    for label in _labels(free):
        moved = [row for row in free if STEPS[row.step].label == label and (row.share or 0) >= _NOTICED]
        moved.sort(key=lambda row: -(row.share or 0))
        if moved:
            named = ", ".join(f"{_title(row.metric)} {_percent(row.share)}" for row in moved[:4])
            rest = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
            found.append(f"{label} ({named}{rest})")
    if not found:
        return ""
    return (
        f"**{100 * _NOTICED:g} % of the scale or more** is moved by: {'; '.join(found)}. The release and `mitds eval` "
        "therefore fix the conversion, the codec's quality and the boxes; a shift of the picture is the system's own."
    )


def _sampling(rows: Sequence[BudgetRow]) -> str:
    sample = {row.metric: row.change for row in rows if row.step == "sample"}
    ours: dict[str, float] = {}
    for row in rows:
        if row.step in _OURS:
            ours[row.metric] = max(ours.get(row.metric, 0.0), row.change)
    both = sorted(sample.keys() & ours.keys())
    if not both:
        return ""
    smaller = [_title(metric) for metric in both if sample[metric] <= ours[metric]]
    exception = f" (the exceptions: {', '.join(smaller)})" if smaller else ""
    return (
        f"**The sample is the largest term** in {len(both) - len(smaller)} of {len(both)} metrics{exception}: which "
        "items a release holds moves the mean more than conversion, eval's own codec and the processor move any "
        "single value. More items help; more digits do not."
    )


def _tables(rows: Sequence[BudgetRow]) -> Iterable[str]:
    yield TABLE_HEAD + _table(rows, _change)
    if any(row.share is not None for row in rows):
        yield "The same as shares of \\|real − floor\\|:\n\n" + _table(rows, lambda row: _percent(row.share))


def _table(rows: Sequence[BudgetRow], cell: Cell) -> str:
    cells = {(row.step, row.metric): cell(row) for row in rows}
    metrics = list(dict.fromkeys(row.metric for row in rows))
    lines = [["step", *map(_title, metrics)], ["---"] * (len(metrics) + 1)]
    for step in [step for step in STEPS if any(row.step == step for row in rows)]:
        lines.append([STEPS[step].label, *(cells.get((step, metric), "–") for metric in metrics)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _numerics(rows: Sequence[BudgetRow]) -> str:
    bound = [row for row in rows if row.limit]
    if not bound:
        return ""
    steps = list(dict.fromkeys(row.step for row in bound))
    lines = [["metric", "tolerance", *(STEPS[step].label for step in steps), "holds"]]
    lines.append(["---"] * len(lines[0]))
    for metric in dict.fromkeys(row.metric for row in bound):
        of = {row.step: row for row in bound if row.metric == metric}
        holds = "yes" if all(row.holds for row in of.values()) else "**NO**"
        changes = [_change(of[step]) if step in of else "–" for step in steps]
        lines.append(
            [f"`{metric}`", number_text(next(iter(of.values())).limit, 2), *changes, holds],
        )
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"Numerics beside the tolerance that each card states:\n\n{table}"


def _lines_of(part: str, rows: Sequence[BudgetRow]) -> str:
    """Say how far a part's steps went, in shares of the scale."""
    here = [row for row in rows if STEPS[row.step].part == part and row.share is not None]
    if not here or max(row.change for row in here) == 0:
        return ""
    most = max(here, key=lambda row: row.share or 0)
    return f"\n\nLargest here: {_title(most.metric)}, {_percent(most.share)} of its scale ({STEPS[most.step].label})."


def _change(row: BudgetRow) -> str:
    text = "0" if row.change == 0 else number_text(row.change, 2)
    return f"{text}, {row.lost} lost" if row.lost else text


def _percent(share: float | None) -> str:
    return "–" if share is None else ("0" if share == 0 else f"{number_text(100 * share, 2)} %")


def _title(metric: str) -> str:
    return card_of(metric).title


def _labels(rows: Iterable[BudgetRow]) -> list[str]:
    return list(dict.fromkeys(STEPS[row.step].label for row in rows))


def _list(rows: Iterable[BudgetRow]) -> str:
    return "; ".join(
        f"{_title(row.metric)}, {STEPS[row.step].label}: {_change(row)} where {number_text(row.limit, 2)} is allowed"
        for row in rows
    )
