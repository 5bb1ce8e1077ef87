"""Where a source's picture lies on a model's, and every coordinate with it.

Coordinates are continuous: pixel i covers i..i+1, so its middle lies at i + 0.5, as in all labels of mitds. The
source's picture lies on whole pixels of the model's, so boxes and points move exactly as the pixels do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mitds.config import require
from mitds.errors import UsageError
from mitds.manifests.items import Frame
from mitds.manifests.records import Array


@dataclass(frozen=True, slots=True)
class Placement:
    """A source's picture on a model's: scaled with its aspect kept, perhaps enlarged beyond it, perhaps mirrored.

    Attributes:
        width: Of the source's picture, px.
        height: Of the source's picture, px.
        size_HW: Of the model's picture, px.
        left: Where the source's left edge lies, or its right one if mirrored; px of the model's picture, may be
            outside of it.
        top: Where the source's upper edge lies.
        across: Width that the source's picture takes.
        down: Height that it takes.
        flip: Mirrored.
    """

    width: int
    height: int
    size_HW: tuple[int, int]
    left: int
    top: int
    across: int
    down: int
    flip: bool = False

    @classmethod
    def fit(
        cls,
        width: int,
        height: int,
        size_HW: tuple[int, int],
        *,
        flip: bool = False,
        zoom: float = 1.0,
        centre: tuple[float, float] = (0.5, 0.5),
    ) -> Placement:
        """Fit a picture inside the model's, centred; then enlarge and mirror it.

        Args:
            width: Of the source's picture, px.
            height: Of the source's picture, px.
            size_HW: Of the model's picture, px.
            flip: Mirror, last of all.
            zoom: Enlarge by this, at least 1; parts leave the model's picture.
            centre: What stays where it is: 0..1 of the source's width and height.

        Raises:
            UsageError: If `zoom` is below 1.
        """
        require(zoom >= 1, "zoom", zoom, "at least 1")
        model_height, model_width = size_HW
        scale = min(model_width / width, model_height / height)
        across, down = max(1, round(width * scale)), max(1, round(height * scale))
        left = round((model_width - across) // 2 - centre[0] * across * (zoom - 1))
        top = round((model_height - down) // 2 - centre[1] * down * (zoom - 1))
        across, down = round(across * zoom), round(down * zoom)
        if flip:
            left = model_width - left - across
        return cls(width, height, size_HW, left, top, across, down, flip)

    def picture(self, frame_HWC: Frame) -> Frame:
        """Return a picture on the model's; the border repeats its edge.

        Args:
            frame_HWC: uint8 RGB; the source's picture, or a copy of it at any other size.
        """
        resized_HWC = _resized(frame_HWC, self.across, self.down)
        if self.flip:
            resized_HWC = np.asarray(cv2.flip(resized_HWC, 1), np.uint8)
        y1, y2, x1, x2 = self._shown()
        part_HWC = resized_HWC[y1 - self.top : y2 - self.top, x1 - self.left : x2 - self.left]
        (height, width), edge = self.size_HW, cv2.BORDER_REPLICATE
        return np.asarray(cv2.copyMakeBorder(part_HWC, y1, height - y2, x1, width - x2, edge), np.uint8)

    def points(self, xy_X2: Array) -> Array:
        """Return points of the source on the model's picture, px; NaN stays NaN, and leading axes are free."""
        x_X = xy_X2[..., 0] * np.float32(self.across / self.width)
        x_X = self.left + (self.across - x_X if self.flip else x_X)
        y_X = self.top + xy_X2[..., 1] * np.float32(self.down / self.height)
        return np.stack([x_X, y_X], axis=-1).astype(np.float32)

    def boxes(self, xyxy_X4: Array) -> Array:
        """Return boxes of the source on the model's picture, px; NaN stays NaN, and leading axes are free."""
        moved_X4 = np.concatenate([self.points(xyxy_X4[..., :2]), self.points(xyxy_X4[..., 2:])], axis=-1)
        return moved_X4[..., [2, 1, 0, 3]] if self.flip else moved_X4

    def inside(self) -> Array:
        """Return inside_HW: 1 where the model's picture shows the source's, 0 on the border."""
        y1, y2, x1, x2 = self._shown()
        inside_HW = np.zeros(self.size_HW, np.float32)
        inside_HW[y1:y2, x1:x2] = 1
        return inside_HW

    def back(self, frame_HWC: Frame) -> Frame:
        """Return a model's picture on the source's: without the border, at the source's size.

        Raises:
            UsageError: If the placement mirrors or leaves parts out: what a model never saw cannot come back.
        """
        y1, y2, x1, x2 = self._shown()
        if self.flip or (y2 - y1, x2 - x1) != (self.down, self.across):
            raise UsageError(
                "a mirrored or enlarged picture has no way back", remedy="Fit it with flip False and zoom 1."
            )
        return _resized(frame_HWC[y1:y2, x1:x2], self.width, self.height)

    def _shown(self) -> tuple[int, int, int, int]:
        """Return which rows (first, end) and columns of the model's picture the source's takes."""
        height, width = self.size_HW
        x1, x2 = np.clip([self.left, self.left + self.across], 0, width)
        y1, y2 = np.clip([self.top, self.top + self.down], 0, height)
        return int(y1), int(y2), int(x1), int(x2)


def _resized(frame_HWC: Frame, width: int, height: int) -> Frame:
    """Scale a picture: by areas where it shrinks, by cubic curves where it grows."""
    if frame_HWC.shape[:2] == (height, width):
        return frame_HWC
    how = cv2.INTER_AREA if width <= frame_HWC.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame_HWC, (width, height), interpolation=how), np.uint8)
