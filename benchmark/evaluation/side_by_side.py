"""Systems evaluated on one release, side by side: every number with its interval, differences paired by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from mitds.benchmark.cards import card_of
from mitds.benchmark.evaluation.anchors import read_anchors
from mitds.benchmark.evaluation.scale import item_values
from mitds.benchmark.evaluation.summary import Anchors
from mitds.benchmark.release import open_release
from mitds.benchmark.results import Estimate, Results, Row, read_results, read_rows, rows_by_metric
from mitds.benchmark.statistics import LEVEL, Floats, estimate, holm, least_p, sign_flip_p
from mitds.benchmark.words import interval_text, number_text
from mitds.config import digest
from mitds.errors import UsageError
from mitds.manifests.items import Release
from mitds.registry import unknown

ARROWS = {"higher": "↑", "lower": "↓", "closer": "→"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two systems differ on one metric, on the items both were measured on.

    Attributes:
        metric: Metric id.
        first: Name of the system the comparison is about.
        second: Name of its rival.
        value: First minus second, of charged values, with its paired interval; where the metric's card says "closer",
            of their distances from the real footage's value.
        p: Two-sided, of flipped signs (`statistics.sign_flip_p`).
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
        metrics: Metric ids that every system was measured by, columns of the table.
        systems: In the order given; the first is the one that differences are about.
        differences: First against each rival of `rivals`, on each metric of items.
    """

    release: str
    items: int
    clusters: int
    metrics: tuple[str, ...]
    systems: tuple[Results, ...]
    differences: tuple[Difference, ...]


def side_by_side(release: Path | str, folders: Sequence[Path], rivals: Sequence[str]) -> SideBySide:
    """Compare evaluated systems.

    Args:
        release: Folder of the release.
        folders: What `evaluate` wrote, one a system; the first is compared with the rivals.
        rivals: Names of the systems that the first is compared with.

    Raises:
        UsageError: If a folder was evaluated on another release or with other anchors, or two have one name.
        UnknownName: If a rival is none of the systems.
    """
    opened = open_release(release)
    systems = [
        (read_results(folder / "results.json"), read_rows(folder / "rows.parquet")) for folder in folders
    ]
    return compared(opened.release, read_anchors(opened.folder, opened.release), systems, rivals)


def compared(
    release: Release,
    anchors: Anchors,
    systems: Sequence[tuple[Results, Sequence[Row]]],
    rivals: Sequence[str],
) -> SideBySide:
    """Compare systems by their results and charged rows; see `side_by_side`."""
    results = tuple(result for result, _ in systems)
    _check(results, rivals, digest(release, anchors))
    metrics = tuple(sorted(set.intersection(*(set(result.metrics) for result in results))))
    items, clusters = [item.id for item in release.items], [item.cluster for item in release.items]
    values = {result.system: _values(rows, items, anchors) for result, rows in systems}
    return SideBySide(
        release=release.name,
        items=len(items),
        clusters=len(set(clusters)),
        metrics=metrics,
        systems=results,
        differences=_differences(results[0].system, rivals, metrics, values, clusters),
    )


def _check(results: Sequence[Results], rivals: Sequence[str], release_digest: str) -> None:
    """Refuse systems that cannot be told apart by name, or were not measured alike."""
    names = [result.system for result in results]
    for result in results:
        if result.release_digest != release_digest:
            raise UsageError(
                f"{result.system} was evaluated on another release, or with other anchors",
                remedy="Evaluate all systems on one release.",
            )
        if names.count(result.system) > 1:
            raise UsageError(
                f"two systems are called {result.system}", remedy="Evaluate one anew, with another --name."
            )
    for rival in rivals:
        if rival not in names:
            raise unknown("system", rival, names)


def control_folders(release: Path | str) -> list[Path]:
    """Return where the evaluated controls of a release lie, with what `measure_anchors` wrote."""
    controls = open_release(release).folder / "controls"
    return sorted(path.parent for path in controls.glob("*/results.json"))


def _values(rows: Sequence[Row], items: Sequence[str], anchors: Anchors) -> dict[str, Floats]:
    """Return what is compared, by metric and item: a value, or how far it is from real footage."""
    values = {metric: item_values(found, items) for metric, found in rows_by_metric(rows).items()}
    return {
        metric: np.abs(values_I - anchors.metrics[metric].real)
        if card_of(metric).better == "closer"
        else values_I
        for metric, values_I in values.items()
    }


def _differences(
    first: str,
    rivals: Sequence[str],
    metrics: Sequence[str],
    values: Mapping[str, Mapping[str, Floats]],
    clusters: Sequence[str],
) -> tuple[Difference, ...]:
    found = [
        (metric, second, values[first][metric] - values[second][metric])
        for second in rivals
        for metric in metrics
        if metric in values[first] and metric in values[second]
    ]
    known = [
        (metric, second, value, sign_flip_p(apart_I, clusters))
        for metric, second, apart_I in found
        if (value := estimate(apart_I, clusters)) is not None
    ]
    stands = holm([p for *_, p in known])
    return tuple(
        Difference(metric=m, first=first, second=second, value=v, p=p, verdict=_verdict(m, v, s))
        for (m, second, v, p), s in zip(known, stands, strict=True)
    )


def _verdict(metric: str, value: Estimate, stands: bool) -> str:
    if not stands:
        return "open"
    return "better" if (value.value > 0) == (card_of(metric).better == "higher") else "worse"


def markdown(found: SideBySide) -> str:
    """Write the comparison as two tables: every system's numbers, and the paired differences."""
    heads = [_head(m) for m in found.metrics]
    axes = sorted(set(chain.from_iterable(results.axes for results in found.systems)))
    lines = [
        f"Release `{found.release}`: {found.items} items in {found.clusters} clusters; 95 % intervals by cluster "
        "bootstrap over items.",
        "",
        _line(["system", "answered", *heads]),
        _line(["---"] * (len(heads) + 2)),
        *(_line([r.system, _answered(r), *(_raw(r, m) for m in found.metrics)]) for r in found.systems),
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
        f"`{first}` minus each rival, paired by item (→: of distances from real footage); p by flipping the signs of "
        f"clusters; verdicts after Holm's correction over these {len(found.differences)} differences:",
        "",
        *_too_few(found),
        _line(["rival", "metric", "difference", "p", f"{first} is"]),
        _line(["---"] * 5),
        *(
            _line([d.second, _head(d.metric), interval_text(d.value, 2), number_text(d.p, 2), d.verdict])
            for d in found.differences
        ),
    ]


def _too_few(found: SideBySide) -> list[str]:
    """Say so where no difference, however large, could stand."""
    least, count = least_p(found.clusters), len(found.differences)
    if least <= (1 - LEVEL) / count:
        return []
    return [
        f"With {found.clusters} clusters no p is below {number_text(least, 2)}, so none of {count} differences can "
        "stand, however large it is; and percentile intervals of so few clusters are too narrow.",
        "",
    ]


def _head(metric: str) -> str:
    return f"{metric} {ARROWS[card_of(metric).better]}"


def _answered(results: Results) -> str:
    return f"{results.outputs.get('ok', 0)} of {results.items}"


def _raw(results: Results, metric: str) -> str:
    return interval_text(results.metrics[metric].raw)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
