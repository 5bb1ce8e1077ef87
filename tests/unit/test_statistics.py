"""Intervals, comparisons and ties: known answers and properties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mitds.benchmark.statistics import (
    cluster_weights,
    compare,
    estimate,
    holm,
    interval,
    tie_groups,
    weighted_means,
)


def test_every_draw_holds_as_many_clusters_as_there_are_and_keeps_a_cluster_together():
    weights_BI = cluster_weights(["a", "a", "b", "c"], draws=500)
    assert np.array_equal(weights_BI[:, 0], weights_BI[:, 1])
    assert np.all(weights_BI[:, [0, 2, 3]].sum(axis=1) == 3)


def test_the_stream_is_fixed_and_does_not_depend_on_how_clusters_are_called_in_order():
    assert np.array_equal(cluster_weights(["a", "b", "c"]), cluster_weights(["x", "y", "z"]))


def test_the_interval_of_independent_items_is_that_of_the_normal_theory():
    values_I = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = estimate(values_I, [str(n) for n in range(400)])
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    half = stats.norm.ppf(0.975) * values_I.std() / np.sqrt(400)
    assert found.value == values_I.mean()
    assert found.high - found.value == pytest.approx(half, rel=0.05)
    assert found.value - found.low == pytest.approx(half, rel=0.05)


def test_clusters_widen_the_interval():
    values_I = np.repeat(np.random.default_rng(2).normal(size=20), 10)
    alone = estimate(values_I, [str(n) for n in range(200)])
    joined = estimate(values_I, [str(n // 10) for n in range(200)])
    assert joined.high - joined.low > 2.5 * (alone.high - alone.low)  # type: ignore[union-attr, operator]


def test_an_undefined_item_is_left_out_and_one_cluster_gives_no_interval():
    found = estimate(np.array([1.0, np.nan, 3.0]), ["a", "b", "a"])
    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (2.0, None, None, 2)
    assert estimate(np.array([np.nan]), ["a"]) is None


def test_a_draw_without_any_defined_item_says_nothing():
    means_B = weighted_means(np.array([1.0, np.nan]), np.array([[0.0, 2.0], [1.0, 1.0]]))
    assert np.isnan(means_B[0])
    assert means_B[1] == 1.0
    assert interval(np.full(10, np.nan)) == (None, None)


def test_pairing_finds_a_difference_that_separate_intervals_hide():
    generator = np.random.default_rng(3)
    hard_I = generator.normal(0, 5, 60)
    a_I, b_I = hard_I + 1.0 + generator.normal(0, 0.2, 60), hard_I
    clusters = [str(n) for n in range(60)]
    weights_BI = cluster_weights(clusters)
    draws = {"a": weighted_means(a_I, weights_BI), "b": weighted_means(b_I, weights_BI)}
    found = compare("a", "b", draws, {"a": float(a_I.mean()), "b": float(b_I.mean())})
    assert found.p < 0.001
    assert found.difference.low is not None
    assert found.difference.low > 0.8
    assert estimate(a_I, clusters).low < estimate(b_I, clusters).high  # type: ignore[union-attr, operator]


def test_equal_systems_do_not_differ():
    draws_B = np.random.default_rng(4).normal(size=1000)
    found = compare("a", "b", {"a": draws_B, "b": draws_B}, {"a": 0.0, "b": 0.0})
    assert found.p == 1.0
    assert found.difference.value == 0.0


def test_holm_steps_down_and_stops_at_the_first_that_fails():
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.0001, 0.0002]) == [True, True]
    assert holm([]) == []


def test_a_group_of_ties_ends_before_the_first_that_differs_from_its_best():
    different = {
        ("a", "b"): False,
        ("a", "c"): True,
        ("a", "d"): True,
        ("b", "c"): False,
        ("c", "d"): False,
        ("b", "d"): True,
    }
    assert tie_groups(["a", "b", "c", "d"], different) == [1, 1, 2, 2]
