"""C: the rows are exactly the release's items, once for every seed; nothing is filled in, nothing skipped."""

from __future__ import annotations

from collections.abc import Iterator

from mitds.benchmark.submission.bundle import SCORES, VIDEOS, Bundle
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, ScoreRow
from mitds.manifests.items import Release


def check_completeness(bundle: Bundle, contents: Contents, release: Release) -> Iterator[Problem]:
    """Compare what is there with what was asked for."""
    yield from _videos(contents, release)
    yield from _files(bundle, contents)
    yield from _scores(contents, release)


def _videos(contents: Contents, release: Release) -> Iterator[Problem]:
    wanted = {(item.id, seed) for item in release.items for seed in contents.about["seeds"]}
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


def _scores(contents: Contents, release: Release) -> Iterator[Problem]:
    places = {(row.item, row.seed) for row in contents.videos}
    found: dict[str, dict[tuple[str, int], dict[int | None, str]]] = {}
    for row in contents.scores:
        if (row.item, row.seed) not in places:
            yield problem("C-EXTRA", f"item {row.item}, seed {row.seed} has no video", SCORES, row.line)
            continue
        statuses = found.setdefault(row.metric, {}).setdefault((row.item, row.seed), {})
        if row.person in statuses:
            yield problem("C-DUPLICATE", f"{_named(row)} is there twice", SCORES, row.line)
        statuses[row.person] = row.status
    sizes = {item.id: len(item.people) for item in release.items}
    for metric, rows in sorted(found.items()):
        yield from _missing_scores(metric, rows, {place: sizes.get(place[0], 0) for place in places})


def _missing_scores(
    metric: str,
    rows: dict[tuple[str, int], dict[int | None, str]],
    places: dict[tuple[str, int], int],
) -> Iterator[Problem]:
    """Ask for a row of every person, or one of the item: where the metric is of items, or nothing was measured."""
    of_people = any(person is not None for statuses in rows.values() for person in statuses)
    for (item, seed), size in sorted(places.items()):
        statuses = rows.get((item, seed), {})
        alone = set(statuses) == {None} and not (of_people and statuses[None] == "ok")
        if not alone and not (of_people and set(statuses) == set(range(size))):
            there = ", ".join("item" if p is None else f"person {p}" for p in statuses) or "nothing"
            what = f"{metric}: of item {item}, seed {seed} with {size} people there is {there}"
            yield problem("C-SCORES", what, SCORES)


def _named(row: ScoreRow) -> str:
    return f"{row.metric} of item {row.item}, seed {row.seed}, person {row.person}"
