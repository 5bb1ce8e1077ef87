"""Faces at their places and identities: the arithmetic, without networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mitds.benchmark.contracts import Metric, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.faces import Faces, match, places
from mitds.benchmark.metrics import identity
from mitds.benchmark.metrics.identity import FaceFound, Identity, IdentitySwap, mean_embedding
from mitds.benchmark.registries import METRICS
from mitds.manifests.records import ClipArrays

FRAMES = 50
FRAME_E = np.arange(0, FRAMES, 5)
NAN = float("nan")
PLACES = np.array([[10, 10, 50, 60], [110, 10, 150, 60]], np.float32)


def footage() -> Footage:
    return Footage(np.zeros((FRAMES, 4, 4, 3), np.uint8))


def item(persons: int = 2) -> Scene:
    seen_NT = np.ones((persons, FRAMES), np.bool_)
    plain_NT = seen_NT.astype(np.float32)
    box_NT4 = np.zeros((persons, FRAMES, 4), np.float32)
    return Scene("item", footage(), None, ClipArrays(box_NT4, plain_NT, plain_NT, np.zeros(0), seen_NT))


Seen = tuple[np.ndarray, np.ndarray]


def people(*angles: float) -> Seen:
    """Found on all frames, with unit embeddings at angles in degrees."""
    radians = np.deg2rad(angles)
    vector_ND = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    return np.ones((len(angles), FRAMES), np.bool_), np.repeat(vector_ND[:, None], len(FRAME_E), axis=1)


def score(
    monkeypatch: pytest.MonkeyPatch, metric: Metric, scene: Scene, real: Seen, seen: Seen
) -> list[Score]:
    def chosen(video: Footage) -> Seen:
        return real if video is scene.real else seen

    def faces(arrays: ClipArrays, video: Footage) -> Faces:
        none: Any = np.zeros(0)
        return Faces(none, none, chosen(video)[0])

    def identities(arrays: ClipArrays, video: Footage) -> Seen:
        found_NT, embedding_NED = chosen(video)
        return np.where(found_NT[:, FRAME_E, None], embedding_NED, 0), FRAME_E

    monkeypatch.setattr(identity, "faces", faces)
    monkeypatch.setattr(identity, "identities", identities)
    return metric.score(scene, footage())


def test_the_same_faces_are_identical_and_not_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    real = people(0, 90)
    assert [s.value for s in score(monkeypatch, Identity(), item(), real, real)] == pytest.approx([1, 1])
    assert [s.value for s in score(monkeypatch, IdentitySwap(), item(), real, real)] == [0, 0]
    assert [s.value for s in score(monkeypatch, FaceFound(), item(), real, real)] == [1, 1]


def test_exchanged_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = people(0, 60), people(60, 0)
    scores = score(monkeypatch, Identity(), item(), real, seen)
    assert [s.value for s in scores] == pytest.approx([0.5, 0.5], abs=1e-6)
    assert [s.value for s in score(monkeypatch, IdentitySwap(), item(), real, seen)] == [1, 1]


def test_missing_faces_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    real, (found_NT, embedding_NED) = people(0, 90), people(0, 90)
    found_NT[0, :25] = False
    seen = (found_NT, embedding_NED)
    first, second = score(monkeypatch, Identity(), item(), real, seen)
    assert (first.value, second.value) == pytest.approx((0.5, 1.0))
    assert first.detail == {"found": 5, "where_found": pytest.approx(1.0)}
    assert [s.value for s in score(monkeypatch, IdentitySwap(), item(), real, seen)] == [0.5, 0]
    assert [s.value for s in score(monkeypatch, FaceFound(), item(), real, seen)] == [0.5, 1]


def test_an_output_without_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    real, (found_NT, embedding_NED) = people(0, 90), people(0, 90)
    none = (np.zeros_like(found_NT), embedding_NED)
    for metric in (Identity(), IdentitySwap()):
        scores = score(monkeypatch, metric, item(), real, none)
        assert [(s.status, s.value, s.person) for s in scores] == [("no_face", None, 0), ("no_face", None, 1)]
    assert [s.value for s in score(monkeypatch, FaceFound(), item(), real, none)] == [0, 0]


def test_only_the_real_footage_makes_a_person_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    found_NT, embedding_NED = people(0, 90)
    real_NT = found_NT.copy()
    real_NT[1, 10:] = False
    for seen in ((found_NT, embedding_NED), (~found_NT, embedding_NED)):
        scores = score(monkeypatch, Identity(), item(), (real_NT, embedding_NED), seen)
        assert [s.status == "undefined" for s in scores] == [False, True]
        swaps = score(monkeypatch, IdentitySwap(), item(), (real_NT, embedding_NED), seen)
        assert {s.status for s in swaps} == {"undefined"}  # nobody is left to be mistaken for
    alone = people(0)
    assert score(monkeypatch, IdentitySwap(), item(1), alone, alone)[0].status == "undefined"


@pytest.mark.parametrize("kind", [Identity, IdentitySwap, FaceFound])
def test_a_bare_pair_is_undefined(kind: type[Metric]) -> None:
    assert [s.status for s in kind().score(Scene("pair", footage()), footage())] == ["undefined"]
    assert METRICS.get(kind.card.id) is kind


def test_the_mean_embedding_leaves_out_missing_faces() -> None:
    row_ED = np.array([[2, 0], [0, 9], [0, 2]], np.float32)
    mean_D = mean_embedding(row_ED, np.array([True, False, True]))
    assert mean_D == pytest.approx(np.sqrt([0.5, 0.5]))
    assert mean_embedding(row_ED, np.zeros(3, np.bool_)).tolist() == [0, 0]


def test_faces_are_matched_to_the_nearest_places() -> None:
    moved = PLACES[::-1] + 8
    assert sorted(match(PLACES, moved)) == [(0, 1), (1, 0)]
    assert match(PLACES, moved[:1]) == [(1, 0)]


@pytest.mark.parametrize(
    ("shift", "scale", "near"),
    [(0, 1.0, True), (25, 1.0, True), (40, 1.0, False), (15, 1.6, True), (0, 2.4, False), (0, 0.4, False)],
)
def test_a_face_stands_for_a_person_only_near_its_place(shift: float, scale: float, near: bool) -> None:
    centre, half = np.array([30.0, 35.0]), np.array([20.0, 25.0]) * scale
    face_14 = np.concatenate([centre - half, centre + half])[None] + [shift, 0, shift, 0]
    assert bool(match(PLACES, face_14.astype(np.float32))) == near


def test_nobody_is_looked_for_out_of_view() -> None:
    assert match(np.full((2, 4), NAN, np.float32), PLACES) == []
    assert match(PLACES, np.zeros((0, 4), np.float32)) == []
    assert match(np.stack([PLACES[0], np.full(4, NAN)]), PLACES) == [(0, 0)]
    arrays = item().arrays
    assert arrays is not None
    arrays.visible_NT[0, 3] = False
    assert np.isnan(places(arrays)[0, 3]).all()
    assert np.isfinite(places(arrays)[1]).all()
