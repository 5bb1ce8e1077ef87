"""docs/error-budget.md: the measured budget, with what each step is and what is done about it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mitds.benchmark.budget.prose import HEAD, PARTS, READING_HEAD, TABLE_HEAD
from mitds.benchmark.budget.steps import STEPS, BudgetRow, short
from mitds.benchmark.cards import card_of
from mitds.benchmark.release import open_release
from mitds.manifests.items import Release
from mitds.store import write_bytes

_NOTICED = 0.05
"""Share of |real - floor| from which a step is named as one that moves a metric."""
_OURS = ("held", "linear", "crf12", "threads", "avx2", "sse")
"""Steps that a recomputation may take otherwise without knowing it."""

Cell = Callable[[BudgetRow], str]


def write_budget(path: Path, rows: Sequence[BudgetRow], folder: Path) -> None:
    """Write the page.

    Args:
        path: Where to.
        rows: What was measured.
        folder: The release it was measured on.
    """
    write_bytes(path, page(rows, open_release(folder).release).encode())


def page(rows: Sequence[BudgetRow], release: Release) -> str:
    """Return the page as Markdown."""
    items = max((row.items for row in rows if row.step != "sample"), default=0)
    parts = [HEAD, _measured_on(release, items), _reading(rows), *_tables(rows), _numerics(rows)]
    parts += [PARTS[part].rstrip() + _lines_of(part, rows) for part in PARTS]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _measured_on(release: Release, items: int) -> str:
    seconds = sorted({item.frames / 25 for item in release.items})
    lengths = " to ".join(f"{s:g}" for s in dict.fromkeys((seconds[0], seconds[-1])))
    side = max(max(item.width, item.height) for item in release.items)
    return (
        f"Measured on {items} of the {len(release.items)} items of the release `{release.name}` "
        f"(digest `{release.digest[:8]}`; {lengths} s each, longest side {side} px), on an {_processor()}."
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
            named = ", ".join(f"{_title(row.metric)} {row.share_text}" for row in moved[:4])
            rest = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
            found.append(f"\n  - {label}: {named}{rest}")
    if not found:
        return ""
    return (
        f"**{100 * _NOTICED:g} % of the scale or more** is moved by the following. This is why the release fixes the "
        "boxes, and `mitds eval` the conversion and the codec's quality; a shift is the system's own fault."
        f"{''.join(found)}"
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
    yield TABLE_HEAD + _table(rows, lambda row: row.change_text)
    if any(row.share is not None for row in rows):
        yield "The same as shares of the scale, |real − floor|:\n\n" + _table(
            rows, lambda row: row.share_text
        )


def _table(rows: Sequence[BudgetRow], cell: Cell) -> str:
    cells = {(row.step, row.metric): cell(row) for row in rows}
    metrics = list(dict.fromkeys(row.metric for row in rows))
    lines = [["step", *map(_title, metrics)], ["---"] * (len(metrics) + 1)]
    for step in [step for step in STEPS if any(row.step == step for row in rows)]:
        lines.append([_numbered(step), *(cells.get((step, metric), "–") for metric in metrics)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _numbered(step: str) -> str:
    return f"{list(PARTS).index(STEPS[step].part) + 1} {STEPS[step].label}"


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
        changes = [of[step].change_text if step in of else "–" for step in steps]
        lines.append(
            [f"`{metric}`", short(next(iter(of.values())).limit or 0), *changes, holds],
        )
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"Numerics beside the tolerance that each card states:\n\n{table}"


def _lines_of(part: str, rows: Sequence[BudgetRow]) -> str:
    """Say how far a part's steps went, in shares of the scale."""
    here = [row for row in rows if STEPS[row.step].part == part and row.share is not None]
    if not here or max(row.change for row in here) == 0:
        return ""
    most = max(here, key=lambda row: row.share or 0)
    return (
        f"\n\nLargest here: {_title(most.metric)}, {most.share_text} of its scale ({STEPS[most.step].label})."
    )


def _title(metric: str) -> str:
    return card_of(metric).title


def _labels(rows: Iterable[BudgetRow]) -> list[str]:
    return list(dict.fromkeys(STEPS[row.step].label for row in rows))


def _list(rows: Iterable[BudgetRow]) -> str:
    return "; ".join(
        f"{_title(row.metric)}, {STEPS[row.step].label}: {row.change_text} where {short(row.limit or 0)} is allowed"
        for row in rows
    )
