"""What an evaluation writes: one row a measurement (`rows.parquet`) and the summary (`results.json`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from mitds.benchmark.contracts import Status
from mitds.config import canonical
from mitds.errors import BadShard
from mitds.manifests.codec import from_plain
from mitds.store import atomic_path, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement of one output.

    Attributes:
        item: Item id.
        metric: Metric id.
        person: Row of the item's arrays; None where the metric is of the item.
        value: What was measured; None unless status is "ok".
        charged: What counts: `value`, but never worse than the penalty; the penalty where the output failed;
            None where the measurement is undefined for every system.
        status: How the measurement ended.
        n: Frames, windows or switches it rests on.
        detail: JSON text.
    """

    item: str
    metric: str
    person: int | None
    value: float | None
    charged: float | None
    status: Status
    n: int
    detail: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval (cluster bootstrap over items); bounds None where it cannot be had."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One metric over a set of items.

    Attributes:
        raw: Mean of the charged values; for set metrics the distance.
        score: 0 at the floor, 1 at real footage: the mean over items, then clipped to 0..1; None without anchors.
        coverage: Share of the measurements that are defined and did not fail.
        detail: Of set metrics.
    """

    raw: Estimate | None
    score: Estimate | None = None
    coverage: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The two ends of a metric's scale on a release, and what damage costs.

    Attributes:
        floor: Value of chance: of the control that the metric's card names.
        real: Value of the real footage, encoded once more.
        penalty: Per item and person ("ITEM" or "ITEM/0"): the worst value any control has there; of a metric of
            sets, under "*", the worst distance of any control.
        at_real: Per item and person: the value of the real footage there; a score counts nothing beyond it.
    """

    floor: float
    real: float
    penalty: dict[str, float]
    at_real: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The summary of one evaluation.

    Attributes:
        system: Name shown.
        kind: What made the outputs.
        release: Name of the release.
        release_digest: Digest of the release and its anchors.
        items: Number of items.
        outputs: How many outputs ended how: {"ok": 10, "missing": 1}.
        metrics: By metric id.
        axes: Score of each ability, 0..1.
        aggregate: Score of the weakest axis; None where an axis is missing.
        floor_band: Largest aggregate that a system at chance on one axis may reach by luck.
        subsets: By subset, then metric id.
        unavailable: Metric id to what to do about it.
        signature: One line that names everything the numbers depend on.
        settings: Resolved configuration.
    """

    system: str
    kind: Literal["model", "control", "videos", "submission"]
    release: str
    release_digest: str
    items: int
    outputs: dict[str, int]
    metrics: dict[str, MetricResult]
    axes: dict[str, Estimate]
    aggregate: Estimate | None
    floor_band: float | None
    subsets: dict[str, dict[str, MetricResult]]
    unavailable: dict[str, str]
    signature: str
    settings: dict[str, Any]
    schema: str = "mitds.results/1"


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as parquet, in canonical order: metric, item, person."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda r: (r.metric, r.item, -1 if r.person is None else r.person))
    table = pa.Table.from_pylist([asdict(row) for row in ordered], schema=_row_schema())
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote."""
    import pyarrow.parquet as pq

    return [Row(**record) for record in pq.read_table(path, schema=_row_schema()).to_pylist()]


def _row_schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("item", pa.string()),
            ("metric", pa.string()),
            ("person", pa.int32()),
            ("value", pa.float64()),
            ("charged", pa.float64()),
            ("status", pa.string()),
            ("n", pa.int32()),
            ("detail", pa.string()),
        ]
    )


def write_results(path: Path, results: Results) -> None:
    """Write the summary."""
    write_json(path, results)


def read_results(path: Path) -> Results:
    """Read a summary.

    Raises:
        BadShard: If the file is not one.
    """
    try:
        return from_plain(Results, json.loads(path.read_bytes()))
    except ValueError as error:
        raise BadShard(
            f"not a results.json: {error}", where=str(path), remedy="Write it anew: mitds eval."
        ) from error


def detail_text(detail: Mapping[str, Any]) -> str:
    """Return the one text of a row's detail."""
    return canonical(detail)


def rows_by_metric(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group rows by metric id, keeping their order."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.metric, []).append(row)
    return grouped
