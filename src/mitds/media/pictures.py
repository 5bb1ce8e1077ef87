"""Pictures of a file in presentation order, each with its time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mitds.errors import Undecodable
from mitds.media.rgb import Frame, Geometry, ToRgb, progressive, tone
from mitds.media.tracks import (
    DecodeLog,
    Footage,
    counts_pictures,
    decoded,
    interval_of,
    opened,
    unit_of,
    untimed_start,
    video_track,
    with_threads,
)
from mitds.time import Grid

_SEEK_BEYOND_S = 4
_SEEK_MARGIN_S = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: seconds on the source's clock, presentation index from 0, and frame_HWC."""

    pts: Fraction
    index: int
    frame_HWC: Frame


@dataclass(frozen=True, slots=True)
class _Timed:
    pts: Fraction
    raw: Any


class _Clock:
    """Gives every frame a time that lies after the one before it, or drops it."""

    def __init__(self, footage: Footage, track: Any, log: DecodeLog) -> None:
        self._footage, self._codec = footage, track.codec_context
        self._interval = interval_of(track)
        self._unit = unit_of(track)  # of decoding times, which filters leave alone
        self._start = (track.start_time or 0) * self._unit
        self._delay: Fraction | None = None
        self._log = log
        self._last: Fraction | None = None

    def time(self, frame: Any) -> Fraction | None:
        pts = self._own(frame)
        if pts is None:
            self._log.repaired_pts += 1
            pts = self._guess(frame)
        if self._last is not None and pts <= self._last:
            self._log.dropped += 1
            return None
        self._last = pts
        self._log.end = pts + (frame.duration * unit_of(frame) or self._interval)
        return pts

    def _own(self, frame: Any) -> Fraction | None:
        if self._log.counted:
            return self._counted(frame)
        return None if frame.pts is None else int(frame.pts) * unit_of(frame)

    def _counted(self, frame: Any) -> Fraction | None:
        """Return the time of a frame from that of the packet after which it came out of the decoder."""
        if frame.dts is None:  # it came out when there were no more packets
            return None if self._last is None else self._last + self._interval
        out = int(frame.dts) * self._unit
        if self._delay is None:
            reordered = self._codec.has_b_frames  # else what is missing before the first frame is damage
            self._delay = out - self._start if reordered else Fraction(0)
        return out - self._delay

    def _guess(self, frame: Any) -> Fraction:
        decoding = None if frame.dts is None else int(frame.dts) * self._unit
        if decoding is not None and (self._last is None or decoding > self._last):
            return decoding
        if self._last is None:
            return untimed_start(self._footage, self._interval)
        return self._last + self._interval


def _timed(footage: Footage, container: Any, track: Any, log: DecodeLog) -> Generator[_Timed, None, None]:
    log.counted = counts_pictures(container)
    clock = _Clock(footage, track, log)
    for frame in progressive(decoded(container, track, log)):
        pts = clock.time(frame)
        if pts is not None:
            log.decoded += 1
            log.concealed += frame.is_corrupt
            yield _Timed(pts, frame)


@contextmanager
def reading(
    footage: Footage, threads: int, log: DecodeLog, near: Fraction | None = None
) -> Iterator[tuple[Any, Iterator[_Timed]]]:
    """Yield the track and its timed frames, from the start, or from a key frame before `near` if times are stated."""
    with opened(footage) as container:
        track = with_threads(video_track(container, footage), threads)
        log.tone = tone(track)
        if near is not None and not counts_pictures(container):
            container.seek(int(near / unit_of(track)), stream=track, backward=True)
        with closing(_timed(footage, container, track, log)) as frames:
            yield track, frames


def pictures(
    footage: Footage, *, max_side: int | None = None, log: DecodeLog | None = None, threads: int = 1
) -> Iterator[Picture]:
    """Decode a video's pictures in presentation order, one at a time.

    Args:
        footage: The video.
        max_side: Scale down, while converting, so that the longer side is at most this, px.
        log: Where counts of damage go, if they are wanted.
        threads: Decoder threads. More than one may conceal damage differently.

    Yields:
        Pictures with strictly rising times: RGB, upright, square pixels, progressive.

    Raises:
        NotVideo: There is no track of moving pictures.
        Undecodable: There is one, and none of its pictures decodes.
    """
    log = log if log is not None else DecodeLog()
    with reading(footage, threads, log) as (track, frames):
        convert: ToRgb | None = None
        for index, frame in enumerate(frames):
            convert = convert or ToRgb(Geometry.of(frame.raw, track), max_side)
            yield Picture(frame.pts, index, convert(frame.raw))
    if not log.decoded:
        raise undecodable(footage, log)


def undecodable(footage: Footage, log: DecodeLog) -> Undecodable:
    """Build the error for a track that gives no picture."""
    return Undecodable(
        f"the file has a picture track, but no picture decodes ({log.broken} broken packets)",
        where=str(footage),
        remedy="Fetch it again, or re-encode it.",
    )


def grid_frames(
    footage: Footage, grid: Grid, *, max_side: int | None = None, threads: int = 1
) -> Iterator[Frame]:
    """Yield exactly `grid.count` frames: for each grid time the nearest picture, the earlier one on a tie.

    Before the first and after the last picture the nearest one repeats. Only pictures that are shown are
    converted; far into a file the decoder starts at a key frame before `grid.start`.

    Raises:
        NotVideo: There is no track of moving pictures.
        Undecodable: There is one, and none of its pictures decodes.
    """
    near = grid.start - _SEEK_MARGIN_S
    if near > _SEEK_BEYOND_S and _reachable(footage, near, grid.start, threads):
        yield from _nearest(footage, grid, max_side, threads, near)
    else:
        yield from _nearest(footage, grid, max_side, threads, None)


def _reachable(footage: Footage, near: Fraction, start: Fraction, threads: int) -> bool:
    """Tell whether seeking leads to a picture that carries its own time and lies before `start`."""
    log = DecodeLog()
    with reading(footage, threads, log, near) as (_, frames):
        first = next(frames, None)
    return not log.counted and first is not None and not log.repaired_pts and first.pts <= start


def _nearest(
    footage: Footage, grid: Grid, max_side: int | None, threads: int, near: Fraction | None
) -> Iterator[Frame]:
    log = DecodeLog()
    with reading(footage, threads, log, near) as (track, frames):
        before = next(frames, None)
        if before is None:
            raise undecodable(footage, log)
        convert = ToRgb(Geometry.of(before.raw, track), max_side)
        after, shown = next(frames, None), before
        frame_HWC = convert(before.raw)
        for time in (grid.at(k) for k in range(grid.count)):
            while after is not None and after.pts - time < time - before.pts:
                before, after = after, next(frames, None)
            if before is not shown:
                shown, frame_HWC = before, convert(before.raw)
            yield frame_HWC
