"""Rotated regions of a picture: cut out for a network, and mapped back to the picture.

Coordinates are continuous: pixel i covers i..i+1, so its middle lies at i + 0.5, in pictures and in crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle anywhere in or over the picture.

    Attributes:
        x: Centre, px.
        y: Centre, px.
        width: Side along the region's own x axis, px.
        height: Side along the region's own y axis, px.
        angle: Radians by which the region is turned clockwise in the picture.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    @classmethod
    def square(cls, x: float, y: float, side: float, angle: float = 0.0) -> Region:
        """Lay a square region around a centre."""
        return cls(float(x), float(y), float(side), float(side), float(angle))

    @classmethod
    def around(cls, points_P2: Array, angle: float, scale: float) -> Region:
        """Lay the smallest region of a given turn around points, and grow it by `scale`."""
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        own_P2 = points_P2[:, :2] @ turn
        low, high = own_P2.min(axis=0), own_P2.max(axis=0)
        x, y = turn @ ((low + high) / 2)
        width, height = (high - low) * scale
        return cls(float(x), float(y), float(width), float(height), angle)

    def towards(self, other: Region, share: float) -> Region:
        """Go a share of the way to another region, or all of it where that one is a tenth of a side away."""
        far = (
            max(abs(other.x - self.x), abs(other.y - self.y), abs(other.width - self.width))
            > 0.1 * self.width
        )
        turn = (other.angle - self.angle + np.pi) % (2 * np.pi) - np.pi
        if far or abs(turn) > 0.2:
            return other
        x, y, width, height = (1 - share) * self._rectangle() + share * other._rectangle()
        return Region(float(x), float(y), float(width), float(height), self.angle + share * turn)

    def scaled(self, factor: float) -> Region:
        """Return the region in a picture of another resolution."""
        x, y, width, height = factor * self._rectangle()
        return Region(float(x), float(y), float(width), float(height), self.angle)

    def _rectangle(self) -> NDArray[np.float64]:
        return np.array([self.x, self.y, self.width, self.height])

    def matrix(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the 2x3 map from a (width, height) crop to the picture."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        linear = np.array([[cos, -sin], [sin, cos]]) * (self.width / size[0], self.height / size[1])
        origin = (self.x, self.y) - linear @ (size[0] / 2, size[1] / 2)
        return np.column_stack([linear, origin])

    def sampling(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the same map between pixel indices, half a pixel off the continuous coordinates."""
        matrix = self.matrix(size)
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
        return matrix

    def crop(self, frame_HWC: Frame, size: tuple[int, int]) -> Frame:
        """Cut the region out as a (width, height) picture; black where it leaves the frame."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop: Frame = cv2.warpAffine(frame_HWC, self.sampling(size), size, flags=flags)  # type: ignore[assignment]
        return crop

    def to_picture(self, points_PC: Array, size: tuple[int, int]) -> Array:
        """Map crop points to the picture: x and y in full, further columns by scale alone."""
        matrix = self.matrix(size)
        mapped_PC = np.asarray(points_PC, np.float64) * (self.width / size[0])
        mapped_PC[:, :2] = points_PC[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return mapped_PC.astype(np.float32)


def tensor(crop_HWC: Frame, low: float = 0.0, high: float = 1.0) -> Array:
    """Turn a crop into a batch of one with values low..high, channels last."""
    return (crop_HWC.astype(np.float32) * np.float32((high - low) / 255.0) + np.float32(low))[None]


def sigmoid(value: Array) -> Array:
    """Return the logistic function, safe for large magnitudes."""
    return (1.0 / (1.0 + np.exp(-np.clip(value, -60.0, 60.0)))).astype(np.float32)
