"""MFCC against python_speech_features, and loudness."""

from __future__ import annotations

import numpy as np
import pytest

from mitds.annotators.asd.lip_signals import loudness
from mitds.annotators.asd.mfcc import COEFFICIENTS, mfcc

RATE = 16_000


def chirp(seconds: int = 3) -> np.ndarray:
    t = np.arange(seconds * RATE) / RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    return (0.3 * np.sin(2 * np.pi * (200 * t + 300 * t * t)) * swell).astype(np.float32)


# python_speech_features 0.6: mfcc(chirp as int16, 16000), rows 0 and 150
STORED = {
    0: [17.3841, 23.5442, 15.3807, 10.4243, 5.3308, -0.8151, -6.1834, -11.7847, -15.9767, -19.182, -20.0212,
        -19.9458, -18.0995],
    150: [19.9445, 7.4792, -26.9288, -30.6129, 0.2871, 28.4825, 20.9277, -11.7455, -26.6813, -7.8458, 18.5547,
          18.7469, -2.9468],
}  # fmt: skip


@pytest.mark.parametrize("row", sorted(STORED))
def test_mfcc_equals_the_reference_package(row: int) -> None:
    np.testing.assert_allclose(mfcc(chirp(), 299)[row], STORED[row], atol=2e-4)


def test_mfcc_has_the_steps_asked_for_whatever_the_wave() -> None:
    for samples in (0, 1, 399, 48_000):
        steps_FC = mfcc(chirp()[:samples], 40)
        assert steps_FC.shape == (40, COEFFICIENTS)
        assert steps_FC.dtype == np.float32
        assert np.isfinite(steps_FC).all()


def test_mfcc_of_a_late_wave_is_late_by_as_many_steps() -> None:
    late = np.concatenate((np.zeros(1600, np.float32), chirp()))
    np.testing.assert_allclose(mfcc(late, 210)[12:210], mfcc(chirp(), 200)[2:200], atol=1e-3)


def test_loudness_follows_the_sound_frame_by_frame() -> None:
    wave_S = np.random.default_rng(5).standard_normal(4 * RATE).astype(np.float32) * 0.001
    wave_S[2 * RATE : 2 * RATE + 3200] *= 100  # .2 s from frame 50
    assert 50 <= int(loudness(wave_S, 100).argmax()) <= 55
