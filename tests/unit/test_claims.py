"""A run never destroys what another left: other commands, other lists, hostile keys, interrupted threads."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mitds.config import canonical
from mitds.errors import BadShard, StorageFault, UsageError
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.background import in_background
from mitds.pipeline.claims import claim, keep_earlier
from mitds.pipeline.selection import ClipRules
from mitds.pipeline.shot_shards import read_sources
from mitds.pipeline.work import Work
from tests import factories


def test_a_folder_of_another_command_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "new" / "deep", "ingest")
    (tmp_path / "run.json").write_text(json.dumps({"command": "ingest"}))
    claim(tmp_path, "ingest")
    with pytest.raises(UsageError, match="holds what mitds ingest wrote"):
        claim(tmp_path, "annotate")


def test_a_file_in_place_of_the_output_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        claim(tmp_path / "file", "ingest")
    with pytest.raises(StorageFault, match="a file stands where a folder is needed"):
        claim(tmp_path / "file" / "below", "ingest")


def test_results_that_this_run_would_lose_are_kept(tmp_path: Path) -> None:
    factories.write_run(tmp_path)
    known = {row["source_id"] for row in pq.read_table(tmp_path / "clips.parquet").to_pylist()}
    keep_earlier(tmp_path, "clips.parquet", "source_id", [*known, "more"], "sources")
    keep_earlier(tmp_path / "nothing", "clips.parquet", "source_id", [], "sources")
    with pytest.raises(UsageError, match="an earlier run kept"):
        keep_earlier(tmp_path, "clips.parquet", "source_id", [], "sources")


@pytest.mark.parametrize("key", ["../up", "a/b", "", "a" * 81, "dot.dot"])
def test_no_key_becomes_a_path(key: str, tmp_path: Path) -> None:
    with pytest.raises(BadShard, match="cannot be a key"):
        Work(tmp_path).path("faces", key, ".npz")


@pytest.mark.parametrize(
    "about",
    [
        {"kind": "source"},
        {"kind": "source", "source": {}, "sound": None, "shots": 1},
        {"kind": "other"},
        ["no", "mapping"],
        {"kind": "shot", "shot": {"key": "../../evil", "source_id": "f" * 64}},
    ],
)
def test_a_shard_that_lies_about_its_samples_is_refused(about: object, tmp_path: Path) -> None:
    with ShardWriter("shots-%06d.tar", tmp_path) as writer:
        writer.add("0123456789abcdef", {"json": canonical(about).encode()})
    with pytest.raises(BadShard):
        read_sources([str(tmp_path / "shots-*.tar")])


def test_work_folder_goes_however_the_run_ends(tmp_path: Path) -> None:
    def fail() -> None:
        with Work.over(tmp_path) as work:
            work.path("faces", "key", ".npz").parent.mkdir(parents=True)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_background_keeps_the_order_and_raises_what_was_raised() -> None:
    assert in_background(lambda n: n * n, list(range(20)), 4) == [n * n for n in range(20)]
    assert in_background(str, [], 4) == []
    with pytest.raises(ZeroDivisionError):
        in_background(lambda n: 1 // n, [1, 0, 2], 2)


def test_background_threads_do_not_hold_up_the_end() -> None:
    def hang(item: int) -> int:
        if item:
            raise KeyboardInterrupt
        time.sleep(30)
        return item

    with pytest.raises(KeyboardInterrupt):
        in_background(hang, [0, 1], 2)
    assert all(
        t.daemon for t in threading.enumerate() if t is not threading.main_thread() and "run" in t.name
    )


@pytest.mark.parametrize(
    "rules",
    [
        {"min_people": 0},
        {"max_people": 0},
        {"min_seconds": -5.0},
        {"min_area_ratio": 1.0},
    ],
)
def test_rules_that_cannot_hold_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be"):
        ClipRules(**rules)  # type: ignore[arg-type]
