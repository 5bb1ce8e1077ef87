"""`mitds compare`: what it compares, what it says of failures, and how it leaves; nothing is trained or made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mitds.baselines.presets import DESIGNS
from mitds.benchmark.evaluation import evaluate as evaluation
from mitds.benchmark.evaluation import show, side_by_side
from mitds.benchmark.evaluation.evaluate import Evaluation
from mitds.benchmark.results import Results, Row, write_results, write_rows
from mitds.cli import main
from mitds.store import write_json
from tests import boards

ITEMS = 24
GOODNESS = {"covog": 0.8, "animate-anyone": 0.5, "copy": 0.1}


def write(folder: Path, results: Results, rows: list[Row]) -> None:
    write_rows(folder / "rows.parquet", rows)
    write_results(folder / "results.json", results)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release with one control; models answer as well as `GOODNESS` says, and one of them fails on one item."""
    frozen, folder = boards.release(ITEMS), tmp_path / "release"
    write_json(folder / "release.json", frozen)
    write_json(folder / "anchors.json", boards.anchors(frozen))
    write(
        folder / "controls" / "copy", *boards.evaluated(frozen, "copy", GOODNESS["copy"], 9, kind="control")
    )
    opened = SimpleNamespace(release=frozen, folder=folder)
    broken = {frozen.items[0].id: "crashed"}

    def evaluate(shards: Any, out: Path, *, model: str, **options: Any) -> Evaluation:
        failing = broken if model == "animate-anyone" else {}
        results, rows = boards.evaluated(frozen, model, GOODNESS.get(model, 0.5), len(model), failing=failing)
        write(out, results, rows)
        messages = dict.fromkeys(failing, "value: out of memory")
        return Evaluation(results, tuple(rows), {}, messages, None)  # type: ignore[arg-type]

    monkeypatch.setattr(side_by_side, "card_of", boards.CARDS.__getitem__)
    monkeypatch.setattr(side_by_side, "open_release", lambda path: opened)
    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    monkeypatch.setattr(show, "write_evaluation_page", lambda *given: None)
    monkeypatch.setattr("mitds.baselines.training.loop.train", lambda *given, **options: None)
    return folder


def compare(release: Path, monkeypatch: pytest.MonkeyPatch, *models: str, more: tuple[str, ...] = ()) -> int:
    named = [word for model in models for word in ("--model", model)]
    monkeypatch.setattr(
        sys, "argv",
        ["mitds", "compare", "--shards", "clips-*.tar", "--release", str(release),
         "--out", str(release.parent / "cmp"), *named, *more],
    )  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_first_model_is_compared_with_the_others_and_with_the_copied_reference(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(release, monkeypatch, "covog", "control-svd", more=("--json",)) == 0
    said = json.loads(capsys.readouterr().out)
    assert {(d["first"], d["second"]) for d in said["differences"]} == {
        ("covog", "control-svd"),
        ("covog", "copy"),
    }
    assert said["failed"] == {}
    assert "| copy | 24 of 24 |" in Path(said["table"]).read_text()


def test_failed_items_are_printed_and_end_with_1(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    item = boards.release(ITEMS).items[0].id
    assert compare(release, monkeypatch, "covog", "animate-anyone") == 1
    printed = capsys.readouterr().out
    assert f"failed  animate-anyone, {item}: value: out of memory" in printed
    assert "| animate-anyone | 23 of 24 |" in printed
    assert compare(release, monkeypatch, "covog", "animate-anyone", more=("--json",)) == 1
    assert list(json.loads(capsys.readouterr().out)["failed"]) == ["animate-anyone"]


def test_all_models_there_are_are_compared_by_default(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(release, monkeypatch) == 1
    table = json.loads((release.parent / "cmp" / "comparison.json").read_bytes())
    assert [system["system"] for system in table["systems"]] == [*DESIGNS, "copy"]


def test_a_model_is_named_once(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(release, monkeypatch, "covog", "covog") == 2
    assert "a model is named twice" in capsys.readouterr().err
