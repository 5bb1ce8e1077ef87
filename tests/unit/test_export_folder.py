"""An export owns its folder: nothing foreign is touched, nothing withdrawn stays, the same clips, the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mitds.errors import BadShard, UsageError
from mitds.lock import output_lock
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.records import Clip
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.export import FOLDERS, export, provenance
from mitds.pipeline.export.folder import link_or_copy
from mitds.pipeline.export.provenance import SCHEMA, write_provenance
from tests import factories

FORMATS = sorted(FOLDERS)


def write(folder: Path, *clips: Clip) -> str:
    """A run of tiny clips, written anew; its pattern."""
    factories.write_run(folder, *(clips or (factories.clip(0, frames=1), factories.clip(1, frames=1))))
    return str(folder / "clips-*.tar")


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_clips_give_the_same_bytes_and_a_rerun_changes_none(format: str, tmp_path: Path) -> None:
    shards = write(tmp_path / "run", factories.clip(0, frames=1))
    export([shards], format, tmp_path / "a")
    once = digests(tmp_path / "a")
    export([shards], format, tmp_path / "a")
    export([shards], format, tmp_path / "b")
    assert once == digests(tmp_path / "a") == digests(tmp_path / "b")
    assert json.loads((tmp_path / "a" / "export.json").read_text()) == {
        "format": format,
        "schema": "mitds.export/1",
        "complete": True,
    }


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_withdrawn_is_gone_after_a_rerun(format: str, tmp_path: Path) -> None:
    gone = factories.clip(
        1, frames=1, source_id="ee" * 32, source_name="gone.mkv", source_url="https://gone.example"
    )
    shards = write(tmp_path / "run", factories.clip(0, frames=1), gone)
    export([shards], format, tmp_path / "out")
    write(tmp_path / "run", factories.clip(0, frames=1))
    export([shards], format, tmp_path / "out")
    for name, data in ((p.name, p.read_bytes()) for p in (tmp_path / "out").rglob("*") if p.is_file()):
        assert gone.key not in name
        assert b"gone.example" not in data
        assert gone.key.encode() not in data
    assert not list((tmp_path / "out").glob(f"*{gone.key}*"))


def test_shards_that_are_no_more_leave_their_links(tmp_path: Path) -> None:
    both = [write(tmp_path / name, factories.clip(n, frames=1)) for n, name in enumerate("ab")]
    export(both, "hf", tmp_path / "out")
    export(both[1:], "hf", tmp_path / "out")
    (left,) = (tmp_path / "out" / "data").iterdir()
    assert left.samefile(tmp_path / "b" / "clips-000000.tar")


@pytest.mark.parametrize("format", FORMATS)
def test_foreign_content_is_refused_and_left_alone(format: str, tmp_path: Path) -> None:
    shards = write(tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        export([shards], format, tmp_path / "out")
    assert digests(tmp_path / "out").keys() == {"thesis.txt"}


def test_another_formats_folder_or_a_file_is_refused(tmp_path: Path) -> None:
    shards = write(tmp_path / "run")
    export([shards], "hf", tmp_path / "out")
    before = digests(tmp_path / "out")
    with pytest.raises(UsageError, match="did not write"):
        export([shards], "croissant", tmp_path / "out")
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="no part of an export"):
        export([shards], "hf", tmp_path / "out")
    with pytest.raises(UsageError, match="not a folder"):
        export([shards], "hf", tmp_path / "out" / "README.md")
    (tmp_path / "out" / "thesis.txt").unlink()
    assert digests(tmp_path / "out") == before


def test_two_exports_to_one_folder_do_not_meet(tmp_path: Path) -> None:
    shards = write(tmp_path / "run")
    with output_lock(tmp_path / "out", "export"), pytest.raises(UsageError, match="another run"):
        export([shards], "hf", tmp_path / "out")


def test_what_a_killed_export_left_is_taken_up(tmp_path: Path) -> None:
    shards = write(tmp_path / "run", factories.clip(0, frames=1))
    export([shards], "mit", tmp_path / "out")
    whole = digests(tmp_path / "out")
    mark = tmp_path / "out" / "export.json"
    mark.write_text(mark.read_text().replace("true", "false"))
    (tmp_path / "out" / ".tmp-0123" / "frames").mkdir(parents=True)
    (tmp_path / "out" / "all_data_config" / ".tmp-4567-clips.json").write_text("[")
    export([shards], "mit", tmp_path / "out")
    assert digests(tmp_path / "out") == whole


def test_where_no_link_can_be_the_bytes_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"shard")
    assert link_or_copy(tmp_path / "a", tmp_path / "x" / "b")
    assert link_or_copy(tmp_path / "a", tmp_path / "x" / "b")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert not link_or_copy(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"shard"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "c", "x"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "changes", [{"source_id": "../../../etc"}, {"key": "../../evil"}, {"key": "f" * 16}, {"source_id": ""}]
)
def test_records_that_are_not_of_their_place_are_refused(
    format: str, changes: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "run")
    clip = factories.clip(7, frames=1)
    members = factories.clip_sample(clip) | {"json": to_json(factories.clip(7, frames=1, **changes)).encode()}
    with ShardWriter("clips-%06d.tar", tmp_path / "run") as writer:
        writer.add(clip.key, members)
    with pytest.raises(BadShard):
        export([str(tmp_path / "run" / "clips-*.tar")], format, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "run"]
    assert not json.loads((tmp_path / "out" / "export.json").read_text())["complete"]


def test_a_clip_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    both = [write(tmp_path / name, factories.clip(0, frames=1)) for name in "ab"]
    with pytest.raises(BadShard, match="twice"):
        export(both, "hf", tmp_path / "out")


def test_many_clips_need_no_more_memory_than_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_ROWS_AT_ONCE", 20)
    npz = clip_arrays_to_npz(factories.clip_arrays(factories.clip(0, frames=1)))

    def peak(count: int) -> int:
        with ShardWriter("clips-%06d.tar", tmp_path / str(count), max_samples=50) as writer:
            for n in range(count):
                data = {"json": to_json(factories.clip(n, frames=1)).encode(), "npz": npz, "mp4": b""}
                writer.add(f"{n:016x}", data)
        tracemalloc.start()
        summary = write_provenance(tmp_path / f"{count}.parquet", writer.paths)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert summary.clips == count == pq.read_metadata(tmp_path / f"{count}.parquet").num_rows
        return top

    few, many = peak(100), peak(300)
    assert many - few < 200 * 1000, "only keys are held"
    assert pq.read_schema(tmp_path / "300.parquet").equals(SCHEMA)
