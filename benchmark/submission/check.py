"""The check of a bundle: structure first, then all other groups; no flag turns any part of it into a pass."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mitds.benchmark.release.build import LIST
from mitds.benchmark.submission.bundle import Bundle, Refused, open_bundle
from mitds.benchmark.submission.completeness import asked_for, check_completeness
from mitds.benchmark.submission.integrity import check_files, check_others, check_own, check_real_bytes
from mitds.benchmark.submission.media import Seen, check_media, check_rows, see_again
from mitds.benchmark.submission.places import Places, places_of
from mitds.benchmark.submission.problems import Problem
from mitds.benchmark.submission.rules import check_rules
from mitds.benchmark.submission.structure import Contents, read_contents
from mitds.benchmark.submission.values import Rescore, check_recomputed, check_values
from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import from_json
from mitds.manifests.items import Release

SPOT_ROWS = 32
MOST_PROBLEMS = 1000
"""So many of each kind are listed: nobody reads more, and a flood must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a check found.

    Attributes:
        problems: Everything that is wrong; empty for a bundle that passes. Where its structure is broken nothing
            else is looked at.
        digests: Of the videos of a bundle that passes: sha256 of the bytes, and, where they were decoded, of the
            pictures. Empty for one that does not: it has no claim to any video.
    """

    problems: list[Problem]
    digests: frozenset[str] = frozenset()


def inspect(
    bundle: Path,
    release_path: Path,
    *,
    known: Mapping[str, str] | None = None,
    decode: bool = True,
    workers: int = 1,
    today: datetime.date | None = None,
    rescore: Rescore | None = None,
    salt: str = "",
) -> Inspected:
    """Check a bundle; nothing in it is trusted, extracted or run.

    A host inspects bundles in the order of their arrival, and adds the digests of each that it accepts to `known`:
    then nobody is refused for what comes later or was refused itself.

    Args:
        bundle: The folder or the tar.
        release_path: The release's folder, or its release.json.
        known: Digests of the videos of submissions that were accepted before, and whose they are.
        decode: Decode every video, in isolated processes; without it all the rest is checked, in seconds.
        workers: Processes that decode.
        today: The day dates are held against.
        rescore: Measures videos again: `SPOT_ROWS` rows of each metric of an axis, and as many of all others.
        salt: Public randomness that decides which rows these are.

    Raises:
        UsageError: If there is no release at `release_path`.
        BadShard: If the release is damaged.
        EnvironmentFault: If no process can be started here.
    """
    folder, release = _release(release_path)
    places = places_of(folder)
    try:
        opened = open_bundle(bundle)
        contents, problems = read_contents(opened)
        if contents is None:
            return Inspected(problems)
        problems = _stated(opened, contents, release, places, today or _today())
    except Refused as error:
        return Inspected([error.problem])
    seen: list[Seen] = []
    if decode:
        seen, found = check_media(opened, contents, release, folder, workers)
        problems += found
    problems += check_own(contents, seen, release)
    problems += islice(check_others(contents, seen, known or {}), MOST_PROBLEMS)
    if rescore is not None and not problems:
        problems += check_recomputed(opened, contents, rescore, salt, SPOT_ROWS, places)
    return Inspected(list(dict.fromkeys(problems)), frozenset() if problems else _digests(contents, seen))


def check(
    bundle: Path,
    release_path: Path,
    *,
    other_bundles: Sequence[Path] = (),
    decode: bool = True,
    workers: int = 1,
    today: datetime.date | None = None,
    rescore: Rescore | None = None,
    salt: str = "",
) -> list[Problem]:
    """Check a bundle against submissions that were accepted before it; see `inspect`.

    Args:
        bundle: The folder or the tar.
        release_path: The release's folder, or its release.json.
        other_bundles: Submissions that were accepted before. They are read and, with `decode`, decoded again; one
            that cannot be read was never accepted, and claims nothing. The bundle itself may be among them.
        decode: See `inspect`; also of the others.
        workers: See `inspect`.
        today: See `inspect`.
        rescore: See `inspect`.
        salt: See `inspect`.

    Returns:
        Everything that is wrong; empty for a bundle that passes.
    """
    known: dict[str, str] = {}
    mine = _id(bundle) if other_bundles else ""
    for other in other_bundles:
        id = _id(other)
        if id != mine:
            digests = video_digests(other, release_path, decode=decode, workers=workers)
            known |= dict.fromkeys(digests, f"the submission {id[:16]}")
    return inspect(
        bundle, release_path, known=known, decode=decode, workers=workers, today=today, rescore=rescore, salt=salt
    ).problems  # fmt: skip


def video_digests(
    bundle: Path, release_path: Path, *, decode: bool = True, workers: int = 1
) -> frozenset[str]:
    """Return the digests of the videos of a submission that was accepted before: of bytes, and of pictures.

    Args:
        bundle: The folder or the tar; nothing that it says of its videos is believed.
        release_path: The release's folder, or its release.json.
        decode: Decode the videos; without it only bytes are told apart.
        workers: Processes that decode.
    """
    folder, release = _release(release_path)
    try:
        opened = open_bundle(bundle)
        contents, _ = read_contents(opened)
        if contents is None:
            return frozenset()
        rows = asked_for(opened, contents, release)
        found = frozenset(opened.digest(row.file) for row in rows)
        return found | (see_again(opened, rows, folder, workers) if decode else frozenset())
    except Refused:
        return frozenset()


def _id(bundle: Path) -> str:
    try:
        return open_bundle(bundle).id
    except Refused:
        return ""


def _stated(
    bundle: Bundle, contents: Contents, release: Release, places: Places | None, today: datetime.date
) -> list[Problem]:
    """Return what is wrong as far as it shows without decoding."""
    groups: tuple[Iterable[Problem], ...] = (
        check_completeness(bundle, contents, release, places),
        check_rows(contents, release),
        check_files(bundle, contents, release),
        check_real_bytes(contents, release),
        check_values(contents, release, places),
        check_rules(contents, release, today),
    )
    return [problem for group in groups for problem in islice(group, MOST_PROBLEMS)]


def _digests(contents: Contents, seen: Sequence[Seen]) -> frozenset[str]:
    return frozenset({row.sha256 for row in contents.videos} | {one.pixels for one in seen})


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _release(path: Path) -> tuple[Path, Release]:
    folder = path if path.is_dir() else path.parent
    listed = folder / LIST
    if not listed.is_file():
        raise UsageError(
            "there is no release here", where=str(listed), remedy="Give its folder or release.json."
        )
    try:
        return folder, from_json(Release, listed.read_bytes())
    except BadShard as error:
        raise error.at(str(listed)) from error
