"""Sound and picture of a whole source: voices known by sight, voices taken for one, and nothing else changed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mitds.annotators.binding.joint import Joint, ShotView, solve
from mitds.manifests.records import FaceTrack, SpeakingScores, SpeechTurn, Voices
from mitds.time import Grid

HOP = 0.02
FRAMES = 200


def view(logit_IT: np.ndarray) -> ShotView:
    """Faces in view all along, one a row."""
    count = logit_IT.shape[1]
    tracks = [
        FaceTrack(
            track=i,
            first=0,
            xyxy_T4=np.zeros((count, 4), np.float32),
            score_T=np.ones(count, np.float32),
            landmarks_T52=np.zeros((count, 5, 2), np.float32),
            detected_T=np.ones(count, bool),
            embedding_D=None,
            identity=f"P{i}",
        )
        for i in range(len(logit_IT))
    ]
    scores = [
        SpeakingScores(
            track=i,
            logit_T=logit.astype(np.float32),
            probability_T=(1 / (1 + np.exp(-logit))).astype(np.float32),
            model="fake",
        )
        for i, logit in enumerate(logit_IT)
    ]
    return ShotView(Grid(Fraction(0), count), tracks, scores)


def heard(*turns: tuple[int, float, float], overlap: tuple[float, float] | None = None) -> Voices:
    steps, voices = round(FRAMES / 25 / HOP), max(v for v, _, _ in turns) + 1
    activity = np.zeros((steps, voices), np.float32)
    for v, start, end in turns:
        activity[round(start / HOP) : round(end / HOP), v] = 1
    two = np.zeros(steps, np.float32)
    if overlap:
        two[round(overlap[0] / HOP) : round(overlap[1] / HOP)] = 1
    return Voices(
        voices=tuple(f"V{v}" for v in range(voices)),
        turns=tuple(SpeechTurn(voice=f"V{v}", start_s=a, end_s=b) for v, a, b in turns),
        activity_FV=activity,
        speech_F=activity.max(axis=1),
        hop_s=HOP,
        embedding_VD=np.eye(voices, 192, dtype=np.float32),
        model="fake",
        overlap_F=two,
    )


def talking(*spans: tuple[float, float]) -> np.ndarray:
    """Log odds of a face whose lips speak in these spans, seconds."""
    logit = np.full(FRAMES, -4.0)
    for start, end in spans:
        logit[round(start * 25) : round(end * 25)] = 4.0
    return logit


def solved(faces: list[np.ndarray], voices: Voices) -> Joint:
    return solve([view(np.stack(faces))], [f"P{i}" for i in range(len(faces))], voices, Fraction(0))


def turns_of(joint: Joint, voice: str) -> list[tuple[float, float]]:
    assert joint.voices is not None
    return [(t.start_s, t.end_s) for t in joint.voices.turns if t.voice == voice]


def owners(joint: Joint) -> dict[str, str | None]:
    return {b.voice: b.identity for b in joint.bindings}


def test_what_sound_and_picture_agree_on_stays_as_it_was_heard() -> None:
    voices = heard((0, 0, 4), (1, 4, 8))
    joint = solved([talking((0, 4)), talking((4, 8))], voices)
    assert joint.voices is not None
    assert joint.voices.turns == voices.turns
    assert owners(joint) == {"V0": "P0", "V1": "P1"}
    assert joint.speaking[0][0, 10:90].min() > 0.9


def test_somebody_heard_only_over_others_gets_a_voice_by_sight() -> None:
    joint = solved([talking((0, 8)), talking((3, 5))], heard((0, 0, 8), overlap=(3, 5)))
    assert owners(joint) == {"V0": "P0", "V1": "P1"}
    assert turns_of(joint, "V1") == [pytest.approx((3, 5), abs=0.05)]
    assert turns_of(joint, "V0") == [(0, 8)]
    assert joint.voices is not None
    assert joint.voices.activity_FV.shape[1] == len(joint.voices.voices) == 2
    assert np.isnan(joint.voices.embedding_VD[1]).all()  # nobody heard it alone


def test_moving_lips_get_no_voice_where_one_voice_alone_is_heard() -> None:
    joint = solved([talking((0, 8)), talking((3, 5))], heard((0, 0, 8)))
    assert owners(joint) == {"V0": "P0"}


def test_two_like_voices_taken_for_one_are_told_apart_by_sight() -> None:
    """P0 talks twice, and P1 between; by ear the first two are one voice, and P1's last word another's."""
    voices = heard((0, 0, 6), (1, 7, 8))
    joint = solved([talking((0, 4)), talking((4, 6), (7, 8))], voices)
    assert owners(joint) == {"V0": "P0", "V1": "P1"}
    assert turns_of(joint, "V0") == [pytest.approx((0, 4), abs=0.05)]
    assert turns_of(joint, "V1") == [pytest.approx((4, 6), abs=0.05), (7, 8)]


def test_a_pause_that_is_seen_but_not_heard_parts_a_turn() -> None:
    joint = solved([talking((0, 3), (3.4, 8))], heard((0, 0, 8)))
    assert turns_of(joint, "V0") == [pytest.approx((0, 3), abs=0.05), pytest.approx((3.4, 8), abs=0.05)]


def test_a_longer_stretch_that_sight_denies_stays_as_heard() -> None:
    """It is somebody's speech, whoever's."""
    joint = solved([talking((0, 3), (5, 8))], heard((0, 0, 8)))
    assert turns_of(joint, "V0") == [(0, 8)]


def test_the_voice_of_nobody_in_view_is_not_cut_by_a_silent_face() -> None:
    joint = solved([talking()], heard((0, 0, 4), (0, 4.3, 8)))
    assert turns_of(joint, "V0") == [(0, 4), (4.3, 8)]


def test_a_voice_from_off_screen_stays_nobodys() -> None:
    joint = solved([talking((0, 3))], heard((0, 0, 3), (1, 4, 8)))
    assert owners(joint) == {"V0": "P0", "V1": None}
    assert not joint.bindings[1].abstained
    assert joint.speaking[0][0, 110:190].max() < 0.1


def test_without_sound_there_is_nothing_to_say() -> None:
    joint = solve([view(np.stack([np.full(FRAMES, np.nan)]))], ["P0"], None, Fraction(0))
    assert joint.voices is None
    assert joint.bindings == ()
    assert np.isnan(joint.speaking[0]).all()


def test_a_late_sound_is_laid_where_it_belongs() -> None:
    voices = heard((0, 0, 4), (1, 4, 7))
    shot = view(np.stack([talking((1, 5)), talking((5, 8))]))
    joint = solve([shot], ["P0", "P1"], voices, Fraction(1))
    assert owners(joint) == {"V0": "P0", "V1": "P1"}
    assert joint.speaking[0][0, 30:120].min() > 0.9
