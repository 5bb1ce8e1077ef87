"""Fingerprints of made pictures and sounds, and what they share."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mitds.annotators.quality.fingerprints import (
    PICTURE_HZ,
    Fingerprint,
    picture_hashes,
    sound_hashes,
)
from mitds.annotators.quality.overlaps import OverlapIndex, overlap


def pictures(seconds: float, seed: int, *, studio: int = 0) -> list[np.ndarray]:
    """A fixed scene with blobs that wander."""
    rng, scene = np.random.default_rng(seed), np.random.default_rng(studio)
    back = cv2.resize(scene.integers(0, 256, (6, 8, 3), np.uint8), (160, 120))
    at, step = rng.random((5, 2)) * (160, 120), rng.normal(0, 8, (5, 2))
    frames = []
    for _ in range(int(seconds * PICTURE_HZ)):
        step = step * 0.8 + rng.normal(0, 6, (5, 2))
        at = (at + step) % (160, 120)
        frame = back.copy()
        for k, (x, y) in enumerate(at):
            cv2.circle(frame, (int(x), int(y)), 12 + 3 * k, (40 * k, 255 - 50 * k, 90), -1)
        frames.append(frame)
    return frames


def sound(seconds: float, seed: int) -> np.ndarray:
    """Noise whose bands come and go."""
    rng = np.random.default_rng(seed)
    wave_S = rng.standard_normal(int(seconds * 16_000))
    spectrum = np.fft.rfft(wave_S)
    t = np.arange(len(wave_S)) / 16_000
    total = np.zeros(len(wave_S))
    hz = np.fft.rfftfreq(len(wave_S), 1 / 16_000)
    for low in np.geomspace(300, 1800, 9):
        band = np.fft.irfft(np.where((hz >= low) & (hz < low * 1.22), spectrum, 0), len(wave_S))
        total += band * (1 + np.sin(2 * np.pi * (rng.uniform(0.5, 4) * t + rng.random())))
    return (total / np.abs(total).max() * 0.5).astype(np.float32)


def fingerprint(frames: list[np.ndarray], wave_S: np.ndarray) -> Fingerprint:
    return Fingerprint(picture_hashes(frames), sound_hashes(wave_S))


@pytest.fixture(scope="module")
def original() -> tuple[list[np.ndarray], np.ndarray]:
    return pictures(12, 1), sound(12, 1)


def changed(frame: np.ndarray) -> np.ndarray:
    """Cropped, brighter, smaller, and with a logo."""
    frame = np.clip(frame[4:-4, 5:-5].astype(np.float32) * 1.15 + 10, 0, 255).astype(np.uint8)
    frame = cv2.resize(frame, (96, 72), interpolation=cv2.INTER_AREA)
    frame[4:12, 4:20] = (240, 20, 60)
    return frame


def test_a_changed_part_is_found_with_its_offset(original: tuple[list[np.ndarray], np.ndarray]) -> None:
    frames, wave_S = original
    rng = np.random.default_rng(9)
    part = [changed(f) for f in frames[10:]]
    noisy_S = wave_S[32_000:] * 0.4 + rng.standard_normal(len(wave_S) - 32_000).astype(np.float32) * 0.005
    found = overlap(fingerprint(part, noisy_S), fingerprint(frames, wave_S))
    assert found.picture_share == pytest.approx(1, abs=0.05)
    assert found.sound_share == pytest.approx(1, abs=0.05)
    assert found.offset_s == pytest.approx(2.0, abs=0.05)


def test_another_take_in_the_same_studio_is_not_found(original: tuple[list[np.ndarray], np.ndarray]) -> None:
    other = fingerprint(pictures(12, 2), sound(12, 2))
    found = overlap(fingerprint(*original), other)
    assert (found.picture_share, found.sound_share, found.offset_s) == (0, 0, None)


def test_the_same_pictures_under_another_sound(original: tuple[list[np.ndarray], np.ndarray]) -> None:
    frames, wave_S = original
    found = overlap(fingerprint(frames[15:], sound(9, 5)), fingerprint(frames, wave_S))
    assert found.picture_share == 1
    assert found.sound_share == 0
    assert found.offset_s == pytest.approx(3.0)


def test_half_a_clip_counts_as_half(original: tuple[list[np.ndarray], np.ndarray]) -> None:
    _, wave_S = original
    joined = np.concatenate([wave_S[:96_000], sound(6, 7)])
    found = overlap(Fingerprint(sound_F=sound_hashes(joined)), Fingerprint(sound_F=sound_hashes(wave_S)))
    assert found.sound_share == pytest.approx(0.5, abs=0.07)
    assert found.picture_share is None


def test_nothing_to_see_or_hear_is_no_match() -> None:
    still = picture_hashes([pictures(1, 1)[0]] * 40)
    silent = sound_hashes(np.zeros(64_000, np.float32))
    assert not still.any()
    assert len(still) == 35
    assert not silent.any()
    assert len(silent) == 290
    both = Fingerprint(still, silent)
    assert overlap(both, both).offset_s is None
    assert overlap(both, both).picture_share is None
    assert overlap(Fingerprint(), Fingerprint()).sound_share is None


def test_short_ones_have_no_words() -> None:
    assert len(picture_hashes(pictures(1, 1))) == 0
    assert len(sound_hashes(np.ones(6000, np.float32))) == 0


def test_the_index_finds_the_pair_among_others(original: tuple[list[np.ndarray], np.ndarray]) -> None:
    frames, wave_S = original
    others = [fingerprint(pictures(4, k), sound(4, k)) for k in range(10, 16)]
    index = OverlapIndex([*others[:3], fingerprint(frames, wave_S), *others[3:]])
    found = index.find(fingerprint([changed(f) for f in frames[5:45]], wave_S[16_000:144_000] * 0.5))
    assert [clip for clip, _ in found] == [3]
    assert found[0][1].offset_s == pytest.approx(1.0, abs=0.05)
    assert OverlapIndex([]).find(others[0]) == []
