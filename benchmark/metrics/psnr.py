"""PSNR of pictures in 8 bits: dB of each frame, capped, then the mean over frames."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage, Frames
from mitds.errors import UsageError

CAP_DB = 100.0
"""What equal frames count as, for their PSNR is infinite; so does any frame above it."""
PEAK = 255


class Psnr:
    """Peak signal-to-noise ratio: how far pixels are from the real ones, whatever the eye makes of it."""

    card: ClassVar[Card] = Card(
        id="psnr@1",
        title="PSNR",
        says="10 log10(255^2 / MSE) of each frame over all pixels and the channels R, G, B, "
        "capped at 100 dB, mean over frames.",
        unit="dB",
        better="higher",
        needs="pair",
        bounds=(0.0, CAP_DB),
        floor="blurred",
        tolerance=1e-9,
        source="closed form; agrees with skimage.metrics.peak_signal_noise_ratio",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score; `detail` counts the frames that were capped."""
        values_T = psnr_T(scene.real.frames_THWC, generated.frames_THWC)
        capped = int(np.count_nonzero(values_T == CAP_DB))
        return [Score(value=float(values_T.mean()), n=len(values_T), detail={"capped": capped})]


def psnr_T(reference_THWC: Frames, generated_THWC: Frames) -> NDArray[np.float64]:
    """Return the PSNR of each pair of frames, dB 0..100, [T].

    The mean of these is not the PSNR of the pooled error: a few bad frames weigh less in it.

    Args:
        reference_THWC: uint8 RGB; one picture is T = 1.
        generated_THWC: The same shape.

    Raises:
        UsageError: If the two are no uint8 RGB pictures of one shape.
    """
    check_pair(reference_THWC, generated_THWC)
    values = [_db(mse(*pair)) for pair in zip(reference_THWC, generated_THWC, strict=True)]
    return np.array(values, np.float64)


def mse(reference: NDArray[np.uint8], generated: NDArray[np.uint8]) -> float:
    """Return the mean squared error of two uint8 arrays, summed in whole numbers, so exact before the division."""
    error = np.subtract(reference, generated, dtype=np.int32)
    return int(np.square(error).sum(dtype=np.int64)) / error.size


def check_pair(reference_THWC: Frames, generated_THWC: Frames, *, least: int = 1) -> None:
    """Refuse what is not a pair of uint8 RGB videos of one shape, with sides of at least `least` px.

    Floats are refused because their range cannot be known from them: the commonest error in published values.

    Raises:
        UsageError: If the pair is refused.
    """
    for frames_THWC in (reference_THWC, generated_THWC):
        if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3:
            raise UsageError(
                f"pictures are {frames_THWC.dtype} {frames_THWC.shape}, not uint8 [T, H, W, 3]",
                remedy="Give RGB frames in 8 bits, 0..255; a single picture as [1, H, W, 3].",
            )
    if reference_THWC.shape != generated_THWC.shape:
        raise UsageError(
            f"shapes differ: {reference_THWC.shape} and {generated_THWC.shape}",
            remedy="Compare as many frames of the same size; nothing is resized here.",
        )
    frames, height, width, _ = reference_THWC.shape
    if frames < 1 or min(height, width) < least:
        raise UsageError(
            f"{frames} frames of {width}x{height} px are too little: at least one of {least}x{least} px is needed",
            remedy="Give larger pictures.",
        )


def _db(error: float) -> float:
    return CAP_DB if error == 0 else min(CAP_DB, 10 * math.log10(PEAK**2 / error))
