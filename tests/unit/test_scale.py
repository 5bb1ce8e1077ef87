"""Charging and scaling: damage never helps, chance is 0, real footage is 1, the weakest ability decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mitds.benchmark.contracts import Card
from mitds.benchmark.evaluation.scale import (
    aggregate,
    axis_scores,
    charge,
    floor_band,
    has_scale,
    item_values,
    scaled,
)
from mitds.benchmark.evaluation.summary import Anchors, Measured, charged, penalties
from mitds.benchmark.results import Anchor, Row, rows_by_metric

HIGHER = Card(
    id="good@1", title="G", says="s", better="higher", needs="scene", floor="copy", axis="binding",
    tolerance=0.0, source="here",
)  # fmt: skip
LOWER = replace(HIGHER, id="bad@1", better="lower", axis="silence")
CLOSER = replace(HIGHER, id="near@1", better="closer", axis="")
ITEMS = ["a", "b", "c"]


def row(
    item: str, value: float | None, metric: str = "good@1", status: str = "ok", person: int | None = None
) -> Row:
    return Row(item=item, metric=metric, person=person, value=value, charged=None, status=status, n=1)  # type: ignore[arg-type]


def anchor(floor: float = 0.0, real: float = 1.0, penalty: float = -0.5) -> Anchor:
    return Anchor(floor=floor, real=real, penalty=dict.fromkeys(ITEMS, penalty))


def measured(*values: float | None, card: Card = HIGHER) -> Measured:
    outputs = {
        item: "ok" if value is not None else "missing" for item, value in zip(ITEMS, values, strict=True)
    }
    rows = tuple(row(i, v, card.id) for i, v in zip(ITEMS, values, strict=True) if v is not None)
    return Measured(outputs=outputs, messages={}, rows=rows, sets={})


def total(found: Measured, card: Card, scale: Anchor) -> float:
    anchors = Anchors(release="r", metrics={card.id: scale}, floor_band=0.0, controls=())
    return float(scaled(card, scale, item_values(charged(found, {card.id: card}, anchors), ITEMS)).mean())


@pytest.mark.parametrize(
    ("card", "scale"),
    [
        (HIGHER, anchor()),
        (LOWER, anchor(floor=1.0, real=0.0, penalty=1.5)),
        (CLOSER, anchor(floor=0.0, real=1.0, penalty=-7.0)),
    ],
    ids=["higher", "lower", "closer"],
)
@pytest.mark.parametrize("value", [-9.0, -0.5, 0.0, 0.4, 1.0, 1.4, 9.0])
def test_no_output_gains_by_being_left_out(card: Card, scale: Anchor, value: float):
    there = total(measured(0.7, value, 0.8, card=card), card, scale)
    gone = total(measured(0.7, None, 0.8, card=card), card, scale)
    assert gone <= there


def test_a_failed_output_costs_the_penalty_and_lowers_nothing_else():
    found = charge(row("a", None, status="no_face"), HIGHER, anchor())
    assert found.charged == -0.5
    assert charge(row("a", None, status="undefined"), HIGHER, anchor()).charged is None
    assert charge(row("a", -2.0), HIGHER, anchor()).charged == -0.5
    assert charge(row("a", 0.3), HIGHER, anchor()).charged == 0.3


def test_a_missing_output_gets_a_row_wherever_the_controls_were_measured():
    scale = Anchor(floor=0.0, real=1.0, penalty={"a/0": -0.1, "a/1": -0.2, "b/0": -0.3})
    found = charged(
        Measured(outputs={"a": "missing", "b": "ok"}, messages={}, rows=(), sets={}),
        {"good@1": HIGHER},
        Anchors(release="r", metrics={"good@1": scale}, floor_band=None, controls=()),
    )
    assert [(r.item, r.person, r.charged, r.status) for r in found] == [
        ("a", 0, -0.1, "missing"),
        ("a", 1, -0.2, "missing"),
    ]


def test_the_penalty_is_the_worst_of_all_controls():
    rows = [[row("a", 0.1), row("b", None, status="no_face")], [row("a", -0.4), row("b", 0.2)]]
    assert penalties(rows, HIGHER, 1.0) == {"a": -0.4, "b": 0.2}
    assert penalties(rows, LOWER, 0.0)["a"] == 0.1


def test_chance_is_0_and_real_is_1():
    assert scaled(HIGHER, anchor(floor=0.2, real=0.6), np.array([0.2, 0.4, 0.6])).tolist() == pytest.approx(
        [0, 0.5, 1]
    )
    assert scaled(LOWER, anchor(floor=0.8, real=0.2), np.array([0.8, 0.2])).tolist() == pytest.approx([0, 1])
    beyond = scaled(CLOSER, anchor(floor=0.0, real=4.0), np.array([0.0, 4.0, 6.0]))
    assert beyond.tolist() == pytest.approx([0, 1, 0.5]), "better than real is a symptom, not a win"


def test_a_metric_on_which_real_footage_does_not_beat_chance_has_no_scale():
    assert not has_scale(HIGHER, anchor(floor=0.5, real=0.5))
    assert not has_scale(HIGHER, anchor(floor=0.5, real=0.4))
    assert not has_scale(LOWER, anchor(floor=0.5, real=0.6))
    assert has_scale(CLOSER, anchor(floor=3.0, real=1.0))


def test_the_weakest_ability_decides():
    scores = {"binding": np.array([0.9, 0.7, 0.8]), "silence": np.array([0.1, 0.0, 0.2])}
    found = aggregate(scores, ITEMS)
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low == 0.0
    assert found.high == pytest.approx(0.2)


def test_the_floor_band_reaches_as_far_as_chance_by_luck():
    generator = np.random.default_rng(0)
    clusters = [str(n) for n in range(30)]
    chance = {"binding": generator.normal(0, 0.3, 30), "silence": generator.normal(0, 0.01, 30)}
    band = floor_band(chance, clusters)
    assert 0.05 < band < 0.25
    assert floor_band({}, clusters) == 0.0


def test_an_axis_is_the_mean_of_its_metrics_and_an_axis_without_scale_is_left_out():
    rows = [replace(row(item, 0.5), charged=0.5) for item in ITEMS]
    rows += [replace(row(item, 0.2, "bad@1"), charged=0.2) for item in ITEMS]
    anchors = {"good@1": anchor(), "bad@1": anchor(floor=0.1, real=0.3)}
    found = axis_scores(rows_by_metric(rows), {"good@1": HIGHER, "bad@1": LOWER}, anchors, ITEMS)
    assert list(found) == ["binding"]
    assert found["binding"].tolist() == [0.5, 0.5, 0.5]
