"""Writing clips: H.264 and AAC in MP4, times kept, the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from mitds.store import atomic_path

TIME_BASE = Fraction(1, 90_000)
"""Exact for 10, 12, 15, 20, 24, 25, 30, 50, 60 and 30000/1001 pictures a second."""

_KEY_FRAME_EVERY = 50
_AAC_BLOCK = 1024
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


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
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        with av.open(str(temporary), "w", format="mp4", container_options=options) as container:
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
        self._voice = _SoundTrack(sound) if sound is not None else None

    def write(self, frames: Iterable[tuple[Fraction, Frame]], end: Fraction | None) -> int:
        count = 0
        for ticks, shown, frame_HWC in _with_durations(frames, self._unit, end):
            if self._picture_track is None:
                self._start(frame_HWC)
            self._check_size(frame_HWC)
            self._picture(ticks, shown, frame_HWC)
            if self._voice is not None:
                self._container.mux(self._voice.until((ticks + shown) * self._unit))
            count += 1
        if not count:
            raise UsageError("there are no frames to write", remedy="Give at least one.")
        self._finish()
        return count

    def _start(self, frame_HWC: Frame) -> None:
        """Add both tracks before the first packet, as the header lists them."""
        track = self._container.add_stream("libx264", options=self._x264)
        height, width = frame_HWC.shape[:2]
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

    def _picture(self, ticks: int, shown: int, frame_HWC: Frame) -> None:
        frame = self._pack.reformat(
            av.VideoFrame.from_ndarray(_even(frame_HWC), "rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
            threads=1,
        )
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


class _SoundTrack:
    """Encodes sound piece by piece, so that it lies beside the pictures it belongs to."""

    def __init__(self, sound: Sound) -> None:
        if sound.rate not in _AAC_RATES:
            raise UsageError(
                f"AAC has no rate of {sound.rate} Hz", remedy=f"Resample to one of {_AAC_RATES}."
            )
        # Speech sits in the centre of surround sound: never in its first two channels alone.
        several = sound.wave_CS.shape[0] > 2
        wave_CS = sound.wave_CS.mean(axis=0, dtype=np.float32, keepdims=True) if several else sound.wave_CS
        self._sound = Sound(wave_CS, sound.rate, sound.start)
        self._done = 0
        self._due = 0
        self._track: Any = None

    def attach(self, container: Any) -> None:
        self._layout = "mono" if self._sound.wave_CS.shape[0] == 1 else "stereo"
        self._track = container.add_stream(
            "aac", rate=self._sound.rate, layout=self._layout, options={"flags": "+bitexact", "threads": "1"}
        )

    def until(self, time: Fraction) -> Iterator[Any]:
        """Yield the packets of all whole blocks before `time`."""
        self._due = round(time * self._sound.rate)
        while self._due - self._done >= _AAC_BLOCK:
            yield from self._block(_AAC_BLOCK)

    def rest(self) -> Iterator[Any]:
        """Yield what is left, up to the last time asked for."""
        if self._due > self._done:
            yield from self._block(self._due - self._done)
        yield from self._track.encode(None)

    def _block(self, samples: int) -> list[Any]:
        rate = self._sound.rate
        start = Fraction(self._done, rate)
        block_CS = self._sound.part(start, start + Fraction(samples, rate)).wave_CS
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block_CS), format="fltp", layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), self._done
        self._done += samples
        return list(self._track.encode(frame))


def _with_durations(
    frames: Iterable[tuple[Fraction, Frame]], unit: Fraction, end: Fraction | None
) -> Iterator[tuple[int, int, Frame]]:
    """Yield (ticks, ticks shown, frame_HWC), one frame behind."""
    held: tuple[int, Frame] | None = None
    shown = round(Fraction(1, 25) / unit)
    for time, frame_HWC in frames:
        ticks = round(time / unit)
        if (held is None and ticks) or (held is not None and ticks <= held[0]):
            raise UsageError(
                f"frame times must rise from 0, got {float(time):.6f} s", remedy="Sort and shift them."
            )
        if held is not None:
            shown = ticks - held[0]
            yield held[0], shown, held[1]
        held = ticks, frame_HWC
    if held is not None:
        yield held[0], max(1, round(end / unit) - held[0]) if end is not None else shown, held[1]


def _even(frame_HWC: Frame) -> Frame:
    height, width = frame_HWC.shape[:2]
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    return np.ascontiguousarray(np.pad(frame_HWC, padding, mode="edge"))
