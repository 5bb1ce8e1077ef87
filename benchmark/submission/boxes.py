"""The boxes of an MP4, read only as far as they decide what a player shows: any two players show the same pictures."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO

MAX_BOXES = 10_000
MAX_MOOV_BYTES = 16 << 20
_ONE = 1 << 16
_IDENTITY = struct.pack(">9i", _ONE, 0, 0, 0, _ONE, 0, 0, 0, 1 << 30)
_ENABLED = 1
Box = tuple[bytes, int, int]
"""Kind, and where its content begins and ends."""


class Odd(Exception):
    """The file could be shown in more than one way; the text says why."""


def check_boxes(file: IO[bytes]) -> None:
    """Look for what makes players differ, or hides something behind the pictures.

    Args:
        file: An MP4.

    Raises:
        Odd: If there is not exactly one `moov`, a track is not enabled, pictures are turned, mirrored or moved by a
            display matrix, or bytes lie outside of boxes.
    """
    end = file.seek(0, io.SEEK_END)
    headers = [box for box in _boxes(file, 0, end) if box[0] == b"moov"]
    if len(headers) != 1:
        raise Odd(f"it has {len(headers)} boxes `moov`, not one")
    _, first, last = headers[0]
    if last - first > MAX_MOOV_BYTES:
        raise Odd(f"its `moov` has {last - first} bytes")
    file.seek(first)
    _check_header(file.read(last - first))


def _boxes(file: IO[bytes], at: int, end: int) -> Iterator[Box]:
    for _ in range(MAX_BOXES):
        if at == end:
            return
        file.seek(at)
        head = file.read(min(16, end - at))
        kind, begin, after = _box(head, at, end)
        yield kind, begin, after
        at = after
    raise Odd(f"it has more than {MAX_BOXES} boxes")


def _box(head: bytes, at: int, end: int) -> Box:
    size, kind = struct.unpack(">I4s", head[:8]) if len(head) >= 8 else (0, b"")
    begin = at + 8
    if size == 1 and len(head) == 16:
        size, begin = struct.unpack(">Q", head[8:])[0], at + 16
    elif size == 0 and kind:
        size = end - at  # the last box may leave its size open
    if begin - at > size or at + size > end or not (kind.isascii() and kind.decode("latin-1").isprintable()):
        raise Odd(f"from byte {at} on there is no box")
    return kind, begin, at + size


def _check_header(moov: bytes) -> None:
    for kind, content in _inside(moov):
        if kind == b"mvhd" and _matrix(content, 36, 48) != _IDENTITY:
            raise Odd("a display matrix turns or moves its pictures")
        if kind == b"trak":
            _check_track(content)


def _check_track(trak: bytes) -> None:
    tracks = [content for kind, content in _inside(trak) if kind == b"tkhd"]
    if len(tracks) != 1 or len(tracks[0]) < 84:
        raise Odd("a track has no header of its own")
    track = tracks[0]
    if not track[3] & _ENABLED:
        raise Odd("a track is disabled")
    if _handler(trak) == b"vide" and _matrix(track, 40, 52) != _IDENTITY:
        raise Odd("a display matrix turns or moves its pictures")


def _handler(trak: bytes) -> bytes:
    media = [content for kind, content in _inside(trak) if kind == b"mdia"]
    return next((c[8:12] for mdia in media for kind, c in _inside(mdia) if kind == b"hdlr"), b"")


def _matrix(content: bytes, at: int, at_long: int) -> bytes:
    """Return a header's matrix, whose place depends on the header's version."""
    begin = at_long if content[:1] == b"\1" else at
    return content[begin : begin + len(_IDENTITY)]


def _inside(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    file = io.BytesIO(content)
    for kind, begin, end in _boxes(file, 0, len(content)):
        yield kind, content[begin:end]
