"""Drawn footage in which every picture says its number and shows a red "face", and the annotator that reads both."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.manifests.records import FaceTrack

WIDTH, HEIGHT, BITS, BLOCK = 160, 120, 10, 16
SIDE = 32
_TOP = HEIGHT - 24
UNIT = Fraction(1, 90_000)
NTSC, DOUBLE_NTSC, FILM = Fraction(30_000, 1001), Fraction(60_000, 1001), Fraction(24_000, 1001)

Turn = tuple[int, int, int, int]


def draw(number: int, level: int = 90) -> Frame:
    """Draw a picture: its number as ten black or white blocks at the foot, a red square that moves above."""
    frame_HWC = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    for bit in range(BITS):
        frame_HWC[_TOP:, bit * BLOCK : (bit + 1) * BLOCK] = 190 if number >> bit & 1 else 60
    x1, y1, x2, y2 = face_of(number).astype(int)
    frame_HWC[y1:y2, x1:x2] = (200, 40, 40)
    return frame_HWC


def face_of(number: int) -> NDArray[np.float32]:
    """Return the box of the red square of a picture, px."""
    x, y = 4 + abs(number * 3 % 240 - 120), 4 + abs(number * 2 % 112 - 56)
    return np.array([x, y, x + SIDE, y + SIDE], np.float32)


def number_in(frame_HWC: Frame) -> int:
    """Read the number; -1 where a block is neither black nor white, as where two pictures are mixed."""
    height, width = frame_HWC.shape[:2]
    y = round((_TOP + 12) / HEIGHT * height)
    centres = [round((bit + 0.5) * BLOCK / WIDTH * width) for bit in range(BITS)]
    levels = [float(frame_HWC[y - 3 : y + 4, x - 3 : x + 4].mean()) for x in centres]
    if any(95 < level < 155 for level in levels):
        return -1
    return sum(1 << bit for bit, level in enumerate(levels) if level > 125)


def face_in(frame_HWC: Frame) -> NDArray[np.float32]:
    """Return the box of the red square, px; NaN where there is none."""
    red, green, blue = np.moveaxis(frame_HWC.astype(int), 2, 0)
    ys, xs = np.nonzero((red - green > 80) & (red - blue > 80))
    if not len(xs):
        return np.full(4, np.nan, np.float32)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """Nothing to set."""


class Reader:
    """A face tracker whose one face is the red square, and whose score is the picture's number / 1024."""

    name = "reader"

    def __init__(self, config: ReaderConfig = ReaderConfig()) -> None:
        self.config = config

    def track(self, frames: Iterable[Frame]) -> list[FaceTrack]:
        seen = [(number_in(frame), face_in(frame)) for frame in frames]
        xyxy_T4 = np.stack([box for _, box in seen])
        return [
            FaceTrack(
                track=0,
                first=0,
                xyxy_T4=xyxy_T4,
                score_T=np.array([number / 1024 for number, _ in seen], np.float32),
                landmarks_T52=np.full((len(seen), 5, 2), np.nan, np.float32),
                detected_T=np.ones(len(seen), bool),
                embedding_D=np.eye(1, dtype=np.float32)[0],
            )
        ]


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How a file is encoded.

    Attributes:
        unit: Clock of the encoder, s.
        aspect: Width of a stored pixel over its height; the picture is squeezed by it.
        turn: Display matrix a, b, c, d of an MP4; a player that heeds it shows the picture as drawn.
        trc: Transfer characteristics, ITU-T H.273.
        tone_from: A tone is heard from here on, s; None for no sound.
    """

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    mux: Mapping[str, str] = field(default_factory=dict)
    unit: Fraction = UNIT
    aspect: Fraction = Fraction(1)
    turn: Turn = (1, 0, 0, 1)
    full_range: bool = False
    trc: int = 1
    tone_from: Fraction | None = None


def encode(path: Path, times: Sequence[Fraction], coding: Coding = Coding(), scene_at: int = 1 << 20) -> Path:
    """Encode pictures 0, 1, 2, ... at the given times, s; from `scene_at` on before another background."""
    with av.open(str(path), "w", container_options=dict(coding.mux)) as container:
        track = container.add_stream(
            coding.codec, options={"crf": "12", "preset": "veryfast", **coding.options}
        )
        a, b, c, d = coding.turn
        height, width = turned(draw(0), (a, c, b, d)).shape[:2]
        track.width, track.height = round(width / coding.aspect), height
        track.pix_fmt = coding.pix_fmt
        context = track.codec_context
        context.time_base, context.sample_aspect_ratio = coding.unit, coding.aspect
        rate = (len(times) - 1) / (times[-1] - times[0])
        context.framerate = rate.limit_denominator(1001)
        span = 2 if coding.full_range else 1
        context.colorspace, context.color_range, context.color_trc = 1, span, coding.trc
        sound = (
            container.add_stream("aac", rate=48_000, layout="mono") if coding.tone_from is not None else None
        )
        for number, time in enumerate(times):
            stored_HWC = turned(draw(number, 90 if number < scene_at else 190), (a, c, b, d))
            frame = av.VideoFrame.from_ndarray(stored_HWC, "rgb24").reformat(
                track.width, track.height, coding.pix_fmt, dst_colorspace=1, dst_color_range=span
            )
            frame.pts, frame.time_base = round(time / coding.unit), coding.unit
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
        if sound is not None:
            _tone(container, sound, coding.tone_from or Fraction(0), float(times[-1]))
    if coding.turn != (1, 0, 0, 1):
        _set_display_matrix(path, coding.turn)
    return path


def turned(frame_HWC: Frame, turn: Turn) -> Frame:
    """Show a stored picture as a display matrix says: the point (x, y) goes to (a x + c y, b x + d y)."""
    a, b, c, d = turn
    across = bool(b or c)
    shown_HWC = frame_HWC.transpose(1, 0, 2) if across else frame_HWC
    return np.ascontiguousarray(shown_HWC[:: b if across else d, :: c if across else a])


def _set_display_matrix(path: Path, turn: Turn) -> None:
    """Overwrite the display matrix in the (first) track header."""
    data, (a, b, c, d) = bytearray(path.read_bytes()), turn
    at = data.index(b"tkhd") + 44
    data[at : at + 20] = struct.pack(">5i", a << 16, b << 16, 0, c << 16, d << 16)
    path.write_bytes(data)


def _tone(
    container: av.container.OutputContainer, track: av.AudioStream, start: Fraction, end: float
) -> None:
    wave_1S = 0.3 * np.sin(np.arange(round((end - float(start)) * 48_000)) / 20, dtype=np.float32)[None]
    block = av.AudioFrame.from_ndarray(wave_1S, "fltp", "mono")
    block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), round(start * 48_000)
    container.mux([*track.encode(block), *track.encode(None)])
