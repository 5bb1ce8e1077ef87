"""Voices that do not fit faces, on made labels."""

from __future__ import annotations

import numpy as np
import pytest

from mitds.annotators.quality.dubbing import DubbingConfig, lips_move, measure_dubbing, measure_synchrony
from mitds.errors import UsageError

T = 200
TALKS, HEARD = np.full(T, 0.9, np.float32), np.ones(T, np.float32)
QUIET, UNSEEN = np.full(T, 0.1, np.float32), np.full(T, np.nan, np.float32)


def test_a_face_that_talks_with_its_own_voice_fits() -> None:
    found = measure_dubbing(TALKS[None], HEARD[:, None], HEARD, owner_V=[0])
    assert found == {"voiceover_share": 0, "extra_voice_share": 0, "foreign_voice_share": 0}


def test_a_narrator_over_still_faces() -> None:
    listening_NT = np.stack([QUIET, np.where(np.arange(T) < 50, 0.9, 0.1)])
    found = measure_dubbing(listening_NT, HEARD[:, None], HEARD)
    assert found == {"voiceover_share": 0.75, "extra_voice_share": 0}


def test_an_interpreter_over_the_original() -> None:
    both_TV = np.stack([HEARD, np.arange(T) >= 120], 1).astype(np.float32)
    assert measure_dubbing(TALKS[None], both_TV, HEARD)["extra_voice_share"] == 0.4
    assert measure_dubbing(np.stack([TALKS, QUIET]), both_TV, HEARD)["extra_voice_share"] == 0


@pytest.mark.parametrize(("owner", "share"), [(0, 0.0), (1, 1.0), (None, 1.0)])
def test_lips_that_move_under_a_voice_of_another(owner: int | None, share: float) -> None:
    moving_NT = np.stack([np.ones(T, np.bool_), np.zeros(T, np.bool_)])
    found = measure_dubbing(
        np.stack([QUIET, QUIET]), HEARD[:, None], HEARD, owner_V=[owner], moving_NT=moving_NT
    )
    assert found["foreign_voice_share"] == share


def test_only_speech_with_a_face_in_view_is_judged() -> None:
    half = np.where(np.arange(T) < 100, 0.1, np.nan)[None]
    assert measure_dubbing(half, HEARD[:, None], HEARD)["voiceover_share"] == 1
    assert measure_dubbing(UNSEEN[None], HEARD[:, None], HEARD) == {}
    assert measure_dubbing(TALKS[None], HEARD[:, None] * 0, HEARD * 0) == {}


def scores(lag_W: list[int], frames: int = 75) -> np.ndarray:
    """Scores that peak at one lag in each stretch of three seconds."""
    lags = np.arange(-15, 16)[:, None]
    return np.concatenate([-np.abs(np.tile(lags - lag, frames)).astype(np.float32) for lag in lag_W], axis=1)


def test_one_lag_all_through_is_steady() -> None:
    found = measure_synchrony(scores([-4] * 5), np.ones(375))
    assert found == {"sync_steadiness": 1.0, "sync_lag_s": pytest.approx(-0.16)}


def test_lags_that_wander_are_not_steady() -> None:
    assert measure_synchrony(scores([-12, 6, 0, 11, -6]), np.ones(375))["sync_steadiness"] < 0.5


def test_lags_are_not_told_from_silence_or_a_moment() -> None:
    assert measure_synchrony(scores([0] * 5), np.zeros(375)) == {}
    assert measure_synchrony(scores([0]), np.ones(75)) == {}
    assert measure_synchrony(np.zeros((31, 0), np.float32), np.zeros(0)) == {}


def test_lips_move_at_the_rate_of_syllables_only() -> None:
    t = np.arange(100) / 25
    size = np.full(100, 100.0)
    talking = np.stack([8 + 5 * np.sin(2 * np.pi * 4 * t), size], 1).astype(np.float32)
    open_still = np.stack([np.full(100, 13.0), size], 1).astype(np.float32)
    assert lips_move(talking).all()
    assert not lips_move(open_still).any()
    assert not lips_move(np.full((100, 2), np.nan, np.float32)).any()


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="window_s"):
        DubbingConfig(window_s=0)
