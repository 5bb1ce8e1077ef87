"""When a clip's one voice is heard, on its own clean sound; and whether it moves with the lips that are seen."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.asd.lip_signals import known_runs, loudness, syllable_band
from mitds.annotators.speech.segmentation import HOP_S, STEP_S, Segmenter
from mitds.annotators.speech.segmentation import loudness as level_of
from mitds.manifests.records import Array
from mitds.media import read_sound
from mitds.runs import bridge, runs_of
from mitds.time import AUDIO_HZ, Grid

REACH, IN_SYNC = 12, 4
"""Lags of lips and loudness that are tried, and the largest of one recording in sync, frames."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """How speech is found.

    Attributes:
        least: Probability of speech from which a step may be speech.
        several: Probability of two voices above which a step is none's to use.
        depth_db: A step is silent where it is so far below the loudest speech within its run.
        pause_s: Shorter pauses belong to the speech around them, seconds.
        shortest_s: Shorter runs are no speech, seconds.
    """

    least: float = 0.5
    several: float = 0.3
    depth_db: float = 30.0
    pause_s: float = 0.2
    shortest_s: float = 0.12


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a clip: spans are seconds on its clock; wave_S is mono at 16 kHz from `start`."""

    speech: tuple[Span, ...]
    noisy: tuple[Span, ...]
    wave_S: Array
    start: Fraction

    def within(self, start: Fraction, end: Fraction) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
        """Return the parts of speech and of the rest that lie in [start, end), s from `start`."""
        return _part(self.speech, float(start), float(end)), _part(self.noisy, float(start), float(end))

    def levels(self, grid: Grid) -> Array:
        """Return the level around the beginning of each frame, level_T in dB, over 40 ms."""
        half = AUDIO_HZ // 50
        early = Grid(grid.start - Fraction(1, 50), grid.count)
        wave_TS = self.wave(early).reshape(grid.count, 2 * half)
        level_T: Array = 10 * np.log10((wave_TS**2).mean(axis=1) + 1e-10)
        return level_T

    def wave(self, grid: Grid) -> Array:
        """Return the sound of a grid, zeros where there is none."""
        first = round((grid.start - self.start) * AUDIO_HZ)
        count = round((grid.end - grid.start) * AUDIO_HZ)
        lead = np.zeros(max(0, -first), np.float32)
        part_S = np.concatenate([lead, self.wave_S[max(0, first) :]])[:count]
        return np.pad(part_S, (0, count - len(part_S)))


def hear(path: Path, longest_s: float, config: Hearing) -> Heard:
    """Find the speech of a clip's first `longest_s` seconds; a clip without sound is silent."""
    sound = read_sound(path)
    if sound is None:
        return Heard((), (), np.zeros(0, np.float32), Fraction(0))
    wave_S = sound.mono()[: round(longest_s * AUDIO_HZ)]
    said = Segmenter(stride_s=2.5, device="cpu").segment(wave_S)
    level_F = level_of(wave_S, len(said.any_F))
    many_F = said.two_F > config.several
    lone_F = (said.any_F > config.least) & ~many_F
    runs = bridge(_loud(runs_of(lone_F), level_F, config.depth_db), config.pause_s / HOP_S)
    speech_F = np.zeros(len(lone_F), np.bool_)
    for first, end in runs:
        speech_F[first:end] = True
    least = config.shortest_s / HOP_S
    speech = [run for run in runs_of(speech_F & ~many_F) if run[1] - run[0] >= least]
    zero = float(sound.start)
    return Heard(_spans(speech, zero), _spans(runs_of(many_F), zero), wave_S, sound.start)


def _part(spans: tuple[Span, ...], start: float, end: float) -> tuple[Span, ...]:
    return tuple((max(a, start) - start, min(b, end) - start) for a, b in spans if b > start and a < end)


def _loud(runs: list[tuple[int, int]], level_F: Array, depth_db: float) -> list[tuple[int, int]]:
    """Split and trim runs to what is not far more quiet than the loudest tenth of all speech."""
    if not runs:
        return []
    spoken_F = np.concatenate([level_F[a:b] for a, b in runs])
    floor_db = float(np.quantile(spoken_F, 0.9)) - depth_db
    loud_F = np.zeros(len(level_F), np.bool_)
    for first, end in runs:
        loud_F[first:end] = level_F[first:end] > floor_db
    return runs_of(loud_F)


def _spans(runs: list[tuple[int, int]], zero: float) -> tuple[Span, ...]:
    hop = STEP_S / AUDIO_HZ
    return tuple((zero + a * hop, zero + b * hop) for a, b in runs)


def agreement(opening_T: Array, wave_S: Array) -> tuple[float, float]:
    """Return how well lips and loudness agree: their best correlation in sync, and the best one out of sync.

    In sync is at most IN_SYNC frames apart. Over a few seconds of speech chance alone reaches .2.
    """
    level_T: NDArray[np.float64] = loudness(wave_S, len(opening_T))
    lips: list[tuple[slice, NDArray[np.float64]]] = [
        (run, syllable_band(opening_T[run].astype(np.float64)))
        for run in known_runs(opening_T[:, None].astype(np.float64))
    ]
    if not lips:
        return 0.0, 0.0
    score = {lag: _correlated(lips, level_T, lag) for lag in range(-REACH, REACH + 1)}
    inside = max(value for lag, value in score.items() if abs(lag) <= IN_SYNC)
    outside = max(value for lag, value in score.items() if abs(lag) > IN_SYNC)
    return inside, outside


def _correlated(
    lips: list[tuple[slice, NDArray[np.float64]]], level_T: NDArray[np.float64], lag: int
) -> float:
    """Correlate the lips with the sound of `lag` frames before."""
    moved_T = np.roll(level_T, lag)
    both = sum(float(band_T @ moved_T[run]) for run, band_T in lips)
    power = sum(float(band_T @ band_T) for _, band_T in lips)
    sound = sum(float(moved_T[run] @ moved_T[run]) for run, _ in lips)
    return both / float(np.sqrt(power * sound) + 1e-12)
