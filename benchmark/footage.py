"""Videos as metrics see them: every frame decoded once, in presentation order, with a digest of the content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mitds.errors import InputFault, NotVideo, Undecodable
from mitds.manifests.records import Array
from mitds.time import CLIP_FPS

Frames = NDArray[np.uint8]

MAX_BYTES = 8 << 30
"""Largest decoded video that is held in memory."""
_CONTAINERS = (
    ("mov", 4, b"ftyp"),
    ("mov", 4, b"moov"),
    ("mov", 4, b"mdat"),
    ("mov", 4, b"wide"),
    ("matroska", 0, b"\x1aE\xdf\xa3"),
    ("avi", 0, b"RIFF"),
)
"""Demuxer, and where which bytes tell it."""
_ASKED = "Generate every frame of the item, at its size, at 25 fps."
_CLOCK = Fraction(1, 500)
"""Largest distance of a frame from its place on the grid, s: containers round times to milliseconds."""


class WrongShape(InputFault):
    """A video has another frame count, frame rate or size than was asked for."""

    code = "wrong_shape"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a video must be: T frames of W x H px at 25 fps."""

    frames: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.width}x{self.height}"


@dataclass
class Footage:
    """A decoded video.

    Attributes:
        frames_THWC: uint8 RGB, read-only.
        wave_S: Its sound, 16 kHz mono, -1..1; None where it has none or none was asked for.
        seen: What judges saw of it, by judge (see `judges.cache`).
    """

    frames_THWC: Frames
    wave_S: Array | None = None
    seen: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.frames_THWC.setflags(write=False)

    @cached_property
    def digest(self) -> str:
        """Digest of shape and pixels: equal for the same content in any container."""
        content = hashlib.sha256(repr(self.frames_THWC.shape).encode())
        content.update(np.ascontiguousarray(self.frames_THWC).data)
        return content.hexdigest()[:32]

    def sample(self, every: int) -> NDArray[np.int64]:
        """Return one frame of each `every` frames, drawn by the content: nobody can foresee which ones are looked at.

        An output whose other frames are worse than these would have to be made anew until the draw fits, for every
        stretch of it at once.
        """
        count = len(self.frames_THWC)
        return np.array(
            [start + self._draw(start, min(every, count - start)) for start in range(0, count, every)],
            np.int64,
        )

    def _draw(self, start: int, among: int) -> int:
        return int(hashlib.sha256(f"{self.digest}/{start}".encode()).hexdigest()[:8], 16) % among

    @property
    def shape(self) -> Shape:
        """Frames, width and height."""
        frames, height, width, _ = self.frames_THWC.shape
        return Shape(frames, width, height)


def read_footage(source: Path | bytes, wanted: Shape | None = None) -> Footage:
    """Decode a video's pictures, all of them, in presentation order.

    Args:
        source: A file, or the bytes of one.
        wanted: What it must be. One more column or row is allowed and cut off, as encoders need even sides.

    Raises:
        NotVideo: If there is no picture track.
        Undecodable: If decoding breaks.
        WrongShape: If it is not as `wanted`, or larger than can be held.
    """
    where = source.name if isinstance(source, Path) else ""
    limit = (
        MAX_BYTES if wanted is None else (wanted.frames + 1) * (wanted.width + 1) * (wanted.height + 1) * 3
    )
    try:
        times, frames = _decode(source, limit, None if wanted is None else wanted.frames)
    except InputFault as error:
        raise error.at(where) from error
    if not frames:
        raise Undecodable("not one picture decodes", where=where, remedy="Encode it anew.")
    if wanted is not None:
        _check_clock(times, where)
        frames = (
            [frame[: wanted.height, : wanted.width] for frame in frames] if _fits(frames, wanted) else frames
        )
    footage = Footage(np.stack(frames))
    if wanted is not None and footage.shape != wanted:
        raise WrongShape(
            f"{footage.shape} where {wanted} were asked for",
            where=where,
            remedy=_ASKED,
        )
    return footage


def _fits(frames: list[Frames], wanted: Shape) -> bool:
    even = (wanted.height + wanted.height % 2, wanted.width + wanted.width % 2)
    return all(frame.shape[:2] in (even, (wanted.height, wanted.width)) for frame in frames)


def _check_clock(times: list[Fraction], where: str) -> None:
    late = [k for k, time in enumerate(times) if abs(time - times[0] - Fraction(k) / CLIP_FPS) > _CLOCK]
    if late:
        shown, due = float(times[late[0]] - times[0]), float(late[0] / CLIP_FPS)
        raise WrongShape(
            f"frame {late[0]} is shown at {shown:.3f} s, not at {due:.3f} s",
            where=where,
            remedy="Write 25 frames a second, each shown for 1/25 s.",
        )


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Any]:
    """Open a video by what its first bytes are: no playlist, and nothing that makes the decoder open other files."""
    import av

    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        demuxer = next(
            (name for name, place, magic in _CONTAINERS if _at(file, place, len(magic)) == magic), None
        )
        if demuxer is None:
            raise NotVideo("it is no mp4, mov, mkv, webm or avi file", remedy="Encode it as H.264 in mp4.")
        file.seek(0)
        with av.open(file, "r", format=demuxer, options={"protocol_whitelist": "none"}) as container:
            yield container


def _at(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _decode(source: Path | bytes, limit: int, most: int | None = None) -> tuple[list[Fraction], list[Frames]]:
    """Decode pictures until they are more than `most`, or hold more than `limit` bytes as they are kept."""
    import av

    from mitds.media.rgb import Geometry, ToRgb

    times: list[Fraction] = []
    frames: list[Frames] = []
    held = 0
    try:
        with _opened(source) as container:
            if not container.streams.video:
                raise NotVideo("there is no picture track", remedy="Give an mp4 with pictures.")
            stream = container.streams.video[0]
            stream.thread_type, stream.thread_count = "NONE", 1
            convert: Callable[[Any], Frames] | None = None
            stored, size = (0, 0), 0
            for frame in container.decode(stream):
                if convert is None:
                    geometry = Geometry.of(frame, stream)
                    convert, stored = ToRgb(geometry), (frame.width, frame.height)
                    # A stored picture may be smaller than the one made of it: both must fit.
                    size = 3 * max(geometry.width, frame.width) * frame.height
                if (frame.width, frame.height) != stored:
                    raise WrongShape("pictures change size", remedy="Encode it at one size.")
                held += size
                if held > limit or len(frames) == most:
                    raise WrongShape("more or larger pictures than expected", remedy=_ASKED)
                frames.append(convert(frame))
                times.append(Fraction(frame.pts or 0) * (frame.time_base or Fraction(1, 90_000)))
    except (av.error.FFmpegError, ValueError) as error:
        raise Undecodable(f"decoding breaks: {error}", remedy="Encode it anew, as H.264 in mp4.") from error
    return times, frames
