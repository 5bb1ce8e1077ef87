"""I: every byte is listed, and every video is its own."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from mitds.benchmark.submission.bundle import MANIFEST, Bundle
from mitds.benchmark.submission.completeness import asked_for
from mitds.benchmark.submission.media import Seen
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, VideoRow
from mitds.manifests.items import Release

_LINE = re.compile(r"([0-9a-f]{64})  ([!-~]{1,200})")


def manifest_text(digests: dict[str, str]) -> bytes:
    """Return the text of MANIFEST.sha256: one line a file, sorted by name, as `sha256sum` writes it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def check_files(bundle: Bundle, contents: Contents, release: Release) -> Iterator[Problem]:
    """Hash every file that is asked for, and compare with what is listed of it; others are refused unread."""
    asked = {row.file for row in asked_for(bundle, contents, release)}
    digests = {
        name: bundle.digest(name)
        for name in bundle.places
        if name in asked or (name != MANIFEST and not name.startswith("videos/"))
    }
    yield from _manifest(bundle, digests)
    for row in contents.videos:
        place = bundle.places.get(row.file)
        if place and row.file in digests and (row.sha256, row.bytes) != (digests[row.file], place.size):
            found = f"{place.size} bytes {digests[row.file][:8]}"
            what = f"the row lists {row.bytes} bytes {row.sha256[:8]}; there are {found}"
            yield problem("I-DIGEST", what, row.file, row.line)


def _manifest(bundle: Bundle, digests: dict[str, str]) -> Iterator[Problem]:
    listed = _listed(bundle)
    if isinstance(listed, Problem):
        yield listed
        return
    there = bundle.places.keys() - {MANIFEST}
    for name in sorted(there - listed.keys()):
        yield problem("I-MANIFEST", "the file is not listed", name)
    for name in sorted(listed.keys() - there):
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


def check_others(contents: Contents, seen: Sequence[Seen], known: Mapping[str, str]) -> Iterator[Problem]:
    """Look for videos of submissions that were accepted before, by bytes and, in another container, by pictures.

    Args:
        contents: What the bundle says; its digests of bytes are compared with the bytes elsewhere.
        seen: What decoding showed.
        known: Digests of bytes and of pictures, and whose they are.
    """
    pixels = {one.row: one.pixels for one in seen}
    for row in contents.videos:
        for digest, what in (
            (row.sha256, "it is a video"),
            (pixels.get(row, ""), "its pictures are those of a video"),
        ):
            if digest in known:
                yield problem("I-OTHER", f"{what} of {known[digest]}", row.file, row.line)
                break
