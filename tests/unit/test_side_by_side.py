import pytest

from mitds.benchmark.evaluation import side_by_side as module
from mitds.benchmark.evaluation.side_by_side import compared, markdown
from mitds.errors import UsageError
from tests import boards


@pytest.fixture(autouse=True)
def _made_up_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "card_of", boards.CARDS.__getitem__)


def system(name: str, goodness: float, seed: int):
    return boards.evaluated(boards.release(), name, goodness, seed)


def test_a_better_system_is_found_better_and_an_equal_one_is_left_open():
    release = boards.release()
    ours = system("ours", 0.8, 1)
    found = compared(release, [ours, system("worse", 0.2, 2), system("alike", 0.8, 3)], ["worse", "alike"])
    verdicts = {(d.second, d.metric): d.verdict for d in found.differences}
    assert verdicts["worse", "psnr@1"] == "better"
    assert verdicts["worse", "lpips.alex@1"] == "better"
    assert verdicts["worse", "lag-onset.lips@1"] == "open", "two-sided metrics have no winner by difference"
    assert {v for (second, _), v in verdicts.items() if second == "alike"} == {"open"}


def test_differences_are_paired_first_minus_rival():
    release = boards.release()
    found = compared(
        release, [system("ours", 0.8, 1), system("ours twice", 0.8, 1)], ["ours twice"], ["psnr@1"]
    )
    (difference,) = found.differences
    assert (difference.value.value, difference.value.low, difference.value.high) == (0, 0, 0)
    assert difference.verdict == "open"


def test_the_worse_one_is_called_worse():
    release = boards.release()
    found = compared(
        release, [system("bad", 0.1, 1), system("good", 0.9, 2)], ["good"], ["psnr@1", "leakage.lip-motion@1"]
    )
    assert [d.verdict for d in found.differences] == ["worse", "worse"]
    assert found.differences[0].value.value < 0 < found.differences[1].value.value


def test_other_anchors_are_refused():
    release = boards.release()
    results, rows = system("other", 0.5, 1)
    object.__setattr__(results, "release_digest", "0" * 16)
    with pytest.raises(UsageError, match="another release"):
        compared(release, [system("ours", 0.5, 1), (results, rows)], ["other"])


def test_the_table_shows_every_system_metric_and_difference():
    release = boards.release()
    found = compared(release, [system("ours", 0.8, 1), system("other", 0.2, 2)], ["other"])
    text = markdown(found)
    assert "12 items in 6 clusters" in text
    for metric in ("psnr@1 ↑", "leakage.lip-motion@1 ↓", "fvd.i3d400.squash224.t16@1 ↓"):
        assert metric in text
    rows = [line for line in text.splitlines() if line.startswith("| other |")]
    assert len(rows) == 2 + len(found.differences)
    assert all(line.count("|") == text.splitlines()[2].count("|") for line in text.splitlines()[2:6] if line)
