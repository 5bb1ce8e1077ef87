"""Archives as seekable files: local, fetched whole, or read over HTTP by ranges."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mitds.errors import SourceUnreachable
from mitds.store import storage_errors
from mitds.weights.index import Archive, local_path
from mitds.weights.web import Tick, Web, body, copy, length, redact

if TYPE_CHECKING:
    import requests

MAX_ARCHIVE = 4 << 30
BLOCK = 256 << 10
"""Bytes a range request asks for where the reader wants fewer: small reads in a row cost one request."""


class RangeFile(io.RawIOBase):
    """A remote file of known size, read by HTTP ranges.

    Args:
        url: Address; must answer ranges.
        size: Bytes in all.
        web: How requests are made.
    """

    def __init__(self, url: str, size: int, web: Web) -> None:
        self._url, self._size, self._web, self._at = url, size, web, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sought in."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; nothing is asked for yet."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer by one range request; fewer bytes come only at the end of the file."""
        last = min(self._at + len(buffer), self._size) - 1
        if last < self._at:
            return 0
        with self._web.get(self._url, {"Range": f"bytes={self._at}-{last}"}) as response:
            data = response.content if response.status_code == 206 else b""
        if len(data) != last - self._at + 1:
            raise SourceUnreachable("the server breaks off a range", where=redact(self._url))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@contextmanager
def open_archive(archive: Archive, *, by_range: bool, web: Web, tick: Tick) -> Iterator[IO[bytes]]:
    """Yield an archive as a seekable file; where it comes whole, its hash is checked against the index.

    Args:
        archive: What to open.
        by_range: True to fetch only what is read, where the server can.
        web: How requests are made.
        tick: Told of the bytes of whole downloads.
    """
    if (path := local_path(archive.url)) is not None:
        with _open_local(path) as file:
            _check(file, archive)
            yield file
        return
    with web.get(archive.url, {"Range": "bytes=0-0"} if by_range else None) as response:
        size = _range_size(response)
        if size is None:
            with _whole(response, archive, tick) as file:
                yield file
            return
    with io.BufferedReader(RangeFile(archive.url, size, web), BLOCK) as file:
        yield file


def _range_size(response: requests.Response) -> int | None:
    found = re.fullmatch(r"bytes 0-0/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if response.status_code == 206 and found else None


def _open_local(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceUnreachable(f"cannot be read: {error.strerror}", where=str(path)) from error


@contextmanager
def _whole(response: requests.Response, archive: Archive, tick: Tick) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        with storage_errors(Path(tempfile.gettempdir())):
            copy(body(response), file, limit=MAX_ARCHIVE, total=length(response), tick=tick)
        _check(file, archive)
        yield file


def _check(file: IO[bytes], archive: Archive) -> None:
    file.seek(0)
    if archive.digest is not None:
        algorithm, expected = archive.digest
        found = hashlib.file_digest(file, algorithm).hexdigest()  # type: ignore[arg-type]
        if found != expected:
            what = f"the archive's {algorithm} is {found}, the index states {expected}"
            raise SourceUnreachable(what, where=archive.file)
    file.seek(0)
