"""The bytes of tar archives, for archives that grow over several runs."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mitds.errors import BadShard

BLOCK = tarfile.BLOCKSIZE
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where bytes lie: a file, and offsets in it."""

    path: Path
    start: int
    end: int


def member_bytes(data: bytes | Path) -> int:
    """Return how many bytes a member takes in an archive, its header and padding included."""
    return BLOCK + _padded(_size(data))


def sample_bytes(members: Mapping[str, bytes | Path]) -> int:
    """Return how many bytes a sample takes in an archive."""
    return sum(member_bytes(data) for data in members.values())


def append_member(file: IO[bytes], name: str, data: bytes | Path) -> None:
    """Write one member; nothing but name and data decides its bytes."""
    info = tarfile.TarInfo(name)  # owner 0, time 0 and mode 0644 are its defaults
    info.size = _size(data)
    file.write(info.tobuf(tarfile.USTAR_FORMAT))
    if not isinstance(data, bytes):
        copy_stretch(Stretch(data, 0, info.size), file)
    else:
        file.write(data)
    file.write(bytes(_padded(info.size) - info.size))


def trailer(end: int) -> bytes:
    """Return what ends an archive whose members end at `end`: two blocks of zeros, filled up to tar's record size."""
    return bytes(2 * BLOCK + -(end + 2 * BLOCK) % tarfile.RECORDSIZE)


def copy_stretch(stretch: Stretch, file: IO[bytes]) -> None:
    """Copy bytes from elsewhere to where a file stands.

    Raises:
        BadShard: There are fewer than expected.
    """
    left = stretch.end - stretch.start
    with stretch.path.open("rb") as source:
        source.seek(stretch.start)
        while left:
            data = source.read(min(left, _COPY_BYTES))
            if not data:
                raise BadShard("the file is shorter than it was", where=str(stretch.path))
            file.write(data)
            left -= len(data)


def read_sample(stretch: Stretch) -> dict[str, bytes]:
    """Read the members of one sample, by extension."""
    members = {}
    with stretch.path.open("rb") as file:
        at = stretch.start
        while at < stretch.end:
            file.seek(at)
            info = tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "strict")
            members[info.name.rpartition(".")[2]] = file.read(info.size)
            at += member_bytes(members[info.name.rpartition(".")[2]])
    return members


def flush(file: IO[bytes]) -> None:
    """Bring a file's bytes onto the disk."""
    file.flush()
    os.fsync(file.fileno())


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
