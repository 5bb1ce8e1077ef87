"""A room drawn from nothing: a wall with soft light and a few shapes out of focus, and a desk before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.pipeline.compose.placing import DESK, Camera, moved

MARGIN = 0.2
"""Share of the picture's sides by which the wall is larger on every side."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A wall, larger than the picture, and the colour of the desk; `size` is the picture's, px."""

    wall_HWC: Frame
    desk_3: tuple[int, int, int]
    size: tuple[int, int]

    @classmethod
    def draw(cls, size: tuple[int, int], rng: np.random.Generator) -> Self:
        """Draw a room."""
        width, height = (round(side * (1 + 2 * MARGIN)) for side in size)
        base_3 = rng.uniform(70, 190, 3) * 0.4 + rng.uniform(70, 190) * 0.6
        light_HW = _light(width, height, rng)
        wall = base_3 * light_HW[..., None]
        for _ in range(int(rng.integers(3, 8))):
            x, y = rng.uniform(0, width), rng.uniform(0, 0.7 * height)
            across, down = rng.uniform(0.04, 0.2) * width, rng.uniform(0.08, 0.4) * height
            corners = ((round(x), round(y)), (round(x + across), round(y + down)))
            colour = rng.uniform(0.5, 1.5) * base_3 + rng.uniform(-25, 25, 3)
            wall[:] = cv2.rectangle(wall, *corners, colour.tolist(), -1)
        wall[:] = cv2.GaussianBlur(wall, (0, 0), 0.012 * width)
        wall += rng.normal(0, 2.0, (height, width, 1))
        desk_3 = tuple(int(v) for v in np.clip(base_3 * rng.uniform(0.3, 0.6), 10, 200))
        return cls(np.clip(wall, 0, 255).astype(np.uint8), (desk_3[0], desk_3[1], desk_3[2]), size)

    def wall(self, camera: Camera, k: int) -> Frame:
        """Return the wall as the camera sees it at frame k."""
        left_top = -MARGIN * np.array(self.size, np.float64)
        matrix = moved(np.column_stack([np.eye(2), left_top]), camera, k, self.size)
        return np.asarray(
            cv2.warpAffine(self.wall_HWC, matrix, self.size, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )

    def desk(self, frame_HWC: Frame, camera: Camera, k: int) -> Frame:
        """Lay the desk over the lower edge of a frame."""
        edge = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, DESK * self.size[1]]])
        top = round(float(moved(edge, camera, k, self.size)[1, 2]))
        top = min(max(top, 0), self.size[1])
        frame_HWC[top:] = self.desk_3
        frame_HWC[top : top + max(2, self.size[1] // 180)] = np.minimum(np.array(self.desk_3) * 1.5, 255)
        return frame_HWC


def _light(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float64]:
    x_W, y_H1 = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    away = (x_W - rng.uniform(-1, 1)) ** 2 + (y_H1 - rng.uniform(-1, 0.2)) ** 2
    light_HW = 0.65 + 0.55 * np.exp(-away / rng.uniform(0.6, 2.0))
    return np.asarray(light_HW)
