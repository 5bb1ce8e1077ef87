"""Listener motion with the real face mesh on real video."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from mitds.annotators.faces.tracker import YuNetTracker
from mitds.benchmark.contracts import Metric, Scene
from mitds.benchmark.footage import Footage, Frames, read_footage
from mitds.benchmark.judges.face_motion import EXPRESSION, POSE, mean_face, motion
from mitds.benchmark.judges.mesh import meshes
from mitds.benchmark.metrics.listener import NOISE, Interactivity, RpccExp, RpccPose, VarExp, VarPose
from mitds.benchmark.metrics.listener_sets import FdExp, FdPose, SidExp, SidPose
from mitds.manifests.records import ClipArrays, SpeechTurn, Turn
from mitds.media import grid_frames, probe
from mitds.media.writing import write_video
from mitds.time import CLIP_FPS, Grid
from mitds.weights import resolve
from tests.factories import clip, clip_arrays, person

pytestmark = pytest.mark.media

FIRST, FRAMES = 10, 75
SINGLE = [Interactivity, VarExp, VarPose, RpccExp, RpccPose]


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")


@cache
def film(weight: str) -> tuple[Frames, np.ndarray]:
    """Three seconds of a video, and the boxes of the faces that show throughout, smallest first."""
    path = resolve(weight)
    found = probe(path)
    grid = Grid.over(found.start, found.start + found.duration)
    frames = list(islice(grid_frames(path, grid), FIRST, FIRST + FRAMES))
    tracks = [t for t in YuNetTracker().track(iter(frames)) if len(t.score_T) == FRAMES]
    tracks.sort(key=lambda t: float(np.ptp(t.xyxy_T4[0, 1::2])))
    return np.stack(frames), np.stack([t.xyxy_T4 for t in tracks])


def scene_of(frames_THWC: Frames, face_xyxy_NT4: np.ndarray) -> Scene:
    """A scene in which the last person speaks, or, where there is only one, a voice out of view."""
    persons = len(face_xyxy_NT4)
    always = Turn(start_s=0.0, end_s=10.0)
    speakers = {persons - 1} if persons > 1 else set()
    labels = clip(persons=persons, frames=FRAMES)
    labels = replace(
        labels,
        persons=tuple(person(n, turns=(always,) if n in speakers else ()) for n in range(persons)),
        offscreen=() if speakers else (SpeechTurn(voice="V9", start_s=0.0, end_s=10.0),),
        unassigned=(),
    )
    arrays: ClipArrays = replace(
        clip_arrays(labels),
        face_xyxy_NT4=face_xyxy_NT4,
        visible_NT=np.ones((persons, FRAMES), bool),
    )
    return Scene("item", Footage(frames_THWC.copy()), labels, arrays)


@pytest.fixture(params=["media.statement", "media.podium"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """The man behind listens to the one in front; a woman listens to a voice."""
    return scene_of(*film(request.param))


def coded(frames_THWC: Frames, folder: Path) -> Footage:
    """Footage after H.264 at crf 23."""
    path = folder / "output.mp4"
    write_video(path, ((k / CLIP_FPS, frame) for k, frame in enumerate(frames_THWC)), crf=23)
    return read_footage(path)


def frozen(scene: Scene) -> Frames:
    return np.repeat(scene.real.frames_THWC[:1], FRAMES, axis=0)


def value(metric: type[Metric], scene: Scene, output: Footage) -> float:
    found = metric().score(scene, output)[0]
    assert found.status == "ok"
    assert found.value is not None
    return found.value


def test_real_footage_coded_anew_is_near_frozen_and_shuffled_are_far(scene: Scene, tmp_path: Path) -> None:
    real = coded(scene.real.frames_THWC, tmp_path)
    still = coded(frozen(scene), tmp_path)
    order = np.random.default_rng(0).permutation(FRAMES)
    mixed = coded(scene.real.frames_THWC[order], tmp_path)
    for metric in (VarExp, VarPose):
        assert value(metric, scene, scene.real) == 0
        assert value(metric, scene, real) < 0.3
        assert value(metric, scene, still) > 0.95
        assert value(metric, scene, mixed) > 0.7
    assert value(Interactivity, scene, real) < 0.5 * value(Interactivity, scene, still)
    assert value(Interactivity, scene, still) > 0.4
    assert value(Interactivity, scene, mixed) > 0.4


def test_coding_moves_a_still_face_far_less_than_life(scene: Scene, tmp_path: Path) -> None:
    found = VarExp().score(scene, coded(frozen(scene), tmp_path))[0].detail
    assert 0 < found["generated"] < 0.15 * found["real"]
    assert 0 < found["generated_steps"] < 0.05 * found["real_steps"]
    assert found["generated_steps"] < 10 * NOISE


def test_a_copied_picture_does_not_move_at_all(scene: Scene) -> None:
    mesh_TP3 = meshes(scene, Footage(frozen(scene)))[0]
    assert (mesh_TP3 == mesh_TP3[0]).all()
    assert Interactivity().score(scene, Footage(frozen(scene)))[0].detail["generated"] == 0


@pytest.mark.parametrize("what", ["grey", "noise", "upside down"])
def test_outputs_without_faces(what: str) -> None:
    statement = scene_of(*film("media.statement"))
    real = statement.real.frames_THWC
    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    output = Footage(
        {"grey": np.full_like(real, 128), "noise": noise, "upside down": real[:, ::-1].copy()}[what]
    )
    for metric in SINGLE:
        assert [s.status for s in metric().score(statement, output)] == ["no_face", "undefined"]


def test_a_listener_is_compared_with_the_man_who_speaks(tmp_path: Path) -> None:
    statement = scene_of(*film("media.statement"))
    real = coded(statement.real.frames_THWC, tmp_path)
    for metric in (RpccExp, RpccPose):
        assert value(metric, statement, real) < 0.2
        assert value(metric, statement, real) < value(metric, statement, Footage(frozen(statement)))
    podium = scene_of(*film("media.podium"))
    assert RpccExp().score(podium, podium.real)[0].status == "undefined"


def test_mirrored_people_do_the_same_the_other_way_round() -> None:
    frames_THWC, xyxy_NT4 = film("media.podium")
    other_NT4 = xyxy_NT4.copy()
    other_NT4[..., [0, 2]] = frames_THWC.shape[2] - xyxy_NT4[..., [2, 0]]
    mirrored = scene_of(frames_THWC[:, :, ::-1].copy(), other_NT4)
    seen, other = (
        motion(mesh_TP3, mean_face(mesh_TP3))
        for mesh_TP3 in (meshes(s, s.real)[0] for s in (scene_of(frames_THWC, xyxy_NT4), mirrored))
    )
    for name, sign in {"yaw": -1, "pitch": 1, "roll": -1, "x": -1, "y": 1}.items():
        k = POSE.index(name)
        assert sign * np.corrcoef(seen.pose_T6[:, k], other.pose_T6[:, k])[0, 1] > 0.9, name
    agreement = []
    for name in EXPRESSION:
        twin = "_".join({"right": "left", "left": "right"}.get(word, word) for word in name.split("_"))
        pair = seen.expression_TE[:, EXPRESSION.index(name)], other.expression_TE[:, EXPRESSION.index(twin)]
        agreement.append((-1 if name.endswith("aside") else 1) * np.corrcoef(*pair)[0, 1])
    assert min(agreement) > 0.2
    assert np.mean(agreement) > 0.7


def test_sets_of_listeners(tmp_path: Path) -> None:
    scenes = [scene_of(*film(weight)) for weight in ("media.statement", "media.podium")]
    sides = {
        "real": [s.real for s in scenes],
        "coded": [coded(s.real.frames_THWC, tmp_path) for s in scenes],
        "frozen": [Footage(frozen(s)) for s in scenes],
    }
    for metric in (SidExp, SidPose, FdExp, FdPose):
        seen = {
            n: [metric().observe(*pair) for pair in zip(scenes, side, strict=True)]
            for n, side in sides.items()
        }
        found = {name: metric().reduce(seen["real"], rows).value for name, rows in seen.items()}
        if metric in (FdExp, FdPose):
            assert found["coded"] is None or found["coded"] < 0.2 * found["frozen"]
        else:
            assert found["frozen"] in (0, None)
            assert found["coded"] == pytest.approx(found["real"], rel=0.15)
        assert all(
            metric().reduce(seen["real"][::-1], rows[::-1]).value == found[name]
            for name, rows in seen.items()
        )


def test_scores_are_the_same_bits_again(scene: Scene) -> None:
    again = Scene(scene.id, Footage(scene.real.frames_THWC.copy()), scene.clip, scene.arrays)
    output = np.roll(scene.real.frames_THWC, 20, axis=0)
    for metric in SINGLE:
        assert metric().score(scene, Footage(output)) == metric().score(again, Footage(output.copy()))
