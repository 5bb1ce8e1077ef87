"""What footage does to lips and sound: small faces, low frame rates, hall, noise, poor microphones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from mitds.annotators.asd.lip_net_features import CELLS, MELS, SHAPE, STEPS
from mitds.manifests.records import Array

MIRRORED = [21, 22, 25]
"""Columns of `lip_features` that change sign in a mirror: sideways shifts of mouth and chin, unequal corners."""
TURN, SIZE = SHAPE + CELLS, SHAPE + CELLS + 2
LANDMARK_PX = 0.35
"""Standard deviation of a landmark-distance's error, px."""


def stretched(values_TC: Array, frames: int) -> Array:
    """Return a curve stretched to a number of frames."""
    at_T = np.linspace(0, len(values_TC) - 1, frames)
    low_T = np.minimum(at_T.astype(int), max(0, len(values_TC) - 2))
    share_T1 = (at_T - low_T)[:, None].astype(np.float32)
    high_T = np.minimum(low_T + 1, len(values_TC) - 1)
    return np.asarray(values_TC[low_T] * (1 - share_T1) + values_TC[high_T] * share_T1, np.float32)


def spoil_lips(lip_TC: Array, random: Generator) -> Array:
    """Return the lips as another camera might have seen them."""
    lip_TC = lip_TC.copy()
    frames, moving = len(lip_TC), slice(0, SHAPE + CELLS)
    if random.random() < 0.5:
        lip_TC[:, MIRRORED] *= -1
        lip_TC[:, TURN] *= -1
    rest_C = np.median(lip_TC[:, moving], axis=0)
    gain_C = random.uniform(0.6, 1.3) * random.normal(1, 0.1, SHAPE + CELLS)
    lip_TC[:, moving] = rest_C + (lip_TC[:, moving] - rest_C) * gain_C
    if random.random() < 0.2:
        lip_TC[:, moving] = gaussian_filter1d(lip_TC[:, moving], random.uniform(0.5, 1.2), axis=0)
    if random.random() < 0.2:
        lip_TC[:, SHAPE : SHAPE + CELLS] = rest_C[SHAPE:]
    _shrink(lip_TC, random)
    if random.random() < 0.3:
        lip_TC = lip_TC[_held(frames, random)]
    return lip_TC.astype(np.float32)


def _shrink(lip_TC: Array, random: Generator) -> None:
    """Add the errors of landmarks on a smaller face, in place."""
    size = float(np.exp(np.median(lip_TC[:, SIZE])))
    smaller = (
        float(np.exp(random.uniform(np.log(min(size, 12.0)), np.log(size))))
        if random.random() < 0.6
        else size
    )
    lip_TC[:, SIZE] += np.log(smaller / size)
    error = LANDMARK_PX * (1 / smaller - 0.5 / size)
    frames = len(lip_TC)
    white_TC = random.normal(size=(frames, SHAPE))
    slow_TC = gaussian_filter1d(random.normal(size=(frames, SHAPE)), 2.0, axis=0) * 2.6
    lip_TC[:, :SHAPE] += error * random.uniform(0.5, 1.2) * (0.7 * white_TC + 0.7 * slow_TC)
    lip_TC[:, SHAPE : SHAPE + CELLS] += random.normal(size=(frames, CELLS)) * min(0.15, error * 2)


def _held(frames: int, random: Generator) -> Array:
    """Return which frame is shown in each frame when the camera gave 10 to 24 pictures a second."""
    step = 25 / random.uniform(10, 24)
    at_T = np.floor(np.floor(np.arange(frames) / step + random.random()) * step)
    return np.clip(at_T, 0, frames - 1).astype(np.int64)


def spoil_sound(power_FM: Array, babble_FM: Array, random: Generator) -> Array:
    """Return mel power as another microphone in another room might have heard it, up to 80 ms off."""
    power_FM = np.roll(power_FM, int(random.integers(-2 * STEPS, 2 * STEPS + 1)), axis=0)
    if random.random() < 0.5:
        power_FM = _warped(power_FM, random.uniform(0.9, 1.1))
    if random.random() < 0.4:
        fall = 10 ** (-6 / (100 * random.uniform(0.2, 0.8)))
        power_FM = power_FM + random.uniform(0.02, 0.2) * lfilter([1.0], [1.0, -fall], power_FM, axis=0)
    if random.random() < 0.6:
        curve_M = gaussian_filter1d(random.normal(size=MELS), 5) * 5
        power_FM = power_FM * np.exp(curve_M)
    if random.random() < 0.2:
        power_FM = power_FM * (np.arange(MELS) < random.integers(22, MELS)) + 1e-9
    level = float(power_FM.mean()) + 1e-9
    if random.random() < 0.5:
        hue_M = np.exp(gaussian_filter1d(random.normal(size=MELS), 6) * 5)
        noise_FM = random.gamma(3.0, 1 / 3, power_FM.shape) * hue_M / hue_M.mean()
        power_FM = power_FM + level * 10 ** random.uniform(-4, -0.5) * noise_FM
    if random.random() < 0.2:
        first = int(random.integers(len(babble_FM)))
        babble_FM = babble_FM[(first + np.arange(len(power_FM))) % len(babble_FM)]
        power_FM = power_FM + babble_FM * (
            level * 10 ** random.uniform(-2.5, -1) / (float(babble_FM.mean()) + 1e-12)
        )
    return np.asarray(power_FM, np.float32)


def _warped(power_FM: Array, factor: float) -> Array:
    """Return the spectrum with its bands moved, as of a longer or shorter throat."""
    return stretched_bands(power_FM, np.clip(np.arange(MELS) * factor, 0, MELS - 1))


def stretched_bands(power_FM: Array, at_M: Array) -> Array:
    """Return power taken between bands."""
    low_M = np.minimum(at_M.astype(int), MELS - 2)
    share_M = (at_M - low_M).astype(np.float32)
    return np.asarray(power_FM[:, low_M] * (1 - share_M) + power_FM[:, low_M + 1] * share_M)
