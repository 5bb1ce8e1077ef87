"""YuNet, SFace, tracking and identities on real faces."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mitds.annotators.faces.boxes import iou
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.faces.yunet import YuNet, YuNetConfig
from mitds.annotators.identity.joining import join_identities
from mitds.annotators.identity.sface import SFace
from mitds.manifests.records import FaceTrack
from mitds.media import grid_frames, probe
from mitds.time import CLIP_FPS, Grid
from mitds.weights import resolve

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def tracker() -> YuNetTracker:
    return YuNetTracker()


def whole(path: Path, most_s: int = 4) -> Grid:
    found = probe(path)
    return Grid.over(found.start, found.start + min(found.duration, Fraction(most_s)))


def test_both_faces_of_the_statement_are_seen_in_every_frame(tracker: YuNetTracker) -> None:
    path = resolve("media.statement")
    grid = whole(path, most_s=60)
    tracks = tracker.track(grid_frames(path, grid))
    assert [len(t.score_T) for t in tracks] == [grid.count, grid.count]
    assert all(t.detected_T.all() for t in tracks)
    assert all(0.15 < ((t.xyxy_T4[:, 3] - t.xyxy_T4[:, 1]) / 240).mean() < 0.3 for t in tracks)
    first_D, second_D = (t.embedding_D for t in tracks)
    assert first_D is not None
    assert second_D is not None
    assert float(first_D @ second_D) < 0.4


def test_detections_follow_the_size_and_place_of_the_picture() -> None:
    frame_HWC = next(grid_frames(resolve("media.podium"), Grid(Fraction(1), 1)))
    detector = YuNet()
    (face,) = detector.detect(frame_HWC).xyxy_N4
    half = detector.detect(np.ascontiguousarray(frame_HWC[::2, ::2])).xyxy_N4
    padded = detector.detect(np.pad(frame_HWC, ((40, 0), (100, 0), (0, 0)))).xyxy_N4
    assert iou(face[None], 2 * half) > 0.85
    assert iou(face[None], padded - np.array([100, 40, 100, 40], np.float32)) > 0.85


def test_landmarks_are_the_subject_s_right_eye_first() -> None:
    frame_HWC = next(grid_frames(resolve("media.introduction"), Grid(Fraction(1), 1)))
    found = YuNet().detect(frame_HWC)
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks_N52[0]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


def test_no_face_is_an_empty_answer_not_a_made_up_box() -> None:
    found = YuNet().detect(np.full((120, 160, 3), 127, np.uint8))
    assert found.xyxy_N4.shape == (0, 4)
    assert found.landmarks_N52.shape == (0, 5, 2)
    assert found.score_N.shape == (0,)


def test_a_face_larger_than_the_picture_has_a_box_inside_the_picture() -> None:
    frame_HWC = next(grid_frames(resolve("media.podium"), Grid(Fraction(1), 1)))
    x1, y1, x2, y2 = YuNet().detect(frame_HWC).xyxy_N4[0]
    inset = 0.15 * (x2 - x1)
    cut_HWC = np.ascontiguousarray(
        frame_HWC[int(y1 + inset) : int(y2 - inset), int(x1 + inset) : int(x2 - inset)]
    )
    box = YuNet(YuNetConfig(min_score=0.3)).detect(cut_HWC).xyxy_N4[0]
    height, width = cut_HWC.shape[:2]
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    assert (box[2] - box[0]) * (box[3] - box[1]) > 0.6 * width * height


def test_embeddings_have_unit_norm_and_tell_people_apart() -> None:
    detector, embedder = YuNet(), SFace()
    embedding: dict[str, list[np.ndarray]] = defaultdict(list)
    for clip in ("media.podium", "media.introduction"):
        for second in (1, 3, 5):
            frame_HWC = next(grid_frames(resolve(clip), Grid(Fraction(second), 1)))
            embedding[clip] += list(embedder.embed(frame_HWC, detector.detect(frame_HWC).landmarks_N52[:1]))
    one, other = (np.stack(vectors) for vectors in embedding.values())
    np.testing.assert_allclose(np.linalg.norm([*one, *other], axis=1), 1, atol=1e-5)
    assert min((one @ one.T).min(), (other @ other.T).min()) > 0.35
    assert (one @ other.T).max() < 0.3


def test_tracking_twice_gives_the_same_bytes(tracker: YuNetTracker) -> None:
    path = resolve("media.introduction")
    first, again = (tracker.track(grid_frames(path, whole(path, 1))) for _ in range(2))
    assert len(first) == len(again) == 1
    for field in ("xyxy_T4", "score_T", "landmarks_T52", "detected_T", "embedding_D"):
        assert getattr(first[0], field).tobytes() == getattr(again[0], field).tobytes()


@pytest.mark.shared
def test_the_group_photograph_has_six_faces(shared_media: Path) -> None:
    picture_BGR = cv2.imread(str(shared_media / "photos" / "insightface_t1_group6.jpg"))
    found = YuNet().detect(cv2.cvtColor(picture_BGR, cv2.COLOR_BGR2RGB).astype(np.uint8))
    assert len(found.score_N) == 6
    assert found.score_N.min() > 0.8
    assert (np.diff(found.score_N) <= 0).all()


@pytest.mark.shared
def test_the_studio_interview_has_two_unbroken_tracks(shared_media: Path, tracker: YuNetTracker) -> None:
    path = shared_media / "multi" / "interview_studio_2men.mp4"
    grid = whole(path)
    tracks = tracker.track(grid_frames(path, grid))
    assert [(t.first, len(t.score_T)) for t in tracks] == [(0, grid.count)] * 2


@pytest.mark.shared
def test_three_men_keep_their_tracks_and_are_found_again_after_the_cut(
    shared_media: Path, tracker: YuNetTracker
) -> None:
    path = shared_media / "multi" / "film_hindi_3men_3shots.mp4"
    start = probe(path).start
    first = tracker.track(grid_frames(path, Grid(start, 100)))
    last = tracker.track(grid_frames(path, Grid(start + 343 / CLIP_FPS, 6)))
    assert [len(t.score_T) >= 90 for t in first] == [True] * 3
    assert len(last) == 3
    joined_first, joined_last = join_identities([first, last])
    assert {t.identity for t in joined_first} == {"P0", "P1", "P2"}
    by_place = [t.identity for t in sorted(joined_first, key=lambda t: t.xyxy_T4[-1, 0])]
    again = [t.identity for t in sorted(joined_last, key=lambda t: t.xyxy_T4[-1, 0])]
    assert again[:2] == by_place[:2]


def _truth(path: Path) -> dict[int, list[tuple[np.ndarray, str]]]:
    size = np.array([1280, 720, 1280, 720])
    rows: dict[int, list[tuple[np.ndarray, str]]] = defaultdict(list)
    for row in list(csv.reader(path.open()))[1:]:
        rows[round(float(row[1]) * 25)].append((np.array(row[2:6], float) * size, row[8]))
    return rows


@pytest.mark.shared
@pytest.mark.parametrize("name", ["composite_seed201", "composite_seed203"])
def test_composites_against_their_truth(shared_media: Path, tracker: YuNetTracker, name: str) -> None:
    """Two seconds of every shot: all faces found, none invented, each track and identity one person."""
    path = shared_media / "composite" / f"{name}.mp4"
    firsts = [shot["start_frame"] for shot in json.loads(path.with_suffix(".json").read_text())["shots"]]
    start = probe(path).start
    tracked = [tracker.track(grid_frames(path, Grid(start + first / CLIP_FPS, 50))) for first in firsts]
    truth = _truth(path.with_suffix(".asd.csv"))
    people: dict[str | None, Counter[str]] = defaultdict(Counter)
    found = expected = 0
    for first, tracks in zip(firsts, join_identities(tracked), strict=True):
        expected += sum(len(truth[first + t]) for t in range(50))
        found += sum(len(t.score_T) for t in tracks)
        for track in tracks:
            owner = _owner(track, truth, first)
            assert len(owner) == 1, f"shot at {first}: a track mixes {owner}"
            people[track.identity] += owner
    assert sum(sum(c.values()) for c in people.values()) >= 0.995 * expected
    assert sum(sum(c.values()) for c in people.values()) >= 0.99 * found
    assert all(len(c) == 1 for c in people.values())
    assert len(people) == len({person for c in people.values() for person in c})


def _owner(track: FaceTrack, truth: dict[int, list[tuple[np.ndarray, str]]], offset: int) -> Counter[str]:
    owner: Counter[str] = Counter()
    for t, box in enumerate(track.xyxy_T4):
        for true_box, person in truth[offset + track.first + t]:
            owner[person] += int(iou(box[None], true_box[None])[0, 0] >= 0.5)
    return +owner
