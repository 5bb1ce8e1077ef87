"""The layout of a bundle, and opening one from a stranger: a folder or a tar, read in place, never extracted."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mitds.benchmark.submission.problems import Problem, problem

FORMAT = "mitds-submission/1"
ABOUT, VIDEOS, SCORES, ENVIRONMENT = "submission.json", "videos.jsonl", "scores.jsonl", "environment.json"
MANIFEST, SOURCES = "MANIFEST.sha256", "training-sources.txt"
REQUIRED = (ABOUT, VIDEOS, SCORES, ENVIRONMENT, MANIFEST)

MAX_FILES = 20_000
MAX_BUNDLE_BYTES = 256 << 30
MAX_VIDEO_BYTES = 512 << 20
MAX_BYTES = {
    ABOUT: 1 << 20,
    ENVIRONMENT: 1 << 20,
    VIDEOS: 64 << 20,
    SCORES: 64 << 20,
    MANIFEST: 8 << 20,
    SOURCES: 64 << 20,
}

_VIDEO = re.compile(r"videos/[A-Za-z0-9_-]{1,80}\.mp4")
_BLOCK = tarfile.BLOCKSIZE
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"5": "a folder",
    b"6": "a pipe", b"S": "a sparse file", b"x": "an extended header", b"g": "an extended header",
    b"L": "a long name", b"K": "a long link",
}  # fmt: skip


class Refused(Exception):
    """The bundle cannot be trusted far enough to be read; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.what)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's bytes lie: a file of the folder, or a stretch of the tar."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle.

    Attributes:
        path: The folder or the tar.
        places: By name, sorted. Names are those of the format and nothing else.
        id: sha256 of MANIFEST.sha256; "" where there is none.
    """

    path: Path
    places: dict[str, Place]
    id: str = field(default="", compare=False)

    @property
    def videos(self) -> list[str]:
        """Names of the video files."""
        return [name for name in self.places if name.startswith("videos/")]

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of the bundle, its bytes from the file's position on; it may be longer than the member."""
        place = self.places[name]
        with _opened(place.path) as file:
            file.seek(place.offset)
            yield file

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces; all of them, or a `Refused`."""
        left = self.places[name].size
        with self.open(name) as file:
            while left:
                piece = file.read(min(left, 1 << 20))
                if not piece:
                    raise Refused(problem("S-BUNDLE", "the file became shorter while it was read", name))
                left -= len(piece)
                yield piece

    def read(self, name: str) -> bytes:
        """Return a small file's bytes; its size was checked when the bundle was opened."""
        return b"".join(self.chunks(name))

    def digest(self, name: str) -> str:
        """Return the sha256 of a file's bytes."""
        found = hashlib.sha256()
        for piece in self.chunks(name):
            found.update(piece)
        return found.hexdigest()


def open_bundle(path: Path) -> Bundle:
    """Open a bundle.

    Raises:
        Refused: If it is neither folder nor tar, holds anything but plain files with names of the format, holds
            a name twice, or is too large.
    """
    try:
        places = dict(_checked(_walked(path) if path.is_dir() and not path.is_symlink() else _members(path)))
    except OSError as error:
        raise Refused(problem("S-BUNDLE", f"it cannot be read: {error.strerror}")) from error
    bundle = Bundle(path, {name: places[name] for name in sorted(places)})
    return Bundle(path, bundle.places, bundle.digest(MANIFEST)) if MANIFEST in places else bundle


def header(name: str, size: int) -> bytes:
    """Return the one tar header that a file of a bundle has."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _checked(found: Iterator[tuple[str, Place]]) -> Iterator[tuple[str, Place]]:
    seen: set[str] = set()
    total = 0
    for name, place in found:
        limit = MAX_VIDEO_BYTES if _VIDEO.fullmatch(name) else MAX_BYTES.get(name)
        if limit is None:
            raise Refused(problem("S-NAME", f"{name!r} is no file of the format", name))
        if name.casefold() in seen:
            raise Refused(problem("S-DUPLICATE", f"{name!r} is there twice, or differs only by case", name))
        seen.add(name.casefold())
        total += place.size
        if place.size > limit or total > MAX_BUNDLE_BYTES or len(seen) > MAX_FILES:
            raise Refused(
                problem("S-SIZE", f"{len(seen)} files, {total} bytes so far, {place.size} of them here", name)
            )
        yield name, place


# ---- folders


def _walked(folder: Path, prefix: str = "") -> Iterator[tuple[str, Place]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode) and name == "videos":
                yield from _walked(folder / "videos", "videos/")
            elif stat.S_ISREG(about.st_mode) and about.st_nlink == 1:
                yield name, Place(folder / entry.name, 0, about.st_size)
            elif stat.S_ISDIR(about.st_mode):
                raise Refused(problem("S-NAME", f"the format has no folder {name!r}", name))
            else:
                raise Refused(problem("S-FILE", f"{name!r} is a link or no plain file", name))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    # A file that was swapped for a link or a pipe since it was looked at is not followed, nor waited for.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Refused(problem("S-FILE", f"it cannot be opened: {error.strerror}", path.name)) from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(problem("S-FILE", "it is no plain file", path.name))
        yield file


# ---- tars


def _members(path: Path) -> Iterator[tuple[str, Place]]:
    """Yield the members of a tar that `pack` could have written: nothing in it is parsed but names and sizes."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - one call, links followed: the user named it
        raise Refused(problem("S-BUNDLE", "it is neither a folder nor a file"))
    with path.resolve().open("rb") as file:
        end = file.seek(0, io.SEEK_END)
        if end % _BLOCK or end < 2 * _BLOCK:
            raise Refused(problem("S-TAR", f"{end} bytes are no whole number of tar blocks"))
        offset = 0
        while (block := _block(file, offset)) != bytes(_BLOCK):
            name, size = _parsed(block)
            first, offset = offset + _BLOCK, offset + _BLOCK * (1 - (-size // _BLOCK))
            if offset + 2 * _BLOCK > end:
                raise Refused(problem("S-TAR", f"{name!r} of {size} bytes goes beyond the archive", name))
            yield name, Place(path.resolve(), first, size)
        _check_end(file, offset, end)


def _block(file: IO[bytes], offset: int) -> bytes:
    file.seek(offset)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise Refused(problem("S-TAR", "the archive is cut off"))
    return block


def _parsed(block: bytes) -> tuple[str, int]:
    kind = block[156:157]
    try:
        name, size = block[:100].rstrip(b"\0").decode("ascii"), int(block[124:135].decode("ascii"), 8)
        plain = size >= 0 and block == header(name, size)
    except ValueError:  # not ASCII, not octal, or a name that no header can hold
        name, plain, size = block[:100].rstrip(b"\0").decode("latin-1"), False, 0
    if not plain:
        what = _KINDS.get(kind, "not a plain file with plain fields")
        raise Refused(problem("S-TAR", f"the member {name!r} is {what}", name))
    return name, size


def _check_end(file: IO[bytes], offset: int, end: int) -> None:
    rest = end - offset
    if not 2 * _BLOCK <= rest <= tarfile.RECORDSIZE + _BLOCK:
        raise Refused(problem("S-TAR", f"{rest} bytes follow the last member"))
    file.seek(offset)
    if any(file.read(rest)):
        raise Refused(problem("S-TAR", "there is something behind the end of the archive"))
