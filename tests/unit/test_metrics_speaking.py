"""Who ought to speak when, binding, leakage and lag: the arithmetic, without networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mitds.benchmark.contracts import Metric, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.cache import content
from mitds.benchmark.judges.faces import Faces
from mitds.benchmark.judges.speaking import Speaking, tracks_of
from mitds.benchmark.metrics import binding, lag, leakage
from mitds.benchmark.metrics.binding import BindingLipMotion, BindingLrAsd
from mitds.benchmark.metrics.lag import FRAME_MS, LEAD, LagOffset, LagOnset, activity, raw_lag, steps
from mitds.benchmark.metrics.leakage import LeakageLipMotion, LeakageLrAsd
from mitds.benchmark.metrics.talk import (
    binding_matrix,
    listening_NT,
    margins,
    offsets,
    onsets,
    solo_NT,
    verdict,
)
from mitds.benchmark.proofs.speaking import FRAMES, mouth, talking
from mitds.benchmark.registries import METRICS
from mitds.manifests.records import ClipArrays, SpeechTurn, Turn
from mitds.manifests.turns import spoken_T

ALL = (BindingLipMotion, BindingLrAsd, LeakageLipMotion, LeakageLrAsd, LagOnset, LagOffset)
TURNS = (((0.6, 2.0),), ((2.6, 4.4),))
NAN = float("nan")


def footage(wave: bool = True) -> Footage:
    wave_S = np.zeros(FRAMES * 640, np.float32) if wave else None
    return Footage(np.zeros((FRAMES, 4, 4, 3), np.uint8), wave_S)


def scene(
    *turns: tuple[tuple[float, float], ...], wave: bool = True, side: float = 60, **changes: Any
) -> Scene:
    clip = replace(talking(*turns), **changes)
    seen_NT = np.ones((len(turns), FRAMES), np.bool_)
    score_NT = seen_NT.astype(np.float32)
    box_NT4 = np.broadcast_to(np.float32([0, 0, side, side]), (*seen_NT.shape, 4))
    pose_NTK3 = np.zeros((*seen_NT.shape, 133, 3), np.float32)
    arrays = ClipArrays(box_NT4, score_NT, score_NT, pose_NTK3, seen_NT)
    return Scene("item", footage(wave), clip, arrays)


def truth(item: Scene) -> np.ndarray:
    assert item.clip is not None
    return np.stack([spoken_T(p.turns, FRAMES) for p in item.clip.persons]).astype(np.float32)


def test_lips_of_small_faces_are_not_judged_and_lr_asd_still_is(monkeypatch: pytest.MonkeyPatch):
    small = scene(*TURNS, side=40)
    for metric, status in (
        (BindingLipMotion, "undefined"),
        (BindingLrAsd, "ok"),
        (LeakageLipMotion, "undefined"),
    ):
        assert score(monkeypatch, metric(), small, truth(small))[0].status == status


class Judge:
    """Stands for the networks: what it says of the real footage, and of any other."""

    def __init__(self, real: np.ndarray, other: np.ndarray) -> None:
        self.real, self.other = real, other

    def speaking(self, item: Scene, seen: Footage, scorer: str) -> Speaking:
        said = self.real if seen is item.real else self.other
        return Speaking(said, said)


def score(monkeypatch: pytest.MonkeyPatch, metric: Metric, item: Scene, said: np.ndarray) -> list[Score]:
    judge = Judge(truth(item), said)
    monkeypatch.setattr(binding, "speaking", judge.speaking)
    monkeypatch.setattr(leakage, "speaking", judge.speaking)
    return metric.score(item, footage())


# Masks


def test_a_frame_is_spoken_in_where_its_middle_is() -> None:
    inside_T = spoken_T([Turn(start_s=0.021, end_s=0.1), Turn(start_s=0.2, end_s=0.22)], 6)
    assert inside_T.tolist() == [False, True, False, False, False, False]
    assert spoken_T([Turn(start_s=0.019, end_s=0.14)], 6).tolist() == [True, True, True, False, False, False]


def test_solo_speech_leaves_out_everybody_else_and_the_rims() -> None:
    item = talking(((1.0, 3.0),), ((2.0, 2.4),))
    alone_NT = solo_NT(item)
    assert np.flatnonzero(alone_NT[0]).tolist() == [*range(27, 48), *range(62, 73)]
    assert not alone_NT[1].any()
    strange = SpeechTurn(voice="V9", start_s=1.0, end_s=2.0)
    for where in ("offscreen", "unassigned"):
        less_NT = solo_NT(replace(item, **{where: (strange,)}))
        assert np.flatnonzero(less_NT[0]).tolist() == [*range(62, 73)]


def test_the_edge_of_the_item_is_no_end_of_speech() -> None:
    assert solo_NT(talking(((0.0, 5.0),), ()))[0].all()


def test_listening_is_silence_while_somebody_else_speaks() -> None:
    item = talking(((1.0, 2.0),), ((3.0, 4.0),), ())
    listens_NT = listening_NT(item)
    assert np.flatnonzero(listens_NT[0]).tolist() == list(range(75, 100))
    assert np.flatnonzero(listens_NT[2]).tolist() == [*range(25, 50), *range(75, 100)]
    near = listening_NT(talking(((1.0, 2.0),), ((1.0, 4.0),)))
    assert np.flatnonzero(near[0]).tolist() == list(range(58, 100))


def test_offscreen_speech_is_listened_to_and_speech_of_unknown_owner_is_not() -> None:
    spoken = (SpeechTurn(voice="V9", start_s=1.0, end_s=2.0),)
    assert listening_NT(replace(talking((), ()), offscreen=spoken)).sum() == 50
    both = replace(talking((), ()), offscreen=spoken, unassigned=spoken)
    assert not listening_NT(both).any()


def test_switches_need_half_a_second_of_silence_and_of_speech() -> None:
    spans = [(0.2, 0.8), (1.0, 1.4), (2.2, 3.2), (4.6, 5.0)]
    speaks_T = spoken_T([Turn(start_s=a, end_s=b) for a, b in spans], FRAMES)
    assert onsets(speaks_T) == [55]  # .2 s: no silence seen; 1 s: within a pause; 4.6 s: too near to the end
    assert offsets(speaks_T) == [35, 80]
    assert onsets(speaks_T[::-1]) == [FRAMES - 80, FRAMES - 35]
    assert onsets(np.ones(FRAMES, np.bool_)) == onsets(np.zeros(FRAMES, np.bool_)) == []


# Binding


def test_exchanged_faces_turn_the_sign_of_the_margin() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        matrix_NN = rng.random((2, 2))
        assert margins(matrix_NN[:, ::-1]) == pytest.approx(-margins(matrix_NN), abs=1e-15)


def test_the_verdict_does_not_depend_on_the_order_of_people() -> None:
    rng = np.random.default_rng(4)
    matrix_NN, order = rng.random((4, 4)), [2, 0, 3, 1]
    one, two = verdict(matrix_NN), verdict(matrix_NN[np.ix_(order, order)])
    assert one.margin == pytest.approx(two.margin, abs=1e-15)
    assert (one.accuracy, one.assigned) == (two.accuracy, two.assigned)


def test_a_voice_without_solo_speech_is_left_out() -> None:
    matrix_NN = np.array([[0.9, 0.1, 0.3], [NAN, NAN, NAN], [0.8, 0.2, 0.4]])
    found = verdict(matrix_NN)
    assert found.voices == [0, 2]
    assert found.margin == pytest.approx((0.6 - 0.4) / 2)
    assert found.accuracy == 0.5
    assert found.assigned  # .9 + .4 is more than .3 + .8
    assert verdict(np.array([[0.7]])).margin is None
    assert verdict(np.zeros((0, 0))).margin is None


def test_cells_need_six_tenths_of_a_second() -> None:
    solos_NT, asked_NT = np.zeros((2, 40), np.bool_), np.ones((2, 40), np.bool_)
    solos_NT[0, :15], solos_NT[1, 20:34] = True, True
    matrix_NN = binding_matrix(np.full((2, 40), 0.5), solos_NT, asked_NT)
    assert np.isfinite(matrix_NN).tolist() == [[True, True], [False, False]]


def test_hiding_a_face_never_helps() -> None:
    rng = np.random.default_rng(5)
    solos_NT = np.repeat(np.eye(3, dtype=np.bool_), 20, axis=1)
    asked_NT = np.ones_like(solos_NT)
    for _ in range(50):
        score_NT = rng.random((3, 60))
        hidden_NT = np.where(rng.random((3, 60)) < rng.random(), NAN, score_NT)
        open_N, hidden_N = (margins(binding_matrix(s, solos_NT, asked_NT)) for s in (score_NT, hidden_NT))
        assert (hidden_N <= open_N + 1e-12).all()


@pytest.mark.parametrize("metric", [BindingLipMotion(), BindingLrAsd()], ids=lambda m: m.card.id)
def test_binding_of_right_wrong_and_motionless_faces(
    monkeypatch: pytest.MonkeyPatch, metric: BindingLipMotion
) -> None:
    item = scene(*TURNS)
    right = truth(item)
    (best,) = score(monkeypatch, metric, item, right)
    assert (best.value, best.detail["accuracy"], best.detail["assigned"]) == (1.0, 1.0, True)
    assert best.n == 35 - 4 + 45 - 4
    (wrong,) = score(monkeypatch, metric, item, right[::-1])
    assert (wrong.value, wrong.detail["accuracy"], wrong.detail["assigned"]) == (-1.0, 0.0, False)
    for same in (0.0, 0.5, 1.0):  # frozen, unsure, and always talking
        assert score(monkeypatch, metric, item, np.full_like(right, same))[0].value == 0.0


@pytest.mark.parametrize("kind", [BindingLipMotion, LeakageLipMotion])
def test_an_output_without_faces_is_the_systems_fault(
    monkeypatch: pytest.MonkeyPatch, kind: type[BindingLipMotion | LeakageLipMotion]
) -> None:
    item = scene(*TURNS)
    scores = score(monkeypatch, kind(), item, np.full_like(truth(item), NAN))
    assert {(s.value, s.status) for s in scores} == {(None, "no_face")}


def test_one_person_has_no_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    item = scene(TURNS[0])
    assert score(monkeypatch, BindingLipMotion(), item, truth(item))[0].status == "undefined"


# Leakage


def test_leakage_of_silent_talking_and_hidden_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    item = scene(*TURNS)
    metric, right = LeakageLipMotion(), truth(item)
    assert [s.value for s in score(monkeypatch, metric, item, right)] == [0.0, 0.0]
    always = score(monkeypatch, metric, item, np.full_like(right, 0.9))
    assert [s.value for s in always] == pytest.approx([0.9, 0.9])
    half = right.copy()
    half[0, 75:] = NAN
    hidden, seen = score(monkeypatch, metric, item, half)
    assert hidden.value == pytest.approx(35 / 45)
    assert (hidden.n, hidden.detail["absent"], seen.value) == (45, 35, 0.0)


def test_who_never_listens_has_no_leakage(monkeypatch: pytest.MonkeyPatch) -> None:
    item = scene(((0.0, 5.0),), ())
    speaker, listener = score(monkeypatch, LeakageLrAsd(), item, truth(item))
    assert (speaker.status, speaker.person) == ("undefined", 0)
    assert (listener.status, listener.value, listener.n) == ("ok", 0.0, FRAMES)


# Lag


def lips_of(monkeypatch: pytest.MonkeyPatch, real: np.ndarray, other: np.ndarray, item: Scene) -> None:
    def lips(arrays: ClipArrays, seen: Footage) -> np.ndarray:
        return real if seen is item.real else other

    monkeypatch.setattr(lag, "lips", lips)


@pytest.mark.parametrize("late", [0, 2, 5, 10, 20])
def test_lag_grows_by_forty_ms_a_frame(monkeypatch: pytest.MonkeyPatch, late: int) -> None:
    item = scene(((2.0, 5.0),))
    natural = 50 - LEAD + 1  # speed is a central difference: it begins a frame early
    lips_of(monkeypatch, mouth(natural)[None], mouth(natural + late)[None], item)
    (found,) = LagOnset().score(item, footage())
    assert found.value == pytest.approx(late * FRAME_MS)
    assert found.detail["median_signed_ms"] == pytest.approx((late - LEAD) * FRAME_MS)
    mirrored = scene(((0.0, 3.0),))
    lips_of(monkeypatch, mouth(natural)[None, ::-1], mouth(natural - late)[None, ::-1], mirrored)
    (ended,) = LagOffset().score(mirrored, footage())
    assert ended.value == pytest.approx(late * FRAME_MS)
    assert ended.detail["median_signed_ms"] == pytest.approx((late + LEAD) * FRAME_MS)


@pytest.mark.parametrize("kind", [LagOnset, LagOffset])
def test_a_mouth_without_a_switch_costs_a_second(
    monkeypatch: pytest.MonkeyPatch, kind: type[LagOnset]
) -> None:
    item = scene(((1.5, 3.0),))
    still, always, seen = mouth(FRAMES), mouth(-1), mouth(40)
    gone = seen.copy()
    gone[30:50], gone[70:90] = NAN, NAN
    for other in (still, always, gone):
        lips_of(monkeypatch, seen[None], other[None], item)
        (found,) = kind().score(item, footage())
        assert (found.status, found.value, found.detail["censored"]) == ("ok", 1000.0, 1)
    lips_of(monkeypatch, seen[None], np.full((1, FRAMES, 2), NAN), item)
    assert kind().score(item, footage())[0].status == "no_face"


def test_a_switch_that_the_real_footage_hides_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    item = scene(((2.0, 5.0),))
    real = mouth(50)
    real[40:60] = NAN
    lips_of(monkeypatch, real[None], mouth(50)[None], item)
    assert LagOnset().score(item, footage())[0].status == "undefined"


def test_scale_of_the_face_does_not_move_the_step() -> None:
    lips_T2 = mouth(60)
    assert raw_lag(steps(activity(lips_T2)), 60) == raw_lag(steps(activity(lips_T2 * 3.7)), 60)


# All of them


@pytest.mark.parametrize("kind", ALL)
def test_what_the_labels_lack_is_undefined_for_everybody(
    monkeypatch: pytest.MonkeyPatch, kind: type[Metric]
) -> None:
    metric = kind()
    silent = scene((), ())
    lips_of(monkeypatch, np.stack([mouth(9)] * 2), np.full((2, FRAMES, 2), NAN), silent)
    for said in (truth(silent), np.full_like(truth(silent), NAN)):
        assert {s.status for s in score(monkeypatch, metric, silent, said)} == {"undefined"}
    bare = Scene("pair", footage())
    assert [s.status for s in metric.score(bare, footage())] == ["undefined"]


@pytest.mark.parametrize("kind", ALL[:4])
def test_without_sound_nobody_is_judged(kind: type[Metric]) -> None:
    item = scene(*TURNS, wave=False)
    assert [s.status for s in kind().score(item, footage())] == ["undefined"]


@pytest.mark.parametrize("kind", ALL)
def test_cards_bear_registered_ids(kind: type[Metric]) -> None:
    assert METRICS.get(kind.card.id) is kind
    assert kind.card.says.endswith(".")


def test_tracks_bridge_half_a_second_and_drop_glimpses() -> None:
    found_NT = np.zeros((1, 80), np.bool_)
    found_NT[0, 0:20], found_NT[0, 32:50], found_NT[0, 66:72] = True, True, True
    box_NT4 = np.where(found_NT[..., None], np.arange(80.0)[None, :, None] * [1, 0, 1, 0], np.nan)
    mark_NT52 = np.where(found_NT[..., None, None], np.ones((1, 80, 5, 2)), np.nan)
    (track,) = tracks_of(Faces(box_NT4.astype(np.float32), mark_NT52.astype(np.float32), found_NT))
    assert (track.first, track.last, track.track) == (0, 49, 0)
    assert track.xyxy_T4[:, 0] == pytest.approx(np.arange(50))
    assert track.detected_T.tolist() == found_NT[0, :50].tolist()


def test_content_tells_arrays_apart() -> None:
    plain = np.arange(6, dtype=np.float32)
    assert content(plain) == content(plain.copy())
    others = {content(plain.reshape(2, 3)), content(plain.astype(np.int32)), content(plain[::-1])}
    assert len({content(plain), *others}) == 4
