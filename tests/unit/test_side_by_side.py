from collections.abc import Sequence
from dataclasses import replace

import pytest

from mitds.benchmark.evaluation import side_by_side as module
from mitds.benchmark.evaluation.side_by_side import SideBySide, compared, markdown
from mitds.benchmark.results import Results, Row
from mitds.errors import UnknownName, UsageError
from tests import boards

ITEMS = 24
"""In 12 clusters: enough for differences to stand."""
System = tuple[Results, list[Row]]


@pytest.fixture(autouse=True)
def _made_up_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "card_of", boards.CARDS.__getitem__)


def system(name: str, goodness: float, seed: int, items: int = ITEMS, **changes) -> System:
    return boards.evaluated(boards.release(items), name, goodness, seed, **changes)


def side_by_side(systems: Sequence[System], rivals: Sequence[str], items: int = ITEMS) -> SideBySide:
    release = boards.release(items)
    return compared(release, boards.anchors(release), systems, rivals)


def test_a_better_system_is_found_better_and_an_equal_one_is_left_open():
    found = side_by_side(
        [system("ours", 0.8, 1), system("worse", 0.2, 2), system("alike", 0.8, 3)], ["worse", "alike"]
    )
    verdicts = {(d.second, d.metric): d.verdict for d in found.differences}
    assert verdicts["worse", "psnr@1"] == "better"
    assert verdicts["worse", "lpips.alex@1"] == "better"
    assert {v for (second, _), v in verdicts.items() if second == "alike"} == {"open"}


def test_differences_are_paired_first_minus_rival():
    found = side_by_side([system("ours", 0.8, 1), system("ours twice", 0.8, 1)], ["ours twice"])
    assert {(d.value.value, d.value.low, d.value.high) for d in found.differences} == {(0, 0, 0)}
    assert {(d.p, d.verdict) for d in found.differences} == {(1, "open")}


def test_the_worse_one_is_called_worse():
    found = side_by_side([system("bad", 0.1, 1), system("good", 0.9, 2)], ["good"])
    known = {d.metric: d for d in found.differences}
    assert {d.verdict for d in known.values()} == {"worse"}
    assert known["psnr@1"].value.value < 0 < known["leakage.lip-motion@1"].value.value


def test_two_sided_metrics_are_compared_by_their_distance_from_real_footage():
    real, ours, theirs = 0.7, 0.85, 0.4  # above real footage, but nearer to it
    release = boards.release(ITEMS)

    def made_up(name: str, value: float) -> System:
        results, rows = system(name, 0.5, 1)
        metric = "interactivity.mesh-eyes@1"
        return results, [replace(r, charged=value) if r.metric == metric else r for r in rows]

    assert boards.anchors(release).metrics["interactivity.mesh-eyes@1"].real == real
    found = side_by_side([made_up("ours", ours), made_up("theirs", theirs)], ["theirs"])
    (difference,) = [d for d in found.differences if d.metric.startswith("interactivity")]
    assert difference.value.value == pytest.approx((ours - real) - (real - theirs))
    assert difference.verdict == "better"


def test_other_anchors_are_refused():
    results, rows = system("other", 0.5, 1)
    object.__setattr__(results, "release_digest", "0" * 16)
    with pytest.raises(UsageError, match="other was evaluated on another release"):
        side_by_side([system("ours", 0.5, 1), (results, rows)], ["other"])


def test_systems_that_agree_with_each_other_but_not_with_the_release_are_refused():
    with pytest.raises(UsageError, match="ours was evaluated on another release"):
        side_by_side([system("ours", 0.5, 1), system("other", 0.5, 2)], ["other"], items=12)


def test_two_systems_of_one_name_are_refused():
    with pytest.raises(UsageError, match="two systems are called copy"):
        side_by_side([system("ours", 0.5, 1), system("copy", 0.5, 2), system("copy", 0.5, 3)], ["copy"])


def test_a_rival_must_be_one_of_the_systems():
    with pytest.raises(UnknownName, match=r"cpoy.*Did you mean copy"):
        side_by_side([system("ours", 0.5, 1), system("copy", 0.5, 2)], ["cpoy"])


def test_few_clusters_give_no_verdict_and_the_table_says_so():
    systems = [system("ours", 0.9, 1, 12), system("other", 0.1, 2, 12)]
    found = side_by_side(systems, ["other"], items=12)
    assert {d.p for d in found.differences} == {2**-5}
    assert {d.verdict for d in found.differences} == {"open"}
    sentence = "With 6 clusters no p is below 0.031, so none of 8 differences can stand"
    assert sentence in markdown(found)
    enough = side_by_side([system("ours", 0.9, 1), system("other", 0.1, 2)], ["other"])
    assert "can stand" not in markdown(enough)


def test_the_table_shows_every_system_metric_and_difference():
    failing = {item.id: "crashed" for item in boards.release(ITEMS).items[:5]}
    found = side_by_side([system("ours", 0.8, 1), system("other", 0.2, 2, failing=failing)], ["other"])
    text = markdown(found)
    assert "24 items in 12 clusters" in text
    for metric in ("psnr@1 ↑", "leakage.lip-motion@1 ↓", "fvd.i3d400.squash224.t16@1 ↓"):
        assert metric in text
    assert "| ours | 24 of 24 |" in text
    assert "| other | 19 of 24 |" in text
    rows = [line for line in text.splitlines() if line.startswith("| other |")]
    assert len(rows) == 2 + len(found.differences)
    assert all(line.count("|") == text.splitlines()[2].count("|") for line in text.splitlines()[2:6] if line)
