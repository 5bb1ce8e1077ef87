"""Files that are complete or absent: temporary name, flush, rename."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mitds.config import canonical
from mitds.errors import StorageFault

_STORAGE_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the target is read-only",
    errno.EACCES: "permission is denied",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk does not answer",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into `StorageFault`s that name the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STORAGE_ERRORS:
            raise
        raise StorageFault(
            f"cannot write: {_STORAGE_ERRORS[error.errno]}",
            where=str(path),
            remedy="Free space or choose another --out, then run the same command again.",
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed and renamed over `path`.

    The temporary name keeps the suffix, because encoders choose the container by it.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".tmp-{secrets.token_hex(6)}-{path.name}"[:200] + path.suffix)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_open(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when complete."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once."""
    with atomic_open(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write a record or plain value as canonical JSON with a final newline."""
    write_bytes(path, (canonical(value) + "\n").encode())


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(text: str, limit: int = 80) -> str:
    """Make a name from outside fit to be one path component: word characters and single dashes."""
    name = re.sub(r"[^\w]+", "-", text, flags=re.UNICODE).strip("-_")[:limit]
    return name or "unnamed"
