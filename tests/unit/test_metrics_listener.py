"""Listener motion on synthetic faces, and the search for faces at their places with a toy network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mitds.benchmark.contracts import Arrays, Metric, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges import mesh
from mitds.benchmark.judges.face_motion import EXPRESSION, mean_face, motion
from mitds.benchmark.metrics import listener_watch
from mitds.benchmark.metrics.listener import (
    Interactivity,
    RpccExp,
    RpccPose,
    VarExp,
    VarPose,
    interactivity,
    pcc,
)
from mitds.benchmark.metrics.listener_sets import FdExp, FdPose, SidExp, SidPose, clusters, shannon
from mitds.benchmark.proofs import Proof
from mitds.benchmark.proofs.listener import face, proofs, turned
from mitds.benchmark.registries import METRICS
from mitds.manifests.codec import pack_arrays, unpack_arrays
from mitds.manifests.records import Clip, ClipArrays, SpeechTurn, Turn
from tests.factories import clip, clip_arrays, person

FRAMES = 100
LISTENING = np.arange(FRAMES) < 50
"""Person 0 of `scene` listens in the first two seconds, while person 1 speaks."""
MOVING = {
    "lips": [13, 14, 0],
    "brows": [55, 107, 70, 46, 285, 336],
    "lids": [159, 158, 386, 385],
    "chin": [152],
}
SINGLE = [Interactivity, VarExp, VarPose, RpccExp, RpccPose]
SETS = [SidExp, SidPose, FdExp, FdPose]


def wander(seed: int, frames: int = FRAMES) -> np.ndarray:
    """A smooth random signal of variance 1."""
    noise = np.random.default_rng(seed).normal(0, 1, frames + 24)
    smooth = np.convolve(noise, np.hanning(25), mode="valid")
    return (smooth - smooth.mean()) / smooth.std()


def talking_head(seed: int, amount: float = 1.0, hasty: float = 0.0) -> np.ndarray:
    """Meshes of a face that wanders about, mesh_TP3; `hasty` adds independent noise to the expression."""
    face_TP3 = np.repeat(face()[None], FRAMES, axis=0)
    for k, points in enumerate(MOVING.values()):
        jitter = hasty * np.random.default_rng(99 + k).normal(0, 1, FRAMES)
        face_TP3[:, points, 1] += 0.03 * (amount * wander(seed + k) + jitter)[:, None]
    angles = [0.1 * amount * wander(seed + 10 + k) for k in range(3)]
    return turned(face_TP3, *angles).astype(np.float32)


def scene(*, talks: bool = True, offscreen: tuple[SpeechTurn, ...] = ()) -> Scene:
    """Person 1 speaks, then person 0; or neither does."""
    turns = [Turn(start_s=2.4, end_s=4.0)], [Turn(start_s=0.0, end_s=2.0)]
    people = tuple(person(n, turns=tuple(own if talks else ())) for n, own in enumerate(turns))
    labels = replace(clip(frames=FRAMES), persons=people, offscreen=offscreen, unassigned=())
    return Scene("item", footage(0), labels, clip_arrays(labels))


def footage(name: int) -> Footage:
    """A video whose only content is its name."""
    return Footage(np.full((FRAMES, 4, 4, 3), name, np.uint8))


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> dict[int, np.ndarray]:
    """Meshes that the judge sees, by the name of the footage; 0 is the real one, 200 has no face."""
    known = {
        0: np.stack([talking_head(1), talking_head(50)]),
        200: np.full((2, FRAMES, 478, 3), np.nan, np.float32),
    }
    monkeypatch.setattr(
        listener_watch, "meshes", lambda scene, video: known[int(video.frames_THWC.flat[0])].copy()
    )
    return known


def only(metric: type[Metric], name: int, where: Scene | None = None) -> Score:
    """The score of person 0."""
    return metric().score(where or scene(), footage(name))[0]


def value(metric: type[Metric], name: int) -> float:
    found = only(metric, name)
    assert found.status == "ok"
    assert found.value is not None
    return found.value


@pytest.mark.parametrize("proof", list(proofs()), ids=lambda p: p.check)
def test_proofs(proof: Proof) -> None:
    assert proof.holds, proof


def test_cards_are_registered_under_their_ids() -> None:
    for metric in [*SINGLE, *SETS]:
        assert METRICS.get(metric.card.id) is metric


@pytest.mark.usefixtures("shows")
@pytest.mark.parametrize("metric", SINGLE)
def test_real_footage_is_at_distance_zero(metric: type[Metric]) -> None:
    found = only(metric, 0)
    assert found.value == 0.0
    assert found.n >= 40


@pytest.mark.parametrize("metric", [Interactivity, VarExp, VarPose])
def test_the_less_motion_the_further_from_real(metric: type[Metric], shows: dict[int, np.ndarray]) -> None:
    for name, amount in enumerate((1.0, 0.8, 0.5, 0.2, 0.0), start=1):
        shows[name] = np.stack([talking_head(1, amount), talking_head(50)])
    ladder = [value(metric, name) for name in range(1, 6)]
    assert ladder == sorted(ladder)
    assert ladder[-1] > ladder[-2] > ladder[-3] > ladder[0] == 0


@pytest.mark.parametrize("metric", [Interactivity, VarExp])
def test_haste_is_no_life(metric: type[Metric], shows: dict[int, np.ndarray]) -> None:
    for name, hasty in enumerate((0.0, 0.1, 0.3, 1.0), start=1):
        shows[name] = np.stack([talking_head(1, hasty=hasty), talking_head(50)])
    ladder = [value(metric, name) for name in range(1, 5)]
    assert ladder == sorted(ladder)
    assert ladder[-1] > ladder[1] > 0


def test_frozen_and_shuffled_listeners_are_near_the_worst_value(shows: dict[int, np.ndarray]) -> None:
    order = np.random.default_rng(0).permutation(FRAMES)
    shows[1] = np.repeat(shows[0][:, :1], FRAMES, axis=1)
    shows[2] = shows[0][:, order]
    for metric in (VarExp, VarPose):
        assert value(metric, 1) > 0.95
        assert value(metric, 2) > 0.8


def test_speaking_time_has_no_part(shows: dict[int, np.ndarray]) -> None:
    shows[1] = shows[0].copy()
    shows[1][0, 60:] = talking_head(7)[60:]
    for metric in (VarExp, VarPose, Interactivity, RpccExp):
        assert value(metric, 1) == 0


def test_interactivity_gives_the_published_values_beside_the_distance(shows: dict[int, np.ndarray]) -> None:
    shows[1] = np.stack([talking_head(1, 0.0), talking_head(50)])
    found = only(Interactivity, 1)
    assert found.detail["generated"] == pytest.approx(0, abs=1e-3)
    assert found.value == pytest.approx(found.detail["real"] - found.detail["generated"])


def test_rpcc_tells_a_mirroring_listener_from_an_absent_minded_one(shows: dict[int, np.ndarray]) -> None:
    shows[0] = np.stack([talking_head(50), talking_head(50)])  # the real listener mirrors the speaker
    shows[1] = np.stack([talking_head(50, 0.5), talking_head(50)])  # so does this one, less strongly
    shows[2] = np.stack([talking_head(1), talking_head(50)])
    shows[3] = np.repeat(shows[0][:, :1], FRAMES, axis=1)
    for metric in (RpccExp, RpccPose):
        assert only(metric, 0).detail["real"] > 0.4
        assert value(metric, 1) < 0.05
        assert value(metric, 2) > 0.3
        assert only(metric, 3).detail["generated"] == pytest.approx(0, abs=1e-2)


@pytest.mark.usefixtures("shows")
def test_rpcc_needs_a_partner_in_view() -> None:
    narrated = scene(talks=False, offscreen=(SpeechTurn(voice="V9", start_s=0.0, end_s=2.0),))
    assert only(RpccExp, 0, narrated).status == "undefined"
    assert only(VarExp, 0, narrated).status == "ok"


def test_correlation_of_nothing_is_zero() -> None:
    assert not pcc(np.empty((0, 3)), np.empty((0, 3))).any()
    assert not pcc(np.ones((1, 3)), np.ones((1, 3))).any()


@pytest.mark.parametrize("metric", SINGLE)
def test_statuses(metric: type[Metric], shows: dict[int, np.ndarray]) -> None:
    assert [s.status for s in metric().score(Scene("pair", footage(0)), footage(0))] == ["undefined"]
    for name in (0, 200):
        assert {s.status for s in metric().score(scene(talks=False), footage(name))} == {"undefined"}
    found = metric().score(scene(), footage(200))
    assert [(s.status, s.value, s.person) for s in found] == [("no_face", None, 0), ("no_face", None, 1)]
    shows[0][0] = np.nan
    for name in (0, 200):
        assert only(metric, name).status == "undefined"


@pytest.mark.parametrize(("hidden", "status"), [(24, "ok"), (26, "no_face")])
def test_a_face_must_show_on_most_listening_frames(
    hidden: int, status: str, shows: dict[int, np.ndarray]
) -> None:
    shows[1] = shows[0].copy()
    shows[1][0, :hidden] = np.nan
    found = only(VarExp, 1)
    assert found.status == status
    assert found.status == "no_face" or found.n == LISTENING.sum() - hidden


def test_steps_are_not_taken_across_gaps() -> None:
    eyes_TK2 = np.zeros((6, 22, 2))
    eyes_TK2[3:] = 100
    seen_T = np.array([True, True, True, False, True, True])
    assert interactivity(eyes_TK2, seen_T) == 0
    assert interactivity(eyes_TK2, np.array([True, False] * 3)) == 0


def test_expression_is_named_and_signed() -> None:
    face_TP3 = np.repeat(face()[None], 2, axis=0)
    face_TP3[1, [14, 152], 1] += 0.1  # the jaw drops: y points down
    face_TP3[1, [55, 107], 1] -= 0.2
    still = mean_face(face_TP3[:1])
    change_E = dict(zip(EXPRESSION, motion(face_TP3, still).expression_TE[1], strict=True))
    assert change_E["chin_raise"] == pytest.approx(-0.1)
    assert change_E["right_inner_brow_raise"] == pytest.approx(0.2)
    assert change_E["left_eye_opening"] == pytest.approx(0)
    assert len(EXPRESSION) == 14


def test_no_mesh_at_all_is_no_mean_face() -> None:
    nothing_TP3 = np.full((5, 478, 3), np.nan)
    assert mean_face(nothing_TP3) is None
    assert np.isnan(motion(face()[None], None).pose_T6).all()
    assert motion(nothing_TP3, mean_face(face()[None])).expression_TE.shape == (5, 14)


# Sets


def observed(metric: type, names: list[int]) -> list[Arrays]:
    """What videos contribute, as the engine keeps it."""
    return [unpack_arrays(pack_arrays(metric().observe(scene(), footage(name)))) for name in names]


@pytest.fixture
def releases(shows: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Names of footage by system: all are laid over the real footage 0."""
    for k in range(8):
        shows[10 + k] = np.stack([talking_head(100 + 20 * k), talking_head(110 + 20 * k)])
        shows[30 + k] = np.repeat(shows[10 + k][:, 30:31], FRAMES, axis=1)
        shows[50 + k] = np.stack([talking_head(500 + 20 * k), talking_head(510 + 20 * k)])
    systems = {"real": 10, "frozen": 30, "alive": 50}
    return {name: list(range(first, first + 8)) for name, first in systems.items()} | {"grey": [200] * 8}


@pytest.mark.parametrize("metric", [SidExp, SidPose])
def test_richness(metric: type, releases: dict[str, list[int]]) -> None:
    seen = {name: observed(metric, names) for name, names in releases.items()}
    found = {name: metric().reduce(seen["real"], rows).value for name, rows in seen.items()}
    assert found["frozen"] == found["grey"] == 0
    assert found["real"] == metric().reduce(seen["real"], seen["real"]).detail["real"] > 0.5
    assert abs(found["alive"] - found["real"]) < 0.3 * found["real"]


@pytest.mark.parametrize("metric", [FdExp, FdPose])
def test_distribution(metric: type, releases: dict[str, list[int]]) -> None:
    seen = {name: observed(metric, names) for name, names in releases.items()}
    found = {name: metric().reduce(seen["real"], rows).value for name, rows in seen.items()}
    assert found["real"] == pytest.approx(0, abs=1e-9)
    assert found["alive"] < found["frozen"] < np.inf
    assert found["alive"] < found["grey"] < np.inf
    assert 0 < metric().reduce(seen["real"], seen["real"]).detail["floor_halves"] < np.inf


@pytest.mark.parametrize("metric", SETS)
def test_the_order_of_videos_moves_no_bit(metric: type, releases: dict[str, list[int]]) -> None:
    real, alive = observed(metric, releases["real"]), observed(metric, releases["alive"])
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    assert metric().reduce(real, alive) == metric().reduce(
        [real[k] for k in order], [alive[k] for k in order]
    )


@pytest.mark.usefixtures("shows")
@pytest.mark.parametrize("metric", SETS)
def test_sets_that_are_too_small_say_so(metric: type) -> None:
    seen = [{name: rows[:50] for name, rows in video.items()} for video in observed(metric, [0])]
    assert metric().reduce(seen, seen).value is None
    assert "fewer than" in metric().reduce(seen, seen).reason
    bare = metric().observe(Scene("pair", footage(0)), footage(0))
    assert metric().reduce([bare], [bare]).value is None


def test_clusters_of_equal_rows_end() -> None:
    assert shannon(np.zeros(5, int)) == 0
    assert (clusters(np.ones((40, 3)), 4) == 1).all()


# The judge


class ToyMesh:
    """Finds white blocks: the mesh spans the white pixels of the crop and half as much around it."""

    def __init__(self) -> None:
        self.crops: list[np.ndarray] = []

    def points(
        self, frame_HWC: np.ndarray, xyxy_4: np.ndarray, landmarks_52: np.ndarray | None
    ) -> tuple[np.ndarray, float]:
        self.crops.append(np.array(xyxy_4))
        middle_2, half = (xyxy_4[:2] + xyxy_4[2:]) / 2, 0.75 * (xyxy_4[2:] - xyxy_4[:2]).max()
        y, x = np.nonzero(frame_HWC[..., 0] > 128)
        near = (abs(x - middle_2[0]) <= half) & (abs(y - middle_2[1]) <= half)
        if not near.any():
            return np.full((478, 3), np.nan, np.float32), 0.0
        grid_P2 = np.random.default_rng(0).random((478, 2))
        grid_P2[0], grid_P2[1] = 0, 1
        low_2 = np.array([x[near].min(), y[near].min()])
        high_2 = np.array([x[near].max() + 1, y[near].max() + 1])
        points_P2 = low_2 + grid_P2 * (high_2 - low_2)
        return np.column_stack([points_P2, np.zeros(478)]).astype(np.float32), 1.0


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyMesh:
    toy = ToyMesh()
    monkeypatch.setattr(mesh, "_network", lambda: toy)
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")
    return toy


def blocks(places: list[list[tuple[int, int] | None]], side: int = 20) -> Footage:
    """Frames with a white block at each (x, y)."""
    frames_THWC = np.zeros((len(places), 100, 200, 3), np.uint8)
    for t, here in enumerate(places):
        for x, y in (p for p in here if p is not None):
            frames_THWC[t, y : y + side, x : x + side] = 255
    return Footage(frames_THWC)


def standing(at: list[tuple[int, int]], frames: int) -> Scene:
    """A scene whose real faces stand still."""
    boxes_N4 = np.array([[x, y, x + 20, y + 20] for x, y in at], np.float32)
    labels: Clip = clip(persons=len(at), frames=frames)
    arrays: ClipArrays = replace(
        clip_arrays(labels),
        face_xyxy_NT4=np.repeat(boxes_N4[:, None], frames, axis=1),
        visible_NT=np.ones((len(at), frames), bool),
    )
    return Scene("item", blocks([[]] * frames), labels, arrays)


def middles(scene: Scene, video: Footage) -> np.ndarray:
    mesh_NTP3 = mesh.meshes(scene, video)
    return (mesh_NTP3[:, :, 0, 0] + mesh_NTP3[:, :, 1, 0]) / 2


@pytest.mark.usefixtures("toy")
def test_a_face_is_found_off_its_place_but_not_out_of_reach() -> None:
    there = standing([(90, 40)], 2)
    assert middles(there, blocks([[(96, 40)]] * 2)).tolist() == [[106, 106]]
    assert np.isnan(middles(there, blocks([[(30, 40)]] * 2))).all()
    assert np.isnan(middles(there, blocks([[]] * 2))).all()


@pytest.mark.usefixtures("toy")
def test_a_face_that_walks_away_is_no_longer_the_persons() -> None:
    walk = [[(90 + 4 * t, 40)] for t in range(10)]
    found_T = middles(standing([(90, 40)], 10), blocks(walk))[0]
    assert np.isfinite(found_T).tolist() == [True] * 6 + [False] * 4


@pytest.mark.usefixtures("toy")
def test_a_neighbours_face_does_not_stand_in() -> None:
    two = standing([(60, 40), (82, 40)], 2)
    assert np.isnan(middles(two, blocks([[(82, 40)]] * 2))).tolist() == [[True, True], [False, False]]


def test_the_crop_of_a_still_face_rests_while_the_place_moves(toy: ToyMesh) -> None:
    there = standing([(90, 40)], 6)
    assert there.arrays is not None
    there.arrays.face_xyxy_NT4[0] += np.arange(6)[:, None]
    mesh_TP3 = mesh.meshes(there, blocks([[(92, 41)]] * 6))[0]
    assert (mesh_TP3 == mesh_TP3[0]).all()
    assert len({tuple(crop) for crop in toy.crops[1:]}) == 1


@pytest.mark.usefixtures("toy")
def test_nobody_is_looked_for_while_out_of_view() -> None:
    there = standing([(90, 40)], 4)
    assert there.arrays is not None
    there.arrays.visible_NT[0, :2] = False
    assert np.isnan(middles(there, blocks([[(90, 40)]] * 4))).tolist() == [[True, True, False, False]]
    with pytest.raises(ValueError, match="must have arrays"):
        mesh.meshes(Scene("pair", there.real), there.real)
