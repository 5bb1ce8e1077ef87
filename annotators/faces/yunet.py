"""YuNet face detection through OpenCV.

Source: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mitds.annotators.contracts import FaceDetections, Frame
from mitds.manifests.records import Array
from mitds.weights import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class YuNetConfig:
    """How frames are shown to YuNet.

    Attributes:
        side: Length in px to which the long side of every frame is scaled, up or down.
        min_score: Detections below are not reported, 0..1.
        nms_iou: Of two boxes that overlap more, the better one stays.
    """

    side: int = 640
    min_score: float = 0.5
    nms_iou: float = 0.3


class YuNet:
    """Finds faces and their five landmarks in one frame."""

    name = "yunet"

    def __init__(self, config: YuNetConfig = YuNetConfig()) -> None:
        self.config = config
        self._net = cv2.FaceDetectorYN.create(
            str(resolve("faces.yunet")), "", (config.side, config.side), config.min_score, config.nms_iou
        )

    def detect(self, frame_HWC: Frame) -> FaceDetections:
        """Return the faces of one RGB frame, best first, in px of that frame; boxes end at its edges."""
        height, width = frame_HWC.shape[:2]
        scaled_HWC, scale_2 = _scaled(frame_HWC, self.config.side)
        self._net.setInputSize((scaled_HWC.shape[1], scaled_HWC.shape[0]))
        _, rows = self._net.detect(cv2.cvtColor(scaled_HWC, cv2.COLOR_RGB2BGR))
        if rows is None:
            rows = np.zeros((0, 15), np.float32)
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        xywh_N22 = rows[:, :4].reshape(-1, 2, 2)
        corners_N22 = np.stack([xywh_N22[:, 0], xywh_N22.sum(axis=1)], axis=1) / scale_2
        corners_N22 = np.clip(corners_N22, 0, (width, height))
        inside_N = np.all(corners_N22[:, 1] - corners_N22[:, 0] >= 1, axis=1)
        return FaceDetections(
            xyxy_N4=corners_N22.reshape(-1, 4)[inside_N].astype(np.float32),
            landmarks_N52=(rows[:, 4:14].reshape(-1, 5, 2) / scale_2)[inside_N].astype(np.float32),
            score_N=np.clip(rows[:, 14], 0, 1)[inside_N].astype(np.float32),
        )


def _scaled(frame_HWC: Frame, side: int) -> tuple[Frame, Array]:
    """Scale the long side to `side`; also return the exact factors of x and y."""
    height, width = frame_HWC.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled_HWC = np.asarray(cv2.resize(frame_HWC, size, interpolation=how), np.uint8)
    return scaled_HWC, np.array([size[0] / width, size[1] / height], np.float32)
