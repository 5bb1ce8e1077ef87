"""Is a sound the given one, is a video the real one? Closed forms on decoded content, with their thresholds."""

from __future__ import annotations

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
"""Share of the unforeseeable that a video must at least get wrong. Copies of the real footage (encoded at crf 30,
cropped by a pixel, brightened, mirrored, a frame late) get at most .22 wrong, the reference frame warped by the given
poses at least .76, and still pictures more than all of it (docs/submission.md)."""

_SILENCE = 1e-4
_AUDIBLE = 1e-2
_SIDE = 80
_STEP = 5
_APART = 12
_LATE = (-2, -1, 0, 1, 2)
_MOVED = 12.0
_LEAST_AREA = 0.002

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
    """Return the share of what cannot be foreseen that a video gets wrong: 0 for the real, above 1 for stills.

    A still background may be known to the bit from the reference frame, which systems are given, and a fade or a
    caption changes much that says nothing. So a pixel counts by how far it is from the reference frame and from the
    real frames half a second before and after, the least of these. Where that is visible, on pictures of 80 px
    (which neither codec noise nor slight blur changes much), the difference of the video to the real picture is
    divided by it. Brightness and contrast are fitted, crops undone, delays of up to two frames and mirroring tried,
    and the median over frames is taken.

    Args:
        real_THWC: The real footage.
        generated_THWC: The video, of the same shape.
        reference: Which frame systems are given.

    Returns:
        The least over delays and mirroring; None where all of the footage can be foreseen.
    """
    real_THW, generated_THW = _small(real_THWC), _small(generated_THWC)
    change_THW = _unforeseen(real_THW, reference)
    sides = (generated_THW, generated_THW[:, :, ::-1])
    found = [
        _wrong(real_THW, side, change_THW, late)
        for plain in sides
        for side in (plain, _aligned(plain, real_THW))
        for late in _LATE
    ]
    there = [value for value in found if value is not None]
    return min(there) if there else None


def _small(frames_THWC: Frame) -> Luma:
    scale = _SIDE / max(frames_THWC.shape[1:3])
    size = tuple(max(1, round(side * scale)) for side in frames_THWC.shape[2:0:-1])
    grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_THWC)
    return np.stack([cv2.resize(g, size, interpolation=cv2.INTER_AREA) for g in grey]).astype(np.float32)


def _aligned(frames_THW: Luma, target_THW: Luma) -> Luma:
    """Undo a crop, zoom or shift: the affine map that brings the middle frame nearest to its target."""
    middle = len(frames_THW) // 2
    start = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    try:
        _, found = cv2.findTransformECC(
            target_THW[middle], frames_THW[middle], start, cv2.MOTION_AFFINE, stop
        )
    except cv2.error:  # nothing in common: no map brings them together
        return frames_THW
    size, flags = frames_THW.shape[2:0:-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = [cv2.warpAffine(f, found, size, flags=flags, borderMode=cv2.BORDER_REPLICATE) for f in frames_THW]
    return np.stack(moved)


def _wrong(real_THW: Luma, generated_THW: Luma, change_THW: Luma, late: int) -> float | None:
    frames = range(max(0, -late), min(len(real_THW), len(real_THW) - late), _STEP)
    found = [_wrong_frame(real_THW[t], generated_THW[t + late], change_THW[t]) for t in frames]
    there = [value for value in found if value is not None]
    return float(np.median(there)) if there else None


def _wrong_frame(real_HW: Luma, generated_HW: Luma, change_HW: Luma) -> float | None:
    moved_HW = change_HW > _MOVED
    if moved_HW.mean() < _LEAST_AREA:
        return None
    error_HW = np.abs(_fitted(generated_HW, real_HW) - real_HW)
    return float(error_HW[moved_HW].sum() / change_HW[moved_HW].sum())


def _unforeseen(real_THW: Luma, reference: int) -> Luma:
    """Return how far each pixel is from the given frame, and from those half a second before and after: the least."""
    length = len(real_THW)
    others = [np.full(length, reference), np.maximum(np.arange(length) - _APART, 0)]
    others.append(np.minimum(np.arange(length) + _APART, length - 1))
    # At the ends, where there is no frame on one side, the one on the other side stands in.
    others[1][:_APART] = others[2][:_APART]
    others[2][length - _APART :] = others[1][length - _APART :]
    return np.asarray(np.min([np.abs(real_THW - real_THW[other]) for other in others], axis=0))


def _fitted(picture_HW: Luma, target_HW: Luma) -> Luma:
    """Return the picture with the brightness and contrast that bring it nearest to the target."""
    centred = picture_HW - picture_HW.mean()
    power = float((centred**2).sum())
    gain = float((centred * (target_HW - target_HW.mean())).sum()) / power if power else 0.0
    return np.asarray(gain * centred + target_HW.mean(), np.float32)
