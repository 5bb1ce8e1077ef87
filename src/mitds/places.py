"""Places: folders and files on this machine, or on object storage (s3://, gs://, memory://, any fsspec URL).

A place on this machine is a plain `pathlib.Path`. One on object storage is a `RemotePath`, which answers as a
path does, so that whoever reads need not know which it is; `Path` stands for both in signatures. What is written
goes through `mitds.store`, which knows the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from mitds.remote import URL, RemotePath


def place(text: str | Path) -> Path:
    """Return the place that a path or URL names; `file://` is this machine.

    Raises:
        UsageError: The URL names no bucket, or is of a kind that cannot be used.
    """
    match = URL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return Path(text)
    if match[1] in ("file", "local"):
        return Path(match[2])
    return cast(Path, RemotePath(match[0]))


def is_remote(path: Path) -> bool:
    """Say whether a place lies on object storage: it then has no name that an encoder or a kernel could open."""
    return isinstance(path, RemotePath)


def remote(path: Path) -> RemotePath:
    """Return a place on object storage as what it is."""
    if not isinstance(path, RemotePath):
        raise TypeError(f"{path} lies on this machine")
    return path


def listing(folder: Path) -> set[str]:
    """Return the names of what lies in a folder, by one listing; a folder that is not there holds nothing."""
    try:
        return {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def matching(pattern: str) -> list[Path]:
    """Return the file of that name, or else the files that a pattern with * ? [ ] fits, in order."""
    path = place(pattern)
    if path.is_file():
        return [path]
    if is_remote(path):
        protocol, _, inside = str(path).partition("://")
        bucket, _, rest = inside.partition("/")
        return [cast(Path, found) for found in RemotePath(f"{protocol}://{bucket}").glob(rest)]
    return sorted(p for p in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if p.is_file())


def read_range(path: Path, offset: int, size: int) -> bytes:
    """Read a stretch of a file, by one request; it comes shorter where the file ends."""
    if is_remote(path):
        return remote(path).read_range(offset, size)
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
