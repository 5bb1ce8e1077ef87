"""What models are given: pictures, skeletons, regions, faces, gates and sound, in place and in time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from mitds.annotators.pose.skeleton import FLIP_PAIRS
from mitds.baselines.conditions.batch import collate
from mitds.baselines.conditions.placement import Placement
from mitds.baselines.conditions.regions import MARGIN, face_boxes, face_levels, masks, regions
from mitds.baselines.conditions.skeleton import INKS, MIRRORED, draw, mirrored
from mitds.baselines.conditions.told import placed, select, told_of_clip, told_of_request
from mitds.baselines.contracts import Example, Told
from mitds.baselines.recipe import PublishedConfig
from mitds.errors import UsageError
from mitds.manifests.items import Request
from mitds.manifests.records import Clip, ClipArrays, Person, Rights, Turn

SIZE = (48, 80)
PLACES = [
    {"width": 80, "height": 48},
    {"width": 240, "height": 144, "flip": True},
    {"width": 320, "height": 180},  # letterboxed
    {"width": 90, "height": 160, "flip": True},  # pillarboxed
    {"width": 40, "height": 24},  # enlarged
    {"width": 333, "height": 171, "zoom": 1.37, "centre": (0.3, 0.6)},
    {"width": 333, "height": 171, "zoom": 1.37, "centre": (0.3, 0.6), "flip": True},
]


def told(n: int = 2, t: int = 4, width: int = 80, height: int = 48) -> Told:
    """People side by side, of whom the faces and the shoulders are known."""
    pose_NTK3 = np.full((n, t, 133, 3), np.nan, np.float32)
    pose_NTK3[..., 2] = 0
    faces_NT4 = np.zeros((n, t, 4), np.float32)
    for i in range(n):
        x = width * (i + 0.5) / n
        faces_NT4[i] = [x - 5, 8, x + 5, 20]
        pose_NTK3[i, :, 5], pose_NTK3[i, :, 6] = [x + 8, 30, 0.9], [x - 8, 30, 0.9]
    gate_NT = np.full((n, t), 0.5, np.float32)
    sound_NTCD, mix_TCD = np.ones((n, t, 3, 5), np.float32), np.ones((t, 3, 5), np.float32)
    return Told(width, height, faces_NT4, pose_NTK3, gate_NT, sound_NTCD, mix_TCD)


def example(of: Told, **augmentation: object) -> Example:
    pictures_THWC = np.random.default_rng(0).integers(0, 256, (of.frames, of.height, of.width, 3), np.uint8)
    return Example("k", pictures_THWC[0], select(of, [0]), of, pictures_THWC, **augmentation)  # type: ignore[arg-type]


# --- placement


@pytest.mark.parametrize("place", PLACES)
def test_points_and_boxes_move_exactly_as_the_pixels_do(place: dict[str, object]):
    placement = Placement.fit(size_HW=SIZE, **place)  # type: ignore[arg-type]
    w, h = placement.width, placement.height
    x1, y1, x2, y2 = round(0.25 * w), round(0.4 * h), round(0.45 * w), round(0.6 * h)
    frame_HWC = np.zeros((h, w, 3), np.uint8)
    frame_HWC[y1:y2, x1:x2] = 200
    weight_HW = placement.picture(frame_HWC)[..., 0].astype(float)
    assert weight_HW.shape == SIZE
    found = [(np.arange(s) + 0.5) @ weight_HW.sum(axis=a) / weight_HW.sum() for s, a in ((80, 0), (48, 1))]
    middle_2 = placement.points(np.float32([(x1 + x2) / 2, (y1 + y2) / 2]))
    assert found == pytest.approx(middle_2.tolist(), abs=0.1)
    box_4 = placement.boxes(np.float32([x1, y1, x2, y2]))
    assert box_4[0] < box_4[2]
    assert box_4.reshape(2, 2).mean(axis=0) == pytest.approx(middle_2, abs=1e-3)
    assert np.prod(box_4[2:] - box_4[:2]) == pytest.approx(weight_HW.sum() / 200, rel=0.06)


def test_the_aspect_is_kept_and_the_border_repeats_the_edge():
    placement = Placement.fit(90, 160, SIZE)
    inside_HW = placement.inside().astype(bool)
    assert inside_HW.sum() == 48 * 27
    frame_HWC = np.full((160, 90, 3), 50, np.uint8)
    frame_HWC[:, :10], frame_HWC[:, -10:] = 10, 90
    picture_HWC = placement.picture(frame_HWC)
    left, right = np.flatnonzero(inside_HW[0])[[0, -1]]
    assert (picture_HWC[:, :left] == 10).all()
    assert (picture_HWC[:, right + 1 :] == 90).all()


def test_a_zoom_keeps_its_centre_and_nan_passes_through():
    zoomed = Placement.fit(160, 96, SIZE, zoom=1.5, centre=(0.25, 0.75))
    centre_2 = np.float32([40, 72])
    assert zoomed.points(centre_2) == pytest.approx([20, 36], abs=0.6)
    assert zoomed.inside().all()
    assert np.isnan(zoomed.boxes(np.full((2, 4), np.nan, np.float32))).all()
    with pytest.raises(UsageError, match="zoom"):
        Placement.fit(160, 96, SIZE, zoom=0.5)


def test_pictures_may_come_as_smaller_copies():
    ramp_HWC = np.repeat(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], 192, 0).repeat(3, 2)
    placement = Placement.fit(320, 192, SIZE, zoom=1.2, centre=(0.1, 0.9))
    small_HWC = Placement.fit(320, 192, (96, 160)).picture(ramp_HWC)
    apart_HWC = placement.picture(small_HWC).astype(int) - placement.picture(ramp_HWC)
    assert np.abs(apart_HWC).max() <= 2


def test_back_undoes_the_placement_where_it_can():
    y_H, x_W = np.arange(60)[:, None], np.arange(40)[None]
    smooth_HWC = np.stack([100 + x_W + y_H * 0, 40 + 2 * y_H + x_W * 0, x_W + y_H], -1).astype(np.uint8)
    placement = Placement.fit(40, 60, (48, 80))
    back_HWC = placement.back(placement.picture(smooth_HWC))
    assert back_HWC.shape == smooth_HWC.shape
    assert np.abs(back_HWC.astype(int) - smooth_HWC).max() <= 3
    for lost in (Placement.fit(80, 48, SIZE, flip=True), Placement.fit(80, 48, SIZE, zoom=1.5)):
        with pytest.raises(UsageError, match="no way back"):
            lost.back(np.zeros((48, 80, 3), np.uint8))


# --- what is told

SPEAKING_NT = np.float32([[0.9, np.nan, 0.8, np.nan], [0.3, 0.2, np.nan, 0.7]])
TURNS = ((Turn(start_s=0, end_s=0.08),), (Turn(start_s=0.08, end_s=0.16),))
GATE_NT = [[0.9, 1, 0, 0], [0, 0, 1, 0.7]]


def test_the_gate_of_a_clip_is_the_probability_inside_own_turns_and_zero_outside():
    of = told()
    persons = tuple(
        Person(track=n, identity=f"P{n}", voice=None, voice_probability=None, voice_status="none", turns=turns,
               speaking_model="fake")
        for n, turns in enumerate(TURNS)
    )  # fmt: skip
    clip = Clip(
        key="k", source_id="s", source_name="s", source_url="u", rights=Rights(), shot="s-s0000",
        start=Fraction(0), end=Fraction(4, 25), frames=4, width=80, height=48, persons=persons, offscreen=(),
        unassigned=(), status="kept", reasons=(), scores={}, models={}, digests={},
    )  # fmt: skip
    visible_NT = np.ones((2, 4), bool)
    arrays = ClipArrays(
        of.face_xyxy_NT4, visible_NT.astype(np.float32), SPEAKING_NT, of.pose_NTK3, visible_NT
    )
    got = told_of_clip(clip, arrays, of.sound_NTCD, of.mix_TCD)
    assert got.gate_NT == pytest.approx(np.float32(GATE_NT))
    assert (got.width, got.height, got.persons, got.frames) == (80, 48, 2, 4)


def test_a_request_is_told_like_a_clip():
    of = told()
    request = Request(
        item="i", frames=4, width=80, height=48, reference_HWC=np.zeros((48, 80, 3), np.uint8), reference_frame=0,
        face_xyxy_NT4=of.face_xyxy_NT4, visible_NT=np.ones((2, 4), bool), pose_NTK3=of.pose_NTK3,
        speaking_NT=SPEAKING_NT, turns=TURNS, voices_NS=np.zeros((2, 2560), np.float32),
        mix_S=np.zeros(2560, np.float32), seed=0,
    )  # fmt: skip
    got = told_of_request(request, of.sound_NTCD, of.mix_TCD)
    assert got.gate_NT == pytest.approx(np.float32(GATE_NT))
    assert got.sound_NTCD is of.sound_NTCD


@pytest.mark.parametrize("frames", [[0, 4], [-1, 0], [7]])
def test_frames_beyond_the_ends_are_an_error(frames: list[int]):
    with pytest.raises(IndexError, match="of 4"):
        select(told(), frames)


# --- alignment


def numbered(frames: int, size_HW: tuple[int, int]) -> Example:
    """A clip whose pictures, faces, poses, gates and sound each state their own frame number."""
    of = told(n=1, t=frames, width=size_HW[1], height=size_HW[0])
    number_T = np.arange(frames, dtype=np.float32)
    of.face_xyxy_NT4[0] = np.stack(
        [number_T + 10, number_T * 0 + 5, number_T + 20, number_T * 0 + 15], axis=1
    )
    of.pose_NTK3[0, :, [5, 6], 1] = number_T + 20.5
    of.gate_NT[0] = number_T / 100
    of.sound_NTCD[0] = number_T[:, None, None] + np.arange(-1, 2)[None, :, None]
    of.mix_TCD[:] = number_T[:, None, None]
    pictures_THWC = np.broadcast_to(number_T[:, None, None, None].astype(np.uint8), (frames, *size_HW, 3))
    return Example("k", pictures_THWC[0], select(of, [0]), of, pictures_THWC)


@pytest.mark.parametrize("first", [0, 1, 7, 22])
@pytest.mark.parametrize("stride", [1, 2])
def test_all_conditions_of_a_window_are_of_the_same_frames_wherever_it_starts(first: int, stride: int):
    whole = numbered(frames=30, size_HW=(64, 80))
    index = [first + stride * i for i in range(4)]
    assert whole.frames_THWC is not None
    window = replace(
        whole,
        told=select(whole.told, index),
        frames_THWC=whole.frames_THWC[index],
        reference_HWC=whole.frames_THWC[29],
        reference=select(whole.told, [29]),
    )
    batch = collate([window], (64, 80))
    assert batch.frames_BTCHW is not None
    pictures_T = ((batch.frames_BTCHW[0] + 1) * 127.5).mean(dim=(1, 2, 3))
    faces_T = batch.face_BNTHW[0, 0].amax(dim=1).argmax(dim=1) - 9  # the mask begins 1 px before the box
    poses_T = batch.skeleton_BNTCHW[0, 0].sum(dim=(1, 3)).argmax(dim=1) - 20
    for got_T in (
        pictures_T, faces_T, poses_T, batch.gate_BNT[0, 0] * 100, batch.sound_BNTCD[0, 0, :, 1, 0],
        batch.sound_BNTCD[0, 0, :, 0, 0] + 1, batch.mix_BTCD[0, :, 0, 0],
    ):  # fmt: skip
        assert got_T.tolist() == pytest.approx(index, abs=1e-3)
    assert ((batch.reference_BCHW + 1) * 127.5).mean().item() == pytest.approx(29)
    assert batch.reference_skeleton_BNCHW[0, 0].sum(dim=(0, 2)).argmax().item() - 20 == 29


def test_the_published_defect_reads_faces_gates_and_voices_from_the_clips_head():
    got = select(numbered(30, (64, 80)).told, [8, 10], from_head=True)
    assert (got.face_xyxy_NT4[0, :, 0] - 10).tolist() == [0, 2]
    assert (got.gate_NT[0] * 100).tolist() == pytest.approx([0, 2])
    assert got.sound_NTCD[0, :, 1, 0].tolist() == got.mix_TCD[:, 0, 0].tolist() == [0, 2]
    assert (got.pose_NTK3[0, :, 5, 1] - 20.5).tolist() == [8, 10]


# --- skeletons


def whole_pose(size_HW: tuple[int, int] = (96, 160), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    xy_K2 = rng.uniform(0.1, 0.9, (133, 2)) * [size_HW[1], size_HW[0]]
    return np.column_stack([xy_K2, np.ones(133)]).astype(np.float32)


def test_neither_mouth_nor_jaw_is_drawn_but_eyes_nose_body_and_hands_are():
    pose_K3 = whole_pose()
    without = draw(pose_K3, (96, 160))
    for part in (range(23, 40), range(71, 91)):
        moved_K3 = pose_K3.copy()
        moved_K3[list(part), 1] += 5
        assert (draw(moved_K3, (96, 160)) == without).all()
    for k in (0, 1, 4, 7, 10, 13, 17, 22, 52, 56, 60, 66, 95, 130):
        moved_K3 = pose_K3.copy()
        moved_K3[k, 1] += 5
        assert (draw(moved_K3, (96, 160)) != without).any(), k


def test_points_without_confidence_are_not_drawn():
    absent_K3 = np.full((133, 3), np.nan, np.float32)
    doubtful_K3 = whole_pose()
    doubtful_K3[:, 2] = 0.29
    assert not draw(absent_K3, SIZE).any()
    assert not draw(doubtful_K3, SIZE).any()
    doubtful_K3[[5, 7], 2] = 0.3
    assert draw(doubtful_K3, (96, 160)).any()


def test_a_line_lies_on_the_pixels_of_its_points_and_grows_with_the_picture():
    pose_K3 = np.full((133, 3), np.nan, np.float32)
    pose_K3[[5, 6]] = [[60, 20.5, 1], [20, 20.5, 1]]
    ink_H = draw(pose_K3, SIZE).astype(int).sum(axis=(1, 2))
    assert ink_H @ np.arange(48) / ink_H.sum() == pytest.approx(20, abs=0.1)
    assert (draw(pose_K3, (384, 640)).any(axis=2)).sum() > 2 * (draw(pose_K3, SIZE).any(axis=2)).sum()


def test_mirrored_keypoints_change_places_as_annotators_know_them():
    pairs = dict(FLIP_PAIRS) | {b: a for a, b in FLIP_PAIRS}
    assert [pairs.get(k, k) for k in range(133)] == MIRRORED.tolist()
    assert (mirrored(mirrored(whole_pose())) == whole_pose()).all()


def test_a_flipped_person_wears_the_colours_of_the_right_sides():
    of = told(n=1, t=1, width=80, height=48)
    of.pose_NTK3[0, 0, 7] = [58, 44, 1]  # the subject's left elbow, on the viewer's right
    flipped = placed(of, Placement.fit(80, 48, SIZE, flip=True))
    drawing_HWC = draw(flipped.pose_NTK3[0, 0], SIZE)
    colour = INKS["right body"].colour
    seen_HW = (np.abs(drawing_HWC.astype(int) - colour) < 60).all(axis=2)
    rows, columns = np.nonzero(seen_HW)
    assert len(rows)
    assert columns.max() < 40  # where the arm is in the mirror
    assert not (np.abs(drawing_HWC.astype(int) - INKS["left body"].colour) < 60).all(axis=2).any()


# --- regions and faces


def test_a_region_holds_the_person_over_all_frames_and_ends_at_the_picture():
    of = told(n=3, t=2, width=200, height=100)
    of.face_xyxy_NT4[0] = [[50, 20, 60, 30], [np.nan] * 4]
    of.pose_NTK3[0] = np.nan
    of.pose_NTK3[0, 1, 9] = [90, 70, 0.8]
    of.pose_NTK3[0, 1, 10] = [5, 5, 0.1]  # not confident
    of.face_xyxy_NT4[1], of.pose_NTK3[1] = [180, 80, 199, 99], np.nan
    of.face_xyxy_NT4[2], of.pose_NTK3[2] = np.nan, np.nan
    box_N4 = regions(of)
    assert box_N4[0].tolist() == pytest.approx(
        [50 - 40 * MARGIN, 20 - 50 * MARGIN, 90 + 40 * MARGIN, 70 + 50 * MARGIN]
    )
    assert box_N4[1, 2:].tolist() == [200, 100]
    assert np.isnan(box_N4[2]).all()
    assert not masks(box_N4, (100, 200))[2].any()
    deep_N4 = regions(of, to_bottom=True)
    assert regions(told(n=0)).shape == (0, 4)
    assert deep_N4[:2, 3].tolist() == [100, 100]
    assert (deep_N4[:2, :3] == box_N4[:2, :3]).all()
    assert np.isnan(deep_N4[2]).all()


def test_the_mask_of_a_face_leaves_room_for_the_jaw_and_is_empty_without_a_face():
    boxes_X4 = np.float32([[10, 10, 20, 30], [np.nan] * 4])
    grown_X4 = face_boxes(boxes_X4)
    assert grown_X4[0].tolist() == pytest.approx([9, 8, 21, 34])
    mask_XHW = masks(grown_X4, SIZE)
    assert mask_XHW[0].sum() == 12 * 26
    assert mask_XHW[0, 8:34, 9:21].all()
    assert not mask_XHW[1].any()


def test_each_level_keeps_the_area_of_a_face_even_in_partial_cells():
    face_BNTHW = torch.zeros(1, 2, 3, 48, 80)
    face_BNTHW[0, 1, 2, 5:12, 9:18] = 1
    levels = face_levels(face_BNTHW, [(48, 80), (12, 20), (6, 10), (3, 5)])
    for level in levels:
        cell = (48 // level.shape[-2]) * (80 // level.shape[-1])
        assert level.sum().item() * cell == pytest.approx(7 * 9)
        assert (level > 0).any(dim=(-1, -2)).nonzero().tolist() == [[0, 1, 2]]
    assert 0 < levels[1][0, 1, 2, 1, 4] < 1


# --- batches


def test_a_batch_is_rendered_in_range_and_padded_with_absent_persons():
    examples = [example(told(n=1)), example(told(n=3, width=240, height=100), flip=True, zoom=1.2)]
    assert collate(examples, SIZE).moved_BTCHW is None
    batch = collate(examples, SIZE, moving=True)
    assert batch.frames_BTCHW is not None
    assert {name: tuple(getattr(batch, name).shape) for name in batch.__slots__ if name != "keys"} == {
        "reference_BCHW": (2, 3, 48, 80), "reference_skeleton_BNCHW": (2, 3, 3, 48, 80),
        "skeleton_BNTCHW": (2, 3, 4, 3, 48, 80), "region_BNHW": (2, 3, 48, 80), "face_BNTHW": (2, 3, 4, 48, 80),
        "gate_BNT": (2, 3, 4), "sound_BNTCD": (2, 3, 4, 3, 5), "mix_BTCD": (2, 4, 3, 5), "present_BN": (2, 3),
        "inside_BHW": (2, 48, 80), "frames_BTCHW": (2, 4, 3, 48, 80), "moved_BTCHW": (2, 4, 3, 48, 80),
    }  # fmt: skip
    assert batch.present_BN.tolist() == [[True, False, False], [True, True, True]]
    for part in (
        batch.skeleton_BNTCHW,
        batch.region_BNHW,
        batch.face_BNTHW,
        batch.gate_BNT,
        batch.sound_BNTCD,
    ):
        assert not part[0, 1:].any()
        assert part[1].any()
        assert part.dtype == torch.float32
    assert batch.frames_BTCHW.min() == -1
    assert batch.frames_BTCHW.max() == 1
    assert 0.5 < batch.skeleton_BNTCHW[0].max() <= 1  # a thin line may be shared by two rows
    outside_HW = batch.inside_BHW[1] == 0
    assert outside_HW.any()
    assert not batch.region_BNHW[1][:, outside_HW].any()
    assert collate([replace(examples[0], frames_THWC=None)], SIZE).frames_BTCHW is None


def test_a_flipped_batch_is_the_mirror_image_with_sides_renamed():
    of = told(n=2)
    plain, flipped = collate([example(of)], SIZE), collate([example(of, flip=True)], SIZE)
    assert plain.frames_BTCHW is not None
    assert flipped.frames_BTCHW is not None
    assert torch.equal(flipped.frames_BTCHW, plain.frames_BTCHW.flip(-1))
    assert torch.equal(flipped.reference_BCHW, plain.reference_BCHW.flip(-1))
    assert torch.equal(flipped.face_BNTHW, plain.face_BNTHW.flip(-1))
    assert torch.equal(flipped.region_BNHW, plain.region_BNHW.flip(-1))
    assert torch.equal(flipped.gate_BNT, plain.gate_BNT)


def test_a_drawing_ends_at_the_region_and_so_at_the_pictures_edge():
    of = told(n=2, width=80, height=40)  # letterboxed
    of.pose_NTK3[1, :, 8] = [50, 60, 0.9]  # an elbow below the picture, guessed
    for published in (PublishedConfig(), PublishedConfig(double_count=True)):
        batch = collate([example(of)], SIZE, published)
        assert not (batch.skeleton_BNTCHW * (1 - batch.region_BNHW)[:, :, None, None]).any()
        assert not (batch.skeleton_BNTCHW * (1 - batch.inside_BHW)).any()
        assert batch.skeleton_BNTCHW[0, 1, 0, :, 36:44].any()  # the arm, down to the edge


def test_skeletons_count_once_where_regions_overlap():
    of = told(n=2)
    of.pose_NTK3[1, :, 6, 0] = 20  # reaches into the other's region
    batch = collate([example(of)], SIZE)
    overlap_HW = batch.region_BNHW[0].prod(dim=0)
    assert overlap_HW.any()
    shoulders = draw(of.pose_NTK3[1, 0], SIZE).astype(np.float32) / 255
    assert torch.equal(batch.skeleton_BNTCHW[0, 1, 0], torch.from_numpy(shoulders).movedim(-1, 0))
    twice = collate([example(of)], SIZE, PublishedConfig(double_count=True))
    assert torch.equal(twice.skeleton_BNTCHW[0, 0] * overlap_HW, twice.skeleton_BNTCHW[0, 1] * overlap_HW)
    ink, ink_twice = ((b.skeleton_BNTCHW.sum(1) * overlap_HW).sum() for b in (batch, twice))
    assert ink_twice > 1.2 * ink


def test_the_published_regions_reach_the_lower_edge():
    deep = collate([example(told())], SIZE, PublishedConfig(regions_to_bottom=True)).region_BNHW[0]
    ours = collate([example(told())], SIZE).region_BNHW[0]
    assert deep[:, -1].any(dim=1).all()
    assert not ours[:, -1].any()


def test_examples_that_do_not_fit_together_are_refused():
    short = replace(example(told()), frames_THWC=np.zeros((3, 48, 80, 3), np.uint8))
    for odd in (
        [example(told()), example(told(t=2))],
        [example(told()), replace(short, frames_THWC=None)],
        [short],
    ):
        with pytest.raises(UsageError):
            collate(odd, SIZE)


def test_a_person_of_whom_nothing_is_known_is_present_but_empty():
    of = told(n=2)
    of.face_xyxy_NT4[1], of.pose_NTK3[1] = np.nan, np.nan
    batch = collate([example(of)], SIZE)
    assert batch.present_BN.all()
    for part in (batch.skeleton_BNTCHW, batch.region_BNHW, batch.face_BNTHW, batch.reference_skeleton_BNCHW):
        assert torch.isfinite(part).all()
        assert not part[:, 1].any()
