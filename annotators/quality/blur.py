"""Blur: how sharp the faces and the picture are, at one size, so that pixels alone do not decide."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.quality.contracts import Sample, window

FACE_SIDE = 96
"""Side at which faces are judged, px: detail beyond it is not asked for, and a smaller face lacks it."""

_TILES = (4, 6)
_TAPS = 9
_MIN_CHANGE = 0.5


class BlurMeter:
    """Asks how much a strong blur changes: a picture that is blurred already changes little.

    The measure of Crete et al., "The blur effect" (SPIE 2007), turned round: 0 blurred, 1 sharp.

    Scores:
        face_sharpness: Median over the samples, of the least sharp person, faces brought to 96 x 96 px.
        frame_sharpness: Median over the samples of the sharpest tenth of the picture's tiles, long side at most
            480 px, so that a soft background behind a sharp face is not called blur.
    """

    name = "blur"

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the clip before."""
        self._frames: list[float] = []
        self._faces: dict[int, list[float]] = {}

    def see(self, sample: Sample) -> None:
        """Judge the picture and the faces of one sample."""
        tiles = [s for s in map(sharpness, _tiles(sample.grey_HW)) if s is not None]
        if tiles:
            self._frames.append(float(np.quantile(tiles, 0.9)))
        for person, box_4 in enumerate(sample.face_xyxy_N4):
            part = window(box_4, sample.luma_HW.shape, smallest=16)
            if part is not None and (value := sharpness(_sized(sample.luma_HW[part]))) is not None:
                self._faces.setdefault(person, []).append(value)

    def scores(self) -> dict[str, float]:
        """Return the medians; a flat picture and an absent face have none."""
        scores = {"frame_sharpness": float(np.median(self._frames))} if self._frames else {}
        if self._faces:
            scores["face_sharpness"] = min(float(np.median(values)) for values in self._faces.values())
        return scores


def sharpness(grey_HW: NDArray[np.uint8]) -> float | None:
    """Return 0 (blurred) to 1 (sharp) of a grey picture; None where it is flat and so neither."""
    grey = grey_HW.astype(np.float32)
    values = [_along(grey, axis) for axis in (0, 1)]
    known = [v for v in values if v is not None]
    return min(known) if known else None


def _along(grey_HW: NDArray[np.float32], axis: int) -> float | None:
    taps = (1, _TAPS) if axis == 0 else (_TAPS, 1)
    blurred_HW = cv2.blur(grey_HW, taps)
    own_HW, rest_HW = (np.abs(np.diff(g, axis=axis)) for g in (grey_HW, blurred_HW))
    if own_HW.mean() < _MIN_CHANGE:
        return None
    return float(np.maximum(0, own_HW - rest_HW).sum() / own_HW.sum())


def _tiles(grey_HW: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [t for band in np.array_split(grey_HW, _TILES[0], 0) for t in np.array_split(band, _TILES[1], 1)]


def _sized(face_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shrinks = min(face_HW.shape) > FACE_SIDE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(face_HW, (FACE_SIDE, FACE_SIDE), interpolation=how).astype(np.uint8, copy=False)
