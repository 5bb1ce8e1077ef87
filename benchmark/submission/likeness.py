"""Is a sound the given one, is a video the real one? Closed forms on decoded content, with their thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.manifests.items import Frame
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ

MIN_CORRELATION = 0.85
"""Least correlation of a sound track with the given sound: what AAC, Opus and MP3 at 32 kbit/s and more keep. With
half of it replaced .75 is left, and another item's sound has below .1 (docs/submission.md)."""
MAX_LAG_S = 0.08
"""Encoders delay sound by a block or two: 64 ms for AAC at 16 kHz whose container does not say so."""
FOLLOWS = 0.25
"""Share of the unforeseeable that a video must at least get wrong. The real footage that is late, swaying, zoomed, bent
or followed by a still gets at most .18 wrong, the reference frame warped by the given poses at least .39, and still
pictures with or without talking mouths at least .66 (docs/submission.md)."""

_SILENCE = 1e-4
_AUDIBLE = 1e-2
_SIDE = 80
"""Longest side of what is compared: neither codec noise nor slight blur changes it much."""
_WIDE = 240
"""Longest side of what a fixed warp is looked for on: it may be a fraction of a pixel of the small pictures."""
_SMOOTH = 1.0
_STEP = 8
_APART = 12
_LATE = 8
_DETAIL = 6.0
_MOVED = 12.0
_LEAST_AREA = 0.002
_SHARE = 0.25
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)

Luma = NDArray[np.float32]


def sound_agreement(given_S: Array, found_S: Array) -> tuple[float, float]:
    """Compare a decoded sound track with the given sound.

    Args:
        given_S: 16 kHz mono.
        found_S: 16 kHz mono, from time 0.

    Returns:
        The largest correlation over lags of up to `MAX_LAG_S`, and the lag in seconds (positive: the found one is
        late). Silence agrees with silence, and with nothing else.
    """
    length = max(len(given_S), len(found_S))
    if _rms(given_S) < _SILENCE or _rms(found_S) < _SILENCE:
        return float(max(_rms(given_S), _rms(found_S)) < _AUDIBLE), 0.0
    a_S, b_S = (np.pad(w.astype(np.float64), (0, length - len(w))) for w in (given_S, found_S))
    size = 1 << (2 * length - 1).bit_length()
    spectrum = np.fft.rfft(b_S, size) * np.conj(np.fft.rfft(a_S, size))
    product_L = np.fft.irfft(spectrum, size) / np.sqrt((a_S**2).sum() * (b_S**2).sum())
    most = round(MAX_LAG_S * AUDIO_HZ)
    near_L = np.concatenate([product_L[-most:], product_L[: most + 1]])
    best = int(near_L.argmax())
    return float(near_L[best]), (best - most) / AUDIO_HZ


def _rms(wave_S: Array) -> float:
    return float(np.sqrt(np.mean(np.square(wave_S)))) if len(wave_S) else 0.0


def unfollowed(real_THWC: Frame, generated_THWC: Frame, reference: int) -> float | None:
    """Return the share of what cannot be foreseen that a video gets wrong: 0 for the real, about 1 for stills.

    A still background may be known to the bit from the reference frame, which systems are given. So a pixel counts
    by how far its detail is from that of the reference frame and of the real frames half a second before and after,
    the least of these. Where that is visible, on pictures of 80 px without their coarse brightness, the difference
    of the video to the real picture is divided by it.

    The real footage may be disguised. So the least is taken over: delays of up to 8 frames, contrast, mirroring,
    an affine map of each frame (sway, zoom, crop, turn), and one bend of all frames alike. The last cannot help a
    generation: what moves wrongly still does when all frames are bent alike. And as a part of the video may be
    something else, its best quarter of frames decides.

    Args:
        real_THWC: The real footage.
        generated_THWC: The video, of the same shape.
        reference: Which frame systems are given.

    Returns:
        The value that a quarter of the frames stay below; None where all of the footage can be foreseen.
    """
    real_THW, wide_THW = _grey(real_THWC), _grey(generated_THWC)
    target_THW = _small(real_THW)
    sides = [wide_THW, np.ascontiguousarray(wide_THW[:, :, ::-1])]
    guises = [_small(guise) for side in sides for guise in (side, _unbent(side, real_THW))]
    compared = [(guise, _detail(guise)) for guise in guises]
    detail_THW = _detail(target_THW)
    found: list[float] = []
    for t in range(0, len(target_THW), _STEP):
        change_HW = _unforeseen(target_THW, detail_THW, t, reference)
        if (change_HW > _MOVED).mean() >= _LEAST_AREA:
            known = _Known(t, target_THW[t], detail_THW[t], change_HW)
            found.append(min(_least(known, *guise) for guise in compared))
    return float(np.quantile(found, _SHARE)) if found else None


@dataclass(frozen=True, slots=True)
class _Known:
    """A real frame, its detail, and how little of that could be foreseen."""

    t: int
    picture_HW: Luma
    detail_HW: Luma
    change_HW: Luma

    def wrong(self, detail_HW: Luma) -> float:
        """Return the share of the unforeseen that a picture gets wrong, at the contrast that suits it best."""
        power = float((detail_HW**2).sum())
        gain = float((detail_HW * self.detail_HW).sum()) / power if power else 0.0
        moved_HW = self.change_HW > _MOVED
        error_HW = np.abs(gain * detail_HW - self.detail_HW)
        return float(error_HW[moved_HW].sum() / self.change_HW[moved_HW].sum())


def _least(known: _Known, guise_THW: Luma, detail_THW: Luma) -> float:
    """Try delays, as it is and aligned; every other delay is aligned first, then the neighbours of the best."""
    near = [k for k in range(known.t - _LATE, known.t + _LATE + 1) if 0 <= k < len(guise_THW)]
    plain = min(known.wrong(detail_THW[k]) for k in near)
    aligned = {k: known.wrong(_aligned(guise_THW[k], known.picture_HW)) for k in near[::2]}
    best = min(aligned, key=aligned.__getitem__)
    beside = (
        known.wrong(_aligned(guise_THW[k], known.picture_HW)) for k in (best - 1, best + 1) if k in near
    )
    return min(plain, *aligned.values(), *beside)


def _aligned(picture_HW: Luma, target_HW: Luma) -> Luma:
    """Return the detail of a picture after the affine map that brings it nearest to the target."""
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(target_HW, picture_HW, start, cv2.MOTION_AFFINE, _STOP)
    except cv2.error:  # nothing in common: no map brings them together
        return _without_coarse(picture_HW)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved_HW = cv2.warpAffine(
        picture_HW, found, picture_HW.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return _without_coarse(np.asarray(moved_HW, np.float32))


def _unbent(frames_THW: Luma, target_THW: Luma) -> Luma:
    """Undo a bend that is the same in all frames: the optical flow between the mean pictures, found twice."""
    target_HW, mean_HW = target_THW.mean(axis=0), frames_THW.mean(axis=0)
    field_HW2 = np.zeros((*target_HW.shape, 2), np.float32)
    for _ in range(2):
        bent_HW = _bent(mean_HW, field_HW2)
        found_HW2 = cv2.calcOpticalFlowFarneback(
            _even(target_HW), _even(bent_HW), np.zeros_like(field_HW2), 0.5, 2, 7, 8, 5, 1.1, 0
        )
        more_HW2 = np.asarray(found_HW2, np.float32)
        field_HW2 = np.asarray(more_HW2 + _bent(field_HW2, more_HW2), np.float32)
    return np.stack([_bent(frame, field_HW2) for frame in frames_THW])


def _bent(picture_HW: Luma, field_HW2: Luma) -> Luma:
    y_HW, x_HW = np.mgrid[: picture_HW.shape[0], : picture_HW.shape[1]].astype(np.float32)
    at = (x_HW + field_HW2[..., 0], y_HW + field_HW2[..., 1])
    return np.asarray(cv2.remap(picture_HW, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _even(picture_HW: Luma) -> NDArray[np.uint8]:
    """Return a picture of which every part has the same brightness and contrast, as optical flow needs it."""
    detail_HW = picture_HW - cv2.GaussianBlur(picture_HW, (0, 0), 2 * _DETAIL)
    spread_HW = np.sqrt(cv2.GaussianBlur(detail_HW**2, (0, 0), 2 * _DETAIL)) + 4
    return np.asarray(np.clip(40 * detail_HW / spread_HW + 128, 0, 255), np.uint8)


def _grey(frames_THWC: Frame) -> Luma:
    return _scaled([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_THWC], _WIDE)


def _small(frames_THW: Luma) -> Luma:
    # Smoothed first: a part of a pixel's shift can be undone only on pictures without aliasing.
    return _scaled([cv2.GaussianBlur(frame, (0, 0), _SMOOTH) for frame in frames_THW], _SIDE)


def _scaled(frames_THW: Iterable[NDArray[Any]], longest: int) -> Luma:
    return np.stack(
        [cv2.resize(f, _size(f, longest), interpolation=cv2.INTER_AREA) for f in frames_THW]
    ).astype(np.float32)


def _size(frame_HW: NDArray[Any], longest: int) -> tuple[int, int]:
    height, width = frame_HW.shape
    scale = longest / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _detail(frames_THW: Luma) -> Luma:
    return np.stack([_without_coarse(frame) for frame in frames_THW])


def _without_coarse(picture_HW: Luma) -> Luma:
    """Return what is finer than a light on one side, a ramp or a vignette."""
    return np.asarray(picture_HW - cv2.GaussianBlur(picture_HW, (0, 0), _DETAIL))


def _unforeseen(picture_THW: Luma, detail_THW: Luma, t: int, reference: int) -> Luma:
    """Return how far each pixel is from the given frame, and from those half a second before and after: the least.

    Where only the camera or a whole head moved, the given frame shows it after an affine map: that can be foreseen.
    """
    others = [detail_THW[k] for k in (reference, t - _APART, t + _APART) if 0 <= k < len(detail_THW)]
    others.append(_aligned(picture_THW[reference], picture_THW[t]))
    return np.asarray(np.min([np.abs(detail_THW[t] - other) for other in others], axis=0))
