"""A list that means harm goes through the real ingest: every line has one end, and nothing is written elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mitds.manifests.shards import expand, read_shard
from mitds.media import write_video
from mitds.pipeline.ingest import IngestConfig, IngestResult, ingest
from mitds.pipeline.sources import FetchConfig
from tests.webserver import Answer, Site, serving

pytestmark = pytest.mark.media

NAMES = (
    "$(touch owned).mp4", "; rm -rf ~ .mp4", "--help.mp4", "q'uo\"te`s.mp4", "Dr. Who v1.2", "Dr. Who v1.3",
    "\u202egpj.mp4", "e\u0301 👨‍👩‍👧.mp4", "CON", "%2e%2e%2fx.mp4", "a%03d.mp4", "x" * 251 + ".mp4", "concat:a|b.mp4",
)  # fmt: skip


def draw(path: Path, shade: int) -> None:
    frame_HWC = np.full((48, 64, 3), shade, np.uint8)
    write_video(path, ((Fraction(k, 25), frame_HWC) for k in range(25)))


def bad_lines(folder: Path, site: Site) -> Iterator[str]:
    """Lines that must fail, each for a reason of its own."""
    (folder / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:9,\n{site.url}/a.ts\n#EXT-X-ENDLIST\n")
    (folder / "concat.mp4").write_text(
        f"ffconcat version 1.0\nfile '{folder / NAMES[0]}'\nfile '{site.url}/a.ts'\n"
    )
    (folder / "device.mp4").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.mp4")
    yield from (
        "playlist.mp4",
        "concat.mp4",
        "device.mp4",
        "pipe.mp4",
        "file:///etc/passwd",
        "../../etc/passwd",
    )
    yield from (
        f"{site.url}/a.ts",
        "http://169.254.169.254/latest/meta-data/",
        "simplecache::file:///etc/passwd",
    )
    yield from ("pypi://../../x==1/y", "file:///tmp/a%00b.mp4", "x" * 5000, "http://[::ffff:127.0.0.1]/a.mp4")


Run = tuple[IngestResult, Path, Site, set[Path]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    base = tmp_path_factory.mktemp("hostile")
    folder = base / "in"
    folder.mkdir()
    for k, name in enumerate(NAMES):
        draw(folder / "drawn.mp4", 16 + 16 * k)
        (folder / "drawn.mp4").rename(folder / name)
    with serving() as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        site.put("/a.ts", Answer(body=b"x", headers={"Content-Type": "video/mp2t"}))
        lines = [*NAMES, *bad_lines(folder, site)]
        rows = [
            {"url": line, "title": f"\x1b[2J<b>{line}" if k % 2 else None} for k, line in enumerate(lines)
        ]
        (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        before = set(base.rglob("*"))
        fetch = FetchConfig(attempts=1, host_interval_s=0.0)
        result = ingest(folder / "list.jsonl", base / "out", IngestConfig(fetch=fetch), workers=1)
        yield result, base, site, before


def test_every_line_has_one_end_and_bad_ones_a_reason(run: Run) -> None:
    result, _, _, _ = run
    ends = {source.row: source.status for source in result.sources}
    assert [ends[row] for row in range(1, len(NAMES) + 1)] == ["kept"] * len(NAMES)
    failed = [source for source in result.sources if source.status == "failed"]
    assert len(failed) + len(NAMES) == len(result.sources)
    assert {source.reason for source in failed} == {"not_video", "unreachable"}
    assert all(source.detail for source in failed)


def test_nobody_was_asked_and_nothing_lies_outside_the_output(run: Run) -> None:
    result, base, site, before = run
    assert site.asked == []
    new = set(base.rglob("*")) - before
    assert all(path.is_relative_to(result.out) for path in new)
    assert not (Path.cwd() / "owned").exists()


def test_names_are_kept_and_keys_are_safe(run: Run) -> None:
    result, _, _, _ = run
    rows = pq.read_table(result.out / "sources.parquet").to_pylist()
    wanted = [name.replace("\u202e", "")[:200] for name in NAMES]
    assert [row["name"] for row in rows[: len(NAMES)]] == wanted
    assert not any("\x1b" in (row["title"] or "") for row in rows)
    keys = [s.key for path in expand([str(result.out / "shots-*.tar")]) for s in read_shard(path)]
    assert len(keys) == len(set(keys)) == 2 * len(NAMES)
