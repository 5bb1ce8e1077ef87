"""Sound that belongs to nobody, made from nothing: coloured noise, and chords with a beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
"""Major and minor, semitones."""

PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3))
PARTIALS = (1.0, 0.5, 0.3, 0.15, 0.08)


def noise(count: int, rate: int, rng: np.random.Generator) -> Array:
    """Return noise whose power falls by a drawn 0 to 6 dB an octave, slowly swelling, of about unit power."""
    slope = float(rng.uniform(0.0, 1.0))
    hertz_F = np.fft.rfftfreq(count, 1 / rate)
    spectrum_F = np.fft.rfft(rng.standard_normal(count)) / np.maximum(hertz_F, 60.0) ** slope
    wave_S = np.fft.irfft(spectrum_F, count)
    time_S = np.arange(count) / rate
    swell_S = 1 + 0.25 * np.sin(2 * np.pi * (rng.uniform(0.03, 0.2) * time_S + rng.uniform()))
    return np.asarray(wave_S / wave_S.std() * swell_S, np.float32)


def music(count: int, rate: int, rng: np.random.Generator) -> Array:
    """Return chords of a drawn key, progression, tempo and timbre, with a soft beat, of about unit power."""
    scale = SCALES[int(rng.integers(2))]
    progression = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    root = 110.0 * 2 ** (float(rng.integers(0, 12)) / 12)
    beat = round(60 / float(rng.uniform(70, 130)) * rate)
    wave_S = np.zeros(count, np.float64)
    for number, first in enumerate(range(0, count, beat)):
        span = slice(first, min(count, first + beat))
        degree = progression[number // 4 % len(progression)]
        time_S = np.arange(span.stop - span.start) / rate
        for step in (0, 2, 4):
            note = degree + step
            hertz = root * 2 ** ((scale[note % 7] + 12 * (note // 7)) / 12)
            wave_S[span] += _tone(hertz, time_S) * np.exp(-1.5 * time_S)
        hit_S = rng.standard_normal(len(time_S)) * np.exp(-time_S * (60 if number % 2 else 25))
        wave_S[span] += 0.4 * hit_S
    return np.asarray(wave_S / (wave_S.std() + 1e-12), np.float32)


def _tone(hertz: float, time_S: NDArray[np.float64]) -> Array:
    attack_S = np.clip(time_S / 0.01, 0, 1)
    parts = [strength * np.sin(2 * np.pi * hertz * (k + 1) * time_S) for k, strength in enumerate(PARTIALS)]
    return np.asarray(attack_S * np.sum(parts, axis=0))
