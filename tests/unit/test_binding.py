"""Binding and fusion on drawn evidence: the right face, off-screen voices, abstention, conflicts."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from mitds.annotators.binding.binder import BinderConfig, Ownership, bindings_of, own
from mitds.annotators.binding.evidence import ShotEvidence, identities, on_grid, shot_evidence
from mitds.annotators.binding.fusion import FITTED, FusionConfig, fitted, fuse
from mitds.annotators.binding.matching import matching_marginals
from mitds.manifests.codec import voices_from_npz, voices_to_npz
from mitds.manifests.records import Binding, FaceTrack, SpeakingScores, Voices
from mitds.time import Grid

PEOPLE, VOICES = ["P0", "P1"], ["V0", "V1"]


def shot_of(logit_IT: np.ndarray, activity_TV: np.ndarray, overlap: float = 0.0) -> ShotEvidence:
    count = logit_IT.shape[1]
    return ShotEvidence(
        np.asarray(logit_IT, np.float32),
        np.asarray(activity_TV, np.float32),
        np.ones(count, np.float32),
        np.full(count, overlap, np.float32),
    )


def conversation(frames: int = 200, strength: float = 3.0, lips: tuple[int, int] = (0, 1)) -> ShotEvidence:
    """V0 speaks in the first half, V1 in the second; the lips of `lips` move with them."""
    half = frames // 2
    logit = np.full((2, frames), -strength)
    logit[lips[0], :half] = strength
    logit[lips[1], half:] = strength
    activity = np.zeros((frames, 2))
    activity[:half, 0] = activity[half:, 1] = 1
    return shot_of(logit, activity)


def bind(evidence: list[ShotEvidence], people: list[str], voices: list[str]) -> list[Binding]:
    config = BinderConfig()
    return bindings_of(own(evidence, len(people), len(voices), config), people, voices, config)


def known(owner_VI: list[list[float]]) -> Ownership:
    owner = np.array(owner_VI, np.float64)
    return Ownership(owner, 1 - owner.sum(axis=1), np.ones_like(owner))


def test_voices_find_their_faces_whichever_way_round() -> None:
    assert [b.identity for b in bind([conversation()], PEOPLE, VOICES)] == ["P0", "P1"]
    assert [b.identity for b in bind([conversation(lips=(1, 0))], PEOPLE, VOICES)] == ["P1", "P0"]


def test_voice_over_silent_faces_is_offscreen_and_not_an_abstention() -> None:
    shot = conversation()
    shot.logit_IT[:] = -3
    for binding in bind([shot], PEOPLE, VOICES):
        assert binding.identity is None
        assert not binding.abstained
        assert binding.probability > 0.9


def test_equal_lips_make_the_binder_abstain() -> None:
    shot = conversation()
    shot.logit_IT[:] = 3
    for binding in bind([shot], PEOPLE, VOICES):
        assert binding.abstained
        assert binding.identity is None
        assert binding.probability == pytest.approx(0.5, abs=0.1)


def test_lips_that_move_under_every_voice_claim_none_that_has_a_better_owner() -> None:
    shot = conversation(strength=4)
    shot.logit_IT[1] = 4  # chews all along, and talks in the second half
    first, second = bind([shot], PEOPLE, VOICES)
    assert (first.identity, second.identity) == ("P0", "P1")


def test_a_face_out_of_view_while_a_voice_talks_is_a_worse_owner_than_one_in_view() -> None:
    shot = conversation()
    shot.logit_IT[:] = 0.5
    shot.logit_IT[1, :100] = np.nan
    owner_VI = own([shot], 2, 2).owner_VI
    assert owner_VI[0, 0] > 3 * owner_VI[0, 1]
    assert owner_VI[0, 1] > 0.01  # but it may be


def test_a_voice_is_nobodys_for_certain_only_if_everybody_was_seen_or_has_a_voice() -> None:
    shot = conversation()
    shot.logit_IT[0, 100:] = -6  # P0 owns V0, and is silent under V1
    shot.logit_IT[1] = np.nan  # P1 is never seen while somebody talks
    second = bind([shot], PEOPLE, VOICES)[1]
    alone = bind([shot_of(shot.logit_IT[:1], shot.activity_TV)], PEOPLE[:1], VOICES)[1]
    assert alone.identity is None
    assert not alone.abstained
    assert second.probability < alone.probability


def test_too_little_speech_in_view_makes_the_binder_abstain() -> None:
    shot = conversation(frames=12)
    assert all(b.abstained for b in bind([shot], PEOPLE, VOICES))


def test_evidence_adds_up_over_shots() -> None:
    weak = [conversation(frames=60, strength=1.0) for _ in range(8)]
    one, many = bind(weak[:1], PEOPLE, VOICES)[0], bind(weak, PEOPLE, VOICES)[0]
    assert many.probability > one.probability
    assert many.identity == "P0"


@pytest.mark.parametrize("apart", [0, 12])
def test_what_is_scored_within_half_a_second_of_another_voice_counts_for_neither(apart: int) -> None:
    config = BinderConfig(apart=apart)
    shot, blurred = conversation(strength=1.0), conversation(strength=1.0)
    blurred.logit_IT[0, 100:112] = 8.0  # the network still sees P0, who spoke until frame 100
    before, after = (own([e], 2, 2, config).owner_VI for e in (shot, blurred))
    assert (after == pytest.approx(before)) == (apart == 12)
    blurred.logit_IT[0, 112:120] = 8.0
    assert own([blurred], 2, 2, config).owner_VI[1, 0] > 2 * before[1, 0]


def test_a_face_under_two_voices_that_hardly_part_owns_neither_for_sure() -> None:
    talks = conversation(strength=5.0, lips=(0, 0))
    shot = shot_of(talks.logit_IT[:1], talks.activity_TV)
    shot.activity_TV[20:180] = 1  # they talk together but for .8 s at either end
    for binding in bind([shot], PEOPLE[:1], VOICES):
        assert binding.abstained
        assert binding.probability < 0.8


@pytest.mark.parametrize("looks", [2, 8, 32])
def test_what_looks_weigh_grows_with_the_root_of_their_number(looks: int) -> None:
    config = BinderConfig()
    frames = round(config.frames_per_look * looks)
    shot = shot_of(np.ones((1, frames)), np.ones((frames, 1)))
    owner = own([shot], 1, 1, config).owner_VI[0, 0]
    odds = np.log(owner / (1 - owner)) + config.nobody
    assert odds == pytest.approx(config.trust * looks**0.5)


def test_a_face_has_one_voice_and_the_weaker_claim_is_not_its_own() -> None:
    shot = conversation(strength=5, lips=(0, 0))
    shot.logit_IT[0, 100:] = 0.5
    first, second = bind([shot], PEOPLE, VOICES)
    assert first.identity == "P0"
    assert second.identity is None


def test_two_equal_claims_on_one_face_are_left_in_doubt() -> None:
    both = bind([conversation(strength=1.0, lips=(0, 0))], PEOPLE, VOICES)
    assert [b.abstained for b in both] == [True, True]


def test_lips_that_clearly_fit_two_voices_own_both() -> None:
    """Diarization took one person for two."""
    both = bind([conversation(strength=6.0, lips=(0, 0))], PEOPLE, VOICES)
    assert [b.identity for b in both] == ["P0", "P0"]


def test_no_faces_and_no_voices() -> None:
    (alone,) = bind([shot_of(np.zeros((0, 50)), np.ones((50, 1)))], [], ["V0"])
    assert alone.identity is None
    assert alone.abstained  # nothing was seen
    assert bind([shot_of(np.zeros((2, 50)), np.zeros((50, 0)))], PEOPLE, []) == []


def by_counting(odds_VI: np.ndarray, single: float, again: float) -> np.ndarray:
    """Enumerate all matchings."""
    voices, faces = odds_VI.shape
    total, pair = 0.0, np.zeros_like(odds_VI)
    for choice in product(range(-1, faces), repeat=voices):
        taken = [c for c in choice if c >= 0]
        price = again * (len(taken) - len(set(taken)))
        weight = np.exp(sum(odds_VI[v, c] if c >= 0 else single for v, c in enumerate(choice)) - price)
        total += weight
        for v, c in enumerate(choice):
            if c >= 0:
                pair[v, c] += weight
    return pair / total


@pytest.mark.parametrize("again", [0.0, 1.0, 3.0, 50.0])
def test_matching_is_exact_without_loops_and_close_with_them(again: float) -> None:
    tree = np.array([[2.0, -30.0, -30.0], [1.0, 0.5, -30.0], [-30.0, 1.5, 3.0]])
    assert matching_marginals(tree, 0.3, again)[0] == pytest.approx(by_counting(tree, 0.3, again), abs=1e-6)
    loopy = np.random.default_rng(5).normal(0, 2, (3, 4))
    pair, single = matching_marginals(loopy, 0.0, again)
    assert pair == pytest.approx(by_counting(loopy, 0.0, again), abs=0.05)
    assert pair.sum(axis=1) + single == pytest.approx(np.ones(3))


def test_fusion_silences_moving_lips_under_a_voice_bound_elsewhere() -> None:
    shot = conversation()
    shot.logit_IT[1, :100] = 1.0
    fused = fuse(shot, known([[1, 0], [0, 1]]), FusionConfig())
    assert fused[0, :100].min() > 0.9
    assert fused[1, :100].max() < 0.5


@pytest.mark.parametrize("scorer", sorted(FITTED))
def test_weights_of_every_scorer_make_sense(scorer: str) -> None:
    weights = fitted(scorer)
    assert weights.scorer > 0
    assert weights.own_voice > 2 > 0 > weights.other_face
    assert weights.out_of_view < 0 < weights.unnamed_overlap


def test_a_second_voice_that_nobody_could_name_lets_clear_lips_speak() -> None:
    shot = conversation()
    shot.logit_IT[1, :100] = 5.0
    alone = fuse(shot, known([[1, 0], [0, 1]]), FusionConfig())[1, :100]
    both = shot_of(shot.logit_IT, shot.activity_TV, overlap=1.0)
    together = fuse(both, known([[1, 0], [0, 1]]), FusionConfig())[1, :100]
    assert alone.max() < together.min()
    assert together.min() > 0.8


def test_fusion_keeps_absence() -> None:
    shot = conversation()
    shot.logit_IT[0, 10:20] = np.nan
    fused = fuse(shot, known([[1, 0], [0, 1]]), FusionConfig())
    assert np.isnan(fused[0, 10:20]).all()
    assert np.isfinite(fused[1]).all()


def test_a_voice_in_doubt_pushes_less_than_a_sure_one() -> None:
    shot = conversation(strength=0.0)
    sure, doubt = (
        fuse(shot, known([[p, 1 - p], [1 - p, p]]), FusionConfig())[0, :100].mean() for p in (1.0, 0.5)
    )
    assert doubt < sure


def test_sound_is_laid_on_the_grid_by_time() -> None:
    steps = np.zeros((100, 1), np.float32)
    steps[50:60] = 1  # heard from 0.50 s to 0.60 s of the sound
    grid = Grid(Fraction(10), 50)
    on_time = on_grid(steps, 0.01, float(grid.start - Fraction(10)), grid)[:, 0]
    late = on_grid(steps, 0.01, float(grid.start - Fraction("10.2")), grid)[:, 0]
    assert np.flatnonzero(on_time > 0.5).tolist() == [13, 14]  # 0.52-0.60 s; frame 12 is half covered
    assert on_time[12] == pytest.approx(0.5)
    assert np.flatnonzero(late > 0.5).tolist() == [18, 19]  # the sound began .2 s later


def silence(overlap_F: np.ndarray | None) -> Voices:
    return Voices(
        voices=(),
        turns=(),
        activity_FV=np.zeros((100, 0), np.float32),
        speech_F=np.zeros(100, np.float32),
        hop_s=0.02,
        embedding_VD=np.zeros((0, 192), np.float32),
        model="fake",
        overlap_F=overlap_F,
    )


def test_shot_evidence_puts_tracks_in_identity_rows() -> None:
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
    found = shot_evidence(Grid(Fraction(0), 20), [track], [score], PEOPLE, silence(None), Fraction(0))
    assert np.isnan(found.logit_IT[0]).all()
    assert np.flatnonzero(np.isfinite(found.logit_IT[1])).tolist() == list(range(5, 15))
    assert found.activity_TV.shape == (20, 0)
    assert identities([[track]]) == ["P1"]


@pytest.mark.parametrize("overlap_F", [None, np.linspace(0, 1, 100, dtype=np.float32)])
def test_overlap_travels_with_the_voices(overlap_F: np.ndarray | None) -> None:
    voices = voices_from_npz(voices_to_npz(silence(overlap_F)))
    grid = Grid(Fraction(0), 20)
    heard_T = shot_evidence(grid, [], [], [], voices, Fraction(0)).overlap_T
    if overlap_F is None:
        assert voices.overlap_F is None
        assert not heard_T.any()
    else:
        assert heard_T == pytest.approx(on_grid(overlap_F[:, None], 0.02, 0.0, grid)[:, 0])
