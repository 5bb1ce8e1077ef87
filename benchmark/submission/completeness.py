"""C: the rows are exactly the release's items, once for every seed; nothing is filled in, nothing skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mitds.benchmark.submission.bundle import SCORES, VIDEOS, Bundle
from mitds.benchmark.submission.places import Place, Places
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, ScoreRow, VideoRow
from mitds.manifests.items import Release

FAILED = frozenset({"missing", "unreadable", "wrong_shape", "crashed", "timeout"})
"""Statuses of an output of which nothing could be measured: one row of the item stands for all its people."""


def check_completeness(
    bundle: Bundle, contents: Contents, release: Release, places: Places | None = None
) -> Iterator[Problem]:
    """Compare what is there with what was asked for.

    Args:
        bundle: The bundle.
        contents: What it says.
        release: The release's list.
        places: Where each metric has rows; None where the release does not say.
    """
    yield from _videos(contents, release)
    yield from _files(bundle, contents)
    yield from _scores(contents, release, places or {})


def asked_for(bundle: Bundle, contents: Contents, release: Release) -> list[VideoRow]:
    """Return the first row of each video that is asked for, of those that are there: all that is worth reading.

    Who adds rows or files can so not add to the host's work.
    """
    wanted = _wanted(contents, release)
    rows: dict[tuple[str, int], VideoRow] = {}
    owners: set[str] = set()
    for row in contents.videos:
        pair = (row.item, row.seed)
        if pair in wanted and pair not in rows and row.file in bundle.places and row.file not in owners:
            rows[pair] = row
            owners.add(row.file)
    return list(rows.values())


def _wanted(contents: Contents, release: Release) -> set[tuple[str, int]]:
    return {(item.id, seed) for item in release.items for seed in contents.about["seeds"]}


def _videos(contents: Contents, release: Release) -> Iterator[Problem]:
    wanted = _wanted(contents, release)
    seen: set[tuple[str, int]] = set()
    for row in contents.videos:
        pair = (row.item, row.seed)
        if pair not in wanted:
            yield problem("C-EXTRA", f"item {row.item}, seed {row.seed} is not asked for", VIDEOS, row.line)
        elif pair in seen:
            yield problem("C-DUPLICATE", f"item {row.item}, seed {row.seed} is there twice", VIDEOS, row.line)
        seen.add(pair)
    for item, seed in sorted(wanted - seen):
        yield problem("C-MISSING", f"item {item}, seed {seed} has no row", VIDEOS)


def _files(bundle: Bundle, contents: Contents) -> Iterator[Problem]:
    """Each row has a file of its own, and each video file a row."""
    owners: set[str] = set()
    for row in contents.videos:
        if row.file not in bundle.places:
            yield problem("C-MISSING", f"{row.file} is not there", VIDEOS, row.line)
        elif row.file in owners:
            yield problem("C-DUPLICATE", f"{row.file} is named by two rows", VIDEOS, row.line)
        owners.add(row.file)
    for name in sorted(set(bundle.videos) - owners):
        yield problem("C-EXTRA", "no row names this file", name)


def _scores(contents: Contents, release: Release, places: Places) -> Iterator[Problem]:
    outputs = {(row.item, row.seed) for row in contents.videos}
    found: dict[str, dict[tuple[str, int], dict[int | None, str]]] = {}
    for row in contents.scores:
        if (row.item, row.seed) not in outputs:
            yield problem("C-EXTRA", f"item {row.item}, seed {row.seed} has no video", SCORES, row.line)
            continue
        statuses = found.setdefault(row.metric, {}).setdefault((row.item, row.seed), {})
        if row.person in statuses:
            yield problem("C-DUPLICATE", f"{_named(row)} is there twice", SCORES, row.line)
        statuses[row.person] = row.status
    sizes = {item.id: len(item.people) for item in release.items}
    for metric, rows in sorted(found.items()):
        if metric in places:
            yield from _unlike_the_real(metric, rows, outputs, places[metric])
        else:
            yield from _missing_scores(metric, rows, {output: sizes.get(output[0], 0) for output in outputs})


def _unlike_the_real(
    metric: str,
    rows: dict[tuple[str, int], dict[int | None, str]],
    outputs: set[tuple[str, int]],
    places: Mapping[Place, bool],
) -> Iterator[Problem]:
    """Ask for the very places that the real footage has rows at, or one row of an output that failed as a whole."""
    wanted: dict[str, set[int | None]] = {}
    for item, person in places:
        wanted.setdefault(item, set()).add(person)
    for item, seed in sorted(outputs):
        statuses = rows.get((item, seed), {})
        failed = set(statuses) == {None} and statuses[None] in FAILED
        if not failed and set(statuses) != wanted.get(item, set()):
            what = f"{metric}: of item {item}, seed {seed} there is {_listed(statuses)}"
            yield problem(
                "C-SCORES", f"{what}, where the release has {_listed(wanted.get(item, ()))}", SCORES
            )


def _missing_scores(
    metric: str,
    rows: dict[tuple[str, int], dict[int | None, str]],
    outputs: dict[tuple[str, int], int],
) -> Iterator[Problem]:
    """Ask for a row of every person, or one of the item: where the metric is of items, or nothing was measured."""
    of_people = any(person is not None for statuses in rows.values() for person in statuses)
    for (item, seed), size in sorted(outputs.items()):
        statuses = rows.get((item, seed), {})
        alone = set(statuses) == {None} and not (of_people and statuses[None] == "ok")
        if not alone and not (of_people and set(statuses) == set(range(size))):
            what = f"{metric}: of item {item}, seed {seed} with {size} people there is {_listed(statuses)}"
            yield problem("C-SCORES", what, SCORES)


def _listed(people: Iterable[int | None]) -> str:
    return ", ".join("item" if person is None else f"person {person}" for person in people) or "nothing"


def _named(row: ScoreRow) -> str:
    return f"{row.metric} of item {row.item}, seed {row.seed}, person {row.person}"
