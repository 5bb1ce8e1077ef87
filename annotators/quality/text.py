"""Text in the picture: captions, banners, logos with words, and signs, by PP-OCR's text detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.quality.contracts import Sample
from mitds.annotators.runtime import onnx_session
from mitds.config import require
from mitds.manifests.records import Array
from mitds.weights import resolve

_STRIDE = 32
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """How text is looked for.

    Attributes:
        every_s: Seconds between the pictures that are looked at; captions stay longer.
        side: Longest side of the picture the network sees, px.
        probability: A pixel belongs to text above it.
        certainty: A region is text where its pixels' mean probability reaches it.
        unclip: How far regions, which the network learns shrunk, are grown: area over circumference, times this.
        min_height: Lines lower than this share of the picture's height are not counted.
    """

    every_s: float = 2.0
    side: int = 736
    probability: float = 0.3
    certainty: float = 0.6
    unclip: float = 1.5
    min_height: float = 0.012

    def __post_init__(self) -> None:
        """Refuse sizes that the network cannot see."""
        require(self.side >= _STRIDE, "text.side", self.side, f"{_STRIDE} or more")
        require(self.every_s > 0, "text.every_s", self.every_s, "above 0")


class TextMeter:
    """Measures how much of the picture is text. It can't tell words laid over a picture from a sign in the scene.

    Scores:
        text_share: Share of the pictures looked at that hold text, 0..1.
        text_area: Share of the picture's area under text, mean over the pictures looked at, 0..1.
    """

    name = "text"

    def __init__(self, config: TextConfig = TextConfig()) -> None:
        self._config = config
        self._session = onnx_session(resolve("quality.text"))
        self._input = self._session.get_inputs()[0].name
        self.begin()

    def begin(self) -> None:
        """Forget the clip before."""
        self._areas: list[float] = []
        self._next_s = 0.0

    def see(self, sample: Sample) -> None:
        """Look for text, if the last look was long enough ago."""
        if sample.time_s >= self._next_s:
            self._next_s = sample.time_s + self._config.every_s - 1e-3
            words_N4 = without_faces(self.boxes(sample.frame_HWC), sample.face_xyxy_N4)
            self._areas.append(covered(words_N4, sample.frame_HWC.shape[:2]))

    def scores(self) -> dict[str, float]:
        """Return how often and how much."""
        if not self._areas:
            return {}
        areas = np.array(self._areas)
        return {"text_share": float((areas > 0).mean()), "text_area": float(areas.mean())}

    def boxes(self, frame_HWC: Frame) -> Array:
        """Return the upright boxes round lines of text: xyxy_N4, px of the frame."""
        config = self._config
        height, width = frame_HWC.shape[:2]
        scale = min(1.0, config.side / max(height, width))
        size = [max(1, round(v * scale / _STRIDE)) * _STRIDE for v in (width, height)]
        small_HWC = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)
        given = ((small_HWC[..., ::-1] / np.float32(255) - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
        (out,) = self._session.run(None, {self._input: given.astype(np.float32)})
        found = regions(out[0, 0], config) * (np.array([width, height] * 2) / np.array(size * 2))
        tall = found[:, 3] - found[:, 1] >= config.min_height * height
        kept: Array = found[tall].astype(np.float32)
        return kept


def regions(probability_HW: NDArray[np.float32], config: TextConfig) -> NDArray[Any]:
    """Turn the network's map into boxes, xyxy_N4: connected regions, certain enough, grown back to full size.

    After Liao et al., "Real-time scene text detection with differentiable binarization" (AAAI 2020).
    """
    height, width = probability_HW.shape
    text_HW = (probability_HW > config.probability).astype(np.uint8)
    count, label_HW, stats_C5, _ = cv2.connectedComponentsWithStats(text_HW, connectivity=8)
    boxes = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats_C5[label])
        part = slice(y, y + h), slice(x, x + w)
        inside = label_HW[part] == label
        if min(w, h) >= 3 and probability_HW[part][inside].mean() >= config.certainty:
            grow = config.unclip * area / (2 * (w + h))
            boxes.append(
                (max(0, x - grow), max(0, y - grow), min(width, x + w + grow), min(height, y + h + grow))
            )
    return np.array(boxes, np.float64).reshape(-1, 4)


def without_faces(xyxy_N4: Array, face_xyxy_N4: Array) -> Array:
    """Drop boxes as tall as half of a face they lie on: near faces are now and then taken for one large letter."""
    keep_N = np.ones(len(xyxy_N4), bool)
    for face_4 in face_xyxy_N4[np.isfinite(face_xyxy_N4).all(axis=1)]:
        low, high = np.maximum(xyxy_N4[:, :2], face_4[:2]), np.minimum(xyxy_N4[:, 2:], face_4[2:])
        shared_N = np.prod(np.maximum(high - low, 0), axis=1)
        size_N2 = xyxy_N4[:, 2:] - xyxy_N4[:, :2]
        tall_N = size_N2[:, 1] > 0.5 * (face_4[3] - face_4[1])
        keep_N &= ~(tall_N & (shared_N > 0.3 * np.prod(size_N2, axis=1)))
    return xyxy_N4[keep_N]


def covered(xyxy_N4: Array, size: tuple[int, int]) -> float:
    """Return the share of a picture of (height, width) that boxes cover together."""
    mask_HW = np.zeros(size, bool)
    for x1, y1, x2, y2 in np.rint(xyxy_N4).astype(int):
        mask_HW[y1:y2, x1:x2] = True
    return float(mask_HW.mean())
