"""The curator's measures on real footage: each finds what it claims, and footage without it stays apart.

`python -m tests.quality_cases` prints the same cases as a table.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mitds.annotators.pose.mediapipe import MediaPipePose
from mitds.annotators.pose.skeleton import LEFT_HAND, RIGHT_HAND
from mitds.annotators.quality.contracts import measure
from mitds.annotators.quality.occlusion import occlusion
from mitds.annotators.quality.registry import PICTURE
from mitds.annotators.quality.text import TextMeter
from mitds.weights import resolve
from tests.quality_cases import CASES, Case, Samples, rates, samples_of

pytestmark = pytest.mark.media

PLAIN = ("media.podium", "media.introduction", "media.statement")


@pytest.fixture(scope="module")
def clips() -> list[Samples]:
    return [samples_of(resolve(name), seconds=3) for name in PLAIN]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.score}-{case.what}".replace(" ", "-"))
def test_altered_footage_is_told_from_the_same_unaltered(case: Case, clips: list[Samples]):
    found = rates(case, clips)
    assert found.altered >= 2
    assert found.auc >= 0.9
    assert found.hits >= found.altered - 1
    assert found.alarms <= 1


def test_a_caption_is_found_where_it_is(clips: list[Samples]):
    frame = clips[1][0].frame_HWC.copy()
    before = TextMeter().boxes(frame)
    cv2.putText(frame, "He said so himself", (120, 420), cv2.FONT_HERSHEY_DUPLEX, 1.0, (255, 255, 255), 2)
    (width, height), _ = cv2.getTextSize("He said so himself", cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
    new = [b for b in TextMeter().boxes(frame).tolist() if b not in before.tolist()]
    x1, y1, x2, y2 = np.array(new)[:, :2].min(0).tolist() + np.array(new)[:, 2:].max(0).tolist()
    assert abs(x1 - 120) < 15 > abs(x2 - 120 - width)
    assert abs(y1 - (420 - height)) < 15 > abs(y2 - 420)


def scores(path: Path, *measures: str, start: float = 0.5, seconds: float = 3) -> dict[str, float]:
    samples = samples_of(path, start, seconds)
    return {k: v for name in measures for k, v in measure(PICTURE.get(name)(), samples).items()}


def test_a_camera_that_follows_golfers_moves_and_one_on_a_tripod_does_not(shared_media: Path):
    follows = scores(shared_media / "multi/promo_golf_2men_3shots.mp4", "camera")
    stands = scores(shared_media / "single/noisy_restaurant.mp4", "camera")
    assert follows["camera_pan"] > 0.1 > 0.01 > stands["camera_motion"]


def test_a_film_between_black_bars_and_captions_that_were_burned_in(shared_media: Path):
    film = scores(shared_media / "multi/film_hindi_3men_3shots.mp4", "exposure", seconds=2)
    assert film["border_share"] == pytest.approx(0.2, abs=0.05)
    stage = scores(shared_media / "multi/standup_2men_overlap.mp4", "text", "exposure", seconds=2)
    studio = scores(shared_media / "multi/interview_studio_2men.mp4", "text", seconds=2)
    assert stage["text_share"] == 1 > 0 == studio["text_share"]
    assert stage["border_share"] == 0


def test_listeners_that_stand_still_are_found_beside_a_speaker_who_moves(shared_media: Path):
    frozen = scores(shared_media / "composite/composite_seed202.mp4", "stills")
    looped = scores(shared_media / "composite/composite_seed201.mp4", "stills")
    assert frozen["still_face_share"] > 0.7 > 0.4 > looped["still_face_share"]
    assert frozen["still_share"] < 0.3


def test_a_real_hand_over_a_face_covers_it(shared_media: Path):
    """A second face is laid under the hand of someone who gestures, and then beside it."""
    samples = samples_of(shared_media / "single/latentsync_demo3.mp4", 2, 3)[::3]
    frames = [s.frame_HWC for s in samples]
    face_NT4 = np.stack([s.face_xyxy_N4[:1] for s in samples], axis=1)
    pose_TK3 = MediaPipePose().estimate(frames, face_NT4, np.isfinite(face_NT4).all(-1))[0]
    hands = [pose_TK3[:, hand] for hand in (LEFT_HAND, RIGHT_HAND)]
    hand_TH3 = max(hands, key=lambda h: float(np.nan_to_num(h[..., 2]).mean()))
    seen = [k for k, hand_H3 in enumerate(hand_TH3) if hand_H3[:, 2].min() >= 0.5]
    assert len(seen) >= 3
    height, width = frames[0].shape[:2]
    shares = []
    for under in (True, False):
        laid = [laid_under(frames[k], face_NT4[0, k], hand_TH3[k, :, :2], under) for k in seen]
        both_NT4 = np.stack([face_NT4[0, seen], np.stack([box for _, box in laid])]).astype(np.float32)
        own_NTK3 = MediaPipePose().estimate([f for f, _ in laid], both_NT4[:1], np.ones((1, len(seen)), bool))
        found = occlusion(both_NT4, np.ones((2, len(seen)), np.float32), own_NTK3, (width, height))
        shares.append(found["hand_on_face"])
    assert shares[0] >= 0.6
    assert shares[1] == 0


def laid_under(
    frame: np.ndarray, face_4: np.ndarray, hand_H2: np.ndarray, under: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a copy of the face under the hand, or to the hand's side; returns the picture and the copy's box."""
    hull = cv2.convexHull(hand_H2.astype(np.int32))
    hand_HW = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillConvexPoly(hand_HW, hull, 1)
    hand_HW = cv2.dilate(hand_HW, np.ones((9, 9), np.uint8))
    side = int(1.4 * np.ptp(hand_H2, axis=0).max())
    centre = hand_H2.mean(0) if under else hand_H2.mean(0) - np.array([0, 1.3 * side])
    x, y = (int(v) for v in np.clip(centre - side / 2, 0, np.array(frame.shape[1::-1]) - side))
    x1, y1, x2, y2 = np.rint(face_4).astype(int)
    out = frame.copy()
    out[y : y + side, x : x + side] = cv2.resize(frame[y1:y2, x1:x2], (side, side))
    out = np.where(hand_HW[..., None] > 0, frame, out)
    return out, np.array([x, y, x + side, y + side])
