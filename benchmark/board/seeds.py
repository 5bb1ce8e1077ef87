"""Several answers to the same question: a system's seeds become one set of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mitds.benchmark.contracts import SetScore
from mitds.benchmark.evaluation.summary import Measured
from mitds.benchmark.results import Row


def mean_rows(by_seed: Sequence[Sequence[Row]]) -> list[Row]:
    """Return one row a measurement: its charged value is the mean over seeds, its status the first that failed."""
    found: dict[tuple[str, str, int | None], list[Row]] = {}
    for row in (row for rows in by_seed for row in rows):
        found.setdefault((row.metric, row.item, row.person), []).append(row)
    return [_mean_row(rows) for rows in found.values()]


def _mean_row(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    values = [row.charged for row in rows if row.charged is not None]
    shown = next((row for row in rows if row.status not in ("ok", "undefined")), rows[0])
    mean = float(np.mean(values)) if values else None
    return replace(shown, value=mean if shown.status == "ok" else None, charged=mean, detail="{}")


def over_seeds(found: Sequence[Measured]) -> Measured:
    """Return what all seeds together came to: an output counts as failed where any seed's did."""
    return Measured(
        outputs={item: _worst([one.outputs[item] for one in found]) for item in found[0].outputs},
        messages={item: text for one in reversed(found) for item, text in one.messages.items()},
        rows=(),
        sets={metric: _mean_set([one.sets[metric] for one in found]) for metric in found[0].sets},
        unavailable=found[0].unavailable,
    )


def _worst(statuses: Sequence[str]) -> str:
    return next((status for status in statuses if status != "ok"), "ok")


def _mean_set(found: Sequence[SetScore]) -> SetScore:
    values = [one.value for one in found if one.value is not None]
    if len(found) == 1:
        return found[0]
    if len(values) < len(found):
        return replace(found[0], value=None, reason="one of the seeds has no value")
    detail: dict[str, Any] = {**found[0].detail, "by_seed": values}
    return replace(found[0], value=float(np.mean(values)), detail=detail)
