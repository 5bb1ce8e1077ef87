"""Withdrawal from what the pipeline itself wrote: real labels, real media, a removal that is killed for good."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mitds.manifests.dataset import load
from mitds.manifests.removals import removals
from mitds.pipeline.export import export
from mitds.pipeline.rights.remove import Asked, remove
from mitds.pipeline.rights.verify import verify
from mitds.store import sha256_file

pytestmark = pytest.mark.media
_KILLED = """
import os, signal, sys
from pathlib import Path
from mitds.pipeline.rights import remove as removing
from mitds.pipeline.rights.remove import Asked, remove
at = int(sys.argv[1])
def dying(n, step):
    def run(folder, plan):
        if n == at:
            os.kill(os.getpid(), signal.SIGKILL)
        step(folder, plan)
    return run
removing.STEPS = tuple(dying(n, step) for n, step in enumerate(removing.STEPS))
remove([Path(p) for p in sys.argv[3:]], Asked(urls=(sys.argv[2],), by="Officer", at="2026-01-02T03:04:05+00:00"))
"""


@pytest.fixture
def written(demo_clips: Path, tmp_path: Path) -> list[Path]:
    """A copy of all that the demo ingested, annotated and exported."""
    for name in ("raw", "clips"):
        shutil.copytree(demo_clips.parent / name, tmp_path / name, ignore=shutil.ignore_patterns(".lock"))
    for kind in ("rttm", "coco"):
        export([str(tmp_path / "clips" / "clips-*.tar")], kind, tmp_path / "exports")
    return [tmp_path / name for name in ("raw", "clips", "exports")]


def faults(*folders: Path) -> list[str]:
    return [f"{f.where}: {f.what}" for f in verify(folders=folders).findings if f.level == "fault"]


def test_what_the_pipeline_wrote_is_sealed_and_sound(written: list[Path]) -> None:
    assert faults(*written[:2]) == []
    clips = list(load(written[1] / "clips-*.tar"))
    assert clips
    for loaded in clips:
        assert {"mp4", "npz"} <= loaded.clip.seals.keys()
        assert loaded.clip.provenance
        assert loaded.clip.provenance.tool.startswith("mitds ")


def test_a_source_is_withdrawn_after_a_kill_and_nothing_names_it(written: list[Path]) -> None:
    clips = [loaded.clip for loaded in load(written[1] / "clips-*.tar")]
    gone = clips[0]
    others = {clip.key for clip in clips if clip.source_id != gone.source_id}
    assert others
    command = [sys.executable, "-c", _KILLED, "4", gone.source_url, *map(str, written)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert any("a removal was stopped" in fault for fault in faults(written[0]))
    done = remove(written, Asked(urls=(gone.source_url,), by="Officer"))
    assert [one.left for one in done] == [(), (), ()]
    words = [gone.source_id[:16].encode(), gone.source_url.encode()]
    for folder in written:
        for path in (p for p in folder.rglob("*") if p.is_file() and p.name != "removals.jsonl"):
            data = str(path.relative_to(folder)).encode() + path.read_bytes()
            if path.suffix == ".parquet":
                data += json.dumps(pq.read_table(path).to_pylist()).encode()
            assert not [word for word in words if word in data], path
    assert {loaded.clip.key for loaded in load(written[1] / "clips-*.tar")} == others
    assert faults(*written[:2]) == []
    assert removals(written[0]).refuses(gone.source_url)
    before = {path: sha256_file(path) for folder in written for path in folder.rglob("*") if path.is_file()}
    remove(written, Asked(sources=(gone.source_id,), by="Officer"))
    assert {
        path: sha256_file(path) for folder in written for path in folder.rglob("*") if path.is_file()
    } == before
