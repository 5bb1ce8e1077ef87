"""The frames a scene needs, decoded once in order, kept compressed."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.media import grid_frames
from mitds.pipeline.compose.parts import Stretch

QUALITY = 96


class Footage:
    """Some frames of one stretch at a size of their own.

    Args:
        stretch: Where they are.
        needed: Numbers of the frames that will be asked for.
        scale: Size wanted over the stretch's; above 1 counts as 1.
    """

    def __init__(self, stretch: Stretch, needed: Iterable[int], scale: float) -> None:
        wanted = sorted(set(needed))
        side = max(16, round(max(stretch.width, stretch.height) * min(1.0, scale)))
        self._stored: dict[int, NDArray[np.uint8]] = {}
        self.scale = 1.0
        if not wanted:
            return
        grid = stretch.grid.part(wanted[0], wanted[-1] - wanted[0] + 1)
        keep = set(wanted)
        for number, frame_HWC in enumerate(grid_frames(stretch.clip.path, grid, max_side=side), wanted[0]):
            self.scale = frame_HWC.shape[1] / stretch.width
            if number in keep:
                _, self._stored[number] = cv2.imencode(
                    ".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
                )

    def frame(self, number: int) -> Frame:
        """Return one of the frames."""
        picture_BGR = cv2.imdecode(self._stored[number], cv2.IMREAD_COLOR)
        return np.ascontiguousarray(np.asarray(picture_BGR, np.uint8)[..., ::-1])
