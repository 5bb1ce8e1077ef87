"""Stretches of a video, sought out by time and checked: the pictures that decoding from the start would give.

Every picture gets a mark, a checksum of its time and of what was decoded. Whoever goes through a video from the start
notes the marks; whoever seeks later compares them. A container that cannot seek exactly, an open group of pictures or
a broken reference shows as marks that differ, and then the decoder starts farther back, in the end at the start.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.error import FFmpegError

from mitds.errors import Undecodable
from mitds.media.pictures import Picture, reading, undecodable
from mitds.media.rgb import Frame, Geometry, ToRgb
from mitds.media.tracks import DecodeLog, Footage

REACHES_S: tuple[int | None, ...] = (1, 30, None)
"""How long before a stretch a decoder starts, s, one after the other; None is the start of the video."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of pictures.

    Attributes:
        start: Seconds of the first picture on the source's clock (PTS).
        frames: How many there are.
        mark: `joined` marks of all of them.
    """

    start: Fraction
    frames: int
    mark: int


class Astray(Exception):
    """Pictures that a decoder gave after seeking are not those of the video."""


def marked_pictures(
    footage: Footage, *, max_side: int | None = None, log: DecodeLog | None = None
) -> Iterator[tuple[Picture, int]]:
    """Decode a video from its start as `pictures` does, and yield each picture with its mark."""
    log = log if log is not None else DecodeLog()
    with reading(footage, 1, log) as (track, frames):
        convert: ToRgb | None = None
        for index, frame in enumerate(frames):
            convert = convert or ToRgb(Geometry.of(frame.raw, track), max_side)
            yield Picture(frame.pts, index, convert(frame.raw)), _mark(frame)
    if not log.decoded:
        raise undecodable(footage, log)


def joined(marks: Iterable[int]) -> int:
    """Return one mark for a run of pictures."""
    mark = 0
    for each in marks:
        mark = zlib.crc32(each.to_bytes(4, "little"), mark)
    return mark


class StretchReader:
    """Reads stretches of one video, each where the one before ended or, at need, from a key frame before it.

    Args:
        footage: The video.

    Raises:
        NotVideo: There is no track of moving pictures.
        Undecodable: There is one, and none of its pictures decodes.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._open = ExitStack()
        self._frames: Iterator[Any] | None = None
        log = DecodeLog()
        with reading(footage, 1, log) as (track, frames):
            first = next(frames, None)
            if first is None:
                raise undecodable(footage, log)
            self._start, self._convert = first.pts, ToRgb(Geometry.of(first.raw, track))

    def __enter__(self) -> StretchReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def tries(self, stretch: Stretch) -> Iterator[Iterator[tuple[Fraction, Frame]]]:
        """Yield the pictures of a stretch, as often as they are asked for, from ever farther back.

        Each iterator gives (seconds from the stretch's start, frame_HWC) and ends with `Astray` where these were
        not the video's pictures; then the next one is to be taken, and what was made of the last thrown away.

        Raises:
            Undecodable: Decoded from the start, the video is not what it was.
        """
        if self._frames is not None:
            yield self._checked(stretch, last=False)
        for reach_s in REACHES_S:
            if reach_s is not None and stretch.start - reach_s <= self._start:
                continue
            self._close()
            with suppress(Astray):
                self._seek(None if reach_s is None else stretch.start - reach_s)
                yield self._checked(stretch, last=reach_s is None)
        raise Undecodable(
            "the video decodes differently each time", where=str(self._footage), remedy="Re-encode it."
        )

    def _close(self) -> None:
        self._open.close()
        self._frames = None

    def _seek(self, near: Fraction | None) -> None:
        try:
            _, self._frames = self._open.enter_context(reading(self._footage, 1, DecodeLog(), near))
        except FFmpegError as error:
            raise Astray from error

    def _checked(self, stretch: Stretch, *, last: bool) -> Iterator[tuple[Fraction, Frame]]:
        """Yield a stretch's pictures; a decode from the start need only be as long, for damage conceals itself anew."""
        frames: Iterator[Any] = self._frames or iter(())
        marks: list[int] = []
        frame = next((frame for frame in frames if frame.pts >= stretch.start), None)
        for _ in range(stretch.frames):
            if frame is None or (not marks and frame.pts != stretch.start):
                raise Astray
            marks.append(_mark(frame))
            yield frame.pts - stretch.start, self._convert(frame.raw)
            frame = next(frames, None) if len(marks) < stretch.frames else None
        if not last and joined(marks) != stretch.mark:
            raise Astray


def _mark(frame: Any) -> int:
    """Return a checksum of a decoded frame's time and planes, without what lies beside the pictures in memory."""
    form, mark = frame.raw.format, zlib.crc32(str(frame.pts).encode())
    bits = 8 * -(-form.components[0].bits // 8) if form.is_planar else form.padded_bits_per_pixel
    for plane in frame.raw.planes:
        stride = abs(plane.line_size)
        rows_HW = np.frombuffer(plane, np.uint8)[: stride * plane.height].reshape(plane.height, stride)
        mark = zlib.crc32(rows_HW[:, : -(-plane.width * bits // 8)].tobytes(), mark)
    return mark
