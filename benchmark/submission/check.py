"""The check of a bundle: structure first, then all other groups; no flag turns any part of it into a pass."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from mitds.benchmark.release.build import LIST
from mitds.benchmark.submission.bundle import Bundle, Refused, open_bundle
from mitds.benchmark.submission.completeness import check_completeness
from mitds.benchmark.submission.integrity import check_files, check_others, check_own, check_real_bytes
from mitds.benchmark.submission.media import Seen, check_media, check_rows
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
    """Check a bundle; nothing in it is trusted, extracted or run.

    Args:
        bundle: The folder or the tar.
        release_path: The release's folder, or its release.json.
        other_bundles: Submissions of others, whose videos may not come back.
        decode: Decode every video, in isolated processes; without it all the rest is checked, in seconds.
        workers: Processes that decode.
        today: The day dates are held against.
        rescore: Measures videos again; `SPOT_ROWS` rows are compared.
        salt: Public randomness that decides which rows these are.

    Returns:
        Everything that is wrong; empty for a bundle that passes. Where its structure is broken nothing else
        is looked at.

    Raises:
        UsageError: If there is no release at `release_path`.
        BadShard: If the release is damaged.
        EnvironmentFault: If no process can be started here.
    """
    folder = release_path if release_path.is_dir() else release_path.parent
    release = _release(folder / LIST)
    try:
        opened = open_bundle(bundle)
        contents, problems = read_contents(opened)
        if contents is None:
            return problems
        problems = _stated(opened, contents, release, today or _today(), other_bundles)
    except Refused as error:
        return [error.problem]
    seen: list[Seen] = []
    if decode:
        seen, found = check_media(opened, contents, release, folder, workers)
        problems += found
    problems += check_own(contents, seen, release)
    if rescore is not None and not problems:
        problems += check_recomputed(opened, contents, rescore, salt, SPOT_ROWS)
    return list(dict.fromkeys(problems))


def _stated(
    bundle: Bundle, contents: Contents, release: Release, today: datetime.date, others: Sequence[Path]
) -> list[Problem]:
    """Return what is wrong as far as it shows without decoding."""
    groups = (
        check_completeness(bundle, contents, release),
        check_rows(contents, release),
        check_files(bundle, contents),
        check_real_bytes(contents, release),
        check_others(bundle, contents, others),
        check_values(contents, release),
        check_rules(contents, release, today),
    )
    return [problem for group in groups for problem in islice(group, MOST_PROBLEMS)]


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _release(path: Path) -> Release:
    if not path.is_file():
        raise UsageError(
            "there is no release here", where=str(path), remedy="Give its folder or release.json."
        )
    try:
        return from_json(Release, path.read_bytes())
    except BadShard as error:
        raise error.at(str(path)) from error
