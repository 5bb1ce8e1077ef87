"""From an entry of the list to bytes on this machine, stored under their sha256."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mitds.errors import SourceUnreachable
from mitds.pipeline.sources.contract import Download, FetchConfig, Fetched, Kind
from mitds.pipeline.sources.lists import Entry
from mitds.pipeline.sources.words import MAX_CHARS, clean, file_name
from mitds.registry import Registry
from mitds.store import publish, scratch_for, sha256_file
from mitds.weights.web import redact

__all__ = ["KINDS", "FetchConfig", "Fetched", "fetch"]

KINDS: Registry[Kind] = Registry(
    "kind of source",
    {
        "": "mitds.pipeline.sources.local:download",
        "file": "mitds.pipeline.sources.local:download",
        "http": "mitds.pipeline.sources.http:download",
        "https": "mitds.pipeline.sources.http:download",
        "pypi": "mitds.pipeline.sources.pypi:download",
        "*": "mitds.pipeline.sources.filesystem:download",
    },
)
"""Kinds by URL scheme: "" is a path, "*" every scheme not named."""


def fetch(entry: Entry, folder: Path, config: FetchConfig = FetchConfig()) -> Fetched:
    """Get the bytes of one source.

    Args:
        entry: A line of the user's list.
        folder: Where fetched files are stored as SHA256.SUFFIX; local files stay where they are.
        config: Limits, patience and politeness.

    Raises:
        SourceUnreachable: The link is dead, refused, too slow or too large; says what the server said.
        MissingDependency: The kind of source needs a package that is not installed.
        StorageFault: The folder cannot be written.
    """
    with scratch_for(folder) as scratch:
        download = _download(entry.url, scratch, config)
        size, sha256 = _measured(download.path, entry.url)
        path = _kept(download, sha256, folder) if download.path.is_relative_to(scratch) else download.path
    return Fetched(
        path=path,
        url=redact(entry.url),
        name=file_name(download.name),
        title=entry.title or clean(download.title or "")[:MAX_CHARS] or None,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds") if download.fetched else None,
        bytes=size,
        sha256=sha256,
        licence=clean(download.licence or "") or None,
        notes=tuple(clean(redact(note)) for note in download.notes),
    )


def _download(url: str, scratch: Path, config: FetchConfig) -> Download:
    try:
        scheme = urlsplit(url).scheme if "://" in url else ""
        kind = KINDS.get(scheme if scheme in KINDS.names() else "*")
        return kind(url, scratch, config)
    except SourceUnreachable as error:
        raise SourceUnreachable(clean(redact(error.what)), where=redact(url), remedy=error.remedy) from error
    except ValueError as error:  # what parsers of addresses and of headers say, at whatever depth
        what = f"the address, or the answer to it, is malformed: {clean(redact(str(error)))}"
        raise SourceUnreachable(what, where=redact(url)) from error


def _measured(path: Path, url: str) -> tuple[int, str]:
    try:
        return path.stat().st_size, sha256_file(path)
    except OSError as error:
        raise SourceUnreachable(f"cannot be read: {error.strerror}", where=redact(url)) from error


def _kept(download: Download, sha256: str, folder: Path) -> Path:
    path = folder / f"{sha256}{_suffix(download)}"
    with download.path.open("rb") as file:
        os.fsync(file.fileno())
    publish(download.path, path)
    return path


def _suffix(download: Download) -> str:
    """Take the suffix, and only it, of a name from outside."""
    for name in (download.name, download.path.name):
        suffix = PurePosixPath(name).suffix.lower()
        if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix):
            return suffix
    return ""
