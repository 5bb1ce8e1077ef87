"""Cutting people out of their pictures: MediaPipe's selfie segmentation."""

from __future__ import annotations

import cv2
import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.region import tensor
from mitds.annotators.pose.tflite import Graph
from mitds.manifests.records import Array
from mitds.weights import resolve

SIDE = 256
REACH = 6.0
"""Side of the square that is looked at, in face heights: shoulders and gestures lie within."""

SURE = (0.35, 0.75)
"""Probabilities at which a pixel is wholly background and wholly person."""

RIM = 0.06
"""Share of the square's width over which the matte fades where it touches the square's left and right edge."""


class Matter:
    """Says of every pixel how much of it belongs to the person in the middle."""

    def __init__(self) -> None:
        self._net = Graph(resolve("matting.selfie"), ["input_1"], ["activation_10"])

    def alpha(self, frame_HWC: Frame, xyxy_4: Array) -> Array:
        """Return alpha_HW, 0..1, of the person with this face box, px; 0 far away from the face."""
        height, width = frame_HWC.shape[:2]
        x1, y1, x2, y2 = _square(xyxy_4, width, height)
        crop_HWC = cv2.resize(frame_HWC[y1:y2, x1:x2], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        raw_HW = self._net(tensor(np.asarray(crop_HWC, np.uint8)))["activation_10"][0, ..., 0]
        soft_HW = np.clip((raw_HW - SURE[0]) / (SURE[1] - SURE[0]), 0, 1)
        soft_HW = soft_HW * soft_HW * (3 - 2 * soft_HW) * _rim()
        alpha_HW = np.zeros((height, width), np.float32)
        alpha_HW[y1:y2, x1:x2] = cv2.resize(soft_HW, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
        return alpha_HW


def _square(xyxy_4: Array, width: int, height: int) -> tuple[int, int, int, int]:
    side = REACH * float(xyxy_4[3] - xyxy_4[1])
    x = float(xyxy_4[0] + xyxy_4[2]) / 2
    top = float(xyxy_4[1]) - side / 5
    left, right = round(x - side / 2), round(x + side / 2)
    # Down to the picture's lower edge, wherever that is: a torso must not end in mid-air.
    return max(0, left), max(0, round(top)), min(width, right), height


def _rim() -> Array:
    ramp = np.clip(np.minimum(np.arange(SIDE) + 0.5, SIDE - 0.5 - np.arange(SIDE)) / (RIM * SIDE), 0, 1)
    return np.asarray(ramp, np.float32)[None]
