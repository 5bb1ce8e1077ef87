"""What a host does to believe a bundle: score all of its videos, some claimed rows, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from mitds.benchmark.cards import card_of
from mitds.benchmark.contracts import Status
from mitds.benchmark.evaluation.engine import Chosen, EngineConfig, Progress, score_outputs
from mitds.benchmark.evaluation.summary import Anchors, Measured
from mitds.benchmark.release import OpenRelease
from mitds.benchmark.results import Row
from mitds.benchmark.submission import Problem
from mitds.benchmark.submission.bundle import SCORES, Bundle
from mitds.benchmark.submission.problems import problem
from mitds.benchmark.submission.structure import Contents
from mitds.benchmark.submission.values import agrees
from mitds.store import write_bytes

Rescore = Literal["all", "spot", "none"]


@dataclass(frozen=True, slots=True)
class Host:
    """All that scoring a bundle needs.

    Attributes:
        release: The release.
        anchors: Its scale.
        chosen: The metrics.
        config: Workers and limits.
        progress: Told how far it is.
        rescore: How much is scored anew.
        beacon: Public randomness that picks the spot-checked rows.
    """

    release: OpenRelease
    anchors: Anchors
    chosen: Chosen
    config: EngineConfig
    progress: Progress
    rescore: Rescore
    beacon: str


def extracted(bundle: Bundle, contents: Contents, folder: Path) -> dict[int, dict[str, Path]]:
    """Copy the videos out of a bundle that passed the check, under names of our own: by seed, then item."""
    found: dict[int, dict[str, Path]] = {}
    for row in contents.videos:
        path = folder / str(row.seed) / f"{row.item}.mp4"
        write_bytes(path, bundle.read(row.file))
        found.setdefault(row.seed, {})[row.item] = path
    return {seed: found[seed] for seed in sorted(found)}


def measured(host: Host, videos: Mapping[str, Path], label: str) -> Measured:
    """Score one seed's videos."""
    return score_outputs(
        host.release.folder, host.release.release, videos, host.chosen, host.config, host.progress, label
    )


def claimed(host: Host, contents: Contents, seed: int) -> Measured:
    """Take a team's own rows for one seed as they are; metrics of sets cannot be claimed."""
    rows = tuple(
        Row(
            item=row.item,
            metric=row.metric,
            person=row.person,
            value=row.value,
            charged=None,
            status=cast(Status, row.status),
            n=row.n,
        )
        for row in contents.scores
        if row.seed == seed and row.metric in host.anchors.metrics
    )
    outputs = {item.id: "ok" for item in host.release.release.items}
    return Measured(outputs=outputs, messages={}, rows=rows, sets={})


def disagreements(contents: Contents, found: Mapping[int, Measured]) -> list[Problem]:
    """Return the claimed rows that the host's own measurement contradicts or does not have."""
    known = {(row.item, seed, row.metric, row.person): row for seed, one in found.items() for row in one.rows}
    metrics = {metric for _, _, metric, _ in known}
    return [
        problem("V-RECOMPUTED", f"{row.metric} of item {row.item}: {row.value!r} claimed", SCORES, row.line)
        for row in contents.scores
        if row.metric in metrics
        and (
            (again := known.get((row.item, row.seed, row.metric, row.person))) is None
            or not agrees(card_of(row.metric), row, again)
        )
    ]


class Rescorer:
    """Measures one video by one metric, for the spot check."""

    def __init__(self, host: Host, videos: Mapping[int, Mapping[str, Path]]) -> None:
        self._host, self._videos = host, videos

    def __call__(self, item: str, seed: int, metric: str) -> list[Row]:
        """Return the rows of one metric for one item and seed."""
        host = self._host
        one = replace(
            host.release.release, items=tuple(i for i in host.release.release.items if i.id == item)
        )
        chosen = Chosen({metric: card_of(metric)})
        video = {item: self._videos[seed][item]}
        found = score_outputs(
            host.release.folder, one, video, chosen, host.config, host.progress, "spot check"
        )
        return list(found.rows)
