"""Exposure: what is lost in black and in white, how much contrast is left, and black bars round the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.quality.contracts import Sample, window

BLACK, WHITE = 16, 250
"""Brightness below and from which nothing can be told apart, of 0..255."""

_BAR = 32
_ODD = 0.01


class ExposureMeter:
    """Measures brightness inside the black bars, if there are any.

    How bright a face is says little about exposure (skins differ); how much of it can be told apart does.

    Scores, all 0..1:
        dark_share: Share of the pixels that are black, median over the samples.
        bright_share: Share of the pixels that are white, likewise.
        highlights: Brightness of the 95th percentile over 255, likewise: low where light lacks, also in faces.
        contrast: `highlights` less the same of the 5th percentile, likewise.
        face_contrast: The same inside the face of the person who has least of it.
        border_share: Share of the picture's area under bars that stay black through the clip.
    """

    name = "exposure"

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the clip before."""
        self._counts: list[NDArray[np.int64]] = []
        self._faces: dict[int, list[float]] = {}
        self._most_HW: NDArray[np.uint8] | None = None

    def see(self, sample: Sample) -> None:
        """Count the brightness of one sample."""
        grey_HW = sample.grey_HW
        self._counts.append(_count(grey_HW))
        self._most_HW = grey_HW if self._most_HW is None else np.maximum(self._most_HW, grey_HW)
        for person, box_4 in enumerate(sample.small_faces_N4):
            part = window(box_4, grey_HW.shape)
            if part is not None:
                self._faces.setdefault(person, []).append(_contrast(_count(grey_HW[part])))

    def scores(self) -> dict[str, float]:
        """Return the medians over the samples."""
        if self._most_HW is None:
            return {}
        bars = bar_share(self._most_HW)
        counts = [_without(c, round(bars * self._most_HW.size)) for c in self._counts]
        scores = {
            "dark_share": float(np.median([c[:BLACK].sum() / c.sum() for c in counts])),
            "bright_share": float(np.median([c[WHITE:].sum() / c.sum() for c in counts])),
            "highlights": float(np.median([_percentiles(c)[1] for c in counts])),
            "contrast": float(np.median([_contrast(c) for c in counts])),
            "border_share": bars,
        }
        if self._faces:
            scores["face_contrast"] = min(float(np.median(v)) for v in self._faces.values())
        return scores


def bar_share(most_HW: NDArray[np.uint8]) -> float:
    """Return the share of a picture's area under black bars, given each pixel's greatest brightness over time."""
    height, width = most_HW.shape
    lit_HW = most_HW > _BAR
    rows, columns = (np.flatnonzero(lit_HW.mean(axis=axis) > _ODD) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return 0.0
    live = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(1 - live / (height * width))


def _count(grey_HW: NDArray[np.uint8]) -> NDArray[np.int64]:
    counts = cv2.calcHist([np.ascontiguousarray(grey_HW)], [0], None, [256], [0, 256])
    return counts[:, 0].astype(np.int64)


def _without(counts_256: NDArray[np.int64], bars: int) -> NDArray[np.int64]:
    """Take the pixels of bars, which are the darkest there are, out of a count."""
    taken = np.minimum(counts_256.cumsum(), bars)
    left: NDArray[np.int64] = counts_256 - np.diff(taken, prepend=0)
    return left


def _contrast(counts_256: NDArray[np.int64]) -> float:
    low, high = _percentiles(counts_256)
    return high - low


def _percentiles(counts_256: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 5th and 95th percentile, 0..1."""
    share = counts_256.cumsum() / counts_256.sum()
    low, high = np.searchsorted(share, (0.05, 0.95))
    return float(low) / 255, float(high) / 255
