"""Tar shards in WebDataset form: the same samples give the same bytes, and hostile archives are refused.

A shard holds samples; a sample is a run of members ``KEY.ext`` with one key. Shards are plain (ustar) tar
files that the stock ``webdataset`` library reads.
"""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mitds.errors import BadShard, UsageError
from mitds.places import matching, read_range
from mitds.store import atomic_open
from mitds.tars import BoundedHeaders

MAX_MEMBER_BYTES = 4 << 30
MAX_KEY_LENGTH = 80
_BLOCK = tarfile.BLOCKSIZE
_MEMBER = re.compile(rf"([A-Za-z0-9_-]{{1,{MAX_KEY_LENGTH}}})\.([a-z0-9]{{1,12}})")
_EXECUTABLE = frozenset({"pkl", "pickle", "pyd", "pt", "pth", "joblib"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: its key and the bytes of its members by extension."""

    key: str
    members: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one member's bytes lie inside a shard."""

    key: str
    ext: str
    offset: int
    size: int


class ShardWriter:
    """Write samples into numbered shards; a shard appears under its name only when complete.

    Args:
        pattern: Name of a shard with one integer field, "clips-%06d.tar".
        folder: Where shards go; made if missing.
        max_bytes: A shard is closed before it would grow past this; a larger sample gets its own shard.
        max_samples: A shard is closed when it holds this many samples.

    Leaving the context by an exception drops the open shard; those already closed stay.
    """

    def __init__(
        self, pattern: str, folder: Path, *, max_bytes: int = 1 << 30, max_samples: int = 1000
    ) -> None:
        self.pattern, self._folder = pattern, folder
        self._max_bytes, self._max_samples = max_bytes, max_samples
        self._number = self._bytes = self._samples = 0
        self._seen: set[str] = set()
        self._open = ExitStack()
        self._tar: tarfile.TarFile | None = None
        self.paths: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._close()
        else:
            self._open.__exit__(kind, error, trace)

    def add(self, key: str, members: Mapping[str, bytes | Path]) -> str:
        """Append one sample and return the name of the shard it went to.

        Raises:
            UsageError: If the key or an extension does not fit, or the key was used before.
        """
        for ext in members:
            check_name(f"{key}.{ext}")
        if key in self._seen or not members:
            raise UsageError(f"sample {key!r} is {'there twice' if members else 'empty'}")
        size = sum(_BLOCK + _padded(_size(data)) for data in members.values())
        if self._samples and (self._samples >= self._max_samples or self._bytes + size > self._max_bytes):
            self._close()
        tar = self._tar or self._start()
        for ext, data in sorted(members.items()):
            _write_member(tar, f"{key}.{ext}", data)
        self._seen.add(key)
        self._samples, self._bytes = self._samples + 1, self._bytes + size
        return self._path().name

    def _path(self) -> Path:
        return self._folder / (self.pattern % self._number)

    def _start(self) -> tarfile.TarFile:
        file = self._open.enter_context(atomic_open(self._path()))
        tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._tar = self._open.enter_context(tar)
        return self._tar

    def _close(self) -> None:
        if self._tar is None:
            return
        self._open.close()
        self.paths.append(self._path())
        self._tar, self._number, self._bytes, self._samples = None, self._number + 1, 0, 0


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _write_member(tar: tarfile.TarFile, name: str, data: bytes | Path) -> None:
    info = tarfile.TarInfo(name)  # owner 0, time 0 and mode 0644 are its defaults
    info.size = _size(data)
    if isinstance(data, bytes):
        tar.addfile(info, io.BytesIO(data))
    else:
        with data.open("rb") as file:
            tar.addfile(info, file)


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a member.

    Raises:
        UsageError: Naming it.
    """
    match = _MEMBER.fullmatch(name)
    if not match or match[2] in _EXECUTABLE:
        raise UsageError(
            f"{name!r} cannot be the name of a shard member",
            remedy="Use letters, digits, '_' and '-' for the key and a harmless extension.",
        )


def _entry(info: tarfile.TarInfo, limit: int) -> Entry:
    """Check one header; the message of a ValueError says what is wrong with it."""
    match = _MEMBER.fullmatch(info.name)
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
        raise ValueError(f"member {info.name!r} is not a plain file")
    if not match:
        raise ValueError(f"member name {info.name!r} is not KEY.ext")
    if match[2] in _EXECUTABLE:
        raise ValueError(f"member {info.name!r} could run code when read")
    if not 0 <= info.size <= limit:
        raise ValueError(f"member {info.name!r} has {info.size} bytes, more than the limit of {limit}")
    return Entry(match[1], match[2], info.offset_data, info.size)


def _entries(file: IO[bytes], limit: int) -> Iterator[Entry]:
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:", tarinfo=BoundedHeaders) as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it keeps every header that it has seen
            entry = _entry(info, limit)
            if entry.offset + entry.size > end:
                raise ValueError(f"the archive is cut off inside {info.name!r}")
            yield entry
        file.seek(tar.offset)
        # tarfile takes any damage after the first member for the end: only a block of zeros is the end.
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise ValueError("the archive is cut off or damaged")


def _grouped(file: IO[bytes], limit: int) -> Iterator[tuple[str, list[Entry]]]:
    seen: set[str] = set()
    for key, group in itertools.groupby(_entries(file, limit), key=lambda e: e.key):
        entries = list(group)
        if key in seen or len({e.ext for e in entries}) < len(entries):
            raise ValueError(f"sample {key!r} is there twice")
        seen.add(key)
        yield key, entries


def _bad(path: Path, reason: object) -> BadShard:
    return BadShard(
        f"not a shard that can be trusted: {reason}",
        where=str(path),
        remedy="Write the shard again with mitds, or fetch it anew.",
    )


def read_shard(path: Path, *, max_member_bytes: int = MAX_MEMBER_BYTES) -> Iterator[Sample]:
    """Yield the samples of a shard in order, one in memory at a time.

    Raises:
        BadShard: If the archive is cut off or damaged, holds anything but plain files named ``KEY.ext``,
            repeats a key, or has a member over the size limit or of a kind that could run code.
    """
    with path.open("rb") as file:
        try:
            for key, entries in _grouped(file, max_member_bytes):
                yield Sample(key, {e.ext: _read_at(file, e) for e in entries})
        except (ValueError, tarfile.TarError) as error:
            raise _bad(path, error) from error


def index_shard(path: Path, *, max_member_bytes: int = MAX_MEMBER_BYTES) -> list[Entry]:
    """Return where every member lies, so that stages can pass a path and an offset instead of bytes.

    Raises:
        BadShard: As `read_shard`.
    """
    with path.open("rb") as file:
        try:
            return [entry for _, entries in _grouped(file, max_member_bytes) for entry in entries]
        except (ValueError, tarfile.TarError) as error:
            raise _bad(path, error) from error


def read_member(path: Path, entry: Entry) -> bytes:
    """Read one member's bytes.

    Raises:
        BadShard: If the shard is shorter than it was when it was indexed.
    """
    try:
        return _whole(read_range(path, entry.offset, entry.size), entry)
    except ValueError as error:
        raise _bad(path, error) from error


def _read_at(file: IO[bytes], entry: Entry) -> bytes:
    file.seek(entry.offset)
    return _whole(file.read(entry.size), entry)


def _whole(data: bytes, entry: Entry) -> bytes:
    if len(data) != entry.size:
        raise ValueError(f"the archive is cut off inside '{entry.key}.{entry.ext}'")
    return data


def expand(patterns: Sequence[str]) -> list[Path]:
    """Resolve shard patterns: paths, URLs, globs and braces ("s3://b/clips-{000000..000003}.tar", "{a,b}.tar").

    Returns:
        Each file once: in the order of the patterns, sorted within one.

    Raises:
        UsageError: Naming the pattern that matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        for plain in _braces(pattern):
            paths = matching(plain)
            if not paths:
                raise UsageError(
                    "no shard matches the pattern", where=pattern, remedy="Check the path; quote globs."
                )
            found.update(dict.fromkeys(paths))
    return list(found)


def _braces(pattern: str) -> Iterator[str]:
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        yield pattern
        return
    for choice in _choices(match[1]):
        yield from _braces(pattern[: match.start()] + choice + pattern[match.end() :])


def _choices(body: str) -> list[str]:
    span = re.fullmatch(r"(\d+)\.\.(\d+)", body)
    if not span:
        return body.split(",")
    width = len(span[1]) if span[1].startswith("0") else 0
    return [f"{n:0{width}d}" for n in range(int(span[1]), int(span[2]) + 1)]
