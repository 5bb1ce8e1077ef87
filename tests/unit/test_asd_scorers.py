"""The promise of every speaker scorer, held by both backends on toy networks and by the fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mitds.annotators.asd import lip_motion, lip_net, lr_asd
from mitds.annotators.asd.fake import FakeScorer, FakeScorerConfig
from mitds.annotators.asd.joint import JointScorer, JointScorerConfig
from mitds.annotators.asd.lip_signals import LOWER_LIP
from mitds.annotators.contracts import SpeakerScorer
from mitds.manifests.records import FaceTrack

FRAMES = 120
FRAME = 640


class ToyNet:
    """A picture embedding of 1, a sound embedding of the energy, and a score that is the latter."""

    def __init__(self, part: str) -> None:
        self.part = part

    def run(self, _names: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self.part == "visual":
            return [np.ones((1, feed["x0"].shape[1], 1), np.float32)]
        if self.part == "audio":
            return [feed["x0"][..., 0].reshape(1, -1, 4).mean(axis=2)[..., None]]
        return [feed["x0"][..., 0] * feed["x1"][..., 0]]


class ToyMesh:
    """Lips that open four times a second while the frame's first pixel says so; absent where it is 255."""

    def __init__(self) -> None:
        self.calls = 0

    def points(self, frame_HWC: np.ndarray, *_: object) -> tuple[np.ndarray, float]:
        self.calls += 1
        mesh_P3 = np.random.default_rng(3).uniform(0, 100, (478, 3)).astype(np.float32)
        level = int(frame_HWC[0, 0, 0])
        mesh_P3[LOWER_LIP, 1] += level
        return (mesh_P3, 1.0) if level < 255 else (np.full((478, 3), np.nan, np.float32), 0.0)


class ToySegmenter:
    """Hears speech wherever the wave is not silent."""

    def __init__(self, **_: object) -> None: ...

    def segment(self, wave_S: np.ndarray) -> SimpleNamespace:
        step_F = np.add.reduceat(np.abs(wave_S), np.arange(0, len(wave_S), 270))
        return SimpleNamespace(any_F=(step_F > 0.1).astype(np.float32))


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lr_asd, "exported", lambda part: Path(part))
    monkeypatch.setattr(lr_asd, "onnx_session", lambda path, device: ToyNet(path.name))
    for module in (lip_motion, lip_net):
        monkeypatch.setattr(module, "FaceMesh", ToyMesh)
        monkeypatch.setattr(module, "Segmenter", ToySegmenter)


def track_of(first: int, rows: int, number: int = 0) -> FaceTrack:
    return FaceTrack(
        track=number, first=first, xyxy_T4=np.tile(np.array([4, 4, 28, 28], np.float32), (rows, 1)),
        score_T=np.ones(rows, np.float32), landmarks_T52=np.full((rows, 5, 2), 10, np.float32),
        detected_T=np.ones(rows, bool), embedding_D=None,
    )  # fmt: skip


def talking(frames: int = FRAMES, start: int = 0, end: int = FRAMES) -> Iterator[np.ndarray]:
    for k in range(frames):
        level = 60 * (1 + np.sin(2 * np.pi * 4 * k / 25)) if start <= k < end else 0
        yield np.full((32, 32, 3), int(level), np.uint8)


def sound(start: int = 0, end: int = FRAMES, frames: int = FRAMES) -> np.ndarray:
    wave_S = np.zeros(frames * FRAME, np.float32)
    noise_S = np.random.default_rng(2).standard_normal((end - start) * FRAME) * 0.1
    wave_S[start * FRAME : end * FRAME] = noise_S
    return wave_S


BACKENDS: list[Callable[[], SpeakerScorer]] = [
    lambda: lr_asd.LrAsd(),
    lambda: lip_motion.LipMotion(),
    lambda: lip_net.LipNet(),
    lambda: JointScorer(),
    lambda: FakeScorer(FakeScorerConfig(speaking={7: ((0, FRAMES),)})),
]
every_backend = pytest.mark.parametrize(
    "make", BACKENDS, ids=["lr-asd", "lip-motion", "lip-net", "joint", "fake"]
)


@every_backend
@pytest.mark.usefixtures("toys")
def test_scores_come_per_track_and_row(make: Callable[[], SpeakerScorer]) -> None:
    tracks = [track_of(0, FRAMES, 7), track_of(30, 50, 2)]
    scorer = make()
    scores = scorer.score(talking(), tracks, sound())
    assert [s.track for s in scores] == [7, 2]
    for track, score in zip(tracks, scores, strict=True):
        assert score.model == scorer.name
        assert score.logit_T.shape == score.probability_T.shape == track.score_T.shape
        assert score.logit_T.dtype == score.probability_T.dtype == np.float32
        assert np.isfinite(score.logit_T).all()
        assert ((score.probability_T >= 0) & (score.probability_T <= 1)).all()
        order = np.argsort(score.logit_T, kind="stable")
        assert (np.diff(score.probability_T[order]) >= 0).all()


@every_backend
@pytest.mark.usefixtures("toys")
def test_without_sound_every_score_is_absent(make: Callable[[], SpeakerScorer]) -> None:
    (score,) = make().score(talking(), [track_of(5, 40)], None)
    assert len(score.logit_T) == 40
    assert np.isnan(score.logit_T).all()
    assert np.isnan(score.probability_T).all()


@every_backend
@pytest.mark.usefixtures("toys")
def test_beyond_the_sound_scores_are_absent(make: Callable[[], SpeakerScorer]) -> None:
    (score,) = make().score(talking(), [track_of(20, 60)], sound(end=50, frames=50))
    assert np.isfinite(score.probability_T[:30]).all()
    assert np.isnan(score.probability_T[30:]).all()


@every_backend
@pytest.mark.usefixtures("toys")
def test_no_tracks_give_no_scores(make: Callable[[], SpeakerScorer]) -> None:
    assert make().score(talking(), [], sound()) == []


@every_backend
@pytest.mark.usefixtures("toys")
def test_the_same_input_gives_the_same_scores(make: Callable[[], SpeakerScorer]) -> None:
    scorer = make()
    one, two = (scorer.score(talking(), [track_of(3, 90)], sound())[0].logit_T for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("first", [0, 20])
@pytest.mark.parametrize("at", [40, 65])
def test_lr_asd_hears_each_row_at_its_own_time(first: int, at: int) -> None:
    scorer = lr_asd.LrAsd(lr_asd.LrAsdConfig(sync_weight=0.0))
    (score,) = scorer.score(talking(), [track_of(first, 90)], sound(at, at + 5))
    loud = np.flatnonzero(score.logit_T > score.logit_T.max() - 3)
    assert loud.tolist() == pytest.approx(list(range(at - first, at - first + 5)), abs=1)


@pytest.mark.usefixtures("toys")
def test_lr_asd_scores_what_was_seen_where_frames_end_early() -> None:
    (score,) = lr_asd.LrAsd().score(talking(50), [track_of(20, 60)], sound())
    assert np.isfinite(score.logit_T[:30]).all()
    assert np.isnan(score.logit_T[30:]).all()


@pytest.mark.usefixtures("toys")
def test_synchrony_rewards_a_score_that_falls_when_the_sound_is_moved() -> None:
    plain, synced = (
        lr_asd.LrAsd(lr_asd.LrAsdConfig(sync_weight=weight)).score(
            talking(), [track_of(0, 100)], sound(50, 54)
        )[0]
        for weight in (0.0, 1.0)
    )
    gain_T = synced.logit_T - plain.logit_T
    assert gain_T[50:54].min() > 0
    assert abs(int(gain_T.argmax()) - 52) <= 2


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("lips", "voice"), [((0, 0), (0, FRAMES)), ((0, FRAMES), (0, 0))], ids=["frozen", "silence"]
)
def test_lip_motion_needs_both_lips_and_voice(lips: tuple[int, int], voice: tuple[int, int]) -> None:
    scorer = lip_motion.LipMotion()
    (both,) = scorer.score(talking(), [track_of(0, FRAMES)], sound())
    (one,) = scorer.score(talking(FRAMES, *lips), [track_of(0, FRAMES)], sound(*voice))
    assert np.median(both.probability_T) > 0.5
    assert one.probability_T.max() < 0.2


@pytest.mark.usefixtures("toys")
def test_lip_motion_finds_when_the_lips_move() -> None:
    (score,) = lip_motion.LipMotion().score(talking(FRAMES, 60, 100), [track_of(10, 110)], sound())
    assert score.logit_T[55:85].min() > score.logit_T[:30].max()


@pytest.mark.usefixtures("toys")
def test_lip_motion_bridges_short_absences_of_the_mesh_and_abstains_in_long_ones() -> None:
    frames = list(talking())
    for k in [40, 41, 42, *range(80, 95)]:
        frames[k] = np.full_like(frames[k], 255)
    (score,) = lip_motion.LipMotion().score(frames, [track_of(0, FRAMES)], sound())
    absent = np.flatnonzero(np.isnan(score.probability_T))
    assert absent.tolist() == list(range(80, 95))


def test_fake_says_what_it_was_told() -> None:
    fake = FakeScorer(FakeScorerConfig(speaking={1: ((10, 20), (30, 40))}, sure=0.8))
    said, other = fake.score(talking(), [track_of(5, 40, 1), track_of(5, 40, 2)], sound())
    speaks = np.flatnonzero(said.probability_T > 0.5) + 5
    assert speaks.tolist() == [*range(10, 20), *range(30, 40)]
    assert said.probability_T.max() == pytest.approx(0.8)
    assert other.probability_T.max() == pytest.approx(0.2)


@pytest.mark.usefixtures("toys")
def test_joint_scores_lie_between_both_and_fall_back_on_the_network() -> None:
    frames = list(talking())
    frames[80:95] = [np.full_like(frames[0], 255)] * 15
    tracks = [track_of(0, FRAMES)]
    config = JointScorerConfig()
    lip_scorer = lip_net.LipNet()
    (net,), (lips,), (joint,) = (
        scorer.score(frames, tracks, sound()) for scorer in (lr_asd.LrAsd(), lip_scorer, JointScorer(config))
    )
    net_T = config.lr_asd.calibration.log_odds(net.logit_T)
    lips_T = lip_scorer.calibration.log_odds(lips.logit_T)
    both_T = net_T + config.lip_share * (lips_T - net_T)
    np.testing.assert_allclose(joint.logit_T[:80], both_T[:80], rtol=1e-5)
    np.testing.assert_array_equal(joint.logit_T[80:95], net_T[80:95])
