"""What a measure of the picture promises: it sees samples of one clip and gives named numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array

GREY_SIDE = 480
"""Longest side of the grey picture in which motion is followed, px."""


@dataclass(frozen=True)
class Sample:
    """One of the pictures that stand for a clip.

    Attributes:
        time_s: Seconds since the clip's first frame.
        frame_HWC: The picture, perhaps scaled down.
        face_xyxy_N4: The face of every person of the clip, px of this picture; NaN where it is not in view.
    """

    time_s: float
    frame_HWC: Frame
    face_xyxy_N4: Array

    @cached_property
    def luma_HW(self) -> NDArray[np.uint8]:
        """Brightness, 0..255."""
        return cv2.cvtColor(self.frame_HWC, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)

    @cached_property
    def shrink(self) -> float:
        """Side of the grey picture over that of the frame, at most 1."""
        return min(1.0, float(GREY_SIDE / max(self.luma_HW.shape)))

    @cached_property
    def grey_HW(self) -> NDArray[np.uint8]:
        """Brightness of the picture shrunk so that no side is longer than GREY_SIDE."""
        height, width = self.luma_HW.shape
        size = round(width * self.shrink), round(height * self.shrink)
        return cv2.resize(self.luma_HW, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

    @property
    def small_faces_N4(self) -> Array:
        """The face boxes, px of the grey picture."""
        return self.face_xyxy_N4 * np.float32(self.shrink)


class PictureMeter(Protocol):
    """Measures one clip after another: `begin`, `see` for each of its samples in order, then `scores`.

    A number that cannot be had (no face in view, no background) is left out of the scores: never a zero.
    """

    name: str

    def begin(self) -> None:
        """Forget the clip before."""

    def see(self, sample: Sample) -> None:
        """Look at the next sample."""

    def scores(self) -> dict[str, float]:
        """Return the numbers of the clip by name."""


def measure(meter: PictureMeter, samples: Iterable[Sample]) -> dict[str, float]:
    """Measure one clip with one meter."""
    meter.begin()
    for sample in samples:
        meter.see(sample)
    return meter.scores()


def window(box_4: Array, size: tuple[int, ...], smallest: int = 8) -> tuple[slice, slice] | None:
    """Return a box's rows and columns in a picture of (height, width); None if absent or below `smallest` px."""
    height, width = size
    if not np.isfinite(box_4).all():
        return None
    x1, y1 = (max(0, round(float(v))) for v in box_4[:2])
    x2, y2 = min(width, round(float(box_4[2]))), min(height, round(float(box_4[3])))
    return (slice(y1, y2), slice(x1, x2)) if min(x2 - x1, y2 - y1) >= smallest else None
