"""PSNR and SSIM against exact values, closed forms, scikit-image and torchmetrics; damage to pictures by degree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mitds.benchmark.footage import Frames, read_footage
from mitds.benchmark.metrics.psnr import mse, psnr_T
from mitds.benchmark.metrics.ssim import C1, LUMA, WINDOW, luma, ssim_T
from mitds.benchmark.proofs import Proof
from mitds.errors import MissingDependency, UsageError
from mitds.weights import resolve

PSNR, SSIM = "psnr@1", "ssim@1"
CLOSED = "closed form"
HALFWAY = (182, 184, 141)
"""A colour whose BT.601 luma is 178.5 = 0.7 x 255."""


def proofs() -> Iterator[Proof]:
    """Yield the rows; those that need other libraries or real footage come last."""
    yield from _vectors()
    yield from _constants()
    yield from _traps()
    yield from _ladders()
    yield from _scikit_image()
    yield from _torchmetrics()


def vectors() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two grey pictures [64, 64] that differ by -8..8: a ramp that wraps, and its disturbance."""
    i, j = np.mgrid[:64, :64]
    a = (7 * i + 13 * j) % 256
    b = np.clip(a + (3 * i + 5 * j) % 17 - 8, 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


def coloured() -> tuple[Frames, Frames]:
    """Return a pair of colour pictures [1, 64, 64, 3], made of the vectors."""
    a, b = vectors()
    return np.dstack([a, a.T, a[::-1]])[None], np.dstack([b, b.T, b[::-1]])[None]


def grey(picture_HW: NDArray[np.uint8]) -> Frames:
    """Return a grey picture as RGB footage of one frame."""
    return np.repeat(picture_HW[None, ..., None], 3, axis=3)


def plain(red: int, green: int, blue: int) -> Frames:
    """Return one frame [1, 64, 64, 3] of one colour."""
    return np.full((1, 64, 64, 3), (red, green, blue), np.uint8)


@cache
def real_frames() -> Frames:
    """Return 17 frames of the talk at a podium from its 100th on, past the fade-in; half size, [17, 240, 426, 3]."""
    frames_THWC = read_footage(resolve("media.podium")).frames_THWC[100:117]
    return np.stack([cv2.resize(frame, (426, 240), interpolation=cv2.INTER_AREA) for frame in frames_THWC])


def ladders(real_THWC: Frames) -> dict[str, list[tuple[Frames, Frames]]]:
    """Return pairs of a reference and a damaged copy, ever worse: blur and noise in one frame, frames held."""
    first_THWC = real_THWC[:1]
    noise = np.random.default_rng(0).standard_normal(first_THWC.shape)
    times = np.arange(len(real_THWC))
    return {
        "blur": [(first_THWC, _blurred(first_THWC, sigma)) for sigma in (0.5, 1, 2, 4, 8)],
        "noise": [(first_THWC, _rounded(first_THWC + sigma * noise)) for sigma in (1, 2, 4, 8, 16, 32)],
        "held frames": [(real_THWC, real_THWC[times // hold * hold]) for hold in (1, 2, 4, 8, 16)],
    }


def steps_uphill(values: Sequence[float]) -> float:
    """Return how many steps do not go down."""
    return float(np.count_nonzero(np.diff(values) >= 0))


def _rounded(frames_THWC: NDArray[np.float64]) -> Frames:
    return np.clip(np.rint(frames_THWC), 0, 255).astype(np.uint8)


def _blurred(frames_THWC: Frames, sigma: float) -> Frames:
    return np.stack([cv2.GaussianBlur(frame, None, sigma) for frame in frames_THWC])  # type: ignore[call-overload]


def _vectors() -> Iterator[Proof]:
    made = "no-file vectors a and b, 64x64"
    for name, picture, digest in zip("ab", vectors(), ("676262b5f2a78061", "b829fa4b8ee01841"), strict=True):
        same = hashlib.sha256(picture.tobytes()).hexdigest().startswith(digest)
        yield _row("vectors", f"sha256 of {name} begins with {digest} (1 = yes)", 1, float(same), 0, made)
    a, b = vectors()
    yield _row(PSNR, "MSE(a, b)", 23.513427734375, mse(a, b), 0, made)
    yield _row(
        PSNR,
        "PSNR(a, b)",
        34.41764416659454,
        psnr_T(grey(a), grey(b))[0],
        1e-12,
        f"{made}; scikit-image 0.26",
    )
    yield _row(
        SSIM, "SSIM(a, b)", 0.98573496247455, ssim_T(grey(a), grey(b))[0], 1e-10, f"{made}; scikit-image 0.26"
    )
    yield _row(SSIM, "SSIM(a, a)", 1, ssim_T(grey(a), grey(a))[0], 0, CLOSED)
    yield _row(PSNR, "PSNR(a, a), the declared cap", 100, psnr_T(grey(a), grey(a))[0], 0, "BENCHMARKS 2.1")


def _constants() -> Iterator[Proof]:
    for error, expected in ((1, 48.130803608679), (2, 42.110203695399), (128, 5.986604215722), (255, 0)):
        found = psnr_T(plain(0, 0, 0), plain(error, error, error))[0]
        yield _row(
            PSNR, f"every value wrong by {error}: 20 log10(255 / {error})", expected, found, 1e-11, CLOSED
        )
    black, white = plain(0, 0, 0), plain(255, 255, 255)
    source = f"{CLOSED}; the value common_metrics prints"
    yield _row(
        SSIM, "black against white: C1 / (1 + C1)", 9.999000099990e-05, ssim_T(black, white)[0], 1e-14, source
    )
    found = ssim_T(plain(51, 51, 51), plain(*HALFWAY))[0]
    check = "luma .2 against .7 of the range: (2pq + C1) / (p^2 + q^2 + C1)"
    yield _row(SSIM, check, 0.5283908696472, found, 1e-12, CLOSED)
    yield _row(SSIM, "C1 = (0.01 x 255)^2", 6.5025, C1, 1e-12, "Wang et al. 2004")
    yield _row(SSIM, "BT.601 weights sum to 1", 1, sum(LUMA), 1e-15, "ITU-R BT.601")
    for where, expected, found in (
        ("centre", 0.2660117248618, WINDOW[5]),
        ("end", 0.0010283800845, WINDOW[0]),
    ):
        yield _row(SSIM, f"weight at the {where} of one axis of the window", expected, found, 1e-12, "OpenCV")
    yield _row(SSIM, "weights of the window sum to 1", 1, WINDOW.sum(), 1e-15, CLOSED)


def _traps() -> Iterator[Proof]:
    reference = np.concatenate([plain(0, 0, 0)] * 2)
    mixed = np.concatenate([plain(1, 1, 1), plain(128, 128, 128)])
    mean = psnr_T(reference, mixed).mean()
    yield _row(PSNR, "errors 1 and 128 in two frames: mean of dB", 27.058703912200, mean, 1e-11, CLOSED)
    pooled = 10 * np.log10(255**2 / mse(reference, mixed))
    yield _row(PSNR, "the same, dB of the pooled error", pooled, mean, 10, "the other pooling", differs=True)
    a, b = (grey(picture) for picture in vectors())
    found = ssim_T(a, b)[0]
    for what, value in (
        ("torchmetrics 1.9, which averages reflected borders", 0.98421228954833),
        ("scikit-image's defaults: uniform 7x7 window, sample covariance", 0.99177788775527),
        ("range 255 on data in 0..1", 0.99999383),
    ):
        yield _row(
            SSIM, f"SSIM(a, b) is not that of {what}", value, found, 1e-3, "BENCHMARKS 3", differs=True
        )
    for metric, measure in ((PSNR, psnr_T), (SSIM, ssim_T)):
        check = "data in 0..1 are refused (1 = yes)"
        yield _row(metric, check, 1, float(_refused(measure, a / 255, b / 255)), 0, "BENCHMARKS 3")


def _refused(measure: Any, reference: Any, generated: Any) -> bool:
    try:
        measure(reference, generated)
    except UsageError:
        return True
    return False


def _ladders() -> Iterator[Proof]:
    for damage, pairs in ladders(real_frames()).items():
        for metric, measure in ((PSNR, psnr_T), (SSIM, ssim_T)):
            values = [measure(*pair).mean() for pair in pairs]
            check = f"{len(pairs)} degrees of {damage} on real frames: steps that do not fall"
            yield _row(metric, check, 0, steps_uphill(values), 0, "property")


def _scikit_image() -> Iterator[Proof]:
    metrics = _library("skimage.metrics", "scikit-image")
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    real_THWC = real_frames()
    for what, (x_THWC, y_THWC) in {
        "the vectors in colours": coloured(),
        "a real frame and the next": (real_THWC[:1], real_THWC[1:2]),
        "a real frame, blurred": (real_THWC[:1], _blurred(real_THWC[:1], 2)),
    }.items():
        psnr = metrics.peak_signal_noise_ratio(x_THWC, y_THWC, data_range=255)
        yield _row(
            PSNR, f"PSNR, {what}", psnr, psnr_T(x_THWC, y_THWC)[0], 1e-11, "scikit-image, computed now"
        )
        ssim = metrics.structural_similarity(luma(x_THWC[0]), luma(y_THWC[0]), **wang)
        found = ssim_T(x_THWC, y_THWC)[0]
        yield _row(SSIM, f"SSIM, {what}", ssim, found, 1e-10, "scikit-image on BT.601 luma, computed now")
    channels = metrics.structural_similarity(*(video[0] for video in coloured()), channel_axis=2, **wang)
    found, check = ssim_T(*coloured())[0], "SSIM of luma is not the mean of channels"
    yield _row(SSIM, check, channels, found, 1e-3, "scikit-image, channel_axis", differs=True)


def _torchmetrics() -> Iterator[Proof]:
    image = _library("torchmetrics.functional.image", "torchmetrics")
    x_THWC, y_THWC = coloured()
    x, y = (torch.from_numpy(video.astype(np.float64)).permute(0, 3, 1, 2) for video in (x_THWC, y_THWC))
    psnr = float(image.peak_signal_noise_ratio(y, x, data_range=(0.0, 255.0)))
    source = "torchmetrics, computed now"
    yield _row(
        PSNR, "PSNR, the vectors in colours", psnr, psnr_T(x_THWC, y_THWC)[0], 1e-5, f"{source}, in float32"
    )
    a, b = vectors()
    x, y = (torch.from_numpy(picture.astype(np.float64))[None, None] for picture in (a, b))
    ssim = float(image.structural_similarity_index_measure(y, x, data_range=255.0))
    check = "SSIM(a, b) is not torchmetrics', which averages reflected borders"
    yield _row(SSIM, check, ssim, ssim_T(grey(a), grey(b))[0], 1e-3, source, differs=True)


def _library(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependency(
            f"{package} is not installed", remedy=f"Install it: pip install {package}"
        ) from error


def _row(
    metric: str,
    check: str,
    expected: float,
    measured: float,
    tolerance: float,
    source: str,
    *,
    differs: bool = False,
) -> Proof:
    return Proof(
        metric=metric,
        check=check,
        expected=float(expected),
        measured=float(measured),
        tolerance=tolerance,
        source=source,
        differs=differs,
    )
