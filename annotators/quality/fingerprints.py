"""Fingerprints of pictures and sound that survive re-encoding, and tell two takes in one studio apart.

Sound: signs of energy differences along time and frequency (Haitsma and Kalker, "A highly robust audio
fingerprinting system", ISMIR 2002): 32 bits every 12.5 ms, each of .375 s.

Pictures: the same idea with space for frequency. What a picture shows is the same for hours in a studio; how it
changes is not. So a word of 64 bits holds the signs of the lowest cosine coefficients of the difference between a
32x32 picture and the one a second before. Brightness and contrast cancel, scale is gone, and small crops and
logos change few signs. Where nothing changes there is no word (0): a still picture is like any other.

Measured bit by bit at the best offset on 18 real clips and two variants of each (half size, CRF 34, 30 fps; 6 %
cropped away, brighter, a logo; both cut elsewhere): at most 22 % of picture bits differ, at least 40 % between
clips of different footage, and at least 35 % between two halves of one take. What that yields: see `overlaps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ

PictureWords = NDArray[np.uint64]
SoundWords = NDArray[np.uint32]

PICTURE_HZ = 5
"""Pictures a second that are looked at: every fifth of the 25 fps grid."""
SPAN = PICTURE_HZ
"""Pictures between the two that are compared: one second."""
SIDE = 32
STILL = 0.4
"""Root mean square change, grey levels of 255, up to which nothing moves: coding noise."""

SOUND_HOP_S = 0.0125
SOUND_HOP, SOUND_WINDOW, SOUND_POINTS = 200, 6000, 8192
BANDS_HZ = (300.0, 2000.0)
QUIET = 1e-9
"""Mean square up to which a window is silent (-90 dB)."""
CHUNK = 256
"""Windows that are transformed at once (about 17 MB)."""


def _none64() -> PictureWords:
    return np.zeros(0, np.uint64)


def _none32() -> SoundWords:
    return np.zeros(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a clip looks and sounds like; about 4 kB for ten seconds.

    Attributes:
        picture_P: One word a picture at `PICTURE_HZ`, of its change since a second before; 0 where nothing moves.
        sound_F: One word each `SOUND_HOP_S`; 0 where it is silent. Word f and the pictures share the clip's zero:
            sound word f lies at f * SOUND_HOP_S, picture word p at p / PICTURE_HZ.
    """

    picture_P: PictureWords = field(default_factory=_none64)
    sound_F: SoundWords = field(default_factory=_none32)


def picture_hashes(frames: Iterable[Frame]) -> PictureWords:
    """Return picture_P of frames at `PICTURE_HZ`; the first second, which has nothing before it, has no words."""
    words = [_word(change_HW) for change_HW in _changes(frames)]
    return np.array(words, np.uint64)


def _changes(frames: Iterable[Frame]) -> Iterator[Array]:
    past: list[Array] = []
    for frame_HWC in frames:
        small_HWC = cv2.resize(frame_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        past.append(cv2.cvtColor(small_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32))
        if len(past) > SPAN:
            yield past[-1] - past.pop(0)


def _word(change_HW: Array) -> int:
    if float(np.sqrt(np.mean(change_HW**2))) <= STILL:
        return 0
    basis = _cosines()
    coefficient_UV = basis @ change_HW @ basis.T
    bits_B = coefficient_UV[_lowest()] > 0
    return int.from_bytes(np.packbits(bits_B).tobytes(), "big")


@cache
def _cosines() -> Array:
    step = np.arange(SIDE) + 0.5
    return np.asarray(np.cos(np.pi / SIDE * np.arange(11)[:, None] * step), np.float32)


@cache
def _lowest() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the 64 lowest coefficients but the mean, by diagonals."""
    places = sorted(((u, v) for u in range(11) for v in range(11) if u + v), key=lambda uv: (sum(uv), uv))[
        :64
    ]
    u, v = np.array(places).T
    return u, v


def sound_hashes(wave_S: Array) -> SoundWords:
    """Return sound_F of a 16 kHz wave; what is shorter than .375 s has no words."""
    if len(wave_S) < SOUND_WINDOW + SOUND_HOP:
        return _none32()
    window_FS = np.lib.stride_tricks.sliding_window_view(wave_S, SOUND_WINDOW)[::SOUND_HOP]
    energy_FB = np.concatenate([_energies(window_FS[k : k + CHUNK]) for k in range(0, len(window_FS), CHUNK)])
    bits_FB = np.diff(np.diff(energy_FB, axis=1), axis=0) < 0
    words = np.packbits(bits_FB, axis=1).view(">u4")[:, 0].astype(np.uint32)
    power_F = np.array([float(np.mean(w**2)) for w in window_FS[1:]])
    return np.asarray(np.where(power_F > QUIET, words, 0), np.uint32)


def _energies(window_FS: Array) -> Array:
    """Return the energy of 33 bands of equal width in pitch."""
    tapered_FS = window_FS * np.hanning(SOUND_WINDOW).astype(np.float32)
    spectrum_FK = np.abs(np.fft.rfft(tapered_FS, SOUND_POINTS)) ** 2
    edges = np.geomspace(*BANDS_HZ, 34) * SOUND_POINTS / AUDIO_HZ
    return np.asarray(np.add.reduceat(spectrum_FK, np.round(edges).astype(int), axis=1)[:, :33])
