"""The degenerate controls, on a synthetic request: shapes, determinism, and that each spoils what it says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mitds.baselines.controls import Copy, Shuffled, WrongVoice, independent_move
from mitds.baselines.mouths import find_mouth, syllables, talk
from mitds.benchmark.registries import CONTROLS
from mitds.manifests.items import Request
from mitds.manifests.records import Turn

T, H, W = 50, 96, 160


def real_pictures() -> np.ndarray:
    rng = np.random.default_rng(0)
    still_HWC = cv2.GaussianBlur(rng.integers(0, 255, (H, W, 3)).astype(np.uint8), (0, 0), 2)
    frames_THWC = np.repeat(still_HWC[None], T, axis=0)
    frames_THWC[:, 0, 0] = np.arange(T)[:, None]  # the number of the frame
    return frames_THWC


def pose_with_mouth(x: float, y: float, half: float) -> np.ndarray:
    """All points absent but the mouth's: corners, and an inner rim that is shut."""
    pose_K3 = np.full((133, 3), (np.nan, np.nan, 0), np.float32)
    pose_K3[71], pose_K3[77] = (x - half, y, 1), (x + half, y, 1)
    across_8 = np.array([-0.9, -0.5, 0, 0.5, 0.9, 0.5, 0, -0.5])
    pose_K3[83:91] = np.stack([x + half * across_8, np.full(8, y), np.ones(8)], axis=1)
    return pose_K3


@pytest.fixture
def request_() -> Request:
    boxes_N4 = np.array([[20, 20, 60, 70], [100, 20, 140, 70]], np.float32)
    poses_NK3 = np.stack([pose_with_mouth(40, 58, 8), np.full((133, 3), (np.nan, np.nan, 0), np.float32)])
    speaking_NT = np.zeros((2, T), np.float32)
    speaking_NT[0, :25], speaking_NT[1, 25:] = 0.9, 0.9
    return Request(
        item="0123456789abcdef",
        frames=T,
        width=W,
        height=H,
        reference_HWC=real_pictures()[7],
        reference_frame=7,
        face_xyxy_NT4=np.repeat(boxes_N4[:, None], T, axis=1),
        visible_NT=np.ones((2, T), bool),
        pose_NTK3=np.repeat(poses_NK3[:, None], T, axis=1),
        speaking_NT=speaking_NT,
        turns=((Turn(start_s=0.0, end_s=1.0),), (Turn(start_s=1.0, end_s=2.0),)),
        voices_NS=np.zeros((2, T * 640), np.float32),
        mix_S=np.zeros(T * 640, np.float32),
        seed=3,
    )


def spoiled(name: str, request: Request) -> np.ndarray:
    return np.stack(list(CONTROLS.get(name)().spoil(request, real_pictures())))


def numbers(frames_THWC: np.ndarray) -> list[int]:
    return frames_THWC[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("name", CONTROLS.names())
def test_every_control_gives_all_frames_again_and_again(name: str, request_: Request):
    first_THWC = spoiled(name, request_)
    assert first_THWC.shape == (T, H, W, 3)
    assert first_THWC.dtype == np.uint8
    assert np.array_equal(first_THWC, spoiled(name, request_))
    assert CONTROLS.get(name)().name == name


def test_inputs_stay_untouched(request_: Request):
    real_THWC = real_pictures()
    real_THWC.setflags(write=False)
    reference_HWC = request_.reference_HWC.copy()
    for name in CONTROLS.names():
        list(CONTROLS.get(name)().spoil(request_, real_THWC))
    assert np.array_equal(request_.reference_HWC, reference_HWC)


def test_copy_holds_the_reference_and_real_changes_nothing(request_: Request):
    assert numbers(spoiled("copy", request_)) == [7] * T
    assert np.array_equal(spoiled("real", request_), real_pictures())
    assert len(list(Copy().spoil(replace(request_, frames=3), real_pictures()))) == 3


def test_shuffled_holds_every_frame_once_in_an_order_of_item_and_seed(request_: Request):
    order = numbers(spoiled("shuffled", request_))
    assert sorted(order) == list(range(T))
    others = [replace(request_, seed=4), replace(request_, item="f" * 16)]
    for other in others:
        assert numbers(np.stack(list(Shuffled().spoil(other, real_pictures())))) != order


def test_a_wrong_voice_is_the_real_film_out_of_step(request_: Request):
    order = numbers(spoiled("wrong-voice", request_))
    steps = np.diff(order) % T
    assert (steps == 1).all()
    assert 0 < order[0] < T


def test_the_move_makes_mouths_independent_of_turns_rather_than_swap_them():
    talks = np.arange(200) // 50 % 2  # half an item away the same one speaks, a quarter away the other one
    speaking_NT = np.stack([talks == 0, talks == 1]).astype(np.float32)
    turns = (
        (Turn(start_s=0.0, end_s=2.0), Turn(start_s=4.0, end_s=6.0)),
        (Turn(start_s=2.0, end_s=4.0), Turn(start_s=6.0, end_s=8.0)),
    )
    empty = np.zeros((2, 200, 4), np.float32)
    request = Request(
        "i", 200, W, H, np.zeros((H, W, 3), np.uint8), 0, empty, empty[..., 0] > 0, empty, speaking_NT, turns,
        np.zeros((2, 1)), np.zeros(1), 0,
    )  # fmt: skip
    move = independent_move(request)
    moved_T = np.roll(talks, move)
    assert (moved_T == talks).mean() == 0.5
    assert 25 <= move <= 175


def test_without_turns_the_move_is_half_the_item(request_: Request):
    assert independent_move(replace(request_, turns=((), ()))) == T // 2
    frames_THWC = np.stack(list(WrongVoice().spoil(replace(request_, turns=((), ())), real_pictures())))
    assert numbers(frames_THWC) == [*range(T // 2, T), *range(T // 2)]


def test_blurred_keeps_colour_and_loses_detail(request_: Request):
    blurred_THWC, real_THWC = spoiled("blurred", request_), real_pictures()
    assert abs(blurred_THWC.astype(float).mean() - real_THWC.astype(float).mean()) < 1
    assert (
        np.diff(blurred_THWC.astype(float), axis=2).std() < np.diff(real_THWC.astype(float), axis=2).std() / 2
    )


def test_always_talking_moves_every_mouth_and_nothing_else(request_: Request):
    talking_THWC = spoiled("always-talking", request_).astype(int)
    moved_HW = np.ptp(talking_THWC, axis=0).max(axis=2) > 0
    assert moved_HW[58:66, 34:46].any(), "the mouth that a pose tells of"
    assert moved_HW[59:67, 114:126].any(), "the mouth that the box alone tells of"
    assert not moved_HW[:40].any()
    assert not moved_HW[:, 75:90].any()
    left_T, right_T = (talking_THWC[:, 58:66, x : x + 12].std(axis=(1, 2, 3)) for x in (34, 114))
    assert abs(np.corrcoef(left_T, right_T)[0, 1]) < 0.8, "each at its own pace"


def test_a_face_that_is_out_of_view_does_not_talk(request_: Request):
    request_.face_xyxy_NT4[1] = np.nan
    talking_THWC = spoiled("always-talking", request_).astype(int)
    assert not np.ptp(talking_THWC, axis=0)[:, 90:].any()


def test_syllables_are_irregular_and_never_rest():
    opening_T = syllables(250, np.random.default_rng(1))
    assert opening_T.min() >= 0
    assert opening_T.max() <= 1
    peaks = ((opening_T[1:-1] > opening_T[:-2]) & (opening_T[1:-1] >= opening_T[2:])).sum()
    assert 3.0 <= peaks / 10 <= 6.0
    moving_K = opening_T.reshape(-1, 10).std(axis=1)
    assert moving_K.min() > 0.05


def test_a_mouth_opens_downwards_by_what_was_asked():
    frame_HWC = np.full((120, 120, 3), 200, np.uint8)
    frame_HWC[60:] = 100  # a chin
    mouth = find_mouth(np.array([20, 10, 100, 110], np.float32), pose_with_mouth(60, 50, 20))
    closed_HWC, wide_HWC = frame_HWC.copy(), frame_HWC.copy()
    talk(closed_HWC, mouth, 0.0)
    talk(wide_HWC, mouth, 1.0)
    assert np.array_equal(closed_HWC, frame_HWC)
    dark = np.flatnonzero(wide_HWC[:, 60, 0] < 90)
    assert 9 <= len(dark) <= 12  # .55 of half the mouth's width, 20 px
    assert dark.min() >= 47
    chin = int(np.flatnonzero(wide_HWC[dark.max() + 2 :, 60, 0] < 150)[0]) + dark.max() + 2
    assert 68 <= chin <= 70  # moved by 88 % of the opening
    assert np.array_equal(wide_HWC[:, :38], frame_HWC[:, :38])


def test_a_mouth_follows_the_roll_of_the_head():
    pose_K3 = pose_with_mouth(0, 0, 20)
    turn = np.deg2rad(30)
    rotation_22 = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    pose_K3[:, :2] = pose_K3[:, :2] @ rotation_22 + 60
    mouth = find_mouth(np.array([20, 10, 100, 110], np.float32), pose_K3)
    np.testing.assert_allclose(mouth.along_2, rotation_22[0], atol=1e-6)
    assert mouth.half == pytest.approx(20)
    np.testing.assert_allclose(mouth.bow_3, 0, atol=1e-5)
