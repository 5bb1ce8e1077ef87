"""Files that are complete or absent, on this machine (temporary name, flush, rename) and on object storage."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mitds.config import canonical
from mitds.errors import StorageFault
from mitds.places import is_remote, remote

_NAME_BYTES = 180
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]", re.IGNORECASE)
"""Names that are devices to Windows."""

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


_CHOOSE_OUT = "Free space or choose another --out, then run the same command again."
_CHOOSE_TMP = "Free space there or set TMPDIR to another folder, then run the same command again."


@contextmanager
def storage_errors(path: Path, remedy: str = _CHOOSE_OUT) -> Iterator[None]:
    """Turn the operating system's refusals to write into `StorageFault`s that name the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STORAGE_ERRORS:
            raise
        raise StorageFault(
            f"cannot write: {_STORAGE_ERRORS[error.errno]}",
            where=str(path),
            remedy=remedy,
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path on this machine; on success it is flushed and takes the place of `path`.

    The temporary lies beside `path`, or in the system's folder for temporary files where `path` is on object
    storage. Its name keeps the suffix, because encoders choose the container by it.
    """
    if is_remote(path):
        with _upload(path) as temporary:
            yield temporary
        return
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
def scratch_for(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder of this machine, for files that are then `publish`ed into `folder`.

    It lies in `folder`, made if missing, or in the system's folder for temporary files where that is on object storage.
    """
    beside = None if is_remote(folder) else folder
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix=".tmp-") as scratch:
            yield Path(scratch)


@contextmanager
def _upload(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mitds-", ignore_cleanup_errors=True) as folder:
        temporary = Path(folder) / f"whole{path.suffix}"
        with storage_errors(temporary, _CHOOSE_TMP):
            yield temporary
        remote(path).upload(temporary)


@contextmanager
def atomic_open(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when complete."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()


@contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """Yield a file of this machine with the bytes of `path`: itself, or a copy for the length of the block."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mitds-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / f"whole{path.suffix}"
        with storage_errors(copy, _CHOOSE_TMP):
            remote(path).download(copy)
        yield copy


def publish(source: Path, target: Path) -> None:
    """Move a finished file to where it belongs; it is there whole or not at all, whatever storage either is on."""
    if is_remote(source) and is_remote(target) and remote(source).protocol == remote(target).protocol:
        remote(source).replace(remote(target))
    elif is_remote(source) or is_remote(target):
        publish_copy(source, target)
        source.unlink()
    else:
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


def publish_copy(source: Path, target: Path) -> None:
    """Copy a finished file to where it belongs; it is there whole or not at all, whatever storage either is on."""
    if is_remote(target):
        with local_file(source) as file:
            remote(target).upload(file)
        return
    with atomic_path(target) as temporary:
        if is_remote(source):
            remote(source).download(temporary)
        else:
            shutil.copyfile(source, temporary)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, if it is there."""
    if is_remote(folder):
        remote(folder).remove_tree()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once."""
    if is_remote(path):
        path.write_bytes(data)
        return
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
    name = name.encode(errors="ignore")[:_NAME_BYTES].decode(errors="ignore")
    return f"{name}-" if _DEVICE.fullmatch(name) else name or "unnamed"
