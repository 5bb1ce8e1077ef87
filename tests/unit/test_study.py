"""A blind study stays blind, its votes are checked, and GSB is what it says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.benchmark.study import CheckConfig, ScoreConfig, build_study, score_study
from mitds.benchmark.study.build import PAGE
from mitds.benchmark.study.records import StudyKey, read_key
from mitds.errors import InputFault, UsageError

ITEMS = 10


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for system in ("kling", "mine"):
        (tmp_path / system).mkdir()
        for n in range(ITEMS):
            (tmp_path / system / f"item{n}.mp4").write_bytes(f"{system} {n}".encode())
    return tmp_path / "mine", tmp_path / "kling"


@pytest.fixture
def study(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    build_study(tmp_path / "study", *folders, seed=7)
    return tmp_path / "study"


def key_of(study: Path) -> StudyKey:
    return read_key(study / "key.json")


def told(study: Path) -> dict[str, Any]:
    text = (study / PAGE / "index.html").read_text()
    return json.loads(text.partition('id="study">')[2].partition("</script>")[0])


def cast(study: Path, rater: int, choose: Any, changes: dict[str, Any] | None = None) -> Path:
    """Write the file of a rater whose answer to a pair is `choose(pair)`: good, same or bad for the first system."""
    key = key_of(study)
    votes = []
    for pair in key.pairs:
        wanted = "same" if pair.kind == "identical" else choose(pair)
        first = {"good": 0, "bad": 1}.get(wanted)
        answer = "same" if first is None else "first" if pair.first == first else "second"
        votes.append({"pair": pair.pair, "question": 0, "answer": answer, "seconds": 4.5})
    votes[0]["seconds"] = 4.5 + rater
    ballot = {"schema": "mitds.study-votes/1", "study": key.study, "rater": f"{rater:016x}", "votes": votes}
    path = study / f"votes-{rater}.json"
    path.write_text(json.dumps(ballot | (changes or {})))
    return path


def test_published_part_does_not_name_the_systems(study: Path):
    for path in (study / PAGE).rglob("*"):
        assert "mine" not in path.name
        assert "kling" not in path.name
        if path.suffix in (".html", ".js", ".css"):
            assert "kling" not in path.read_text()
            assert "item3" not in path.read_text()
    assert not list((study / PAGE).rglob("key.json"))


def test_every_showing_has_a_file_of_its_own(study: Path):
    videos = [video for pair in told(study)["pairs"] for video in pair["videos"]]
    assert len(set(videos)) == len(videos)
    assert {v for v in videos if (study / PAGE / v).is_file()} == set(videos)


def test_files_lie_where_the_key_says(study: Path):
    for pair, shown in zip(key_of(study).pairs, told(study)["pairs"], strict=True):
        first, second = ((study / PAGE / v).read_text().split()[0] for v in shown["videos"])
        systems = ["mine", "kling"]
        assert first == systems[pair.first]
        assert (second == first) == (pair.kind == "identical")
        assert set(shown) == {"pair", "videos"}


def test_repeats_swap_sides_and_come_later(study: Path):
    pairs = key_of(study).pairs
    place = {pair.pair: n for n, pair in enumerate(pairs)}
    by_name = {pair.pair: pair for pair in pairs}
    repeats = [pair for pair in pairs if pair.kind == "repeat"]
    assert len(repeats) == 4
    for pair in repeats:
        assert by_name[pair.of].first == 1 - pair.first
        assert by_name[pair.of].item == pair.item
        assert place[pair.of] < place[pair.pair]
    assert Counter(pair.kind for pair in pairs) == {"vote": ITEMS, "repeat": 4, "identical": 2}


def test_sides_are_balanced_by_chance_not_by_habit(folders: tuple[Path, Path], tmp_path: Path):
    firsts = []
    for seed in range(8):
        checks = CheckConfig(repeats=0, identical=0)
        build_study(tmp_path / str(seed), *folders, seed=seed, checks=checks)
        firsts += [pair.first for pair in key_of(tmp_path / str(seed)).pairs]
    assert 0.3 < np.mean(firsts) < 0.7


def test_same_seed_same_study(folders: tuple[Path, Path], tmp_path: Path):
    for name in ("a", "b"):
        build_study(tmp_path / name, *folders, seed=3)
    assert (tmp_path / "a" / "key.json").read_bytes() == (tmp_path / "b" / "key.json").read_bytes()


def test_reference_is_shown_with_each_pair(folders: tuple[Path, Path], tmp_path: Path):
    build_study(tmp_path / "s", *folders, reference=folders[0], items=3)
    assert {len(pair["videos"]) for pair in told(tmp_path / "s")["pairs"]} == {3}


def test_questions_are_text(folders: tuple[Path, Path], tmp_path: Path):
    hostile = "</script><script>alert(1)</script>"
    build_study(tmp_path / "s", *folders, questions=[hostile])
    assert "<script>alert" not in (tmp_path / "s" / PAGE / "index.html").read_text()


def test_folders_without_common_items_are_an_error(folders: tuple[Path, Path], tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="in common"):
        build_study(tmp_path / "s", folders[0], tmp_path / "empty")


@pytest.mark.parametrize(("items", "shown"), [(1, 1), (4, 4), (500, ITEMS)])
def test_as_many_items_as_asked_for_and_there_are(
    folders: tuple[Path, Path], tmp_path: Path, items: int, shown: int
):
    build_study(tmp_path / "s", *folders, items=items)
    votes = [pair for pair in key_of(tmp_path / "s").pairs if pair.kind == "vote"]
    assert len({pair.item for pair in votes}) == len(votes) == shown


def test_result_in_words_names_ratio_counts_and_rule(study: Path):
    files = [cast(study, n, lambda pair: ("good", "bad")[int(pair.item[4:]) % 2]) for n in (1, 2)]
    words = score_study(study / "key.json", files).words()
    assert words.startswith("mine against kling: 2 raters, 10 items")
    assert "GSB 1.00 [" in words
    assert "(10 good, 0 same, 10 bad)" in words
    assert "left out: who" in words


# ---- the score


def test_gsb_of_known_counts(study: Path):
    def choose(pair: Any) -> str:
        return {0: "good", 1: "same", 2: "bad"}.get(int(pair.item[4:]), "good")

    result = score_study(study / "key.json", [cast(study, 1, choose), cast(study, 2, choose)])
    assert (result.overall.good, result.overall.same, result.overall.bad) == (16, 2, 2)
    assert result.overall.gsb is not None
    assert result.overall.gsb.value == pytest.approx((16 + 2) / (2 + 2))
    low, high = result.overall.gsb.low, result.overall.gsb.high
    assert low is not None
    assert low < 4.5
    assert high is None or high > 4.5
    assert result.agreement == {f"{1:016x}": 1.0, f"{2:016x}": 1.0}


def test_swapping_the_systems_inverts_gsb(study: Path):
    def choose(pair: Any) -> str:
        return ("good", "same", "bad", "good")[int(pair.item[4:]) % 4]

    def other(pair: Any) -> str:
        return {"good": "bad", "bad": "good", "same": "same"}[choose(pair)]

    one = score_study(study / "key.json", [cast(study, n, choose) for n in (1, 2, 3)]).overall.gsb
    two = score_study(study / "key.json", [cast(study, n, other) for n in (1, 2, 3)]).overall.gsb
    assert one is not None
    assert two is not None
    assert one.value == pytest.approx(1 / two.value)
    assert one.low is not None
    assert two.high == pytest.approx(1 / one.low)


def test_unanimous_votes_have_no_ratio_but_counts(study: Path):
    files = [cast(study, n, lambda _: "good") for n in (1, 2)]
    overall = score_study(study / "key.json", files).overall
    assert overall.gsb is None
    assert overall.good == 2 * ITEMS
    assert overall.share is not None
    assert overall.share.value == 1


def test_no_votes_is_a_result(study: Path):
    result = score_study(study / "key.json", [])
    assert result.overall.gsb is None
    assert result.raters == 0


def test_repeats_and_checks_do_not_count_as_votes(study: Path):
    overall = score_study(study / "key.json", [cast(study, 1, lambda _: "bad")]).overall
    assert overall.bad == ITEMS


def test_interval_covers_the_truth_of_a_simulated_crowd(study: Path):
    generator = np.random.default_rng(0)
    files = [
        cast(study, n, lambda pair: str(generator.choice(["good", "same", "bad"], p=[0.5, 0.2, 0.3])))
        for n in range(12)
    ]
    config = ScoreConfig(min_agreement=0.0)
    gsb = score_study(study / "key.json", files, config).overall.gsb
    assert gsb is not None
    assert gsb.low is not None
    assert gsb.high is not None
    assert gsb.low < 0.7 / 0.5 < gsb.high


def test_who_prefers_one_of_two_identical_videos_is_left_out(study: Path):
    path = cast(study, 1, lambda _: "good")
    ballot = json.loads(path.read_text())
    alike = {pair.pair for pair in key_of(study).pairs if pair.kind == "identical"}
    for vote in ballot["votes"]:
        if vote["pair"] in alike:
            vote["answer"] = "first"
    path.write_text(json.dumps(ballot))
    result = score_study(study / "key.json", [path, cast(study, 2, lambda _: "bad")])
    assert list(result.excluded) == [f"{1:016x}"]
    assert "identical" in result.excluded[f"{1:016x}"]
    assert (result.overall.good, result.overall.bad, result.raters) == (0, ITEMS, 1)


def test_who_always_takes_the_left_is_left_out(study: Path):
    path = cast(study, 1, lambda _: "good")
    ballot = json.loads(path.read_text())
    alike = {pair.pair for pair in key_of(study).pairs if pair.kind == "identical"}
    for vote in ballot["votes"]:
        vote["answer"] = "same" if vote["pair"] in alike else "first"
    path.write_text(json.dumps(ballot))
    result = score_study(study / "key.json", [path])
    assert "repeated" in result.excluded[f"{1:016x}"]
    assert result.agreement == {f"{1:016x}": 0.0}


def test_order_of_files_does_not_matter(study: Path):
    files = [cast(study, n, lambda pair: ("good", "bad", "same")[int(pair.item[4:]) % 3]) for n in (1, 2, 3)]
    assert score_study(study / "key.json", files) == score_study(study / "key.json", files[::-1])


def test_one_rater_twice_is_refused(study: Path):
    path = cast(study, 1, lambda _: "good")
    with pytest.raises(InputFault, match="repeats the votes"):
        score_study(study / "key.json", [path, path])


def test_the_same_votes_under_two_names_are_refused(study: Path):
    first = cast(study, 1, lambda _: "good")
    second = study / "copy.json"
    second.write_text(first.read_text().replace(f"{1:016x}", f"{2:016x}"))
    with pytest.raises(InputFault, match="repeats the votes"):
        score_study(study / "key.json", [first, second])


def vote(**changes: Any) -> dict[str, Any]:
    return {"pair": "0" * 16, "question": 0, "answer": "same", "seconds": 1.0} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "0" * 16},
        {"schema": "mitds.study-votes/2"},
        {"rater": "../../x"},
        {"more": 1},
        {"votes": [vote()]},
        {"votes": "all"},
        {"votes": [[]]},
    ],
)
def test_ballots_of_another_form_are_refused(study: Path, changes: dict[str, Any]):
    with pytest.raises(InputFault):
        score_study(study / "key.json", [cast(study, 1, lambda _: "good", changes)])


@pytest.mark.parametrize(
    "changes",
    [
        {"question": 1},
        {"question": -1},
        {"question": True},
        {"answer": "left"},
        {"seconds": -1},
        {"seconds": 10**400},
        {"extra": 1},
    ],
)
def test_votes_of_another_form_are_refused(study: Path, changes: dict[str, Any]):
    pair = key_of(study).pairs[0].pair
    votes = [vote(pair=pair, **changes)]
    with pytest.raises(InputFault):
        score_study(study / "key.json", [cast(study, 1, lambda _: "good", {"votes": votes})])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":1,"a":2}', '{"x":NaN}', "[" * 100_000, "\xff"])
def test_files_that_are_no_ballots_are_refused(study: Path, text: str):
    path = study / "bad.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputFault, match=r"bad\.json"):
        score_study(study / "key.json", [path])


def test_an_answer_given_twice_is_refused(study: Path):
    path = cast(study, 1, lambda _: "good")
    ballot = json.loads(path.read_text())
    ballot["votes"].append(ballot["votes"][0])
    path.write_text(json.dumps(ballot))
    with pytest.raises(InputFault, match="twice"):
        score_study(study / "key.json", [path])
