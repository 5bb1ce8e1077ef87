"""Rankings, reliability and intervals, against sums done the long way."""

from __future__ import annotations

import numpy as np
import pytest

from mitds.manifests.records import SpeechTurn
from mitds.pipeline.audit.reliability import Calibration
from mitds.pipeline.audit.scenes import matched, spans, talk
from mitds.pipeline.audit.statistics import Found, Ranking, Spec, Sums, interval, measured, ratio, shares


def ranking(kind: str, cases: int = 200, videos: int = 4) -> Ranking:
    rng = np.random.default_rng(1)
    positive_R = rng.random(cases) < 0.4
    score_R = np.round(rng.normal(size=cases) + positive_R, 1)  # with ties
    score_R[::17] = -np.inf
    return Ranking(score_R, positive_R, np.arange(cases) % videos, kind, videos)  # type: ignore[arg-type]


def test_average_precision_is_a_sum_over_distinct_scores() -> None:
    r = ranking("ap")
    expected, recall = 0.0, 0.0
    for least in sorted(set(r.score_R[np.isfinite(r.score_R)]), reverse=True):
        taken_R = r.score_R >= least
        now = (taken_R & r.positive_R).sum() / r.positive_R.sum()
        expected += (now - recall) * r.positive_R[taken_R].mean()
        recall = now
    assert recall < 1, "a positive that was not found is never retrieved"
    assert r.value(np.ones(4)) == pytest.approx(expected)


def test_area_under_roc_counts_pairs() -> None:
    r = ranking("auc")
    found_R = np.isfinite(r.score_R)
    high, low = r.score_R[found_R & r.positive_R], r.score_R[found_R & ~r.positive_R]
    pairs = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    assert r.value(np.ones(4)) == pytest.approx(pairs.mean())


@pytest.mark.parametrize("kind", ["ap", "auc"])
def test_a_video_drawn_twice_is_there_twice(kind: str) -> None:
    r = ranking(kind)
    weight_V = np.array([2.0, 0.0, 1.0, 3.0])
    often = np.repeat(np.arange(len(r.score_R)), weight_V[r.video_R].astype(int))
    again = Ranking(r.score_R[often], r.positive_R[often], r.video_R[often], r.kind, 4)
    assert r.value(weight_V) == pytest.approx(again.value(np.ones(4)))


def test_nothing_to_rank_is_no_number() -> None:
    silent = Ranking(np.zeros(3), np.zeros(3, bool), np.zeros(3, np.int64), "ap", 1)
    assert silent.value(np.ones(1)) is None
    nobody = Ranking(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64), "auc", 1)
    assert nobody.value(np.ones(1)) is None


def test_intervals_resample_the_videos_that_contribute() -> None:
    rates = shares([(9, 10), (0, 0), (5, 10), (7, 10)])
    low, high = interval(rates, 500, 0) or (0, 0)
    assert 0.5 <= low < 0.7 < high <= 0.9
    assert interval(rates, 500, 0) == (low, high)
    assert interval(shares([(1, 2), (0, 0)]), 500, 0) is None


def test_a_known_video_without_a_case_is_drawn() -> None:
    parts = np.array([[0.0, 10.0], [10.0, 0.0]])
    errors = Sums(parts, parts[:, 1], ratio, np.array([True, True]))
    found = measured(Found(Spec("x.y", "", "", "seconds"), errors), 500, 0)
    assert found.value == 1.0
    assert found.n == 10
    assert (found.low, found.high) != (None, None)
    dropped = Sums(parts, parts[:, 1], ratio, np.array([True, False]))
    assert measured(Found(Spec("x.y", "", "", "seconds"), dropped), 500, 0).value == 0.0


def test_calibration_error_weighs_bins_by_their_cases() -> None:
    probability = np.array([0.95] * 8 + [0.25] * 2 + [1.0, 1.0])
    true = np.array([True] * 4 + [False] * 4 + [False] * 2 + [True, True])
    diagram = Calibration.of(probability, true, np.zeros(12, np.int64), 1).diagram("speaking")
    assert diagram is not None
    assert diagram.count == (0, 0, 2, 0, 0, 0, 0, 0, 0, 10)
    assert diagram.found[9] == 0.6
    assert diagram.said[2] == 0.25
    assert diagram.said[0] is None
    assert diagram.error == pytest.approx((2 * 0.25 + 10 * abs(0.96 - 0.6)) / 12)
    assert Calibration.of(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64), 1).diagram("binding") is None


def test_boxes_are_matched_one_to_one_within_a_frame() -> None:
    box = np.array([0.0, 0.0, 0.4, 0.4])
    true = np.stack([box, box + 0.5, box]).astype(np.float32)
    said = np.stack([box + 0.52, box + 0.01, box + 0.02, box + 0.3])
    pair = matched(np.array([0, 0, 2]), true, np.array([0, 0, 0, 2]), said)
    assert pair.tolist() == [1, 0, -1]


def test_turns_that_touch_are_one_and_edges_say_nothing() -> None:
    turns = [SpeechTurn(voice="a", start_s=a, end_s=b) for a, b in ((0.0, 0.5), (0.5, 1.0), (2.0, 2.02))]
    assert spans(turns) == {"a": [(0.0, 1.0), (2.0, 2.02)]}
    frame = np.array([12, 50, 51])
    assert talk(turns, frame, 25.0).solo_F.tolist() == [0, -1, -1]
    assert talk([], frame, 25.0).solo_F.tolist() == [-1, -1, -1]
