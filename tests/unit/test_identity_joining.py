"""Identities across shots: names, constraints, and the clustering against a naive one."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.identity.joining import JoiningConfig, average_link, join_identities
from mitds.manifests.records import FaceTrack


def face(number: int, embedding: list[float] | None, first: int = 0, frames: int = 50) -> FaceTrack:
    vector = None if embedding is None else np.array(embedding, np.float32) / np.linalg.norm(embedding)
    return FaceTrack(
        track=number,
        first=first,
        xyxy_T4=np.zeros((frames, 4), np.float32),
        score_T=np.ones(frames, np.float32),
        landmarks_T52=np.zeros((frames, 5, 2), np.float32),
        detected_T=np.ones(frames, bool),
        embedding_D=vector,
    )


def names(tracks_by_shot: list[list[FaceTrack]], min_cosine: float = 0.45) -> list[list[str | None]]:
    return [
        [t.identity for t in tracks]
        for tracks in join_identities(tracks_by_shot, JoiningConfig(min_cosine=min_cosine))
    ]


def test_people_are_named_in_order_of_first_appearance_and_found_again() -> None:
    shots = [
        [face(0, [1, 0, 0]), face(1, [0, 1, 0])],
        [],
        [face(0, [0, 1, 0.1]), face(1, [0, 0, 1]), face(2, [1, 0.1, 0])],
    ]
    assert names(shots) == [["P0", "P1"], [], ["P1", "P2", "P0"]]


def test_appearance_is_by_frame_not_by_place_in_the_list() -> None:
    assert names([[face(1, [1, 0], first=60), face(0, [0, 1])]]) == [["P1", "P0"]]


def test_two_faces_in_view_at_once_are_two_people_however_alike() -> None:
    assert names([[face(0, [1, 0]), face(1, [1, 0])]]) == [["P0", "P1"]]
    assert names([[face(0, [1, 0]), face(1, [1, 0], first=48)]]) == [["P0", "P0"]]
    assert names([[face(0, [1, 0]), face(1, [1, 0], first=46)]]) == [["P0", "P1"]]


def test_same_frames_of_different_shots_are_no_constraint() -> None:
    assert names([[face(0, [1, 0])], [face(0, [1, 0])]]) == [["P0"], ["P0"]]


def test_a_constraint_outlives_merges() -> None:
    twins = [[face(0, [1, 0]), face(1, [1, 0.01])], [face(0, [1, 0.005])], [face(0, [1, 0.006])]]
    (first, second), *later = names(twins)
    assert first != second
    assert later[0] == later[1]
    assert later[0][0] in (first, second)


def test_a_track_without_embedding_is_a_person_of_its_own() -> None:
    assert names([[face(0, None)], [face(0, None)], [face(0, [1, 0])]]) == [["P0"], ["P1"], ["P2"]]


def test_nothing_in_nothing_out() -> None:
    assert join_identities([]) == []
    assert join_identities([[], []]) == [[], []]


def test_the_threshold_decides() -> None:
    shots = [[face(0, [1, 0])], [face(0, [0.6, 0.8])]]
    assert names(shots, min_cosine=0.59) == [["P0"], ["P0"]]
    assert names(shots, min_cosine=0.61) == [["P0"], ["P1"]]


def naive(similarity_NN: NDArray[np.float64], floor: float) -> list[list[int]]:
    groups = [[n] for n in range(len(similarity_NN))]
    while True:
        scored = [
            (np.mean([similarity_NN[i, j] for i in a for j in b]), -x, -y)
            for (x, a), (y, b) in itertools.combinations(enumerate(groups), 2)
        ]
        if not scored or max(scored)[0] < floor:
            return sorted(sorted(g) for g in groups)
        _, x, y = max(scored)
        groups[-x] += groups.pop(-y)


def test_average_link_equals_the_naive_algorithm_on_random_constrained_data() -> None:
    rng = np.random.default_rng(7)
    for _ in range(12):
        vectors = rng.normal(size=(24, 4))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        similarity_NN = vectors @ vectors.T
        apart = np.triu(rng.random((24, 24)) < 0.1, 1)
        similarity_NN[apart | apart.T] = -np.inf
        group_N = average_link(similarity_NN, 0.2)
        clusters = sorted(np.flatnonzero(group_N == g).tolist() for g in set(group_N.tolist()))
        assert clusters == naive(similarity_NN, 0.2)
        assert all(group_N[members].tolist() == [members[0]] * len(members) for members in clusters)


def test_two_thousand_tracks_of_forty_people_come_apart_exactly() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 40, 2000)
    vectors = np.eye(64)[truth] + rng.normal(scale=0.08, size=(2000, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    group_N = average_link(vectors @ vectors.T, 0.45)
    assert len(set(group_N.tolist())) == 40
    assert len(set(zip(truth.tolist(), group_N.tolist(), strict=True))) == 40
