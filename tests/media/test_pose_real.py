"""MediaPipe's networks on real video: the right person, the right side, nothing where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mitds.annotators.pose.face_mesh import FaceMesh
from mitds.annotators.pose.face_points import IBUG68
from mitds.annotators.pose.mediapipe import MediaPipePose
from mitds.weights import resolve

pytestmark = pytest.mark.media

BODY = [0, 5, 6]
"""Nose and shoulders: what anybody in a medium shot shows."""


def frames_of(path: Path, first: int, count: int) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        decoded = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        return [frame for i, frame in zip(range(first + count), decoded, strict=False) if i >= first]


def yunet(frame: np.ndarray) -> np.ndarray:
    """Rows of x, y, width, height, ten landmark coordinates and score, left to right."""
    height, width = frame.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(resolve("faces.yunet")), "", (width, height), 0.7, 0.3)
    _, found = detector.detect(np.ascontiguousarray(frame[..., ::-1]))
    return np.zeros((0, 15)) if found is None else found[found[:, 0].argsort()]


def boxes_of(found: np.ndarray) -> np.ndarray:
    return np.column_stack([found[:, :2], found[:, :2] + found[:, 2:4]]).astype(np.float32)


def faces_of(frames: Sequence[np.ndarray], persons: int) -> np.ndarray:
    boxes = [boxes_of(yunet(frame)) for frame in frames]
    assert all(len(b) == persons for b in boxes)
    return np.stack(boxes, axis=1)


def in_box(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return ((points > boxes[..., :2]) & (points < boxes[..., 2:])).all(axis=-1)


@pytest.fixture(scope="module")
def backend() -> MediaPipePose:
    return MediaPipePose()


@pytest.fixture(scope="module")
def statement() -> tuple[list[np.ndarray], np.ndarray]:
    """Two men in view, one before the other."""
    frames = frames_of(resolve("media.statement"), 0, 16)
    return frames, faces_of(frames, 2)


@pytest.fixture(scope="module")
def pose(backend: MediaPipePose, statement: tuple[list[np.ndarray], np.ndarray]) -> np.ndarray:
    frames, faces = statement
    return backend.estimate(frames, faces, np.ones(faces.shape[:2], bool))


def test_both_men_have_their_own_body(
    pose: np.ndarray, statement: tuple[list[np.ndarray], np.ndarray]
) -> None:
    _, faces = statement
    assert (pose[:, :, BODY, 2] > 0.3).all(axis=-1).mean() > 0.9
    assert in_box(pose[:, :, 0, :2], faces).all()
    middle = pose[:, :, 5:7, 0].mean(axis=-1)
    centre, width = faces[..., [0, 2]].mean(axis=-1), faces[..., 2] - faces[..., 0]
    assert (np.abs(middle - centre) < 1.5 * width).all()
    assert (pose[:, :, 5:7, 1].min(axis=-1) > faces[..., 1]).all()


def test_left_is_the_persons_left(pose: np.ndarray) -> None:
    for left, right in ((1, 2), (5, 6), (23 + 45, 23 + 36), (23 + 54, 23 + 48)):
        assert (pose[:, :, left, 0] > pose[:, :, right, 0]).all()  # they face the camera


def test_what_is_out_of_the_picture_is_absent(pose: np.ndarray) -> None:
    legs = pose[:, :, 13:23]
    assert np.isnan(legs[..., :2]).all()
    assert (legs[..., 2] == 0).all()
    x, y, confidence = np.moveaxis(pose, -1, 0)
    assert (np.isfinite(x) == (confidence > 0)).all()
    assert np.nanmin(x) >= 0
    assert np.nanmax(x) <= 320
    assert np.nanmax(y) <= 240


def test_faces_are_where_the_detector_sees_their_landmarks(
    pose: np.ndarray, statement: tuple[list[np.ndarray], np.ndarray]
) -> None:
    frames, faces = statement
    found = yunet(frames[0])
    right_eye, left_eye = pose[:, 0, 59:65, :2].mean(axis=1), pose[:, 0, 65:71, :2].mean(axis=1)
    corners = pose[:, 0, [23 + 48, 23 + 54], :2].reshape(2, 4)
    mesh = np.column_stack([right_eye, left_eye, corners])
    detector = found[:, [4, 5, 6, 7, 10, 11, 12, 13]]
    size = (faces[:, 0, 3] - faces[:, 0, 1])[:, None]
    assert (np.abs(mesh - detector) / size).max() < 0.12


def test_running_twice_gives_the_same(
    backend: MediaPipePose, pose: np.ndarray, statement: tuple[list[np.ndarray], np.ndarray]
) -> None:
    frames, faces = statement
    again = backend.estimate(iter(frames), faces, np.ones(faces.shape[:2], bool))
    assert np.array_equal(again, pose, equal_nan=True)


def test_a_box_without_a_face_gives_nobody(
    backend: MediaPipePose, statement: tuple[list[np.ndarray], np.ndarray]
) -> None:
    flag = np.array([[[2, 20, 30, 60]]], np.float32)
    nobody = backend.estimate(statement[0][:1], flag, np.ones((1, 1), bool))
    assert np.isnan(nobody[..., :2]).all()
    assert (nobody[..., 2] == 0).all()


def test_following_lasts_through_a_gap(
    backend: MediaPipePose, pose: np.ndarray, statement: tuple[list[np.ndarray], np.ndarray]
) -> None:
    frames, faces = statement
    visible = np.ones(faces.shape[:2], bool)
    visible[1, 5:8] = False
    gapped = backend.estimate(frames, faces, visible)
    assert (gapped[1, 5:8, :, 2] == 0).all()
    assert (gapped[1, 8:, BODY, 2] > 0.3).all(axis=-1).mean() > 0.8


def test_mesh_refines_lips_and_adds_irises(statement: tuple[list[np.ndarray], np.ndarray]) -> None:
    frame, mesh = statement[0][0], FaceMesh()
    found = yunet(frame)
    for box, row in zip(boxes_of(found), found, strict=True):
        points, presence = mesh.points(frame, box, row[4:14].reshape(5, 2))
        assert presence > 0.9
        assert points.shape == (478, 3)
        assert in_box(points[[468, 473], :2], box).all()
        ring = points[[IBUG68[i] for i in (48, 51, 54, 57)], :2]
        assert ring[0, 0] < ring[1, 0] < ring[2, 0]
        assert ring[1, 1] < ring[3, 1]
    nothing, presence = mesh.points(np.zeros_like(frame), box, None)
    assert presence < 0.5
    assert np.isnan(nothing).all()


def test_mesh_follows_a_turned_face(statement: tuple[list[np.ndarray], np.ndarray]) -> None:
    frame, mesh = statement[0][0], FaceMesh()
    row = yunet(frame)[1]
    box, marks = boxes_of(row[None])[0], row[4:14].reshape(5, 2)
    upright, _ = mesh.points(frame, box, marks)
    height = frame.shape[0]

    def turn(xy: np.ndarray) -> np.ndarray:
        return np.stack([height - xy[..., 1], xy[..., 0]], axis=-1)

    corners = turn(box.reshape(2, 2))
    turned_box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    turned, presence = mesh.points(np.ascontiguousarray(np.rot90(frame, -1)), turned_box, turn(marks))
    assert presence > 0.9
    error = np.linalg.norm(turned[:468, :2] - turn(upright[:468, :2]), axis=1)
    assert np.median(error) < 0.02 * (box[3] - box[1])


def test_six_people_at_a_table(backend: MediaPipePose, shared_media: Path) -> None:
    picture = cv2.imread(str(shared_media / "photos" / "insightface_t1_group6.jpg"))[..., ::-1]
    frame = np.ascontiguousarray(picture)
    faces = faces_of([frame], 6)
    pose = backend.estimate([frame], faces, np.ones((6, 1), bool))[:, 0]
    assert (pose[:, BODY, 2] > 0.3).all()
    assert in_box(pose[:, 0, :2], faces[:, 0]).all()
    neck = pose[:, 5:7, :2].mean(axis=1)
    apart = np.linalg.norm(neck[:, None] - neck, axis=-1) + 1e9 * np.eye(6)
    assert apart.min() > 60  # nobody wears another's shoulders


def test_a_raised_hand_hangs_on_its_wrist(backend: MediaPipePose, shared_media: Path) -> None:
    frames = frames_of(shared_media / "multi" / "interview_studio_2men.mp4", 200, 8)
    faces = faces_of(frames, 2)
    pose = backend.estimate(frames, faces, np.ones((2, 8), bool))
    seen = pose[1, :, 112, 2] > 0.5
    assert seen.mean() > 0.7
    apart = np.linalg.norm(pose[1, seen, 112, :2] - pose[1, seen, 10, :2], axis=-1)
    assert np.median(apart) < 60
    assert (pose[1, seen, 112:, 0] > 630).all()  # in his half of the split screen
    assert not (pose[0, :, 91:, 2] > 0).any()  # the other man's hands are out of the picture


def test_a_head_cut_off_at_the_top_is_not_seen_upside_down(
    backend: MediaPipePose, shared_media: Path
) -> None:
    frames = frames_of(shared_media / "composite" / "composite_seed201.mp4", 752, 6)
    faces = faces_of(frames, 2)
    pose = backend.estimate(frames, faces, np.ones((2, 6), bool))
    eyes, nose, mouth = pose[:, :, 1:3, 1].mean(axis=2), pose[:, :, 0, 1], pose[:, :, 71:91, 1].mean(axis=2)
    assert np.isfinite(nose).all()
    assert (eyes < nose).all()
    assert (nose < mouth).all()
    assert (pose[:, :, 1, 0] > pose[:, :, 2, 0]).all()  # the left eye lies on the picture's right
