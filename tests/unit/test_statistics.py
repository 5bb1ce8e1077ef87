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
    least_p,
    sign_flip_p,
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
    found = compare("a", "b", draws, {"a": float(a_I.mean()), "b": float(b_I.mean())}, 60)
    assert found.p < 0.001
    assert found.difference.low is not None
    assert found.difference.low > 0.8
    assert estimate(a_I, clusters).low < estimate(b_I, clusters).high  # type: ignore[union-attr, operator]


def test_equal_systems_do_not_differ():
    draws_B = np.random.default_rng(4).normal(size=1000)
    found = compare("a", "b", {"a": draws_B, "b": draws_B}, {"a": 0.0, "b": 0.0}, 60)
    assert found.p == 1.0
    assert found.difference.value == 0.0


@pytest.mark.parametrize("clusters", [1, 2, 5, 11])
def test_however_surely_few_clusters_agree_p_is_not_below_that_of_all_their_signs(clusters: int):
    values_I = 1 + 0.01 * np.arange(clusters)
    names = [str(n) for n in range(clusters)]
    assert sign_flip_p(values_I, names) == sign_flip_p(-values_I, names) == 2.0 ** (1 - clusters)
    draws = {"a": weighted_means(values_I, cluster_weights(names)), "b": np.zeros(10_000)}
    found = compare("a", "b", draws, {"a": 1.0, "b": 0.0}, clusters)
    assert found.p == least_p(clusters) == 2.0 ** (1 - clusters)


@pytest.mark.parametrize("seed", range(4))
def test_signs_are_flipped_as_an_independent_library_does(seed: int):
    values_I = np.random.default_rng(seed).normal(0.4, 1, 11)
    values_I[3] = -values_I[2]  # a tie of two flips
    known = stats.permutation_test((values_I,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(values_I, [str(n) for n in range(11)]) == pytest.approx(known.pvalue, abs=1e-12)


def test_clusters_flip_as_a_whole_and_undefined_items_are_left_out():
    values_I, clusters = np.array([1.0, 3.0, np.nan, -1.0, np.nan, 0.5]), ["a", "b", "b", "a", "d", "c"]
    # Sums 0, 3 and .5: four of the eight flips reach 3.5.
    assert sign_flip_p(values_I, clusters) == 0.5
    assert sign_flip_p(np.full(3, np.nan), ["a", "b", "c"]) == 1.0
    assert sign_flip_p(np.zeros(5), list("abcde")) == 1.0


def test_flips_of_many_clusters_are_drawn_and_agree_with_theory():
    values_I = np.random.default_rng(5).normal(0.25, 1, 80)
    names = [str(n) for n in range(80)]
    assert sign_flip_p(values_I, names) == pytest.approx(stats.ttest_1samp(values_I, 0).pvalue, abs=0.02)
    assert sign_flip_p(values_I, names) == sign_flip_p(values_I, names)
    assert sign_flip_p(values_I + 9, names) == 1 / 10_001


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
