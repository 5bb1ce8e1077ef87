"""I: every byte is listed, and every video is its own."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from mitds.benchmark.submission.bundle import MANIFEST, VIDEOS, Bundle, Refused, open_bundle
from mitds.benchmark.submission.media import Seen
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, VideoRow
from mitds.manifests.items import Release

_LINE = re.compile(r"([0-9a-f]{64})  ([!-~]{1,200})")


def manifest_text(digests: dict[str, str]) -> bytes:
    """Return the text of MANIFEST.sha256: one line a file, sorted by name, as `sha256sum` writes it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def check_files(bundle: Bundle, contents: Contents) -> Iterator[Problem]:
    """Hash every file, and compare with what is listed of it."""
    digests = {name: bundle.digest(name) for name in bundle.places if name != MANIFEST}
    yield from _manifest(bundle, digests)
    for row in contents.videos:
        place = bundle.places.get(row.file)
        if place and (row.sha256, row.bytes) != (digests[row.file], place.size):
            found = f"{place.size} bytes {digests[row.file][:8]}"
            what = f"the row lists {row.bytes} bytes {row.sha256[:8]}; there are {found}"
            yield problem("I-DIGEST", what, row.file, row.line)


def _manifest(bundle: Bundle, digests: dict[str, str]) -> Iterator[Problem]:
    listed = _listed(bundle)
    if isinstance(listed, Problem):
        yield listed
        return
    for name in sorted(digests.keys() - listed.keys()):
        yield problem("I-MANIFEST", "the file is not listed", name)
    for name in sorted(listed.keys() - digests.keys()):
        yield problem("I-MANIFEST", "the file is listed and not there", name)
    for name in sorted(digests.keys() & listed.keys()):
        if digests[name] != listed[name]:
            yield problem("I-DIGEST", f"listed {listed[name][:8]}, found {digests[name][:8]}", name)


def _listed(bundle: Bundle) -> dict[str, str] | Problem:
    text = bundle.read(MANIFEST).decode("latin-1")
    listed: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        match = _LINE.fullmatch(line)
        if not match or match[2] in listed:
            return problem(
                "I-MANIFEST", f"the line {line[:120]!r} is malformed or repeats a name", MANIFEST, number
            )
        listed[match[2]] = match[1]
    return listed


def check_own(contents: Contents, seen: Sequence[Seen], release: Release) -> Iterator[Problem]:
    """Look for one video under two names: by its bytes, and by its pictures where they were decoded."""
    free = contents.about["deterministic"]
    by_bytes = [(row, row.sha256) for row in contents.videos]
    by_pixels = [(one.row, one.pixels) for one in seen]
    told: set[tuple[int, int]] = set()
    for row, first in (*_repeats(by_bytes), *_repeats(by_pixels)):
        if (row.line, first.line) in told or (row.item == first.item and free):
            continue
        told.add((row.line, first.line))
        code = "I-SEEDS" if row.item == first.item else "I-SHARED"
        yield problem(code, f"it is the same video as {first.file}", row.file, row.line)
    yield from _other_items(seen, release)


def _repeats(keyed: Iterable[tuple[VideoRow, Hashable]]) -> Iterator[tuple[VideoRow, VideoRow]]:
    first: dict[Hashable, VideoRow] = {}
    for row, key in keyed:
        if first.setdefault(key, row) is not row:
            yield row, first[key]


def _other_items(seen: Sequence[Seen], release: Release) -> Iterator[Problem]:
    real = {item.pixels: item.id for item in release.items}
    for one in seen:
        if real.get(one.pixels, one.row.item) != one.row.item:
            what = f"its pictures are the real footage of item {real[one.pixels]}"
            yield problem("I-ITEM", what, one.row.file, one.row.line)


def check_real_bytes(contents: Contents, release: Release) -> Iterator[Problem]:
    """Look for the release's own files among the videos, without decoding."""
    real = {item.files["mp4"]: item.id for item in release.items}
    for row in contents.videos:
        if row.sha256 in real:
            code = "I-REFERENCE" if real[row.sha256] == row.item else "I-ITEM"
            yield problem(code, f"it is the file of item {real[row.sha256]}", row.file, row.line)


def check_others(bundle: Bundle, contents: Contents, others: Sequence[Path]) -> Iterator[Problem]:
    """Look for videos of other bundles, by the digests that those list (a host checked them on arrival)."""
    for path in others:
        try:
            other = open_bundle(path)
            listed = _listed(other) if other.id and other.id != bundle.id else {}
        except Refused:
            continue  # a bundle that is refused has no claim to its videos
        taken = (
            {d: n for n, d in listed.items() if n.startswith("videos/")} if isinstance(listed, dict) else {}
        )
        for row in contents.videos:
            if row.sha256 in taken:
                what = f"it is {taken[row.sha256]} of the submission {other.id[:16]}"
                yield problem("I-OTHER", what, VIDEOS, row.line)
