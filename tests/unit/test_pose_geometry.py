"""The parts of pose that need no weights: regions, anchors, peaks, neighbours, smoothing, drawing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mitds.annotators.pose import blazepose, face_mesh, hands
from mitds.annotators.pose.face_points import IBUG68, PARTS
from mitds.annotators.pose.goliath import FROM_GOLIATH, from_goliath
from mitds.annotators.pose.mediapipe import _distinct
from mitds.annotators.pose.people import overlap, veiled, without_borrowed, without_shared_hands
from mitds.annotators.pose.per_person import absent, within
from mitds.annotators.pose.region import Region
from mitds.annotators.pose.sapiens import peaks
from mitds.annotators.pose.simcc import decode
from mitds.annotators.pose.skeleton import FLIP_PAIRS, LIMBS, NAMES, draw_pose
from mitds.annotators.pose.smoothing import smoothed
from mitds.annotators.pose.topdown import box_below, box_of, padded_region

TURNED = Region(120.0, 90.0, 60.0, 80.0, 0.4)


def glow(x: float, y: float, height: int, width: int, sigma: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("spot", [(120.0, 90.0), (105.3, 70.6), (135.1, 112.4)])
def test_what_a_crop_shows_maps_back_to_where_it_was(spot: tuple[float, float]) -> None:
    frame = np.repeat((255 * glow(*spot, 180, 240, 3.0)).astype(np.uint8)[..., None], 3, axis=2)
    size = (120, 160)
    crop = TURNED.crop(frame, size)[..., 0].astype(float)
    rows, columns = np.indices(crop.shape) + 0.5
    centre = np.array([[(crop * columns).sum(), (crop * rows).sum()]]) / crop.sum()
    assert TURNED.to_picture(centre, size)[0] == pytest.approx(spot, abs=0.1)


def test_corners_of_a_crop_are_corners_of_its_region() -> None:
    region = Region(50.0, 40.0, 20.0, 10.0)
    assert region.to_picture(np.array([[0.0, 0.0], [64.0, 32.0]]), (64, 32)).tolist() == [[40, 35], [60, 45]]


def test_a_quarter_turn_is_clockwise() -> None:
    turned = Region.square(50, 50, 20, np.pi / 2)
    up = turned.to_picture(np.array([[32.0, 0.0]]), (64, 64))[0]
    assert up == pytest.approx((60, 50), abs=1e-4)
    upright = blazepose.body_region(np.array([50.0, 50.0]), np.array([60.0, 50.0]))
    assert upright.angle == pytest.approx(np.pi / 2)
    assert upright.width == pytest.approx(25)


def test_depth_scales_with_the_region() -> None:
    mesh = np.array([[32.0, 32.0, 16.0]])
    assert Region.square(0, 0, 128).to_picture(mesh, (64, 64))[0, 2] == 32


def test_region_around_points_is_the_smallest_of_its_turn() -> None:
    corners = TURNED.to_picture(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float), (1, 1))
    around = Region.around(corners, TURNED.angle, 1.0)
    assert (around.x, around.y, around.width, around.height) == pytest.approx((120, 90, 60, 80), abs=1e-3)


def test_following_a_region_goes_a_share_unless_far() -> None:
    start = Region.square(0, 0, 100)
    assert start.towards(Region.square(5, 0, 104), 0.5) == Region.square(2.5, 0, 102)
    assert start.towards(Region.square(50, 0, 100), 0.5) == Region.square(50, 0, 100)
    turn = Region.square(0, 0, 100, 3.1).towards(Region.square(0, 0, 100, -3.1), 0.5).angle
    assert turn == pytest.approx(np.pi, abs=1e-6)


def test_detector_anchors() -> None:
    anchors = blazepose.anchors()
    assert anchors.shape == (2254, 2)
    assert anchors[0].tolist() == anchors[1].tolist() == pytest.approx([4 / 224, 4 / 224])
    assert anchors[2].tolist() == pytest.approx([12 / 224, 4 / 224])  # x runs first
    assert anchors[1568].tolist() == pytest.approx([8 / 224, 8 / 224])
    assert anchors[-1].tolist() == pytest.approx([208 / 224, 208 / 224])


def test_heatmaps_move_landmarks_only_where_they_have_a_peak() -> None:
    heatmaps = np.full((64, 64, 2), -10.0)
    heatmaps[20:23, 30:33, 0] = 4.0
    moved = blazepose._sharpen(np.array([[120.0, 84.0], [120.0, 84.0]], np.float32), heatmaps)
    assert moved[0] == pytest.approx((31 * 4, 21 * 4), abs=0.2)
    assert moved[1].tolist() == [120, 84]


def test_heatmap_peaks_are_finer_than_a_cell() -> None:
    heatmaps = np.stack([glow(50.8, 100.25, 256, 192, 2.0), np.zeros((256, 192))])
    points, scores = peaks(heatmaps)
    wanted = np.array([50.3, 99.75]) * (767 / 191, 1023 / 255) + 0.5
    assert points[0] == pytest.approx(wanted, abs=0.05)
    assert scores == pytest.approx([1.0, 0.0], abs=0.03)


def test_simcc_bins_are_half_pixels_and_the_lower_maximum_counts() -> None:
    x, y = np.zeros((1, 576)), np.zeros((1, 768))
    x[0, 201], y[0, 40] = 0.9, 0.4
    points, scores = decode(x, y)
    assert points[0].tolist() == [101.0, 20.5]
    assert scores[0] == 0.4


def test_features_are_sampled_bilinearly_and_zero_outside() -> None:
    rows, columns = np.indices((48, 48)) + 0.5
    features = np.stack([columns, rows], axis=-1).astype(np.float32)
    sampled = face_mesh._sample(features, Region.square(96, 96, 64))
    assert sampled[0, 0] == pytest.approx((16.5, 16.5), abs=1e-4)
    assert sampled[5, 9] == pytest.approx((25.5, 21.5), abs=1e-4)
    assert (face_mesh._sample(features, Region.square(-200, -200, 64)) == 0).all()


def test_mesh_parts_are_consistent() -> None:
    for part in PARTS:
        assert len(set(part.points)) == len(part.points)
        assert set(part.axis) <= set(part.points)
        assert next(iter(part.heads.values())) == part.points
    assert len(IBUG68) == 68
    assert len(set(IBUG68)) == 68


def test_hand_regions_point_along_the_hand() -> None:
    region = hands.region_of_fingers(np.array([100.0, 100.0]), np.array([[140.0, 100.0], [140.0, 100.0]]))
    assert region.angle == pytest.approx(np.pi / 2)
    assert region.x > 140
    beyond = hands.region_beyond(np.array([np.nan, np.nan]), np.array([10.0, 10.0]), 50.0)
    assert beyond == Region.square(10, 0, 100)


def test_one_hand_is_not_both_hands() -> None:
    points = np.zeros((21, 2), np.float32)
    points[9] = (0, -30)
    left, right = hands.Hand(0.9, 0.8, points), hands.Hand(0.9, 0.9, points + 2)
    assert list(_distinct({"left": left, "right": right})) == ["right"]
    apart = hands.Hand(0.9, 0.9, points + 60)
    assert list(_distinct({"left": left, "right": apart})) == ["left", "right"]


def test_points_outside_the_picture_are_absent() -> None:
    pose = np.array([[[10.0, 10.0, 0.9], [-1.0, 10.0, 0.9], [10.0, 101.0, 0.9], [5.0, 5.0, 0.0]]], np.float32)
    kept = within(pose, np.zeros((100, 200, 3), np.uint8))
    assert np.isfinite(kept[0, :, 0]).tolist() == [True, False, False, False]
    assert kept[0, :, 2] == pytest.approx([0.9, 0, 0, 0])


def test_veil_hides_all_heads_but_one() -> None:
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[::2] = 200
    faces = np.array([[50, 30, 80, 70], [200, 30, 230, 70], [np.nan] * 4], np.float32)
    hidden = veiled(frame, faces, 0)
    assert (hidden[40:60, 55:75] == frame[40:60, 55:75]).all()
    assert len(np.unique(hidden[40:60, 205:225])) == 1
    assert (frame[::2] == 200).all()
    assert veiled(frame, faces[:1], 0) is frame


def side_by_side() -> tuple[np.ndarray, np.ndarray]:
    faces = np.array([[100, 50, 140, 100], [300, 50, 340, 100]], np.float32)
    pose = absent(2, 133)
    for n, x in enumerate((120.0, 320.0)):
        for k, dx, y in (
            (5, 60, 130),
            (6, -60, 130),
            (7, 90, 220),
            (8, -90, 220),
            (9, 70, 280),
            (10, -70, 280),
        ):
            pose[n, k] = (x + dx, y, 0.9)
    return pose, faces


def test_arms_side_by_side_stay_with_their_owners() -> None:
    pose, faces = side_by_side()
    pose[0, 7, :2] = pose[1, 8, :2]  # elbows that meet
    pose[0, 5, :2] = pose[1, 6, :2]  # shoulders that meet
    assert without_borrowed(pose, faces) == pytest.approx(pose, nan_ok=True)


def test_a_wrist_taken_from_a_neighbour_is_lost() -> None:
    pose, faces = side_by_side()
    pose[0, 9, :2] = pose[1, 10, :2] + 3
    kept = without_borrowed(pose, faces)
    assert np.isnan(kept[0, 9, 0])
    assert kept[0, 9, 2] == 0
    assert kept[0, 7, 2] > 0
    assert kept[1] == pytest.approx(pose[1], nan_ok=True)


def test_a_body_taken_from_a_neighbour_is_lost() -> None:
    pose, faces = side_by_side()
    pose[1, 11] = (330, 300, 0.9)
    pose[0] = pose[1]
    kept = without_borrowed(pose, faces)
    assert (kept[0, 5:23, 2] == 0).all()
    assert kept[1] == pytest.approx(pose[1], nan_ok=True)


def test_a_hand_of_two_people_stays_with_the_nearer_wrist() -> None:
    pose, _ = side_by_side()
    hand = np.stack([np.linspace(0, 20, 21), np.linspace(0, 60, 21)], axis=1) + pose[1, 10, :2]
    pose[1, 112:133] = np.column_stack([hand, np.full(21, 0.9)])
    pose[0, 91:112] = np.column_stack([hand + 2, np.full(21, 0.9)])
    kept = without_shared_hands(pose)
    assert (kept[0, 91:112, 2] == 0).all()
    assert kept[1] == pytest.approx(pose[1], nan_ok=True)


def test_overlap_of_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlap(boxes, np.array([0, 0, 10, 10], np.float32)) == pytest.approx([1, 1 / 3, 0])


def noisy_track(noise: float) -> np.ndarray:
    t = np.arange(40.0)
    pose = absent(1, 40, 2)
    pose[0, :, 0] = np.stack([0.1 * t**2, 5 * t, np.full(40, 0.8)], axis=1)
    pose[0, :, 0, :2] += np.random.default_rng(0).normal(0, noise, (40, 2))
    return pose


def test_smoothing_keeps_movement_without_delay() -> None:
    track = noisy_track(0.0)
    assert smoothed(track, 7) == pytest.approx(track, abs=1e-3, nan_ok=True)


def test_smoothing_lowers_noise_and_leaves_gaps_and_confidence() -> None:
    clean, track = noisy_track(0.0), noisy_track(1.0)
    track[0, 20, 0] = (np.nan, np.nan, 0.0)
    track[0, 36:38, 0] = (np.nan, np.nan, 0.0)
    smooth = smoothed(track, 7)
    assert np.isnan(smooth[0, [20, 36, 37], 0, 0]).all()
    assert (smooth[0, 38:, 0] == track[0, 38:, 0]).all()  # shorter than the window
    assert (smooth[..., 2] == track[..., 2]).all()
    error = np.nanstd(smooth[0, :36, 0, :2] - clean[0, :36, 0, :2])
    assert error < 0.75 * np.nanstd(track[0, :36, 0, :2] - clean[0, :36, 0, :2])
    assert smoothed(track, 1) == pytest.approx(track, nan_ok=True)


def test_person_boxes() -> None:
    face, frame = np.array([100, 50, 140, 100], np.float32), SimpleNamespace(shape=(300, 640, 3))
    assert box_below(face, frame).tolist() == [20, 30, 220, 300]
    pose = absent(133)
    pose[:2] = [(90.0, 200.0, 0.9), (500.0, 500.0, 0.1)]
    assert box_of(pose, face).tolist() == [90, 50, 140, 200]
    region = padded_region(np.array([0, 0, 100, 100], np.float32), (288, 384))
    assert (region.width, region.height) == pytest.approx((125, 125 / 0.75))


def test_skeleton_is_complete() -> None:
    assert len(NAMES) == len(set(NAMES)) == 133
    assert (NAMES[17], NAMES[22], NAMES[23], NAMES[91], NAMES[132]) == (
        "left_big_toe",
        "right_heel",
        "face-0",
        "left_hand_root",
        "right_hand_pinky_finger4",
    )
    ends = [i for pair in FLIP_PAIRS for i in pair]
    assert len(ends) == len(set(ends))
    unpaired = {NAMES[i] for i in set(range(133)) - set(ends)}
    assert unpaired == {"nose", *(f"face-{i}" for i in (8, 27, 28, 29, 30, 33, 51, 57, 62, 66))}
    for a, b in FLIP_PAIRS:
        assert NAMES[a].replace("left", "right") == NAMES[b] or NAMES[a].startswith("face")
    drawn = {i for limbs in LIMBS.values() for pair in limbs.pairs for i in pair}
    assert drawn == set(range(133))


def test_left_and_right_are_drawn_in_their_colours() -> None:
    pose = absent(133)
    pose[[5, 7, 6, 8]] = [(120.5, 20, 0.9), (120.5, 80, 0.9), (40, 20, 0.9), (40, 80, 0.1)]
    black = np.zeros((100, 160, 3), np.uint8)
    drawn = draw_pose(black, pose, 0.3)
    assert (np.abs(drawn[50, 118:122].astype(int) - LIMBS["left"].colour).max(axis=1) < 30).any()
    assert not drawn[30:70, 30:50].any()  # the right elbow is not sure enough
    assert not black.any()


def test_an_absent_pose_draws_nothing() -> None:
    frame = np.full((50, 50, 3), 7, np.uint8)
    assert (draw_pose(frame, absent(133), 0.0) == frame).all()


def test_goliath_map_names_each_counterpart_once() -> None:
    assert len(set(FROM_GOLIATH.values())) == len(FROM_GOLIATH) - 2  # each wrist is also a hand's root
    assert sorted(set(range(133)) - set(FROM_GOLIATH)) == [*range(23, 31), *range(32, 40)]
    pose = from_goliath(np.column_stack([np.arange(308), np.arange(308), np.ones(308)]))
    assert pose[[9, 91, 10, 112], 0].tolist() == [62, 62, 41, 41]
    assert pose[[95, 99, 116, 132], 0].tolist() == [42, 46, 21, 37]  # finger tips
    assert (pose[23:31, 2] == 0).all()
