"""Hosting a leaderboard: bundles are checked, scored by the host, and shown beside the controls."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from mitds.benchmark.cards import card_of
from mitds.benchmark.contracts import SetScore, Status
from mitds.benchmark.evaluation.anchors import REAL, read_anchors
from mitds.benchmark.evaluation.engine import Chosen, EngineConfig, Progress, score_outputs
from mitds.benchmark.evaluation.evaluate import metrics_for
from mitds.benchmark.evaluation.show import turns_of
from mitds.benchmark.evaluation.summary import Anchors, Measured, charged, summarise
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.results import Row, read_results, read_rows
from mitds.benchmark.site import Entry, build_site
from mitds.benchmark.submission import Problem, check
from mitds.benchmark.submission.bundle import Bundle, open_bundle
from mitds.benchmark.submission.strict_json import parse
from mitds.benchmark.submission.structure import Contents, read_contents
from mitds.benchmark.submission.values import agrees
from mitds.config import build, digest
from mitds.errors import UsageError
from mitds.store import write_bytes

Tier = Literal["claimed", "spot-checked", "rescored", "regenerated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the host grants one submission.

    Attributes:
        tier: Overrides the tier that the host's own work has earned it: "regenerated".
        notes: Shown beside its row: waivers, flags.
    """

    tier: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """`host.json`: decisions of the host, by submission id (the sha256 of its MANIFEST.sha256)."""

    submissions: dict[str, Granted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuiltBoard:
    """A board that was just written.

    Attributes:
        site: Its front page.
        entries: Slugs shown, controls included.
        refused: Bundles that are not shown, by file name, with the reasons.
    """

    site: Path
    entries: list[str]
    refused: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Host:
    """All that scoring a bundle needs."""

    release: OpenRelease
    anchors: Anchors
    chosen: Chosen
    config: EngineConfig
    progress: Progress
    rescore: str
    beacon: str
    granted: Mapping[str, Granted]


def build_board(
    bundles: Sequence[Path],
    release: Path,
    out: Path,
    *,
    rescore: str = "all",
    beacon: str = "",
    host: Path | None = None,
    title: str | None = None,
    workers: int = 1,
    progress: Progress = lambda what, done, of: None,
) -> BuiltBoard:
    """Check and score bundles, and write the site.

    Args:
        bundles: Submissions; one that fails the check is refused and costs the others nothing.
        release: The release's folder, anchors measured.
        out: Folder of the site.
        rescore: "all": every video is scored here; "spot": some claimed rows are; "none": claims are shown as such.
        beacon: Public randomness that picks the spot-checked rows.
        host: host.json.
        title: Headline.
        workers: Processes.
        progress: Told how far it is.
    """
    opened = open_release(release)
    anchors = read_anchors(opened.folder, opened.release)
    there = _Host(
        opened, anchors, metrics_for(sorted(anchors.metrics)), EngineConfig(workers=workers), progress,
        rescore, beacon, _granted(host),
    )  # fmt: skip
    entries = list(_controls(opened, anchors))
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="mitds-board-") as scratch:
        for number, path in enumerate(bundles):
            others = [other for other in bundles if other != path]
            entry, problems = _submission(there, path, others, Path(scratch) / str(number))
            if entry is None:
                refused[path.name] = "; ".join(f"{p.code} {p.what}" for p in problems[:5])
            else:
                entries.append(entry)
        site = build_site(
            out,
            release=opened.release,
            release_digest=digest(opened.release, anchors),
            entries=entries,
            cards={metric: card_of(metric) for metric in anchors.metrics},
            anchors=anchors.metrics,
            floor_band=anchors.floor_band,
            title=title or f"{opened.release.name}: leaderboard",
            turns=turns_of(opened),
        )
    return BuiltBoard(site, [entry.slug for entry in entries], refused)


def _granted(path: Path | None) -> dict[str, Granted]:
    if path is None:
        return {}
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path), remedy="Check --host.")
    return build(HostFile, parse(path.read_bytes()), where=str(path)).submissions


def _controls(release: OpenRelease, anchors: Anchors) -> Iterator[Entry]:
    for name in (*anchors.controls, REAL):
        folder = release.folder / "controls" / name
        yield Entry(
            slug=name,
            name="real footage" if name == REAL else name,
            kind="real" if name == REAL else "control",
            results=read_results(folder / "results.json"),
            rows=read_rows(folder / "rows.parquet"),
            videos={item.id: folder / "videos" / f"{item.id}.mp4" for item in release.release.items},
        )


def _submission(
    host: _Host, path: Path, others: Sequence[Path], scratch: Path
) -> tuple[Entry | None, list[Problem]]:
    """Check and score one bundle; the entry is None where it was refused."""
    problems = check(path, host.release.folder, other_bundles=others, workers=host.config.workers)
    if problems:
        return None, problems
    bundle = open_bundle(path)
    contents, problems = read_contents(bundle)
    if contents is None:
        return None, problems
    videos = _extracted(bundle, contents, scratch)
    seeds = sorted(videos)
    if host.rescore == "all":
        found = {seed: _scored(host, videos[seed], contents.about["system"]) for seed in seeds}
        problems = _disagreements(contents, found)
    else:
        found = {seed: _claimed(host, contents, seed) for seed in seeds}
        if host.rescore == "spot":
            problems = check(
                path, host.release.folder, decode=False, rescore=_Rescorer(host, videos), salt=host.beacon
            )
    return (None, problems) if problems else (_entry(host, bundle, contents, found, videos[seeds[0]]), [])


def _extracted(bundle: Bundle, contents: Contents, folder: Path) -> dict[int, dict[str, Path]]:
    """Copy the videos out of the bundle under names of our own: by seed, then item."""
    found: dict[int, dict[str, Path]] = {}
    for row in contents.videos:
        path = folder / str(row.seed) / f"{row.item}.mp4"
        write_bytes(path, bundle.read(row.file))
        found.setdefault(row.seed, {})[row.item] = path
    return found


def _scored(host: _Host, videos: Mapping[str, Path], label: str) -> Measured:
    return score_outputs(
        host.release.folder, host.release.release, videos, host.chosen, host.config, host.progress, label
    )


def _claimed(host: _Host, contents: Contents, seed: int) -> Measured:
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
    return Measured(
        outputs={item.id: "ok" for item in host.release.release.items}, messages={}, rows=rows, sets={}
    )


class _Rescorer:
    """Measures one video by one metric, for the spot check."""

    def __init__(self, host: _Host, videos: Mapping[int, Mapping[str, Path]]) -> None:
        self._host, self._videos = host, videos

    def __call__(self, item: str, seed: int, metric: str) -> list[Row]:
        release = self._host.release.release
        one = replace(release, items=tuple(i for i in release.items if i.id == item))
        chosen = Chosen({metric: card_of(metric)})
        found = score_outputs(
            self._host.release.folder, one, {item: self._videos[seed][item]}, chosen, self._host.config,
            self._host.progress, "spot check",
        )  # fmt: skip
        return list(found.rows)


def _disagreements(contents: Contents, found: Mapping[int, Measured]) -> list[Problem]:
    """Return the claimed rows that the host's own measurement contradicts."""
    from mitds.benchmark.submission.bundle import SCORES
    from mitds.benchmark.submission.problems import problem

    measured = {
        (row.item, seed, row.metric, row.person): row for seed, one in found.items() for row in one.rows
    }
    return [
        problem("V-RECOMPUTED", f"{row.metric} of item {row.item}: {row.value!r} claimed", SCORES, row.line)
        for row in contents.scores
        if (again := measured.get((row.item, row.seed, row.metric, row.person))) is not None
        and not agrees(card_of(row.metric), row, again)
    ]


def _entry(
    host: _Host,
    bundle: Bundle,
    contents: Contents,
    found: Mapping[int, Measured],
    videos: Mapping[str, Path],
) -> Entry:
    cards = host.chosen.cards
    by_seed = {seed: charged(one, cards, host.anchors) for seed, one in found.items()}
    whole, rows = _over_seeds(list(found.values())), mean_rows(list(by_seed.values()))
    name = str(contents.about["system"])
    earned: Tier = {"all": "rescored", "spot": "spot-checked"}.get(host.rescore, "claimed")  # type: ignore[assignment]
    granted = host.granted.get(bundle.id, Granted())
    return Entry(
        slug=_slug(name, bundle.id),
        name=name,
        kind="submission",
        tier=cast(Tier, granted.tier or earned),
        results=summarise(
            name,
            "submission",
            host.release.release,
            host.anchors,
            whole,
            rows,
            cards,
            {"seeds": sorted(found)},
        ),
        rows=rows,
        videos=videos,
        about=contents.about,
        notes=(*granted.notes, *([f"mean over {len(found)} seeds"] if len(found) > 1 else [])),
    )


def _slug(name: str, id: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return f"{plain}-{id[:6]}".strip("-")


def mean_rows(by_seed: Sequence[Sequence[Row]]) -> list[Row]:
    """Return one row a measurement: its charged value is the mean over seeds, its status the worst of them."""
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


def _over_seeds(found: Sequence[Measured]) -> Measured:
    first = found[0]
    sets = {metric: _mean_set([one.sets[metric] for one in found]) for metric in first.sets}
    return replace(first, sets=sets)


def _mean_set(found: Sequence[SetScore]) -> SetScore:
    values = [one.value for one in found if one.value is not None]
    if len(found) == 1 or len(values) < len(found):
        return found[0]
    detail: dict[str, Any] = {**found[0].detail, "by_seed": values}
    return replace(found[0], value=float(np.mean(values)), detail=detail)
