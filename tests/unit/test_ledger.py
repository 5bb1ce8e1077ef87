"""Every input has one end, and the sums match."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitds.errors import BadShard, MitdsError
from mitds.manifests.ledger import End, FunnelRow, Kind, Ledger, funnel, read_ledger
from mitds.manifests.records import Status


def end(item: str, status: Status = "kept", reason: str = "", kind: Kind = "source") -> End:
    return End(kind=kind, item=item, stage="ingest", status=status, reason=reason)


def test_ends_are_read_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.jsonl")
    assert ledger.ends() == []
    ends = [
        End(kind="source", item="1", stage="ingest", status="kept", seconds=12.5),
        End(kind="clip", item="ab", stage="select", status="filtered", reason="too_short", detail="Só 3 s\n"),
    ]
    for each in ends:
        ledger.append(each)
    assert ledger.ends() == ends == read_ledger(tmp_path / "deep" / "ledger.jsonl")


def test_the_last_word_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for each in (end("1", "failed", "unreachable"), end("2"), end("1"), end("1", kind="shot")):
        ledger.append(each)
    assert ledger.ends() == [end("1"), end("2"), end("1", kind="shot")]


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).append(end("1"))
    with path.open("ab") as file:
        file.write(b'{"item":"2","ki')
    assert read_ledger(path) == [end("1")]
    ledger = Ledger(path)
    ledger.append(end("3"))
    assert ledger.ends() == [end("1"), end("3")]


@pytest.mark.parametrize("line", ["[]", "{}", '{"item":"1"}', "\x00"])
def test_a_wrong_line_is_located(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).append(end("1"))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadShard, match=r"ledger\.jsonl:2"):
        read_ledger(path)


def test_the_funnel_counts_by_stage_and_reason() -> None:
    ends = [
        end("1"),
        end("2", "failed", "not_video"),
        end("3", "failed", "not_video"),
        end("4", "filtered", "duplicate_of"),
        end("a", "filtered", "too_short", "clip"),
    ]
    assert funnel(ends, {"source": 4, "clip": 1}) == [
        FunnelRow("source", "ingest", "kept", "", 1),
        FunnelRow("source", "ingest", "filtered", "duplicate_of", 1),
        FunnelRow("source", "ingest", "failed", "not_video", 2),
        FunnelRow("clip", "ingest", "filtered", "too_short", 1),
    ]


@pytest.mark.parametrize("inputs", [{"source": 1}, {"source": 3}, {}, {"source": 2, "shot": 1}])
def test_a_funnel_that_does_not_add_up_is_an_error(inputs: dict[str, int]) -> None:
    with pytest.raises(MitdsError, match="does not add up"):
        funnel([end("1"), end("2", "failed", "not_video")], inputs)  # type: ignore[arg-type]


def test_publishing_replaces_an_earlier_ledger_whole(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("of an earlier run\n")
    ledger = Ledger(tmp_path / ".work" / "ledger.jsonl")
    ledger.append(end("1"))
    assert (tmp_path / "ledger.jsonl").read_text() == "of an earlier run\n"
    ledger.publish(tmp_path / "ledger.jsonl")
    assert read_ledger(tmp_path / "ledger.jsonl") == [end("1")]
