"""Writing clips: H.264 and AAC in MP4, times kept, the same bytes for the same input."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from mitds.errors import UsageError
from mitds.media.rgb import Frame
from mitds.media.sound import Sound
from mitds.media.sound_track import SoundTrack
from mitds.store import atomic_path

TIME_BASE = Fraction(1, 90_000)
"""Exact for 10, 12, 15, 20, 24, 25, 30, 50, 60 and 30000/1001 pictures a second."""

_KEY_FRAME_EVERY = 50
_LARGE_PIXELS = 16_000_000
"""From here on x264 searches whole pixels only: the planes between them would take 200 MB at 8K."""


def write_video(
    path: Path,
    frames: Iterable[tuple[Fraction, Frame]],
    *,
    end: Fraction | None = None,
    sound: Sound | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    time_base: Fraction = TIME_BASE,
) -> int:
    """Write an MP4 (H.264 yuv420p BT.709, AAC, index in front); it appears only when complete.

    Times come back as they were given wherever they are multiples of `time_base`, else rounded to it
    (by at most 5.6 us at the default). No picture is reordered, so that readers which ignore edit lists
    see the same times. Odd sizes get one more column or row, a copy of the last: coordinates stay valid.

    Args:
        path: The file to write, .mp4.
        frames: (seconds, frame_HWC) with strictly rising times from 0, all of one size.
        end: When the last picture stops being shown; None repeats the last interval.
        sound: On the same clock, mono or stereo (more channels become their mean). What lies before 0 or
            after the pictures' end is cut, and a late start is filled with silence.
        crf: x264's constant rate factor, 0..51.
        preset: x264's preset.
        time_base: Unit that times are multiples of, s.

    Returns:
        The number of pictures written.

    Raises:
        UsageError: No frames, times that do not rise from 0, or frames of several sizes.
    """
    with atomic_path(path) as temporary:
        return _encode(temporary, frames, end, sound, crf, preset, time_base)


def video_bytes(
    frames: Iterable[tuple[Fraction, Frame]],
    *,
    end: Fraction | None = None,
    sound: Sound | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    time_base: Fraction = TIME_BASE,
) -> bytes:
    """Return the bytes that `write_video` would write; where the system has files in memory, no disk is touched."""
    with _scratch() as path:
        _encode(path, frames, end, sound, crf, preset, time_base)
        return path.read_bytes()


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a file to write to and read back; it has a name, for moving the index to the front opens it anew."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("mitds")
        try:
            yield Path(f"/proc/self/fd/{file}")
        finally:
            os.close(file)
    else:
        with tempfile.TemporaryDirectory(prefix="mitds-") as folder:
            yield Path(folder) / "video.mp4"


def _encode(
    path: Path,
    frames: Iterable[tuple[Fraction, Frame]],
    end: Fraction | None,
    sound: Sound | None,
    crf: int,
    preset: str,
    time_base: Fraction,
) -> int:
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", container_options=options) as container:
        return _Writer(container, sound, crf, preset, time_base).write(frames, end)


class _Writer:
    def __init__(self, container: Any, sound: Sound | None, crf: int, preset: str, unit: Fraction) -> None:
        self._container, self._unit = container, unit
        self._x264 = {
            **{"crf": str(crf), "preset": preset, "bf": "0", "g": str(_KEY_FRAME_EVERY)},
            **{"threads": "1", "flags": "+bitexact"},
            # Where the size is no multiple of 16, x264's macroblock tree reads memory that nobody has set,
            # and a few runs in a hundred would differ in the last block.
            "x264-params": "mbtree=0",
        }
        self._picture_track: Any = None
        self._pack = VideoReformatter()
        self._shown: dict[int, int] = {}
        self._voice = SoundTrack(sound) if sound is not None else None

    def write(self, frames: Iterable[tuple[Fraction, Frame]], end: Fraction | None) -> int:
        count = 0
        for ticks, shown, frame in _with_durations(self._packed(frames), self._unit, end):
            self._picture(ticks, shown, frame)
            if self._voice is not None:
                self._container.mux(self._voice.until((ticks + shown) * self._unit))
            count += 1
        if not count:
            raise UsageError("there are no frames to write", remedy="Give at least one.")
        self._finish()
        return count

    def _packed(self, frames: Iterable[tuple[Fraction, Frame]]) -> Iterator[tuple[Fraction, Any]]:
        """Turn arrays into pictures for the encoder, half their size: one of 8K waits for its duration."""
        for time, frame_HWC in frames:
            if self._picture_track is None:
                self._start(frame_HWC)
            self._check_size(frame_HWC)
            frame = self._pack.reformat(
                av.VideoFrame.from_ndarray(_even(frame_HWC), "rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
                threads=1,
            )
            del frame_HWC
            yield time, frame

    def _start(self, frame_HWC: Frame) -> None:
        """Add both tracks before the first packet, as the header lists them."""
        height, width = frame_HWC.shape[:2]
        if height * width > _LARGE_PIXELS:
            self._x264["x264-params"] += ":subme=0"
        track = self._container.add_stream("libx264", options=self._x264)
        track.width, track.height, track.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = track.codec_context
        context.time_base = self._unit
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._picture_track = track
        if self._voice is not None:
            self._voice.attach(self._container)

    def _check_size(self, frame_HWC: Frame) -> None:
        height, width = frame_HWC.shape[:2]
        if (width + width % 2, height + height % 2) != (
            self._picture_track.width,
            self._picture_track.height,
        ):
            raise UsageError(
                f"a frame of {width}x{height} differs from the first", remedy="Give frames of one size."
            )

    def _picture(self, ticks: int, shown: int, frame: Any) -> None:
        frame.pts, frame.time_base, frame.pict_type = ticks, self._unit, 0
        self._shown[ticks] = shown
        self._mux(self._picture_track.encode(frame))

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.duration = self._shown.pop(packet.pts)
            self._container.mux(packet)

    def _finish(self) -> None:
        self._mux(self._picture_track.encode(None))
        if self._voice is not None:
            self._container.mux(self._voice.rest())


def _with_durations(
    frames: Iterable[tuple[Fraction, Any]], unit: Fraction, end: Fraction | None
) -> Iterator[tuple[int, int, Any]]:
    """Yield (ticks, ticks shown, frame), one frame behind."""
    held: tuple[int, Any] | None = None
    shown = round(Fraction(1, 25) / unit)
    for time, frame in frames:
        ticks = round(time / unit)
        if (held is None and ticks) or (held is not None and ticks <= held[0]):
            raise UsageError(
                f"frame times must rise from 0, got {float(time):.6f} s", remedy="Sort and shift them."
            )
        if held is not None:
            shown = ticks - held[0]
            yield held[0], shown, held[1]
        held = ticks, frame
    if held is not None:
        yield held[0], max(1, round(end / unit) - held[0]) if end is not None else shown, held[1]


def _even(frame_HWC: Frame) -> Frame:
    height, width = frame_HWC.shape[:2]
    if not (height % 2 or width % 2):
        return np.ascontiguousarray(frame_HWC)
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    return np.ascontiguousarray(np.pad(frame_HWC, padding, mode="edge"))
