"""What lips and loudness show of speech: slow, plain signal processing at 25 frames a second."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.signal import butter, sosfiltfilt

from mitds.annotators.asd.rows import SAMPLES_PER_FRAME
from mitds.annotators.speech.segmentation import HOP_S
from mitds.manifests.records import Array
from mitds.time import CLIP_FPS

Signal = NDArray[np.float64]

SMOOTH = 13
"""Frames over which boxes and landmarks are median-filtered, so that the crop does not jitter."""
UPPER_LIP = [13, 82, 312, 81, 311]
LOWER_LIP = [14, 87, 317, 178, 402]
"""Mesh points of the lips' inner rims, facing each other."""
STILL = [6, 9, 10, 33, 127, 133, 151, 168, 234, 263, 356, 362, 454]
"""Mesh points that speech hardly moves: forehead, temples, eye corners, bridge of the nose."""

SYLLABLES_HZ = (1.0, 8.0)
"""The band in which mouths and loudness move with syllables."""
SHORTEST = 13
"""Frames (half a second) below which a run of openings shows no rhythm."""
SMALL_OPENING = 0.003
"""Movement, in face sizes, that is measurement noise: mouths of frozen faces stay below it."""
NOISY_OPENING = 0.03
NOISY_LOUDNESS = 0.1
"""Movements that a synchrony must exceed to count: in face sizes, and in nepers."""
LEVEL_SIGMA = 2.0
"""Smoothing of the level before it is taken at frames, hundredths of a second."""


def lip_opening(mesh_P3: Array) -> tuple[float, float]:
    """Return how far the inner lips are apart and how large the face is, both px (NaN for an absent mesh).

    The size is the root mean square distance of the unmoving points from their mean.
    """
    points_P2 = mesh_P3[:, :2].astype(np.float64)
    gap = np.linalg.norm(points_P2[UPPER_LIP] - points_P2[LOWER_LIP], axis=1).mean()
    still_P2 = points_P2[STILL] - points_P2[STILL].mean(axis=0)
    return float(gap), float(np.sqrt((still_P2**2).sum(axis=1).mean()))


def steady(values_TC: Array) -> Array:
    """Return boxes or landmarks, median-filtered over time."""
    window = (SMOOTH,) + (1,) * (values_TC.ndim - 1)
    return np.asarray(median_filter(values_TC, window, mode="nearest"))


def on_frames(speech_F: Array, frames: int) -> Array:
    """Return the segmentation's probability, given in steps of `HOP_S`, at the middle of each of the first frames."""
    seconds_T = (np.arange(frames) + 0.5) / float(CLIP_FPS)
    step_T = np.minimum((seconds_T / HOP_S).astype(int), len(speech_F) - 1)
    return np.asarray(speech_F[step_T])


def fill_gaps(values_TC: Signal, longest: int) -> Signal:
    """Interpolate NaN rows in gaps of at most `longest` rows between known ones; the others stay NaN."""
    known = np.flatnonzero(np.isfinite(values_TC[:, 0]))
    filled_TC = values_TC.copy()
    for before, after in pairwise(known):
        if 1 < after - before <= longest + 1:
            share = (np.arange(before + 1, after) - before)[:, None] / (after - before)
            filled_TC[before + 1 : after] = values_TC[before] * (1 - share) + values_TC[after] * share
    return filled_TC


def known_runs(values_TC: Signal) -> Iterator[slice]:
    """Yield the runs of known rows that are long enough to judge."""
    known_T = np.isfinite(values_TC[:, 0]).astype(np.int8)
    edges = np.flatnonzero(np.diff(known_T, prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= SHORTEST:
            yield slice(int(start), int(stop))


def syllable_band(signal_T: Signal) -> Signal:
    """Keep what moves at the rate of syllables, without delay."""
    sos = butter(2, SYLLABLES_HZ, "bandpass", fs=25, output="sos")
    band_T: Signal = sosfiltfilt(sos, signal_T, padlen=min(15, len(signal_T) - 1))
    return band_T


def relative_opening(gap_face_T2: Signal) -> Signal:
    """Return the syllabic movement of the lips' opening in face sizes; the size is smoothed over time."""
    return syllable_band(gap_face_T2[:, 0] / gaussian_filter1d(gap_face_T2[:, 1], 10))


def loudness(wave_S: Array, frames: int) -> Signal:
    """Return the syllabic movement of the sound's level, nepers, per frame; high frequencies are lifted."""
    samples_S = np.zeros(frames * SAMPLES_PER_FRAME)
    heard = wave_S[: len(samples_S)]
    samples_S[: len(heard)] = heard
    steps_F4S = np.diff(samples_S, prepend=0).reshape(frames, 4, -1)
    level = np.log(np.sqrt((steps_F4S**2).mean(axis=2) + 1e-10)).ravel()
    return syllable_band(gaussian_filter1d(level, LEVEL_SIGMA)[2::4])


def motion(opening_T: Signal, sigma: float) -> Signal:
    """Return the log of the lips' recent and coming movement, over a Gaussian of `sigma` frames."""
    power_T = gaussian_filter1d(opening_T**2, sigma, mode="nearest")
    return np.asarray(0.5 * np.log(power_T + SMALL_OPENING**2))


def synchrony(opening_T: Signal, loudness_T: Signal, sigma: float) -> Signal:
    """Return the local correlation of lips and loudness, about -1..1; near 0 where either hardly moves."""
    both, lips, sound = (
        gaussian_filter1d(product, sigma, mode="nearest")
        for product in (opening_T * loudness_T, opening_T**2, loudness_T**2)
    )
    return np.asarray(both / np.sqrt((lips + NOISY_OPENING**2) * (sound + NOISY_LOUDNESS**2)))
