"""The cache folder: files by sha256, derived files by digest, and locks between processes."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mitds.config import digest
from mitds.errors import StorageFault
from mitds.places import is_remote, place
from mitds.store import atomic_path, safe_name, storage_errors
from mitds.weights.catalog import Weight


def cache_root() -> Path:
    """Return the cache folder of this machine, existing or not: $MITDS_CACHE, else "mitds" in the user's cache folder.

    Where MITDS_CACHE is on object storage, it is the weights' alone, and this folder is beneath it.
    """
    chosen = os.environ.get("MITDS_CACHE")
    if chosen and not is_remote(place(chosen)):
        return place(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mitds"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitds"


def cached_file(weight: Weight) -> Path:
    """Return where the cache keeps a pinned weight, whether it is there or not."""
    return cache_root() / "weights" / str(weight.sha256) / weight.file


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Hold a lock between all processes and threads of this machine; yield its file.

    Args:
        name: What is locked, a plain word.
    """
    path = cache_root() / "locks" / f"{safe_name(name)}.lock"
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


@contextmanager
def stored(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes `path`, in the cache, when the block ends well."""
    with _writable(path), atomic_path(path) as temporary:
        yield temporary


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        with storage_errors(path):
            yield
    except StorageFault as error:
        remedy = "Free space there, or set MITDS_CACHE to a folder that can be written."
        raise StorageFault(error.what, where=error.where, remedy=remedy) from error


def derived(name: str, source_sha: str, version: int, build: Callable[[Path], None]) -> Path:
    """Return an ONNX file made from a weight, building it once for all processes of this machine.

    Args:
        name: What it is ("lr-asd").
        source_sha: sha256 of the weight it is made from.
        version: Number of the exporting code; raise it when the export changes.
        build: Writes the file at the path it is given; called only where the file is not there yet.
    """
    stem = f"{safe_name(name)}-{digest(name, source_sha, version)}"
    path = cache_root() / "derived" / f"{stem}.onnx"
    if path.is_file():
        return path
    with locked(stem):
        if not path.is_file():
            with stored(path) as temporary:
                build(temporary)
    return path
