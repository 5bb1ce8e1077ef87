"""Voices that do not fit faces, on made labels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from mitds.annotators.quality.dubbing import DubbingConfig, measure_dubbing, measure_synchrony
from mitds.errors import UsageError
from mitds.manifests.codec import pack_arrays, voices_to_npz
from mitds.manifests.records import SourceSound, SpeechTurn
from mitds.pipeline.stages.hearing import Hearing
from mitds.pipeline.stages.items import ClipItem, ShotItem, SoundItem
from mitds.pipeline.work import Member, Work
from mitds.store import write_bytes
from mitds.time import AUDIO_HZ
from tests import factories

T = 200
TALKS, HEARD = np.full(T, 0.9, np.float32), np.ones(T, np.float32)
QUIET, UNSEEN = np.full(T, 0.1, np.float32), np.full(T, np.nan, np.float32)


def test_a_face_that_talks_with_its_own_voice_fits() -> None:
    found = measure_dubbing(TALKS[None], HEARD[:, None], HEARD, foreign_TV=np.zeros((T, 1), np.bool_))
    assert found == {"voiceover_share": 0, "extra_voice_share": 0, "foreign_voice_share": 0}


def test_a_narrator_over_still_faces() -> None:
    listening_NT = np.stack([QUIET, np.where(np.arange(T) < 50, 0.9, 0.1)])
    found = measure_dubbing(listening_NT, HEARD[:, None], HEARD)
    assert found == {"voiceover_share": 0.75, "extra_voice_share": 0}


def test_an_interpreter_over_the_original() -> None:
    both_TV = np.stack([HEARD, np.arange(T) >= 120], 1).astype(np.float32)
    assert measure_dubbing(TALKS[None], both_TV, HEARD)["extra_voice_share"] == 0.4
    assert measure_dubbing(np.stack([TALKS, QUIET]), both_TV, HEARD)["extra_voice_share"] == 0


def test_a_face_that_talks_while_only_voices_of_nobody_in_view_are_heard() -> None:
    foreign_T1 = np.arange(T)[:, None] < 50
    found = measure_dubbing(TALKS[None], HEARD[:, None], HEARD, foreign_TV=foreign_T1)
    assert found["foreign_voice_share"] == 0.25
    both_TV = np.stack([HEARD, np.arange(T) < 20], 1).astype(np.float32)
    foreign_TV = np.concatenate([foreign_T1, np.zeros((T, 1), np.bool_)], axis=1)
    found = measure_dubbing(TALKS[None], both_TV, HEARD, foreign_TV=foreign_TV)
    assert found["foreign_voice_share"] == 0.15
    listens = measure_dubbing(QUIET[None], HEARD[:, None], HEARD, foreign_TV=foreign_T1)
    assert listens["foreign_voice_share"] == 0


def test_a_second_voice_of_somebody_in_view_is_their_own_and_an_offscreen_one_is_not(tmp_path: Path) -> None:
    """V0 and V1 are one person's; V2 is heard in the last quarter and belongs to nobody in view."""
    work = Work(tmp_path)
    clip = factories.clip(
        persons=1, frames=T, offscreen=(SpeechTurn(voice="V2", start_s=6.0, end_s=8.0),), unassigned=()
    )
    sound = SourceSound(start=Fraction(1, 3), rate=AUDIO_HZ, channels=1, duration=Fraction(8))
    heard = SoundItem(sound, cast("Member", None), clip.source_id[:16])
    item = ClipItem(clip, cast("ShotItem", None), 0, heard, clip.source_id[:16], "")
    quarter_T = np.arange(T) // 50
    activity_TV = np.stack([quarter_T < 1, (quarter_T > 0) & (quarter_T < 3), quarter_T == 3], axis=1)
    voices = replace(
        factories.voices(), voices=("V0", "V1", "V2"), turns=(), activity_FV=activity_TV.astype(np.float32),
        speech_F=HEARD, hop_s=0.04, embedding_VD=np.zeros((3, 192), np.float32),
    )  # fmt: skip
    write_bytes(work.path("voices", clip.source_id[:16], ".npz"), voices_to_npz(voices))
    people = {"face_xyxy_NT4": np.ones((1, T, 4), np.float32), "speaking_NT": TALKS[None]}
    write_bytes(work.path("people", clip.source_id[:16], ".npz"), pack_arrays(people))
    found = Hearing(("dubbing",), work).measure(item, np.zeros(8 * AUDIO_HZ, np.float32))
    assert found["foreign_voice_share"] == pytest.approx(0.25, abs=0.01)


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


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="window_s"):
        DubbingConfig(window_s=0)
