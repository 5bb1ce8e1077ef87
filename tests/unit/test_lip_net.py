"""lip-net: what it sees and hears, its network, and the promise of a speaker scorer on a toy mesh."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mitds.annotators.asd import lip_net
from mitds.annotators.asd.lip_net import LipNet, LipNetConfig
from mitds.annotators.asd.lip_net_features import (
    CELLS,
    KEPT,
    MELS,
    PATCH_HW,
    POSE,
    SHAPE,
    lip_features,
    log_mel,
    mel_power,
    mouth_patch,
)
from mitds.annotators.asd.lip_net_model import LipNetwork, Panel, load, save
from mitds.annotators.asd.lip_signals import LOWER_LIP
from mitds.errors import MissingWeights
from mitds.manifests.records import FaceTrack
from mitds.time import AUDIO_HZ

FRAMES = 60
PATCHES = np.zeros((FRAMES, *PATCH_HW), np.uint8)


def talking_face() -> np.ndarray:
    """Kept points of one face, px, whose lower inner lip moves."""
    face_P3 = np.random.default_rng(1).normal(0, 40, (478, 3))
    face_P3[[33, 127, 133, 234], 0] -= 100
    face_P3[[263, 356, 362, 454], 0] += 100
    face_P3[[6, 168], 1] += 60
    face_TP3 = np.repeat(face_P3[None], FRAMES, axis=0)
    face_TP3[:, LOWER_LIP, 1] += 10 * np.sin(np.arange(FRAMES))[:, None]
    return face_TP3[:, KEPT]


def turned(points_TP3: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    a = np.radians(degrees)
    yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    roll = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return points_TP3 @ (yaw @ roll).T * scale + (300, 200, 0)


def test_the_mouths_shape_is_free_of_the_heads_pose_place_and_size() -> None:
    seen, moved = talking_face(), turned(talking_face(), 20, 0.5)
    a_TC, b_TC = lip_features(seen, PATCHES), lip_features(moved, PATCHES)
    assert a_TC.shape == (FRAMES, SHAPE + CELLS + POSE)
    np.testing.assert_allclose(a_TC[:, :SHAPE], b_TC[:, :SHAPE], atol=1e-5)
    assert a_TC[:, 0].std() > 0.02
    turn = a_TC[0, -4:] - b_TC[0, -4:]
    assert abs(turn[0]) > 0.2
    assert turn[2] == pytest.approx(np.log(2), abs=1e-5)


def test_the_patch_shows_the_mouth_upright_however_the_head_rolls() -> None:
    points_P3 = talking_face()[0]
    points_P3[:40, :2] = np.random.default_rng(2).normal(0, 3, (40, 2))
    frame_HWC = np.zeros((400, 400, 3), np.uint8)
    frame_HWC[:200] = 250
    upright_P3 = points_P3 - points_P3[:40].mean(axis=0) + (200, 200, 0)
    eyes = [KEPT.index(33), KEPT.index(263)]
    upright_P3[eyes, 1] = 100
    patch_HW = mouth_patch(frame_HWC, upright_P3.astype(np.float32))
    assert patch_HW.shape == PATCH_HW
    assert patch_HW[:14].min() > 240
    assert patch_HW[-14:].max() < 10
    rolled_HWC = np.ascontiguousarray(np.rot90(frame_HWC, -1))
    rolled_P3 = np.stack([400 - upright_P3[:, 1], upright_P3[:, 0], upright_P3[:, 2]], axis=1)
    np.testing.assert_allclose(mouth_patch(rolled_HWC, rolled_P3.astype(np.float32)), patch_HW, atol=8)
    assert not mouth_patch(frame_HWC, np.full((len(KEPT), 3), np.nan, np.float32)).any()


def test_a_tone_rises_through_the_bands_with_its_pitch_and_starts_in_its_frame() -> None:
    wave_S = np.zeros(AUDIO_HZ, np.float32)
    tone_S = np.sin(2 * np.pi * 500 * np.arange(AUDIO_HZ) / AUDIO_HZ)
    wave_S[8000:] = tone_S[8000:]
    low_FM = mel_power(wave_S, 25)
    high_FM = mel_power(np.sin(2 * np.pi * 3000 * np.arange(AUDIO_HZ) / AUDIO_HZ).astype(np.float32), 25)
    assert low_FM.shape == (100, MELS)
    assert low_FM[80].argmax() < high_FM[80].argmax()
    heard_F = low_FM.sum(axis=1) > 1e-4
    assert abs(int(heard_F.argmax()) - 50) <= 1
    assert np.isfinite(log_mel(np.zeros((40, MELS), np.float32))).all()


def test_loudness_does_not_depend_on_the_microphones_gain() -> None:
    power_FM = np.random.default_rng(1).gamma(1.0, 1e-3, (200, MELS)).astype(np.float32)
    np.testing.assert_allclose(log_mel(power_FM), log_mel(100 * power_FM), atol=1e-3)


def test_the_network_judges_every_frame_and_each_face_alone() -> None:
    torch.manual_seed(1)
    network = LipNetwork().eval()
    lip, mel, speech = torch.randn(3, 50, SHAPE + CELLS + POSE), torch.randn(3, 200, MELS), torch.rand(3, 50)
    with torch.no_grad():
        together = network(lip, mel, speech)
        alone = network(lip[1:2], mel[1:2], speech[1:2])
        moved = network(
            lip + torch.arange(SHAPE + CELLS + POSE) * torch.tensor([1.0] * 40 + [0.0] * 4), mel, speech
        )
    assert together.speaks_BT.shape == together.lips_BT.shape == together.sound_BT.shape == (3, 50)
    torch.testing.assert_close(together.speaks_BT[1:2], alone.speaks_BT, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.speaks_BT, moved.speaks_BT, atol=1e-3, rtol=1e-3)


def test_weights_survive_their_file_and_a_wrong_file_is_named(tmp_path: Path) -> None:
    network, path = Panel([LipNetwork(), LipNetwork()]), tmp_path / "net.safetensors"
    network.platt_2.copy_(torch.tensor([0.5, 2.0]))
    save(network, path, {"note": "test"})
    read = load(path)
    assert read.platt_2.tolist() == [0.5, 2.0]
    torch.testing.assert_close(
        read.members[1].speaks.weight, network.members[1].speaks.weight, atol=1e-3, rtol=1e-3
    )
    path.write_bytes(b"not weights")
    with pytest.raises(MissingWeights, match="lip-net"):
        load(path)
    with pytest.raises(MissingWeights, match="mitds fit lip-net"):
        load(tmp_path / "absent")


class ToyMesh:
    """The talking face wherever the frame's first pixel is dark; no face elsewhere."""

    def __init__(self) -> None:
        self._faces, self._at = talking_face(), 0

    def points(self, frame_HWC: np.ndarray, *_: object) -> tuple[np.ndarray, float]:
        mesh_P3 = np.full((478, 3), np.nan, np.float32)
        if frame_HWC[0, 0, 0] < 128:
            mesh_P3[KEPT] = self._faces[self._at % FRAMES] / 10 + 30
            self._at += 1
        return mesh_P3, 1.0


class ToySegmenter:
    """Hears speech wherever the wave is not silent."""

    def __init__(self, **_: object) -> None: ...

    def segment(self, wave_S: np.ndarray) -> SimpleNamespace:
        step_F = np.add.reduceat(np.abs(wave_S), np.arange(0, len(wave_S), 270))
        return SimpleNamespace(any_F=(step_F > 0.1).astype(np.float32))


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> LipNet:
    monkeypatch.setattr(lip_net, "FaceMesh", ToyMesh)
    monkeypatch.setattr(lip_net, "Segmenter", ToySegmenter)
    return LipNet()


def track_of(first: int, rows: int, number: int = 0) -> FaceTrack:
    return FaceTrack(
        track=number, first=first, xyxy_T4=np.tile(np.array([4, 4, 28, 28], np.float32), (rows, 1)),
        score_T=np.ones(rows, np.float32), landmarks_T52=np.full((rows, 5, 2), 10, np.float32),
        detected_T=np.ones(rows, bool), embedding_D=None,
    )  # fmt: skip


def frames(turned_away: range = range(0)) -> list[np.ndarray]:
    return [np.full((64, 64, 3), 255 if k in turned_away else 0, np.uint8) for k in range(FRAMES)]


def hiss(frames: int = FRAMES) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.1, frames * 640).astype(np.float32)


def test_scores_come_per_track_and_row(scorer: LipNet) -> None:
    scores = scorer.score(frames(), [track_of(0, FRAMES, 7), track_of(20, 30, 2)], hiss())
    assert [(s.track, len(s.logit_T), s.model) for s in scores] == [(7, 60, "lip-net"), (2, 30, "lip-net")]
    for score in scores:
        assert np.isfinite(score.logit_T).all()
        assert ((score.probability_T >= 0) & (score.probability_T <= 1)).all()


def test_it_abstains_without_sound_and_where_the_face_is_turned_away(scorer: LipNet) -> None:
    (mute,) = scorer.score(frames(), [track_of(5, 40)], None)
    assert np.isnan(mute.logit_T).all()
    (away,) = scorer.score(frames(range(20, 40)), [track_of(0, FRAMES)], hiss())
    assert np.isnan(away.logit_T[20:40]).all()
    assert np.isfinite(np.delete(away.logit_T, np.arange(20, 40))).all()
    (short,) = scorer.score(frames(), [track_of(0, FRAMES)], hiss(40))
    assert np.flatnonzero(np.isnan(short.logit_T)).tolist() == list(range(40, 60))


def test_moving_lips_in_silence_do_not_speak(scorer: LipNet) -> None:
    (score,) = scorer.score(frames(), [track_of(0, FRAMES)], np.full(FRAMES * 640, 1e-6, np.float32))
    assert score.probability_T.max() < 0.1


def test_the_configuration_may_bring_other_weights_and_calibration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lip_net, "FaceMesh", ToyMesh)
    monkeypatch.setattr(lip_net, "Segmenter", ToySegmenter)
    network = Panel([LipNetwork()])
    network.platt_2.copy_(torch.tensor([3.0, 0.0]))
    save(network, tmp_path / "own.safetensors", {})
    assert LipNet(LipNetConfig(weights=tmp_path / "own.safetensors")).calibration.scale == 3.0
    assert LipNet().calibration.scale != 3.0
