"""Building the board: bundles in the order of their arrival, each at its own risk."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from mitds.benchmark.board.scoring import (
    Host,
    Rescore,
    Rescorer,
    claimed,
    disagreements,
    extracted,
    measured,
)
from mitds.benchmark.board.seeds import mean_rows, over_seeds
from mitds.benchmark.cards import card_of
from mitds.benchmark.evaluation.anchors import REAL, read_anchors
from mitds.benchmark.evaluation.engine import EngineConfig, Progress
from mitds.benchmark.evaluation.evaluate import metrics_for
from mitds.benchmark.evaluation.show import turns_of
from mitds.benchmark.evaluation.summary import Anchors, Measured, charged, summarise
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.results import read_results, read_rows
from mitds.benchmark.site import Entry, build_site
from mitds.benchmark.site.entries import Tier
from mitds.benchmark.submission import Problem, check, inspect
from mitds.benchmark.submission.bundle import Bundle, Refused, open_bundle
from mitds.benchmark.submission.strict_json import parse
from mitds.benchmark.submission.structure import Contents, read_contents
from mitds.config import build, digest
from mitds.errors import EnvironmentFault, MitdsError, UsageError

MAX_HOST_BYTES = 16 << 20


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
        refused: Bundles that are not shown, by path, with the reasons.
    """

    site: Path
    entries: list[str]
    refused: dict[str, str]


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
        bundles: Submissions in the order of their arrival: a video belongs to whoever brought it first. One that
            is refused costs the others nothing.
        release: The release's folder, anchors measured.
        out: Folder of the site.
        rescore: "all": every video is scored here; "spot": some claimed rows are; "none": claims are shown as such.
        beacon: Public randomness, published after the uploads, that picks the spot-checked rows.
        host: host.json.
        title: Headline.
        workers: Processes.
        progress: Told how far it is.

    Raises:
        UsageError: If the release has no anchors, or a spot check has no beacon.
    """
    if rescore not in get_args(Rescore):
        raise UsageError(f"rescore is {rescore!r}", remedy="Choose all, spot or none.")
    if rescore == "spot" and not beacon:
        raise UsageError(
            "a spot check needs a beacon: whoever knows the rows beforehand can be honest in these alone",
            remedy="Give --beacon, public randomness published after the uploads.",
        )
    opened = open_release(release)
    anchors = read_anchors(opened.folder, opened.release)
    chosen = metrics_for(sorted(anchors.metrics))
    config = EngineConfig(workers=workers)
    there = Host(opened, anchors, chosen, config, progress, cast(Rescore, rescore), beacon)
    entries = list(_controls(opened, anchors))
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="mitds-board-") as scratch:
        entries += _accepted(there, bundles, _granted(host), Path(scratch), refused)
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
    values = parse(path.read_bytes(), max_bytes=MAX_HOST_BYTES)
    granted = build(HostFile, values, where=str(path)).submissions
    for id, one in granted.items():
        if one.tier not in ("", *get_args(Tier)):
            raise UsageError(
                f"{one.tier!r} is no tier", where=f"{path}: {id}", remedy=f"Use {get_args(Tier)[:-1]}."
            )
    return granted


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


def _accepted(
    host: Host,
    bundles: Sequence[Path],
    granted: Mapping[str, Granted],
    scratch: Path,
    refused: dict[str, str],
) -> Iterator[Entry]:
    """Yield the entries of the bundles that pass; say of the others why not."""
    known: dict[str, str] = {}
    for number, path in enumerate(bundles):
        try:
            entry, problems, digests = _submission(host, path, granted, known, scratch / str(number))
        except Refused as error:
            entry, problems, digests = None, [error.problem], {}
        except EnvironmentFault:
            raise
        except MitdsError as error:
            refused[str(path)] = f"{error.code} {error}"
            continue
        if entry is None:
            refused[str(path)] = "; ".join(f"{p.code} {p.what}" for p in problems[:5])
        else:
            known.update(digests)
            yield entry


def _submission(
    host: Host, path: Path, granted: Mapping[str, Granted], known: Mapping[str, str], scratch: Path
) -> tuple[Entry | None, list[Problem], dict[str, str]]:
    """Check and score one bundle; the entry is None where it was refused."""
    seen = inspect(path, host.release.folder, known=known, workers=host.config.workers)
    if seen.problems:
        return None, seen.problems, {}
    bundle = open_bundle(path)
    contents, problems = read_contents(bundle)
    if contents is None:
        return None, problems, {}
    videos = extracted(bundle, contents, scratch)
    found = _found(host, contents, videos)
    problems = _believed(host, path, contents, videos, found)
    if problems:
        return None, problems, {}
    given = granted.get(bundle.id, Granted())
    entry = _entry(host, bundle, contents, found, videos[min(videos)], given)
    return entry, [], {one: entry.name for one in seen.digests}


def _found(host: Host, contents: Contents, videos: Mapping[int, Mapping[str, Path]]) -> dict[int, Measured]:
    if host.rescore == "all":
        return {seed: measured(host, paths, str(contents.about["system"])) for seed, paths in videos.items()}
    return {seed: claimed(host, contents, seed) for seed in videos}


def _believed(
    host: Host,
    path: Path,
    contents: Contents,
    videos: Mapping[int, Mapping[str, Path]],
    found: Mapping[int, Measured],
) -> list[Problem]:
    """Return what the host's own measurements contradict."""
    if host.rescore == "all":
        return disagreements(contents, found)
    if host.rescore == "spot":
        return check(
            path, host.release.folder, decode=False, rescore=Rescorer(host, videos), salt=host.beacon
        )
    return []


def _entry(
    host: Host,
    bundle: Bundle,
    contents: Contents,
    found: Mapping[int, Measured],
    videos: Mapping[str, Path],
    granted: Granted,
) -> Entry:
    rows = mean_rows([charged(one, host.chosen.cards, host.anchors) for one in found.values()])
    name = str(contents.about["system"])
    earned = {"all": "rescored", "spot": "spot-checked", "none": "claimed"}[host.rescore]
    seeds = [f"mean over {len(found)} seeds"] if len(found) > 1 else []
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
            over_seeds(list(found.values())),
            rows,
            host.chosen.cards,
            {"seeds": sorted(found)},
        ),
        rows=rows,
        videos=videos,
        about=contents.about,
        notes=(*granted.notes, *seeds),
    )


def _slug(name: str, id: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{plain}-{id[:24]}".strip("-")
