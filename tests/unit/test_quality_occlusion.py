"""Occlusion told from labels: hands over faces, faces over faces, faces and hands that are not to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from mitds.annotators.quality.occlusion import occlusion

SIZE = (640, 360)
FRAMES = 10


def labels(people: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People side by side, faces in view, hands in their laps."""
    face = np.zeros((people, FRAMES, 4), np.float32)
    pose = np.zeros((people, FRAMES, 133, 3), np.float32)
    for n in range(people):
        face[n] = [200 * n + 50, 40, 200 * n + 130, 140]
        pose[n, :, 91:133] = [200 * n + 90, 330, 0.9]
        pose[n, :, 9:11] = [200 * n + 90, 300, 0.9]
    return face, np.full((people, FRAMES), 0.9, np.float32), pose


def test_people_with_their_hands_in_their_laps_are_not_covered():
    assert occlusion(*labels(), SIZE) == {
        "hand_on_face": 0.0,
        "face_overlap": 0.0,
        "face_lost": 0.0,
        "face_occlusion": 0.0,
        "hand_occlusion": 0.0,
    }


def test_ones_own_hand_and_a_neighbours_cover_a_face():
    for owner in (0, 1):
        face, score, pose = labels()
        pose[owner, :4, 91:112] = [90, 100, 0.8]
        assert occlusion(face, score, pose, SIZE)["hand_on_face"] == pytest.approx(0.4)


@pytest.mark.parametrize("points", [{"confidence": 0.3}, {"count": 3}, {"y": 141}])
def test_doubtful_points_a_fingertip_and_a_hand_under_the_chin_do_not(points: dict[str, float]):
    face, score, pose = labels()
    count = int(points.get("count", 21))
    pose[0, :, 91 : 91 + count] = [90, points.get("y", 100), points.get("confidence", 0.9)]
    assert occlusion(face, score, pose, SIZE)["hand_on_face"] == 0


def test_of_two_faces_that_overlap_the_smaller_is_behind():
    face, score, pose = labels()
    face[1, :5] = [120, 20, 260, 200]
    assert occlusion(face, score, pose, SIZE)["face_overlap"] == pytest.approx(0.5)
    face[0, :5, 2] = 118
    assert occlusion(face, score, pose, SIZE)["face_overlap"] == 0


def test_a_face_that_is_not_detected_is_lost_and_absent_boxes_cover_nothing():
    face, score, pose = labels()
    score[1, :3] = 0
    face[1, 2:5] = np.nan
    score[1, 2:5] = 0
    found = occlusion(face, score, pose, SIZE)
    assert (found["face_lost"], found["hand_on_face"], found["face_overlap"]) == (0.5, 0, 0)
    pose[0, 4:7, 91:112] = [90, 100, 0.9]
    assert occlusion(face, score, pose, SIZE)["face_occlusion"] == 0.5


def test_a_hand_is_hidden_only_while_its_wrist_is_surely_in_the_picture():
    face, score, pose = labels(1)
    pose[0, :5, 112:133] = [np.nan, np.nan, 0]
    assert occlusion(face, score, pose, SIZE)["hand_occlusion"] == 0.5
    pose[0, :5, 10] = [90, 400, 0.9]
    assert occlusion(face, score, pose, SIZE)["hand_occlusion"] == 0
    pose[0, :, 9:11, 2] = 0.1
    assert "hand_occlusion" not in occlusion(face, score, pose, SIZE)


def test_nobody_has_no_occlusion():
    empty = np.zeros((0, FRAMES, 4)), np.zeros((0, FRAMES)), np.zeros((0, FRAMES, 133, 3))
    assert occlusion(*empty, SIZE) == {}
