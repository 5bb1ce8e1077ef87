"""Systems evaluated on one release, side by side: every number with its interval, differences paired by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from mitds.benchmark.cards import card_of
from mitds.benchmark.evaluation.scale import item_values
from mitds.benchmark.release import open_release
from mitds.benchmark.results import Estimate, Results, Row, read_results, read_rows, rows_by_metric
from mitds.benchmark.statistics import Floats, cluster_weights, compare, estimate, holm, weighted_means
from mitds.benchmark.words import interval_text, number_text
from mitds.errors import UsageError
from mitds.manifests.items import Release

ARROWS = {"higher": "↑", "lower": "↓", "closer": "→"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two systems differ on one metric, on the items both were measured on.

    Attributes:
        metric: Metric id.
        first: Name of the system the comparison is about.
        second: Name of its rival.
        value: First minus second, of charged values, with its paired interval.
        p: Two-sided bootstrap p-value.
        verdict: "better" or "worse" where the difference stands after Holm's correction over all differences of
            the table; "open" otherwise.
    """

    metric: str
    first: str
    second: str
    value: Estimate
    p: float
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """The comparison.

    Attributes:
        release: Name of the release.
        items: Number of items.
        clusters: Number of clusters of items, the unit of resampling.
        metrics: Metric ids, columns of the table.
        systems: In the order given; the first is the one that differences are about.
        differences: First against each rival of `rivals`, on each metric of items.
    """

    release: str
    items: int
    clusters: int
    metrics: tuple[str, ...]
    systems: tuple[Results, ...]
    differences: tuple[Difference, ...]


def side_by_side(
    release: Path | str, folders: Sequence[Path], rivals: Sequence[str], metrics: Sequence[str] = ()
) -> SideBySide:
    """Compare evaluated systems.

    Args:
        release: Folder of the release.
        folders: What `evaluate` wrote, one a system; the first is compared with the rivals.
        rivals: Names of the systems that the first is compared with.
        metrics: Metric ids to show; by default all that every system was measured by.

    Raises:
        UsageError: If a folder was evaluated on another release.
    """
    opened = open_release(release).release
    systems = [
        (read_results(folder / "results.json"), read_rows(folder / "rows.parquet")) for folder in folders
    ]
    return compared(opened, systems, rivals, metrics)


def compared(
    release: Release,
    systems: Sequence[tuple[Results, Sequence[Row]]],
    rivals: Sequence[str],
    metrics: Sequence[str] = (),
) -> SideBySide:
    """Compare systems by their results and charged rows; see `side_by_side`."""
    results = tuple(result for result, _ in systems)
    for result in results:
        if (result.release, result.release_digest) != (release.name, results[0].release_digest):
            raise UsageError(
                f"{result.system} was evaluated on another release, or with other anchors",
                remedy="Evaluate all systems on one release.",
            )
    shared = set.intersection(*(set(result.metrics) for result in results))
    chosen = tuple(m for m in metrics or sorted(shared) if m in shared)
    items, clusters = [item.id for item in release.items], [item.cluster for item in release.items]
    values = {result.system: _values(rows, items) for result, rows in systems}
    return SideBySide(
        release=release.name,
        items=len(items),
        clusters=len(set(clusters)),
        metrics=chosen,
        systems=results,
        differences=_differences(results[0].system, rivals, chosen, values, clusters),
    )


def control_folders(release: Path | str) -> list[Path]:
    """Return where the evaluated controls of a release lie, with what `measure_anchors` wrote."""
    controls = open_release(release).folder / "controls"
    return sorted(path.parent for path in controls.glob("*/results.json"))


def _values(rows: Sequence[Row], items: Sequence[str]) -> dict[str, Floats]:
    return {metric: item_values(found, items) for metric, found in rows_by_metric(rows).items()}


def _differences(
    first: str,
    rivals: Sequence[str],
    metrics: Sequence[str],
    values: Mapping[str, Mapping[str, Floats]],
    clusters: Sequence[str],
) -> tuple[Difference, ...]:
    found = [
        (metric, second, *_apart(values[first][metric] - values[second][metric], clusters))
        for second in rivals
        for metric in metrics
        if metric in values[first] and metric in values[second]
    ]
    known = [(m, second, v, p) for m, second, v, p in found if v is not None]
    stands = holm([p for *_, p in known])
    return tuple(
        Difference(metric=m, first=first, second=second, value=v, p=p, verdict=_verdict(m, v, s))
        for (m, second, v, p), s in zip(known, stands, strict=True)
    )


def _apart(apart_I: Floats, clusters: Sequence[str]) -> tuple[Estimate | None, float]:
    """Return the mean of paired differences with its interval, and a p-value against none."""
    value = estimate(apart_I, clusters)
    if value is None or value.low is None:
        return value, 1.0
    draws_B = weighted_means(apart_I, cluster_weights(clusters))
    none_B = np.zeros_like(draws_B)
    tested = compare("one", "other", {"one": draws_B, "other": none_B}, {"one": value.value, "other": 0.0})
    return value, tested.p


def _verdict(metric: str, value: Estimate, stands: bool) -> str:
    better = card_of(metric).better
    if not stands or better == "closer":
        return "open"
    return "better" if (value.value > 0) == (better == "higher") else "worse"


def markdown(found: SideBySide) -> str:
    """Write the comparison as two tables: every system's numbers, and the paired differences."""
    heads = [f"{m} {ARROWS[card_of(m).better]}" for m in found.metrics]
    axes = sorted(set(chain.from_iterable(results.axes for results in found.systems)))
    lines = [
        f"Release `{found.release}`: {found.items} items in {found.clusters} clusters; 95 % intervals by cluster "
        "bootstrap over items.",
        "",
        _line(["system", *heads]),
        _line(["---"] * (len(heads) + 1)),
        *(_line([r.system, *(_raw(r, m) for m in found.metrics)]) for r in found.systems),
        "",
        "Scores by ability, 0 at chance and 1 at real footage; the aggregate is the lowest:",
        "",
        _line(["system", *axes, "aggregate"]),
        _line(["---"] * (len(axes) + 2)),
        *(
            _line([r.system, *(interval_text(r.axes.get(a), 2) for a in axes), interval_text(r.aggregate, 2)])
            for r in found.systems
        ),
    ]
    if found.differences:
        lines += ["", *_difference_lines(found)]
    return "\n".join(lines) + "\n"


def _difference_lines(found: SideBySide) -> list[str]:
    first = found.systems[0].system
    return [
        f"`{first}` minus each rival, paired by item; verdicts after Holm's correction over these "
        f"{len(found.differences)} differences:",
        "",
        _line(["rival", "metric", "difference", "p", f"{first} is"]),
        _line(["---"] * 5),
        *(
            _line([d.second, d.metric, interval_text(d.value, 2), number_text(d.p, 2), d.verdict])
            for d in found.differences
        ),
    ]


def _raw(results: Results, metric: str) -> str:
    return interval_text(results.metrics[metric].raw)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
