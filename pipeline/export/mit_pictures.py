"""The MIT layout's picture: 1920x1080, which its loaders take for granted, with skeletons drawn on black."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array

WIDTH, HEIGHT = 1920, 1080

_BODY = (
    *(
        (15, 13),
        (13, 11),
        (16, 14),
        (14, 12),
        (11, 12),
        (5, 11),
        (6, 12),
        (5, 6),
        (5, 7),
        (6, 8),
        (7, 9),
        (8, 10),
    ),
    *(
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 6),
        (15, 17),
        (15, 18),
        (15, 19),
        (16, 20),
        (16, 21),
        (16, 22),
    ),
)
_FINGERS = tuple((4 * f + j - 1 if j > 1 else 0, 4 * f + j) for f in range(5) for j in range(1, 5))
_HANDS = tuple((wrist + a, wrist + b) for wrist in (91, 112) for a, b in _FINGERS)
_FACE = range(23, 91)
_SURE = 0.3
_BODY_RGB, _HAND_RGB, _FACE_RGB = (255, 128, 0), (0, 200, 255), (255, 255, 255)


class Canvas:
    """Where a clip's picture lies on the layout's: as large as it fits, in the middle, on black.

    Args:
        width: Of the clip, px.
        height: Of the clip, px.
    """

    def __init__(self, width: int, height: int) -> None:
        self.scale = min(WIDTH / width, HEIGHT / height)
        self._size = (round(width * self.scale), round(height * self.scale))
        self._left, self._top = (WIDTH - self._size[0]) // 2, (HEIGHT - self._size[1]) // 2

    def picture(self, frame_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Place a picture; one of 1920x1080 stays as it is, bit for bit."""
        if frame_HWC.shape[:2] == (HEIGHT, WIDTH):
            return frame_HWC
        canvas_HWC = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        scaled_HWC = cv2.resize(frame_HWC, self._size, interpolation=how)
        canvas_HWC[self._top :, self._left :][: self._size[1], : self._size[0]] = scaled_HWC
        return canvas_HWC

    def points(self, points_K3: Array) -> Array:
        """Place points (x, y, confidence), any leading axes; NaN stays NaN."""
        placed_K3 = points_K3.copy()
        placed_K3[..., :2] = points_K3[..., :2] * self.scale + (self._left, self._top)
        return placed_K3

    def boxes(self, xyxy_4: Array) -> Array:
        """Place boxes, any leading axes, cut to the picture; NaN stays NaN."""
        left, top, (width, height) = self._left, self._top, self._size
        placed_4 = xyxy_4 * self.scale + (left, top, left, top)
        limits = np.array([[left, top] * 2, [left + width, top + height] * 2], np.float32)
        clipped_4: Array = np.clip(placed_4, limits[0], limits[1]).astype(np.float32)
        return clipped_4


def skeletons(points_NK3: Array) -> NDArray[np.uint8]:
    """Draw the skeletons of all people: body orange, hands blue, face points white, over black."""
    canvas_HWC = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for points_K3 in points_NK3:
        sure_K = np.isfinite(points_K3[:, :2]).all(axis=1) & (points_K3[:, 2] >= _SURE)
        at_K2 = np.rint(np.where(sure_K[:, None], points_K3[:, :2], 0)).clip(-4096, 8192).astype(int)
        for bones, colour, width in ((_BODY, _BODY_RGB, 6), (_HANDS, _HAND_RGB, 3)):
            for a, b in bones:
                if sure_K[a] and sure_K[b]:
                    cv2.line(canvas_HWC, at_K2[a].tolist(), at_K2[b].tolist(), colour, width)
        for k in _FACE:
            if sure_K[k]:
                cv2.circle(canvas_HWC, at_K2[k].tolist(), 2, _FACE_RGB, -1)
    return canvas_HWC
