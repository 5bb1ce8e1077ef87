"""The tracker on drawn faces: a scripted detector and an embedder that reads the colour of a face."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mitds.annotators.contracts import FaceDetections, Frame
from mitds.annotators.faces.fake import FakeFaceTracker, FakeFaceTrackerConfig
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.identity.joining import join_identities
from mitds.manifests.records import Array, FaceTrack

SIDE = 40


@dataclass(frozen=True)
class Face:
    """A square face: top left corner, person 1..6, score."""

    x: float
    y: float = 50
    person: int = 1
    score: float = 0.9
    side: int = SIDE

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return (self.x, self.y, self.x + self.side, self.y + self.side)

    @property
    def landmarks(self) -> list[tuple[float, float]]:
        shares = [(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)]
        return [(self.x + self.side * a, self.y + self.side * b) for a, b in shares]


Script = Sequence[Sequence[Face]]


def draw(script: Script) -> Iterator[Frame]:
    for number, faces in enumerate(script):
        frame_HWC = np.zeros((200, 400, 3), np.uint8)
        frame_HWC[0, 0, 0] = number
        for face in faces:
            x1, y1, x2, y2 = (max(0, round(v)) for v in face.xyxy)
            frame_HWC[y1:y2, x1:x2] = face.person * 40
        yield frame_HWC


@dataclass
class ScriptedDetector:
    script: Script
    name: str = "scripted"
    calls: list[int] = field(default_factory=list)

    def detect(self, frame_HWC: Frame) -> FaceDetections:
        self.calls.append(int(frame_HWC[0, 0, 0]))
        faces = sorted(self.script[self.calls[-1]], key=lambda face: -face.score)
        return FaceDetections(
            np.array([f.xyxy for f in faces], np.float32).reshape(-1, 4),
            np.array([f.landmarks for f in faces], np.float32).reshape(-1, 5, 2),
            np.array([f.score for f in faces], np.float32),
        )


class ColourEmbedder:
    name = "colour"

    def embed(self, frame_HWC: Frame, landmarks_N52: Array) -> Array:
        centre_N2 = landmarks_N52.mean(axis=1).astype(int)
        return np.array([np.eye(7)[frame_HWC[y, x, 0] // 40] for x, y in centre_N2], np.float32)


def track(script: Script) -> list[FaceTrack]:
    tracker = YuNetTracker(detector=ScriptedDetector(script), embedder=ColourEmbedder())
    return tracker.track(draw(script))


def person(found: FaceTrack) -> int:
    assert found.embedding_D is not None
    assert np.linalg.norm(found.embedding_D) == pytest.approx(1)
    return int(found.embedding_D.argmax())


def test_two_faces_give_two_tracks_with_the_detector_s_own_boxes() -> None:
    script = [[Face(200 + 3 * t, person=2), Face(20, person=1)] for t in range(20)]
    left, right = track(script)
    assert (left.track, right.track) == (0, 1)
    assert (person(left), person(right)) == (1, 2)
    assert left.first == right.first == 0
    assert right.detected_T.all()
    np.testing.assert_array_equal(right.xyxy_T4, [Face(200 + 3 * t).xyxy for t in range(20)])
    np.testing.assert_allclose(
        right.landmarks_T52, [Face(200 + 3 * t).landmarks for t in range(20)], rtol=1e-6
    )
    assert left.identity is None


def test_tracks_are_numbered_by_first_appearance_then_from_left_to_right() -> None:
    late = [Face(10, person=3)]
    script = [[Face(300, person=2), Face(150, person=1), *(late if t >= 5 else [])] for t in range(20)]
    found = track(script)
    assert [person(t) for t in found] == [1, 2, 3]
    assert [t.track for t in found] == [0, 1, 2]
    assert [t.first for t in found] == [0, 0, 5]


def test_a_short_gap_is_bridged_by_a_straight_line_and_marked() -> None:
    gap = range(8, 14)
    script = [[] if t in gap else [Face(100 + 2 * t)] for t in range(25)]
    (found,) = track(script)
    assert np.flatnonzero(~found.detected_T).tolist() == list(gap)
    assert (found.score_T[list(gap)] == 0).all()
    assert (found.score_T[found.detected_T] > 0.89).all()
    np.testing.assert_allclose(found.xyxy_T4[:, 0], 100 + 2 * np.arange(25), atol=1e-3)


def test_a_long_gap_ends_a_track_at_its_last_detection() -> None:
    script = [[] if 12 <= t < 40 else [Face(100)] for t in range(55)]
    before, after = track(script)
    assert (before.first, before.last) == (0, 11)
    assert (after.first, after.last) == (40, 54)
    assert before.detected_T.all()
    assert after.detected_T.all()


def test_a_face_that_vanishes_leaves_no_interpolated_tail() -> None:
    (found,) = track([[Face(100)] if t < 15 else [] for t in range(20)])
    assert found.last == 14
    assert found.detected_T[-1]


def test_people_who_cross_keep_their_identities() -> None:
    def crossing(t: int) -> list[Face]:
        front, back = Face(20 + 8 * t, person=1), Face(260 - 8 * t, y=54, person=2)
        return [front] if abs(front.x - back.x) < 20 else [back, front]

    script = [crossing(t) for t in range(31)]
    found = track(script)
    assert sorted(person(t) for t in found) == [1, 2]
    ways = {person(t): float(t.xyxy_T4[-1, 0] - t.xyxy_T4[0, 0]) for t in found}
    assert ways == {1: 240, 2: -240}


def test_a_face_regained_out_of_reach_of_overlap_is_known_by_its_identity() -> None:
    moved = [[Face(100)] if t < 12 else [] if t < 16 else [Face(150)] for t in range(30)]
    assert len(track(moved)) == 1
    replaced = [[Face(100)] if t < 12 else [] if t < 16 else [Face(150, person=2)] for t in range(30)]
    assert [person(t) for t in track(replaced)] == [1, 2]


def test_a_small_face_that_moves_faster_than_its_overlap_is_followed_by_its_velocity() -> None:
    x_T = np.cumsum(np.minimum(np.arange(30), 17))
    (found,) = track([[Face(float(x), side=20)] for x in x_T if x < 370])
    assert found.embedding_D is None
    assert (np.diff(found.xyxy_T4[-5:, 0]) == 17).all()


def test_another_person_in_a_barely_overlapping_place_starts_a_new_track() -> None:
    script = [[Face(100) if t < 15 else Face(120, person=2)] for t in range(30)]
    assert [person(t) for t in track(script)] == [1, 2]


def test_a_faint_detection_continues_a_track_but_does_not_start_one() -> None:
    continued = [[Face(100, score=0.9 if t < 15 else 0.55)] for t in range(30)]
    (found,) = track(continued)
    assert found.last == 29
    assert found.detected_T.all()
    assert track([[Face(100, score=0.55)] for _ in range(30)]) == []


def test_a_confident_detection_is_not_lost_to_a_faint_one() -> None:
    script = [[Face(100), *([Face(115, y=75, score=0.55)] if t > 5 else [])] for t in range(15)]
    (found,) = track(script)
    np.testing.assert_allclose(found.score_T, 0.9)


@pytest.mark.parametrize(("score", "expected"), [(0.9, 1), (0.72, 0)])
def test_a_face_briefly_seen_stays_only_if_it_is_sure(score: float, expected: int) -> None:
    assert len(track([[Face(100, score=score)] if t < 3 else [] for t in range(20)])) == expected


def test_one_flicker_above_the_threshold_makes_no_face() -> None:
    assert track([[Face(100, score=0.71 if t == 0 else 0.55)] for t in range(30)]) == []


def test_two_detections_of_one_face_are_one() -> None:
    script = [[Face(100), Face(106, y=56, score=0.8, side=26)] for _ in range(15)]
    (found,) = track(script)
    np.testing.assert_array_equal(found.xyxy_T4[0], Face(100).xyxy)


def test_a_repeated_picture_is_not_detected_again_and_keeps_its_rows() -> None:
    script = [[Face(60 + 6 * t)] for t in range(15)]
    doubled = [frame for frame in draw(script) for _ in range(2)]
    detector = ScriptedDetector(script)
    (found,) = YuNetTracker(detector=detector, embedder=ColourEmbedder()).track(doubled)
    assert detector.calls == list(range(15))
    assert len(found.score_T) == 30
    assert found.detected_T.all()
    np.testing.assert_array_equal(found.xyxy_T4[::2], found.xyxy_T4[1::2])


def test_a_still_picture_without_the_face_lengthens_its_gap() -> None:
    script = [[Face(100)]] * 12 + [[]] + [[Face(100)]] * 12
    frames = list(draw(script))
    held = frames[:12] + [frames[12]] * 30 + frames[13:]
    found = YuNetTracker(detector=ScriptedDetector(script), embedder=ColourEmbedder()).track(held)
    assert [(t.first, t.last) for t in found] == [(0, 11), (42, 53)]


@pytest.mark.parametrize(("gap", "tracks"), [(12, 1), (13, 2)])
def test_gaps_up_to_half_a_second_are_bridged(gap: int, tracks: int) -> None:
    script = [[Face(100)]] * 12 + [[]] * gap + [[Face(100)]] * 12
    assert len(track(script)) == tracks


def test_a_face_too_small_to_identify_has_no_embedding() -> None:
    (found,) = track([[Face(100, side=20)] for _ in range(15)])
    assert found.embedding_D is None


def test_frames_are_not_kept() -> None:
    alive: list[int] = []
    seen: list[weakref.ref[Frame]] = []

    def watched(script: Script) -> Iterator[Frame]:
        for frame_HWC in draw(script):
            seen.append(weakref.ref(frame_HWC))
            yield frame_HWC
            alive.append(sum(ref() is not None for ref in seen))

    script = [[Face(100 + t)] for t in range(40)]
    YuNetTracker(detector=ScriptedDetector(script), embedder=ColourEmbedder()).track(watched(script))
    assert max(alive) <= 3


def test_no_frames_and_no_faces_give_no_tracks() -> None:
    assert track([]) == []
    assert track([[]] * 10) == []


def test_the_fake_consumes_all_frames_and_returns_its_tracks() -> None:
    tracks = track([[Face(100)] for _ in range(15)])
    frames = draw([[]] * 3)
    assert FakeFaceTracker(tracks=tracks).track(frames) == tracks
    assert next(frames, None) is None


def test_the_fake_s_configured_faces_stand_in_every_frame_and_are_different_people() -> None:
    fake = FakeFaceTracker(FakeFaceTrackerConfig(boxes=((10, 20, 50, 60), (100, 20, 140, 60))))
    left, right = fake.track(draw([[]] * 7))
    assert left.xyxy_T4.tolist() == [[10, 20, 50, 60]] * 7
    assert left.landmarks_T52.shape == (7, 5, 2)
    assert [t.identity for t in join_identities([[left, right]])[0]] == ["P0", "P1"]
    assert [t.identity for shot in join_identities([[left], [right]]) for t in shot] == ["P0", "P1"]
