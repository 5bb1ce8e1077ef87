"""The places of a release at which each metric has a row, as the real footage has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitds.benchmark.results import read_rows

Place = tuple[str, int | None]
"""Item, and person or None."""
Places = Mapping[str, Mapping[Place, bool]]
"""By metric and place: True where the metric is defined. What is undefined is so for every output alike."""

_ROWS = Path("controls", "real", "rows.parquet")


def places_of(release_folder: Path) -> Places | None:
    """Read where the real footage has measurements, and where they are defined.

    Args:
        release_folder: Folder of the release.

    Returns:
        By metric, then (item, person); None where the release's anchors were not measured yet.
    """
    if not (release_folder / _ROWS).is_file():
        return None
    places: dict[str, dict[Place, bool]] = {}
    for row in read_rows(release_folder / _ROWS):
        places.setdefault(row.metric, {})[row.item, row.person] = row.status != "undefined"
    return places
