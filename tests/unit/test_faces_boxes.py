"""Geometry of boxes against values worked out by hand."""

from __future__ import annotations

import numpy as np

from mitds.annotators.faces.boxes import area, coverage, distance, distinct, iou

UNIT = np.array([[0.0, 0.0, 10.0, 10.0]])
OTHERS = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [2, 2, 6, 6], [10, 0, 20, 10], [40, 0, 50, 10]], float)


def test_iou_of_equal_shifted_nested_touching_and_distant_boxes() -> None:
    np.testing.assert_allclose(iou(UNIT, OTHERS), [[1, 1 / 3, 0.16, 0, 0]])


def test_coverage_is_one_for_a_nested_box() -> None:
    np.testing.assert_allclose(coverage(UNIT, OTHERS), [[1, 0.5, 1, 0, 0]])


def test_distance_is_in_sides_of_the_larger_box() -> None:
    np.testing.assert_allclose(distance(UNIT, OTHERS)[0, [0, 1, 3, 4]], [0, 0.5, 1, 4])


def test_an_empty_box_has_no_area_and_divides_nothing_by_zero() -> None:
    empty = np.array([[5.0, 5.0, 5.0, 9.0]])
    assert area(empty) == 0
    assert iou(empty, empty) == 0


def test_distinct_keeps_the_first_of_covered_boxes() -> None:
    assert distinct(OTHERS, 0.6).tolist() == [0, 1, 3, 4]
    assert distinct(np.zeros((0, 4)), 0.6).tolist() == []
