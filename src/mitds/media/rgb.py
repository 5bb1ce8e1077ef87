"""From decoded frames to upright RGB with square pixels: deinterlacing, colours, aspect, rotation."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mitds.media.tracks import exact

Frame = NDArray[np.uint8]
"""frame_HWC: RGB, upright, square pixels."""

_UNSPECIFIED_MATRICES = (2, 3)
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
_PLAUSIBLE_ASPECT = (Fraction(1, 8), Fraction(8))


@dataclass(frozen=True, slots=True)
class Geometry:
    """How stored pictures become upright ones with square pixels.

    Attributes:
        width: Stored width in square pixels, before turning.
        height: Stored height.
        rotation: Degrees to turn clockwise: 0, 90, 180 or 270.
        aspect: Width of a stored pixel over its height.
        mirrored: Left and right change places, after turning.
    """

    width: int
    height: int
    rotation: int
    aspect: Fraction
    mirrored: bool = False

    @classmethod
    def of(cls, frame: Any, track: Any) -> Geometry:
        """Read the geometry from a track's first decoded frame."""
        aspect = (
            exact(track.sample_aspect_ratio) or exact(track.codec_context.sample_aspect_ratio) or Fraction(1)
        )
        if not _PLAUSIBLE_ASPECT[0] <= aspect <= _PLAUSIBLE_ASPECT[1]:
            aspect = Fraction(1)
        rotation, mirrored = _turn(frame)
        return cls(max(1, round(frame.width * aspect)), frame.height, rotation, aspect, mirrored)

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height after turning."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)

    def within(self, max_side: int | None) -> tuple[int, int]:
        """Return the stored size scaled down so that no side is longer than `max_side`; never enlarged."""
        if max_side is None or max(self.width, self.height) <= max_side:
            return self.width, self.height
        scale = Fraction(max_side, max(self.width, self.height))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))


def _turn(frame: Any) -> tuple[int, bool]:
    """Return by how many degrees to turn clockwise, a multiple of 90, and whether to mirror after that.

    The display matrix sends a stored point (x, y) to (a x + c y, b x + d y), y pointing down.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return (90 if b > 0 else 270), a * d < b * c
    return (180 if d < 0 else 0), a * d < b * c


class ToRgb:
    """Converts the frames of one track to arrays of one size, even where the stored size changes midway."""

    def __init__(self, geometry: Geometry, max_side: int | None = None) -> None:
        self._size = geometry.within(max_side)
        self._turns = -geometry.rotation // 90
        self._step = -1 if geometry.mirrored else 1
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> Frame:
        """Return frame_HWC."""
        rgb = self._scaler.reformat(
            frame,
            *self._size,
            format="rgb24",
            src_colorspace=_matrix(frame),
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )
        return np.ascontiguousarray(np.rot90(_array(rgb), self._turns)[:, :: self._step])


def _array(rgb: Any) -> Frame:
    """Return the pixels of a frame where they lie, if no row is padded: a picture of 8K is 100 MB."""
    plane = rgb.planes[0]
    rows_HB = np.frombuffer(plane, np.uint8)[: plane.line_size * rgb.height].reshape(
        rgb.height, plane.line_size
    )
    return rows_HB[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)


def tone(track: Any) -> str:
    """Return how a track codes high dynamic range, "PQ" or "HLG"; empty where it does not."""
    return _HIGH_DYNAMIC_RANGE.get(track.codec_context.color_trc, "")


def _matrix(frame: Any) -> Colorspace | None:
    """Return the matrix an unlabelled frame is taken to be in: BT.709 from 720 lines up, BT.601 below."""
    if frame.colorspace not in _UNSPECIFIED_MATRICES:
        return None
    return Colorspace.ITU709 if frame.height >= 720 or frame.width >= 1280 else Colorspace.ITU601


def progressive(frames: Iterable[Any]) -> Iterator[Any]:
    """Pass frames through, deinterlaced (bwdif, one picture a frame) from the first interlaced one on."""
    graph: Graph | None = None
    shape: tuple[int, int, str] | None = None
    for frame in frames:
        this = (frame.width, frame.height, frame.format.name)
        if graph is not None and this != shape:
            yield from _through(graph, None)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, shape = _bwdif(frame), this
        if graph is None:
            yield frame
        else:
            yield from _through(graph, frame)
    if graph is not None:
        yield from _through(graph, None)


def _bwdif(frame: Any) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=exact(frame.time_base)
    )
    # deint=interlaced: film parts of a mixed stream are left as they are.
    bwdif = graph.add("bwdif", mode="send_frame", deint="interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink"))
    graph.configure()
    return graph


def _through(graph: Graph, frame: Any) -> Iterator[Any]:
    graph.vpush(frame)
    while True:
        try:
            out = graph.vpull()
        except (BlockingIOError, EOFError):
            return
        yield out
