import numpy as np
import pytest

from mitds.baselines.conditions.moving import moved

FACE = np.array([[20.0, 20.0, 40.0, 44.0]])
"""A face box of 20 x 24 px on a picture of 160 x 96."""
NOWHERE = np.full((1, 4), np.nan)


def shifted(dx: float, dy: float) -> np.ndarray:
    return FACE + np.array([dx, dy, dx, dy])


def reference() -> np.ndarray:
    """Grey, with a bright square of 6 px in the middle of the face."""
    frame_HWC = np.full((96, 160, 3), 60, np.uint8)
    frame_HWC[29:35, 27:33] = 240
    return frame_HWC


def middle_of_light(frame_HWC: np.ndarray, left: int = 0) -> tuple[float, float]:
    y, x = np.nonzero(frame_HWC[:, left:, 0] > 150)
    return float(x.mean()) + left + 0.5, float(y.mean()) + 0.5


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (70, 10), (3.5, -2.25)])
def test_a_face_is_shown_where_the_frame_has_it(dx, dy):
    out = moved(reference(), FACE, shifted(dx, dy))
    assert middle_of_light(out, left=60 if dx > 50 else 0) == pytest.approx((30 + dx, 32 + dy), abs=0.6)


def test_a_face_grows_with_its_box():
    out = moved(reference(), FACE, np.array([[90.0, 20.0, 130.0, 68.0]]))
    assert middle_of_light(out, left=60) == pytest.approx((110, 44), abs=0.6)
    assert (out[:, 60:, 0] > 150).sum() == pytest.approx(4 * 36, rel=0.25)


def test_a_face_that_stays_changes_nothing():
    assert np.array_equal(moved(reference(), FACE, FACE.copy()), reference())


@pytest.mark.parametrize(
    ("before", "after"), [(NOWHERE, FACE), (FACE, NOWHERE), (FACE, FACE[:, [0, 1, 0, 3]])]
)
def test_a_face_without_both_boxes_stays(before, after):
    assert np.array_equal(moved(reference(), before, after), reference())


def test_what_lies_far_from_faces_stays():
    out = moved(reference(), FACE, shifted(70, 0))
    assert np.array_equal(out[:, 140:], reference()[:, 140:])
    assert np.array_equal(out[70:], reference()[70:])


def test_two_faces_move_apart():
    frame_HWC = reference()
    frame_HWC[29:35, 117:123] = 200
    both = np.concatenate([FACE, shifted(90, 0)])
    out = moved(frame_HWC, both, np.concatenate([shifted(0, 20), shifted(90, -8)]))
    assert out[52, 30, 0] == pytest.approx(240, abs=12)
    assert out[24, 120, 0] == pytest.approx(200, abs=12)


def test_the_reference_itself_is_left_alone():
    frame_HWC = reference()
    moved(frame_HWC, FACE, shifted(9, 9))
    assert np.array_equal(frame_HWC, reference())
