"""The command line: exit codes, errors with a remedy, and stdout that holds the result alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mitds.cli import main
from tests import factories


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mitds", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def annotated(*more: str) -> list[str]:
    return ["annotate", "--shards", "none-*.tar", "--out", "clips", *more]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (annotated("--profile", "standrad"), "Did you mean standard?"),
        (annotated("--set", "rules.min_secnds=3"), "Did you mean min_seconds"),
        (annotated("--set", "rules.min_seconds=soon"), "must be float, got 'soon'"),
        (annotated("--backend", "pose=mediapip"), "Did you mean mediapipe?"),
        (annotated("--backend", "noses=big"), "no family of backends is called 'noses'"),
        (annotated(), "none-*.tar"),
        (["ingest", "none.txt", "--out", "raw"], "the list cannot be read"),
        (["ingest", "none.txt", "--out", "raw", "--shots", "transnet"], "Did you mean transnetv2?"),
        (["export", "--shards", "none-*.tar", "--out", "x", "-f", "rtmm"], "Did you mean rttm?"),
    ],
)
def test_wrong_usage_leaves_with_2_and_says_what_to_do(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "error[" in printed.err
    assert words in printed.err


def test_missing_argument_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "ingest") == 2


def test_weights_list_is_one_json_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "weights", "list", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    names = {row["name"] for row in json.loads(line)["weights"]}
    assert {"faces.yunet", "asd.lr_asd", "pose.landmarks"} <= names


def test_export_writes_and_names_its_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factories.write_run(tmp_path / "run")
    shards = str(tmp_path / "run" / "clips-*.tar")
    done = run(
        monkeypatch,
        "export",
        "--shards",
        shards,
        "--out",
        str(tmp_path / "x"),
        "-f",
        "rttm",
        "-f",
        "ava",
        "--json",
    )
    assert done == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {Path(f).suffix for f in files} == {".rttm", ".csv"}
    assert all(Path(f).is_file() for f in files)


def test_report_is_written_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factories.write_run(tmp_path)
    assert run(monkeypatch, "report", str(tmp_path), "--anonymous", "--json") == 0
    assert Path(json.loads(capsys.readouterr().out)["report"]).is_file()
