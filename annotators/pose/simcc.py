"""RTMW (Jiang et al. 2024) and DWPose (Yang et al. 2023): whole-body pose by two classifications a keypoint.

The networks say in which half pixel of their input it lies along x, and in which along y.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.topdown import estimate_top_down, normalised, padded_region, with_scores
from mitds.annotators.runtime import onnx_session
from mitds.manifests.records import Array
from mitds.weights import resolve

SIZE = (288, 384)
"""Width and height of the input, px."""

BINS_A_PIXEL = 2
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimccConfig:
    """Where the network runs and when a point counts.

    Attributes:
        device: "cpu", "cuda" or "coreml".
        min_point: Score below which a point is absent.
    """

    device: str = "cpu"
    min_point: float = 0.1


class SimccPose:
    """A whole-body network of the RTMPose family in ONNX.

    Args:
        config: Settings.
        model: The ONNX file or its bytes; by default the weight named by the class.
    """

    name: ClassVar[str]
    weight: ClassVar[str]

    def __init__(self, config: SimccConfig = SimccConfig(), *, model: Path | bytes | None = None) -> None:
        self.config = config
        self._net = onnx_session(model or resolve(self.weight), device=config.device)
        self._input = self._net.get_inputs()[0].name

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Estimate each person on each frame; see `PoseEstimator`."""
        return estimate_top_down(self._points, frames, face_xyxy_NT4, visible_NT)

    def _points(self, frame_HWC: Frame, box_4: Array) -> Array:
        region = padded_region(box_4, SIZE)
        x_1KB, y_1KB = self._net.run(None, {self._input: normalised(region.crop(frame_HWC, SIZE), MEAN, STD)})
        points_K2, score_K = decode(x_1KB[0], y_1KB[0])
        return with_scores(region.to_picture(points_K2, SIZE), score_K, self.config.min_point)


def decode(x_KB: Array, y_KB: Array) -> tuple[Array, Array]:
    """Return the most likely places (input px) and, as their scores, the lower of the two maxima."""
    bins_K2 = np.stack([x_KB.argmax(axis=1), y_KB.argmax(axis=1)], axis=1)
    score_K = np.minimum(x_KB.max(axis=1), y_KB.max(axis=1))
    return (bins_K2 / BINS_A_PIXEL + 0.5).astype(np.float32), score_K


class Rtmw(SimccPose):
    """RTMW-l at 384x288, trained on 14 data sets."""

    name = "rtmw"
    weight = "pose.rtmw"


class DwPose(SimccPose):
    """DWPose-l at 384x288, distilled from RTMPose-x."""

    name = "dwpose"
    weight = "pose.dwpose"
