"""Measures of the picture on drawn ones: each number has a value that is known, and none where it cannot be had."""

from __future__ import annotations

import numpy as np
import pytest

from mitds.annotators.quality.blur import BlurMeter
from mitds.annotators.quality.camera import CameraMeter
from mitds.annotators.quality.contracts import Sample, measure
from mitds.annotators.quality.exposure import ExposureMeter
from mitds.annotators.quality.stills import StillsMeter
from mitds.annotators.quality.text import TextConfig, covered, regions, without_faces

FACE = np.array([[200, 60, 280, 160]], np.float32)
NOBODY = np.zeros((0, 4), np.float32)


def scene(side: int = 900, seed: int = 3, grain: int = 12) -> np.ndarray:
    """A picture of soft blobs, large enough to look at through a window."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (side // grain, side // grain, 3), np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def seen(places: list[tuple[int, int]], faces: np.ndarray = NOBODY) -> list[Sample]:
    """Five pictures a second of 480 x 270 px, from these places of the scene."""
    whole = scene()
    return [
        Sample(k / 5, np.ascontiguousarray(whole[y : y + 270, x : x + 480]), faces)
        for k, (x, y) in enumerate(places)
    ]


def test_a_pan_has_the_speed_it_was_given():
    scores = measure(CameraMeter(), seen([(10 + 6 * k, 50) for k in range(20)]))
    assert scores["camera_pan"] == pytest.approx(30 / 270, rel=0.02)
    assert scores["camera_motion"] == pytest.approx(30 / 270, rel=0.02)
    assert scores["camera_shake"] < 0.01
    assert scores["camera_zoom"] < 0.002


def test_a_hand_held_camera_shakes_and_goes_nowhere():
    places = [(60 + 5 * (k % 2), 50) for k in range(20)]
    scores = measure(CameraMeter(), seen(places))
    assert scores["camera_shake"] > 0.05 > 0.03 > scores["camera_pan"]


def test_someone_who_walks_does_not_move_the_camera():
    whole, still = scene(seed=5), seen([(40, 40)] * 15)
    walkers = []
    for k, sample in enumerate(still):
        frame = sample.frame_HWC.copy()
        x = 60 + 12 * k
        frame[60:, x : x + 120] = whole[60:270, :120]
        walkers.append(Sample(k / 5, frame, np.array([[x + 40, 70, x + 80, 120]], np.float32)))
    assert measure(CameraMeter(), walkers)["camera_motion"] < 0.005


def test_a_face_that_fills_the_picture_leaves_no_background_to_judge():
    filling = np.array([[100, 0, 380, 270]], np.float32)
    assert measure(CameraMeter(), seen([(10, 10)] * 5, filling)) == {}


def test_a_slide_is_still_and_a_face_that_changes_in_it_is_not():
    slide = seen([(10 + 3 * k, 50) for k in range(10)])
    assert measure(StillsMeter(), slide)["still_share"] == 1
    lively = []
    for k, sample in enumerate(slide):
        frame = sample.frame_HWC.copy()
        frame[60:160, 200:280] = scene(seed=k)[:100, :80]
        lively.append(Sample(k / 5, frame, FACE))
    assert measure(StillsMeter(), lively) == {"still_share": 0, "still_face_share": 0}


def test_of_two_faces_the_still_one_is_reported():
    samples = []
    faces = np.array([[40, 60, 120, 160], [200, 60, 280, 160]], np.float32)
    for k, sample in enumerate(seen([(10, 50)] * 10)):
        frame = sample.frame_HWC.copy()
        frame[60:160, 200:280] = scene(seed=k)[:100, :80]
        samples.append(Sample(k / 5, frame, faces))
    assert measure(StillsMeter(), samples) == {"still_share": 0, "still_face_share": 1}


def test_one_picture_is_neither_still_nor_moving():
    assert measure(StillsMeter(), seen([(0, 0)])) == {}
    assert measure(CameraMeter(), seen([(0, 0)])) == {}


def test_sharpness_does_not_depend_on_light_or_on_size():
    import cv2

    sample = Sample(0, np.ascontiguousarray(scene(grain=4)[:270, :480]), FACE)
    sharp = measure(BlurMeter(), [sample])
    dim = measure(BlurMeter(), [Sample(0, sample.frame_HWC // 2, FACE)])
    large_HWC = cv2.resize(sample.frame_HWC, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    large = measure(BlurMeter(), [Sample(0, large_HWC, FACE * 2)])
    soft = measure(BlurMeter(), [Sample(0, cv2.GaussianBlur(sample.frame_HWC, (0, 0), 5), FACE)])
    assert dim["face_sharpness"] == pytest.approx(sharp["face_sharpness"], abs=0.05)
    assert large["face_sharpness"] == pytest.approx(sharp["face_sharpness"], abs=0.05)
    assert soft["face_sharpness"] < 0.6 * sharp["face_sharpness"]
    assert soft["frame_sharpness"] < 0.6 * sharp["frame_sharpness"]


def test_a_grey_wall_and_an_absent_face_are_neither_sharp_nor_blurred():
    wall = np.full((270, 480, 3), 90, np.uint8)
    assert measure(BlurMeter(), [Sample(0, wall, np.full((1, 4), np.nan, np.float32))]) == {}


def test_exposure_leaves_black_bars_out():
    frame = np.zeros((200, 400, 3), np.uint8)
    frame[50:150] = 120
    frame[50:150, :100] = 255
    frame[50:150, 100:150] = 5
    scores = measure(ExposureMeter(), [Sample(0, frame, NOBODY)])
    assert scores["border_share"] == pytest.approx(0.5)
    assert scores["bright_share"] == pytest.approx(0.25)
    assert scores["dark_share"] == pytest.approx(0.125)
    assert scores["contrast"] == pytest.approx(250 / 255)
    assert scores["highlights"] == 1


def test_a_black_picture_has_no_bars_and_is_dark():
    scores = measure(ExposureMeter(), [Sample(0, np.zeros((90, 160, 3), np.uint8), NOBODY)])
    assert (scores["border_share"], scores["dark_share"], scores["contrast"]) == (0, 1, 0)
    assert "face_contrast" not in scores


def test_regions_of_text_grow_back_and_doubtful_ones_are_dropped():
    map_HW = np.zeros((100, 200), np.float32)
    map_HW[40:50, 20:120] = 0.9
    map_HW[70:80, 20:120] = 0.4
    map_HW[10:12, 10:12] = 0.9
    (box,) = regions(map_HW, TextConfig())
    grow = 1.5 * 1000 / 220
    assert box == pytest.approx([20 - grow, 40 - grow, 120 + grow, 50 + grow])


def test_text_that_overlaps_is_counted_once_and_a_face_is_no_letter():
    boxes = np.array([[0, 0, 50, 10], [25, 0, 75, 10]], np.float32)
    assert covered(boxes, (100, 100)) == pytest.approx(0.075)
    face = np.array([[20, 20, 60, 70], [np.nan] * 4], np.float32)
    caption, letter = [0, 55, 100, 65], [22, 18, 58, 72]
    assert without_faces(np.array([caption, letter], np.float32), face).tolist() == [caption]
