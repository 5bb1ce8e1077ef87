"""Sync-C and Sync-D without SyncNet's weights: the mathematics, the rules of the release, what may be loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import medfilt

from mitds.annotators.asd import mfcc as mfcc_module
from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges import recoding, syncnet
from mitds.benchmark.judges.face_crops import GREY, crops, squares
from mitds.benchmark.judges.release_tracks import ReleaseTrack, TracksConfig, link, scenes
from mitds.benchmark.judges.syncnet_net import DIM, SyncNet, load_syncnet
from mitds.benchmark.metrics import sync, sync_persons, sync_readings
from mitds.benchmark.metrics.sync_maths import overlap_curve, padded_curve, reading
from mitds.benchmark.proofs import sync as sync_proofs
from mitds.benchmark.registries import METRICS
from mitds.errors import MissingWeights
from mitds.manifests.records import Turn
from tests.factories import clip, clip_arrays, person

CLASSES: list[Any] = [
    sync.SyncCCompat,
    sync.SyncDCompat,
    sync.SyncCOverlap,
    sync.SyncDOverlap,
    sync.SyncCSpeaking,
    sync.SyncDSpeaking,
    sync.BindingSyncNet,
]


def of(score: Score) -> float:
    assert score.value is not None
    return score.value


def stream(windows: int, seed: int = 0) -> np.ndarray:
    drawn_WD = np.random.default_rng(seed).normal(size=(windows, DIM)).astype(np.float32)
    return np.asarray(drawn_WD / np.linalg.norm(drawn_WD, axis=1, keepdims=True))


def absent(name: str) -> Path:
    raise MissingWeights("no mirror has it", where=name, remedy="Put syncnet_v2.model into a folder.")


# ---------------------------------------------------------------------------------------------------- mathematics


def test_proofs_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_proofs, "resolve", absent)
    rows = list(sync_proofs.proofs())
    assert [row.check for row in rows if not row.holds] == []
    assert not any("example" in row.check for row in rows)


@pytest.mark.parametrize("late", range(1, 11))
def test_sound_that_comes_late_gives_a_negative_offset(late: int) -> None:
    heard_WD = stream(80)
    sound_WD = np.concatenate([stream(late, 1), heard_WD])[:80]
    for curve in (padded_curve, overlap_curve):
        found = reading(curve(heard_WD, sound_WD))
        assert found.offset == -late
        assert found.distance < 0.3


def test_noise_lowers_confidence_step_by_step() -> None:
    lips_WD, noise_WD = stream(100), stream(100, 1)
    ladder = [reading(overlap_curve(lips_WD, lips_WD + level * noise_WD)) for level in (0, 0.3, 0.6, 1, 2)]
    assert [one.confidence for one in ladder] == sorted((one.confidence for one in ladder), reverse=True)
    assert [one.distance for one in ladder] == sorted(one.distance for one in ladder)


def test_windows_that_do_not_count_change_nothing() -> None:
    lips_WD, sound_VD = stream(60), stream(60)
    wanted_W = np.arange(60) % 3 > 0
    spoilt_WD = np.where(wanted_W[:, None], lips_WD, np.nan)
    np.testing.assert_array_equal(
        overlap_curve(spoilt_WD, sound_VD, wanted_W), overlap_curve(lips_WD, sound_VD, wanted_W)
    )
    assert np.isnan(overlap_curve(lips_WD[:4], sound_VD[:4])[0])


def test_a_frozen_mouth_has_no_confidence() -> None:
    frozen_WD = np.repeat(stream(1, 5), 100, axis=0)
    assert reading(overlap_curve(frozen_WD, stream(100))).confidence < 0.01


# -------------------------------------------------------------------------------------------------------- network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the release's layout, with random values; of PyTorch before 0.4.1, so without counters."""
    torch.manual_seed(0)
    named = {k: v for k, v in SyncNet().state_dict().items() if not k.endswith("num_batches_tracked")}
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(named, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def net(weights: Path) -> SyncNet:
    single_threaded()
    return load_syncnet(weights)


def test_the_layout_is_that_of_the_released_file(weights: Path) -> None:
    named = torch.load(weights, weights_only=True)
    floats = sum(value.numel() for value in named.values())
    # The released file has 54,573,114 bytes: these floats, and 12 kB of names.
    assert (len(named), floats * 4) == (88, 54_561_024)
    assert named["netcnnlip.0.weight"].shape == (96, 3, 5, 7, 7)
    assert named["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    assert named["netfclip.3.weight"].shape == (1024, 512)


@pytest.mark.parametrize("fault", ["missing", "shape", "extra", "list", "torn", "module"])
def test_another_file_is_refused(weights: Path, tmp_path: Path, fault: str) -> None:
    named = torch.load(weights, weights_only=True)
    path = tmp_path / "other.model"
    if fault == "missing":
        named.pop("netfcaud.0.bias")
    elif fault == "shape":
        named["netfclip.3.bias"] = torch.zeros(512)
    elif fault == "extra":
        named["netcnnface.0.weight"] = torch.zeros(1)
    content: Any = {"list": list(named), "module": torch.nn.Linear(2, 2)}.get(fault, named)
    torch.save(content, path)
    if fault == "torn":
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(MissingWeights, match="not the released SyncNet v2") as caught:
        load_syncnet(path)
    assert "syncnet_v2.model" in caught.value.remedy


def test_lips_are_seen_in_windows_of_five(net: SyncNet) -> None:
    crops_THWC = np.random.default_rng(0).integers(0, 256, (7, 224, 224, 3), dtype=np.uint8)
    embedding_WD = syncnet.embed_lips(crops_THWC, net)
    assert embedding_WD.shape == (3, DIM)
    with torch.inference_mode():
        alone_1D = net.embed_lips(torch.from_numpy(crops_THWC[1:6]).permute(3, 0, 1, 2).float())
    np.testing.assert_allclose(alone_1D[0], embedding_WD[1], atol=1e-4)
    np.testing.assert_array_equal(syncnet.embed_lips(crops_THWC, net), embedding_WD)
    assert syncnet.embed_lips(crops_THWC[:4], net).shape == (0, DIM)


def test_sound_is_seen_in_windows_of_twenty(net: SyncNet) -> None:
    wave_S = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    embedding_WD = syncnet.embed_sound(wave_S, 20, net)
    assert embedding_WD.shape == (20, DIM)
    np.testing.assert_array_equal(syncnet.embed_sound(wave_S, 6, net), embedding_WD[:6])
    assert np.isfinite(syncnet.embed_sound(np.zeros(16_000, np.float32), 20, net)).all()
    assert syncnet.embed_sound(wave_S, 0, net).shape == (0, DIM)


def test_sound_reaches_the_cepstra_as_16_bit_samples(net: SyncNet, monkeypatch: pytest.MonkeyPatch) -> None:
    samples_S = np.arange(-32767, 32768, dtype=np.int32)
    given: list[np.ndarray] = []

    def listen(wave_S: np.ndarray, steps: int) -> np.ndarray:
        given.append(np.round(np.clip(wave_S, -1, 1) * 32767.0))
        return mfcc_module.mfcc(wave_S, steps)

    monkeypatch.setattr(syncnet, "mfcc", listen)
    syncnet.embed_sound((samples_S / 32768).astype(np.float32), 1, net)
    np.testing.assert_array_equal(given[0], samples_S)


# ---------------------------------------------------------------------------------------------- rules of the release


def test_boxes_are_smoothed_as_the_release_does() -> None:
    random = np.random.default_rng(0)
    xyxy_T4 = np.array([100, 80, 160, 150.0]) + random.normal(0, 5, (40, 4))
    found_T3 = squares(xyxy_T4, "zeros")
    sides_T2 = xyxy_T4[:, 2:] - xyxy_T4[:, :2]
    np.testing.assert_array_equal(found_T3[:, 2], medfilt(sides_T2.max(axis=1) / 2, 13))
    np.testing.assert_array_equal(found_T3[:, 0], medfilt((xyxy_T4[:, 0] + xyxy_T4[:, 2]) / 2, 13))
    still_T4 = np.repeat([[10.0, 10, 30, 40]], 3, axis=0)
    np.testing.assert_array_equal(squares(still_T4, "nearest"), [[20, 25, 15]] * 3)


def test_the_crop_is_a_square_of_2_8_s_shifted_down_by_0_4_s() -> None:
    """A picture whose colours are coordinates tells where the crop was taken."""
    y_HW, x_HW = np.mgrid[:200, :240].astype(np.uint8)
    frame_HWC = np.stack([x_HW, y_HW, np.full_like(x_HW, 7)], axis=-1)
    (crop_HWC,) = crops(frame_HWC[None], np.array([[110.0, 80.0, 30.0]]))
    assert crop_HWC.shape == (224, 224, 3)
    assert (crop_HWC[..., 0] == 7).all()
    x_HW, y_HW = crop_HWC[..., 2].astype(int), crop_HWC[..., 1].astype(int)
    assert (x_HW.min(), x_HW.max()) == (110 - 42, 110 + 42 - 1)
    assert (y_HW.min(), y_HW.max()) == (80 - 30, 80 + 54 - 1)


def test_beyond_the_picture_there_is_grey() -> None:
    frame_HWC = np.zeros((100, 100, 3), np.uint8)
    (crop_HWC,) = crops(frame_HWC[None], np.array([[0.0, 90.0, 40.0]]))
    assert (crop_HWC[:, :110] == GREY).all()
    assert (crop_HWC[102:] == GREY).all()
    assert (crop_HWC[:98, 116:] == 0).all()
    outside_HWC = crops(frame_HWC[None], np.array([[500.0, -50.0, 0.2]]))
    assert outside_HWC.shape == (1, 224, 224, 3)


def box(x: float, side: float = 120, y: float = 20) -> np.ndarray:
    return np.array([x, y, x + side, y + side], np.float32)


def tracks(boxes: list[list[np.ndarray]]) -> list[ReleaseTrack]:
    found = [np.array(frame, np.float32).reshape(-1, 4) for frame in boxes]
    return link(found, slice(0, len(found)), TracksConfig())


def test_two_faces_make_two_tracks() -> None:
    boxes = [[box(10 + k), box(400 - k)] if k % 2 else [box(400 - k), box(10 + k)] for k in range(110)]
    first, second = tracks(boxes)
    assert (first.first, len(first.xyxy_T4), len(second.xyxy_T4)) == (0, 110, 110)
    np.testing.assert_array_equal(first.xyxy_T4[50], box(350))
    np.testing.assert_array_equal(second.xyxy_T4[50], box(60))


@pytest.mark.parametrize(
    ("detections", "side", "kept"), [(100, 120, 0), (101, 120, 1), (110, 100, 0), (110, 101, 1)]
)
def test_only_long_tracks_of_large_faces_are_scored(detections: int, side: float, kept: int) -> None:
    boxes = [[box(10, side)] if k < detections else [] for k in range(120)]
    assert len(tracks(boxes)) == kept


@pytest.mark.parametrize(("absent_frames", "kept"), [(24, 1), (25, 0)])
def test_a_gap_of_24_frames_is_bridged(absent_frames: int, kept: int) -> None:
    boxes = [[box(10)]] * 60 + [[]] * absent_frames + [[box(20)]] * 60
    found = tracks(boxes)
    assert len(found) == kept
    for track in found:
        middle = 60 + absent_frames // 2
        assert 10 < track.xyxy_T4[middle, 0] < 20


def test_cuts_split_tracks() -> None:
    random = np.random.default_rng(0)
    one, two = random.integers(0, 256, (2, 60, 80, 3), dtype=np.uint8)
    video_THWC = np.stack([one] * 50 + [two] * 130)
    spans = scenes(video_THWC, TracksConfig())
    assert spans == [slice(0, 50), slice(50, 180)]
    boxes = [box(10)[None]] * 180
    assert [len(link(boxes, span, TracksConfig())) for span in spans] == [0, 1]
    assert scenes(video_THWC[:40], TracksConfig()) == [slice(0, 40)]


def test_the_lossy_copies_are_as_coarse_as_the_release_s() -> None:
    y_HW, x_HW = np.mgrid[:224, :224]
    grain = np.random.default_rng(0).normal(0, 6, (14, 224, 224, 1))
    wave_THW = np.stack([127 + 90 * np.sin(x_HW / 9 + k / 5) * np.cos(y_HW / 13) for k in range(14)])
    video_THWC = np.clip(wave_THW[..., None] + grain + [0, 10, -10], 0, 255).astype(np.uint8)

    def decibels(copy_THWC: np.ndarray) -> float:
        error = np.mean((copy_THWC.astype(float) - video_THWC) ** 2)
        return float(10 * np.log10(255**2 / error))

    frames_THWC, coarse_THWC = recoding.as_frames(video_THWC), recoding.as_crops(video_THWC)
    assert frames_THWC.shape == coarse_THWC.shape == video_THWC.shape
    assert decibels(frames_THWC) > 36
    assert 20 < decibels(coarse_THWC) < decibels(frames_THWC) - 3
    assert 20 < decibels(recoding.as_demo(video_THWC)[..., ::-1]) < decibels(frames_THWC) - 3
    np.testing.assert_array_equal(recoding.as_crops(video_THWC), coarse_THWC)
    assert recoding.as_frames(video_THWC[:2, :31, :45]).shape == (2, 31, 45, 3)


# -------------------------------------------------------------------------------------------------------- metrics


def test_cards_are_registered() -> None:
    for metric in CLASSES:
        registered: Any = METRICS.get(metric.card.id)
        assert registered is metric
        assert "metrics.syncnet" in metric.card.weights


@pytest.mark.parametrize("metric", CLASSES)
def test_without_the_weight_nothing_is_scored(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    syncnet.network.cache_clear()
    monkeypatch.setattr(syncnet, "resolve", absent)
    with pytest.raises(MissingWeights, match=r"Put syncnet_v2\.model"):
        metric().score(*stage())
    with pytest.raises(MissingWeights):
        metric().score(Scene("bare", footage()), footage())


FRAMES = 150


def footage(tag: int = 0, sound: bool = True) -> Footage:
    frames_THWC = np.full((FRAMES, 48, 64, 3), tag, np.uint8)
    return Footage(frames_THWC, np.zeros(FRAMES * 640, np.float32) if sound else None)


def stage(**changes: Any) -> tuple[Scene, Footage]:
    """Two persons who speak one after the other, for three seconds each."""
    turns = [(Turn(start_s=0.0, end_s=3.0),), (Turn(start_s=3.0, end_s=6.0),)]
    speakers = tuple(person(n, turns=turns[n]) for n in range(2))
    plain = {"persons": speakers, "offscreen": (), "unassigned": ()}
    talk = replace(clip(frames=FRAMES), **{**plain, **changes})
    return Scene("item", footage(), talk, clip_arrays(talk)), footage(1)


@pytest.fixture
def acted(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Judges that are told what they see: mouth n follows voice `mouths[n]`."""
    said = SimpleNamespace(mouths=[0, 1], found=np.ones((2, FRAMES), bool), tracks={0: [], 1: []})
    voices = [stream(FRAMES, 10), stream(FRAMES, 11)]
    mix_WD = np.concatenate([voices[0][:75], voices[1][75:]])

    def mouth(video: Footage, xyxy_T4: np.ndarray) -> np.ndarray:
        n = int(xyxy_T4[1, 0] > clip_arrays(clip(frames=FRAMES)).face_xyxy_NT4[0, 1, 0])
        own = said.mouths[n]
        silent_WD = stream(FRAMES, 20 + n)
        speaks_W = (np.arange(FRAMES) < 75) == (own == 0)
        return np.where(speaks_W[:, None], voices[own], silent_WD)[: FRAMES - 4]

    def find(arrays: Any, video: Footage) -> SimpleNamespace:
        real = video.frames_THWC[0, 0, 0, 0] == 0
        return SimpleNamespace(found_NT=np.ones((2, FRAMES), bool) if real else said.found)

    def track(video: Footage) -> list[ReleaseTrack]:
        return list(said.tracks[int(video.frames_THWC[0, 0, 0, 0])])

    for module in (sync_persons, sync_readings):
        monkeypatch.setattr(module, "network", lambda: None)
        monkeypatch.setattr(module, "sound_features", lambda video, wave_S, windows: mix_WD[:windows])
    monkeypatch.setattr(sync_persons, "person_features", mouth)
    monkeypatch.setattr(sync_persons, "faces", find)
    monkeypatch.setattr(sync_readings, "release_tracks", track)
    monkeypatch.setattr(
        sync_readings, "track_features", lambda video, one: mix_WD[one.first : one.frames.stop - 4]
    )
    return said


def test_the_own_voice_binds_and_a_swap_unbinds(acted: SimpleNamespace) -> None:
    (bound,) = sync.BindingSyncNet().score(*stage())
    assert bound.status == "ok"
    assert bound.value == pytest.approx(1.3, abs=0.15)
    assert np.argmax(bound.detail["matrix"], axis=1).tolist() == [0, 1]
    acted.mouths = [1, 0]
    (swapped,) = sync.BindingSyncNet().score(*stage())
    assert swapped.value == pytest.approx(-of(bound), abs=0.1)


def test_speech_is_scored_alone(acted: SimpleNamespace) -> None:
    whole = sync.SyncDOverlap().score(*stage())
    alone = sync.SyncDSpeaking().score(*stage())
    assert [score.person for score in alone] == [0, 1]
    for n in range(2):
        assert alone[n].value == pytest.approx(0, abs=0.15)
        assert 0.5 < of(whole[n]) < 0.9
        assert alone[n].n < whole[n].n <= FRAMES - 4
    assert all(of(score) > 1.2 for score in sync.SyncCSpeaking().score(*stage()))


def test_a_listener_has_no_speech_to_score(acted: SimpleNamespace) -> None:
    listener = (person(0, turns=(Turn(start_s=0.0, end_s=6.0),)), person(1, turns=()))
    scene, output = stage(persons=listener)
    assert [one.status for one in sync.SyncCSpeaking().score(scene, output)] == ["ok", "undefined"]
    assert [one.status for one in sync.SyncCOverlap().score(scene, output)] == ["ok", "ok"]
    assert [one.status for one in sync.BindingSyncNet().score(scene, output)] == ["undefined"]


def test_a_face_that_is_gone_is_the_output_s_fault(acted: SimpleNamespace) -> None:
    acted.found = np.stack([np.zeros(FRAMES, bool), np.ones(FRAMES, bool)])
    for metric in CLASSES[2:6]:
        assert [one.status for one in metric().score(*stage())] == ["no_face", "ok"]
    assert [one.status for one in sync.BindingSyncNet().score(*stage())] == ["no_face"]


def test_an_item_without_sound_or_persons_is_undefined(acted: SimpleNamespace) -> None:
    scene, output = stage()
    mute = Scene(scene.id, footage(sound=False), scene.clip, scene.arrays)
    empty_clip = clip(frames=FRAMES, persons=0)
    empty = Scene("empty", footage(), empty_clip, clip_arrays(empty_clip))
    for metric in CLASSES:
        assert {one.status for one in metric().score(mute, output)} == {"undefined"}
        assert {one.status for one in metric().score(empty, output)} == {"undefined"}
    for metric in CLASSES[2:]:
        assert {one.status for one in metric().score(Scene("bare", footage()), output)} == {"undefined"}


def test_the_release_s_rule_decides_who_is_scored(acted: SimpleNamespace) -> None:
    scene, output = stage()
    assert scene.arrays is not None
    face_NT4 = np.nan_to_num(scene.arrays.face_xyxy_NT4.astype(float))
    face_NT4[1, 0] = face_NT4[1, 1]
    one, two = (ReleaseTrack(0, face_T4) for face_T4 in face_NT4)
    compat = sync.SyncCCompat()
    assert [score.status for score in compat.score(scene, output)] == ["undefined", "undefined"]
    acted.tracks = {0: [one, two], 1: [two]}
    missing, scored = compat.score(scene, output)
    assert (missing.status, missing.person) == ("no_face", 0)
    assert (scored.status, scored.person, scored.n) == ("ok", 1, FRAMES - 5)
    assert scored.detail["offset"] == [0]
    root = 2**0.5
    assert scored.value == pytest.approx(root - 8 * (root - 1) / (FRAMES - 5), abs=0.01)
    (least, _) = sync.SyncDCompat().score(scene, footage(0))
    assert least.value == pytest.approx(0, abs=1e-4)


def test_a_face_that_comes_after_the_sound_is_the_output_s_fault(acted: SimpleNamespace) -> None:
    scene, output = stage()
    assert scene.arrays is not None
    face_NT4 = np.nan_to_num(scene.arrays.face_xyxy_NT4.astype(float))
    face_NT4[:, 0] = face_NT4[:, 1]
    whole, late = ReleaseTrack(0, face_NT4[0]), ReleaseTrack(40, face_NT4[0, 40:])
    short = replace(scene, real=Footage(scene.real.frames_THWC, np.zeros(42 * 640, np.float32)))
    compat = sync.SyncCCompat()
    acted.tracks = {0: [whole], 1: [late]}
    assert compat.score(short, output)[0].status == "no_face"
    acted.tracks = {0: [whole], 1: [whole, late]}
    assert (compat.score(short, output)[0].status, compat.score(short, output)[0].n) == ("ok", 37)
    acted.tracks = {0: [late], 1: [whole]}
    assert compat.score(short, output)[0].status == "undefined"


def test_a_bare_video_is_scored_under_its_own_sound(acted: SimpleNamespace) -> None:
    acted.tracks = {0: [ReleaseTrack(20, np.tile(box(0), (120, 1)))], 1: []}
    bare = Scene("bare", footage(sound=False))
    (score,) = sync.SyncCCompat().score(bare, footage(0))
    assert (score.status, score.person, score.n) == ("ok", None, 115)
    assert [one.status for one in sync.SyncCCompat().score(bare, footage(1))] == ["no_face"]
    assert [one.status for one in sync.SyncCCompat().score(bare, footage(1, sound=False))] == ["undefined"]
    short = Footage(footage().frames_THWC, np.zeros(21 * 640, np.float32))
    assert [one.status for one in sync.SyncCCompat().score(bare, short)] == ["undefined"]
