"""Mel-frequency cepstral coefficients, 13 at 100 Hz, as active-speaker networks are trained on.

The definition is that of python_speech_features 0.6 with its defaults (Lyons, 2020), which TalkNet and LR-ASD
use: rectangular 25 ms windows every 10 ms, 26 triangular mel filters over a 512-point spectrum, DCT-II with
liftering 22, and the log energy of the window in place of the zeroth coefficient.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import dct

from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ

HOP = AUDIO_HZ // 100
WINDOW = AUDIO_HZ // 40
FFT = 512
FILTERS = 26
COEFFICIENTS = 13
LIFTER = 22
PRE_EMPHASIS = 0.97
BLOCK = 4096
"""Windows transformed at once; bounds memory."""

Float64 = NDArray[np.float64]


def mfcc(wave_S: Array, steps: int) -> Array:
    """Return the coefficients of the first `steps` hundredths of a second.

    Args:
        wave_S: 16 kHz mono, -1..1. It is read as 16-bit integers, because the energy coefficient is absolute
            and the networks were trained on integer samples. Beyond its end it counts as digital silence.
        steps: F, the number of windows, at least one; window k starts at sample 160 k.

    Returns:
        mfcc_FC: float32, C = 13.
    """
    length = (steps - 1) * HOP + WINDOW
    heard = np.round(np.clip(wave_S[:length], -1, 1) * 32767.0)
    samples = np.zeros(length)
    samples[: len(heard)] = heard
    samples[1 : len(heard)] -= PRE_EMPHASIS * heard[:-1]
    windows_FW = sliding_window_view(samples, WINDOW)[::HOP]
    blocks = [_cepstra(windows_FW[at : at + BLOCK]) for at in range(0, steps, BLOCK)]
    return np.concatenate(blocks).astype(np.float32)


def _cepstra(windows_FW: Float64) -> Float64:
    power_FB = np.abs(np.fft.rfft(windows_FW, FFT)) ** 2 / FFT
    cepstrum_FC: Float64 = dct(_log(power_FB @ mel_filters().T), norm="ortho")[:, :COEFFICIENTS] * _lift()
    cepstrum_FC[:, 0] = _log(power_FB.sum(axis=1))
    return cepstrum_FC


def _log(value: Float64) -> Float64:
    return np.log(np.where(value == 0, np.finfo(float).eps, value))


def _lift() -> Float64:
    return 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)


@lru_cache(maxsize=1)
def mel_filters() -> Float64:
    """Return the triangular filters over the spectrum's bins, [26, 257]; their corners are whole bins."""
    top = 2595 * np.log10(1 + AUDIO_HZ / 2 / 700)
    hz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corner = np.floor((FFT + 1) * hz / AUDIO_HZ)
    bins = np.arange(FFT // 2 + 1)
    low, peak, high = (corner[k : k + FILTERS, None] for k in range(3))
    rising = (bins - low) / np.maximum(peak - low, 1)
    falling = (high - bins) / np.maximum(high - peak, 1)
    filters = np.where(bins < peak, rising, falling)
    return np.where((bins >= low) & (bins < high), filters, 0.0)
