"""Binding and fusion on drawn evidence: the right face, off-screen voices, abstention, conflicts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mitds.annotators.binding.binder import bind
from mitds.annotators.binding.evidence import ShotEvidence, identities, on_grid, shot_evidence
from mitds.annotators.binding.fusion import FusionConfig, fitted, fuse
from mitds.manifests.records import Binding, FaceTrack, SpeakingScores, Voices
from mitds.time import Grid

PEOPLE, VOICES = ["P0", "P1"], ["V0", "V1"]


def conversation(frames: int = 200, strength: float = 2.0, lips: tuple[int, int] = (0, 1)) -> ShotEvidence:
    """V0 speaks in the first half, V1 in the second; the lips of `lips` move with them."""
    half = frames // 2
    logit = np.full((2, frames), -strength, np.float32)
    logit[lips[0], :half] = strength
    logit[lips[1], half:] = strength
    activity = np.zeros((frames, 2), np.float32)
    activity[:half, 0] = activity[half:, 1] = 1
    return ShotEvidence(logit, activity, np.ones(frames, np.float32))


def test_voices_find_their_faces_whichever_way_round():
    assert [b.identity for b in bind([conversation()], PEOPLE, VOICES)] == ["P0", "P1"]
    assert [b.identity for b in bind([conversation(lips=(1, 0))], PEOPLE, VOICES)] == ["P1", "P0"]


def test_voice_over_silent_faces_is_offscreen_and_not_an_abstention():
    shot = conversation()
    shot.logit_IT[:] = -2
    for binding in bind([shot], PEOPLE, VOICES):
        assert binding.identity is None
        assert not binding.abstained
        assert binding.probability > 0.9


def test_contradictory_lips_make_the_binder_abstain():
    shot = conversation()
    shot.logit_IT[:] = 2
    first = bind([shot], PEOPLE, VOICES)[0]
    assert first.abstained
    assert first.identity is None
    assert first.probability == pytest.approx(0.5, abs=0.01)


def test_too_little_speech_in_view_makes_the_binder_abstain():
    shot = conversation(frames=12)
    assert all(b.abstained for b in bind([shot], PEOPLE, VOICES))


def test_evidence_adds_up_over_shots():
    weak = [conversation(frames=20, strength=1.0) for _ in range(8)]
    one, many = bind(weak[:1], PEOPLE, VOICES)[0], bind(weak, PEOPLE, VOICES)[0]
    assert many.probability > one.probability
    assert many.identity == "P0"


def test_a_face_has_one_voice_and_the_clearly_weaker_claim_is_somebody_elses():
    shot = conversation(lips=(0, 0))
    shot.logit_IT[0, 100:] = 1.0
    first, second = bind([shot], PEOPLE, VOICES)
    assert first.identity == "P0"
    assert second.identity is None
    assert not second.abstained
    assert second.probability <= first.probability


def test_two_equal_claims_on_one_face_leave_one_in_doubt():
    both = bind([conversation(lips=(0, 0))], PEOPLE, VOICES)
    assert sorted(str(b.identity) for b in both) == ["None", "P0"]
    assert [b.abstained for b in both if b.identity is None] == [True]


def test_no_faces_and_no_voices():
    nobody = ShotEvidence(
        np.zeros((0, 50), np.float32), np.ones((50, 1), np.float32), np.ones(50, np.float32)
    )
    (alone,) = bind([nobody], [], ["V0"])
    assert alone.identity is None
    silence = ShotEvidence(
        np.zeros((2, 50), np.float32), np.zeros((50, 0), np.float32), np.zeros(50, np.float32)
    )
    assert bind([silence], PEOPLE, []) == []


def test_fusion_silences_moving_lips_under_a_voice_bound_elsewhere():
    shot = conversation()
    shot.logit_IT[1, :100] = 1.0
    bindings = bind([conversation()], PEOPLE, VOICES)
    fused = fuse(shot, PEOPLE, bindings, FusionConfig())
    assert fused[0, :100].min() > 0.9
    assert fused[1, :100].max() < 0.5


def test_lips_that_clearly_speak_outweigh_a_voice_bound_elsewhere():
    shot = conversation(strength=3.0)
    bindings = bind([shot], PEOPLE, VOICES)
    shot.logit_IT[1, :100] = 5.5  # both talk, and diarization heard one voice
    for scorer in ("lr-asd", "lr-asd-lips", "lip-motion"):
        assert fuse(shot, PEOPLE, bindings, fitted(scorer))[:, :100].min() > 0.5


def test_fusion_keeps_absence():
    shot = conversation()
    shot.logit_IT[0, 10:20] = np.nan
    fused = fuse(shot, PEOPLE, bind([shot], PEOPLE, VOICES), FusionConfig())
    assert np.isnan(fused[0, 10:20]).all()
    assert np.isfinite(fused[1]).all()


def test_abstained_binding_pushes_nobody():
    shot = conversation()
    nobody = [Binding(identity=None, voice=v, probability=0.9, abstained=True, evidence_s=1) for v in VOICES]
    fused = fuse(shot, PEOPLE, nobody, FusionConfig(speech=0.0))
    np.testing.assert_allclose(fused, 1 / (1 + np.exp(-shot.logit_IT)), rtol=1e-5)


def test_sound_is_laid_on_the_grid_by_time():
    steps = np.zeros((100, 1), np.float32)
    steps[50:60] = 1  # heard from 0.50 s to 0.60 s of the sound
    grid = Grid(Fraction(10), 50)
    on_time = on_grid(steps, 0.01, float(grid.start - Fraction(10)), grid)[:, 0]
    late = on_grid(steps, 0.01, float(grid.start - Fraction("10.2")), grid)[:, 0]
    assert np.flatnonzero(on_time > 0.5).tolist() == [13, 14]  # 0.52-0.60 s; frame 12 is half covered
    assert on_time[12] == pytest.approx(0.5)
    assert np.flatnonzero(late > 0.5).tolist() == [18, 19]  # the sound began .2 s later


def test_shot_evidence_puts_tracks_in_identity_rows():
    track = FaceTrack(
        track=0,
        first=5,
        xyxy_T4=np.zeros((10, 4), np.float32),
        score_T=np.ones(10, np.float32),
        landmarks_T52=np.zeros((10, 5, 2), np.float32),
        detected_T=np.ones(10, bool),
        embedding_D=None,
        identity="P1",
    )
    score = SpeakingScores(
        track=0, logit_T=np.zeros(10, np.float32), probability_T=np.full(10, 0.9, np.float32), model="fake"
    )
    voices = Voices(
        voices=(),
        turns=(),
        activity_FV=np.zeros((100, 0), np.float32),
        speech_F=np.zeros(100, np.float32),
        hop_s=0.02,
        embedding_VD=np.zeros((0, 192), np.float32),
        model="fake",
    )
    found = shot_evidence(Grid(Fraction(0), 20), [track], [score], PEOPLE, voices, Fraction(0))
    assert np.isnan(found.logit_IT[0]).all()
    assert np.flatnonzero(np.isfinite(found.logit_IT[1])).tolist() == list(range(5, 15))
    assert found.activity_TV.shape == (20, 0)
    assert identities([[track]]) == ["P1"]
