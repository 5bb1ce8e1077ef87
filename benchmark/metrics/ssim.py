"""SSIM as Wang et al. defined it, on luma, over the region where the window fits."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage, Frames
from mitds.benchmark.metrics.psnr import check_pair

Plane = NDArray[np.float64]

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, of R, G, B."""
RADIUS = 5
SIGMA = 1.5
BAND = 64
"""Rows that are worked on at once: a third of the time of whole frames, as a band stays in the processor's cache."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _window() -> Plane:
    weights = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
    return np.asarray(weights / weights.sum())


WINDOW = _window()
"""One axis of the Gaussian window; its weights sum to 1."""


class Ssim:
    """Structural similarity: means, contrasts and correlation of small windows of brightness."""

    card: ClassVar[Card] = Card(
        id="ssim@1",
        title="SSIM",
        says="SSIM of the BT.601 luma (Gaussian window 11x11, sigma 1.5, population covariances, K 0.01 and 0.03, "
        "range 255), mean over windows that lie inside the frame, then over frames.",
        better="higher",
        needs="pair",
        bounds=(-1.0, 1.0),
        floor="blurred",
        tolerance=1e-9,
        source="Wang et al., Image quality assessment, IEEE TIP 2004; agrees with skimage's structural_similarity "
        "under gaussian_weights, sigma=1.5, use_sample_covariance=False, data_range=255",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score: the mean over frames."""
        values_T = ssim_T(scene.real.frames_THWC, generated.frames_THWC)
        return [Score(value=float(values_T.mean()), n=len(values_T))]


def ssim_T(reference_THWC: Frames, generated_THWC: Frames) -> Plane:
    """Return the SSIM of each pair of frames, -1..1, [T].

    Args:
        reference_THWC: uint8 RGB, sides of 11 px or more; one picture is T = 1.
        generated_THWC: The same shape.

    Raises:
        UsageError: If the two are no uint8 RGB pictures of one shape. There is no data range to set or to guess.
    """
    check_pair(reference_THWC, generated_THWC, least=2 * RADIUS + 1)
    pairs = zip(reference_THWC, generated_THWC, strict=True)
    return np.array([_ssim(luma(x_HWC), luma(y_HWC)) for x_HWC, y_HWC in pairs])


def luma(frame_HWC: NDArray[np.uint8]) -> Plane:
    """Return BT.601 luma of RGB, 0..255, not rounded.

    A sum of planes, not a matrix product, whose rounding may change with BLAS and its threads.
    """
    red, green, blue = LUMA
    return np.asarray(red * frame_HWC[..., 0] + green * frame_HWC[..., 1] + blue * frame_HWC[..., 2])


def _ssim(x_HW: Plane, y_HW: Plane) -> float:
    tops = range(0, len(x_HW) - 2 * RADIUS, BAND)
    bands = [slice(top, top + BAND + 2 * RADIUS) for top in tops]
    return float(np.concatenate([_map(x_HW[band], y_HW[band]) for band in bands]).mean())


def _map(x_HW: Plane, y_HW: Plane) -> Plane:
    """Return SSIM by place, [H - 10, W - 10]."""
    mean_x, mean_y = _windowed(x_HW), _windowed(y_HW)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = _windowed(x_HW * y_HW) - product
    variances = _windowed(x_HW * x_HW + y_HW * y_HW) - squares  # only their sum is needed: one window less
    likeness = (2 * product + C1) * (2 * covariance + C2)
    return np.asarray(likeness / ((squares + C1) * (variances + C2)))


def _windowed(plane_HW: Plane) -> Plane:
    """Return weighted means around each pixel whose window lies inside the plane, [H - 10, W - 10]."""
    inside = slice(RADIUS, -RADIUS)
    return np.asarray(cv2.sepFilter2D(plane_HW, cv2.CV_64F, WINDOW, WINDOW)[inside, inside], np.float64)
