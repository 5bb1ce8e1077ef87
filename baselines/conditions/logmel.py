"""Log-mel features: 80 bands, four 10 ms hops a frame."""

from __future__ import annotations

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mitds.baselines.conditions.sound import FRAME, fitted
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ

BANDS = 80
WINDOW = 400
"""Samples of a window: 25 ms."""
HOP = 160
"""Samples between windows: 10 ms."""
FLOOR = 1e-8
"""Power below which a band is silent: 1 % of the bands of people who speak."""
MEAN, SPREAD = -4.0, 1.6
"""Of a band's power as a power of ten, over the sounds of 25 real recordings and persons; silence comes out as -2.5."""

_LINEAR_HZ = 200 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27

Floats = NDArray[np.float64]


class LogMel:
    """The powers of 80 mel bands, compressed; hop h of a clip is centred on [h/100, (h+1)/100) s."""

    name = "log-mel"
    dim = BANDS * FRAME // HOP

    def __call__(self, wave_S: Array, frames: int) -> Array:
        """Return feature_TD: of each frame, the 80 bands of its four hops, one hop after the other."""
        # Window h lies about the middle of hop h: it begins 120 samples before the hop.
        padded_S = np.pad(fitted(wave_S, frames), (WINDOW - HOP) // 2)
        windows_HS = sliding_window_view(padded_S, WINDOW)[::HOP] * _hann()
        power_HF = np.abs(np.fft.rfft(windows_HS, axis=1)) ** 2
        log_HB = np.log10(np.maximum(power_HF @ mel_filters().T, FLOOR))
        return ((log_HB - MEAN) / SPREAD).astype(np.float32).reshape(frames, self.dim)


@functools.cache
def _hann() -> Array:
    """Return a Hann window whose middle lies between its two middle samples, as that of a hop does."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)).astype(np.float32)


@functools.cache
def mel_filters() -> Array:
    """Return filter_BF: triangles of equal area from 0 to 8 kHz on Slaney's mel scale (Auditory Toolbox, 1998)."""
    edges_E = hertz(np.linspace(0, mel(AUDIO_HZ / 2), BANDS + 2))
    low_B1, top_B1, high_B1 = (edges_E[i : i + BANDS, None] for i in range(3))
    bins_F = np.fft.rfftfreq(WINDOW, 1 / AUDIO_HZ)
    rising_BF = (bins_F - low_B1) / (top_B1 - low_B1)
    falling_BF = (high_B1 - bins_F) / (high_B1 - top_B1)
    triangle_BF = np.maximum(0, np.minimum(rising_BF, falling_BF))
    return (triangle_BF * 2 / (high_B1 - low_B1)).astype(np.float32)


def mel(frequency: float) -> float:
    """Return Slaney's mel of a frequency in Hz of at least 1000: linear up to there, logarithmic beyond."""
    return float(_BREAK_HZ / _LINEAR_HZ + np.log(frequency / _BREAK_HZ) / _LOG_STEP)


def hertz(mel_X: Floats) -> Floats:
    """Return the frequencies in Hz of Slaney's mels."""
    beyond_X = np.maximum(mel_X - _BREAK_HZ / _LINEAR_HZ, 0)
    return np.where(beyond_X > 0, _BREAK_HZ * np.exp(_LOG_STEP * beyond_X), mel_X * _LINEAR_HZ)
