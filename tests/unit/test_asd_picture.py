"""Mouth crops, chunked embedding, lips from mesh points, and walking tracks along the frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mitds.annotators.asd import lip_signals
from mitds.annotators.asd.crops import CROP, GREY, mouth_crop, mouth_squares
from mitds.annotators.asd.lr_asd import REACH, ChunkedEncoder
from mitds.annotators.asd.rows import heard_rows, visits
from mitds.manifests.records import FaceTrack

BOX = np.array([100, 100, 200, 200], np.float32)


def track_of(first: int, rows: int, number: int = 0) -> FaceTrack:
    return FaceTrack(
        track=number, first=first, xyxy_T4=np.tile(BOX, (rows, 1)), score_T=np.ones(rows, np.float32),
        landmarks_T52=np.zeros((rows, 5, 2), np.float32), detected_T=np.ones(rows, bool), embedding_D=None,
    )  # fmt: skip


def test_mouth_square_is_seven_tenths_of_the_box_and_below_its_middle() -> None:
    square_T3 = mouth_squares(np.tile(BOX, (20, 1)))
    np.testing.assert_allclose(square_T3, np.tile([115, 135, 70], (20, 1)), atol=1e-4)


def test_mouth_square_takes_the_longer_side_of_the_box() -> None:
    np.testing.assert_allclose(
        mouth_squares(np.array([[100, 100, 160, 200]], np.float32))[0], [95, 135, 70], atol=1e-4
    )


def test_one_wild_box_does_not_move_the_squares() -> None:
    xyxy_T4 = np.tile(BOX, (20, 1))
    xyxy_T4[9] += 300
    np.testing.assert_array_equal(mouth_squares(xyxy_T4), mouth_squares(np.tile(BOX, (20, 1))))


def test_crop_samples_the_square_at_pixel_middles() -> None:
    ramp_HW = np.tile(np.arange(240, dtype=np.uint8), (240, 1))
    crop = mouth_crop(np.dstack([ramp_HW] * 3), np.array([60, 80, CROP / 2], np.float32))
    expected = 60 + (np.arange(CROP) + 0.5) / 2 - 0.5
    assert crop.shape == (CROP, CROP)
    assert np.abs(crop.astype(float) - expected[None]).max() <= 1


def test_outside_the_picture_a_crop_is_grey() -> None:
    crop = mouth_crop(np.zeros((50, 50, 3), np.uint8), np.array([-56, 0, 112], np.float32))
    assert (crop[:40, :55] == GREY).all()
    assert (crop[:40, 57:100] == 0).all()


def neighbourhood_mean(rows_TD: np.ndarray) -> np.ndarray:
    padded = np.pad(rows_TD, ((REACH, REACH), (0, 0)))
    return np.stack([padded[k : k + 2 * REACH + 1].mean(axis=0) for k in range(len(rows_TD))])


@pytest.mark.parametrize("rows", [1, 9, 29, 30, 39, 40, 41, 87, 120])
@pytest.mark.parametrize("chunk", [9, 20, 30])
def test_chunks_have_no_seams(rows: int, chunk: int) -> None:
    rows_TD = np.random.default_rng(rows).standard_normal((rows, 2))
    encoder = ChunkedEncoder(neighbourhood_mean, chunk)
    for row_D in rows_TD:
        encoder.push(row_D)
    np.testing.assert_allclose(encoder.finish(), neighbourhood_mean(rows_TD), atol=1e-12)


def test_visits_reads_each_frame_once_and_none_beyond_the_last_track() -> None:
    served: list[int] = []

    def frames() -> Iterator[np.ndarray]:
        for k in range(100):
            served.append(k)
            yield np.full((1, 1, 3), k, np.uint8)

    seen = [(int(f[0, 0, 0]), n, row) for f, n, row in visits(frames(), [track_of(2, 3), track_of(4, 2)])]
    assert seen == [(2, 0, 0), (3, 0, 1), (4, 0, 2), (4, 1, 0), (5, 1, 1)]
    assert served == list(range(6))


def test_rows_are_heard_until_the_sound_ends() -> None:
    track = track_of(10, 20)
    assert [heard_rows(track, np.zeros(n, np.float32)) for n in (0, 6400, 6401, 7040, 99_999)] == [
        0,
        0,
        1,
        1,
        20,
    ]


def mesh_with(gap: float, scale: float = 1.0) -> np.ndarray:
    mesh_P3 = np.random.default_rng(3).uniform(0, 100, (478, 3)).astype(np.float32)
    mesh_P3[lip_signals.UPPER_LIP, :2] = [50, 60]
    mesh_P3[lip_signals.LOWER_LIP, :2] = [50, 60 + gap]
    return mesh_P3 * np.float32(scale)


def test_opening_is_measured_in_face_sizes() -> None:
    gap, face = lip_signals.lip_opening(mesh_with(12))
    assert gap == pytest.approx(12, abs=1e-4)
    far_gap, far_face = lip_signals.lip_opening(mesh_with(12, scale=0.25))
    assert far_gap / far_face == pytest.approx(gap / face, rel=1e-5)


def test_an_absent_mesh_has_no_opening() -> None:
    assert np.isnan(lip_signals.lip_opening(np.full((478, 3), np.nan, np.float32))).all()


def test_only_short_gaps_are_filled() -> None:
    values_TC = np.arange(20, dtype=float)[:, None].repeat(2, axis=1)
    holed = values_TC.copy()
    holed[[0, 4, 5, 10, 11, 12, 13, 19]] = np.nan
    filled = lip_signals.fill_gaps(holed, 3)
    np.testing.assert_allclose(filled[1:10], values_TC[1:10])
    assert np.isnan(filled[[0, 10, 11, 12, 13, 19]]).all()


def test_runs_too_short_to_judge_are_left_out() -> None:
    values_TC = np.ones((60, 2))
    values_TC[[20, 30]] = np.nan
    assert list(lip_signals.known_runs(values_TC)) == [slice(0, 20), slice(31, 60)]


def test_motion_tells_moving_from_frozen_lips() -> None:
    t = np.arange(100) / 25
    moving = lip_signals.syllable_band(0.05 * np.sin(2 * np.pi * 4 * t))
    slow = lip_signals.syllable_band(0.05 * np.sin(2 * np.pi * 0.1 * t))
    assert lip_signals.motion(moving, 8)[20:80].min() > lip_signals.motion(slow, 8)[20:80].max() + 1


def test_synchrony_is_high_in_step_and_near_zero_for_frozen_lips() -> None:
    t = np.arange(150) / 25
    lips, same = 0.1 * np.sin(2 * np.pi * 4 * t), np.sin(2 * np.pi * 4 * t)
    assert lip_signals.synchrony(lips, same, 20).min() > 0.7
    assert lip_signals.synchrony(lips, -same, 20).max() < -0.7
    assert np.abs(lip_signals.synchrony(lips * 1e-3, same, 20)).max() < 0.05
