"""Archives as seekable files: local, fetched whole, or read over HTTP by ranges."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from mitds.errors import SourceUnreachable
from mitds.store import storage_errors
from mitds.weights.index import Archive, local_path
from mitds.weights.web import Tick, Web, body, copy, length, redact, silent

if TYPE_CHECKING:
    import requests

MAX_ARCHIVE = 4 << 30
BLOCK = 64 << 10
"""Bytes asked for at a place nobody announced: small reads in a row then cost one request."""
PIECE = 8 << 20
"""Most bytes asked for at once inside an announced span; this much is held in memory."""


class RangeFile(io.RawIOBase):
    """A remote file of known size, read by HTTP ranges.

    Args:
        url: Address; must answer ranges.
        size: Bytes in all.
        web: How requests are made.
    """

    def __init__(self, url: str, size: int, web: Web) -> None:
        self._url, self._size, self._web, self._at = url, size, web, 0
        self._start, self._held = 0, b""
        self._announced = range(0)

    def announce(self, first: int, end: int) -> None:
        """Say that the bytes from `first` to before `end` will be read, so that they come in large pieces."""
        self._announced = range(first, min(end, self._size))

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
        """Fill the buffer; fewer bytes come only at the end of the file."""
        done = 0
        while done < len(buffer) and self._at < self._size:
            if not self._start <= self._at < self._start + len(self._held):
                self._start, self._held = self._at, self._ask(self._at, len(buffer) - done)
            offset = self._at - self._start
            part = self._held[offset : offset + len(buffer) - done]
            buffer[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def _ask(self, first: int, wanted: int) -> bytes:
        if first in self._announced:
            end = min(first + PIECE, self._announced.stop)
        else:
            end = min(first + max(wanted, BLOCK), self._size)
        piece = io.BytesIO()
        with self._web.get(self._url, {"Range": f"bytes={first}-{end - 1}"}) as response:
            if response.status_code == 206:
                copy(body(response), piece, limit=end - first, total=None, tick=silent)
        if piece.tell() != end - first:
            raise SourceUnreachable("the server does not give the range asked for", where=redact(self._url))
        return piece.getvalue()


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
    with RangeFile(archive.url, size, web) as file:
        yield cast(IO[bytes], file)


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
