"""Faults that need no process to die: a full disk, an output that vanishes, orders, changed settings."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from mitds.errors import StorageFault
from mitds.pipeline.annotate import STAGES, annotate_forecast
from tests.reliability import driver
from tests.reliability.drawing import films, listing
from tests.reliability.inprocess import full_from, run
from tests.reliability.laws import shards

pytestmark = pytest.mark.usefixtures("_quick")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    return listing(folder / "list.jsonl", films(folder, 2))


@pytest.fixture(scope="module")
def whole(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], int]:
    """The folder of an unbroken run, its files, and how often it changed the file system."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    with full_from(1 << 30) as count:
        run(listed, folder)
    return folder, shards(folder), count[0]


@pytest.fixture
def _quick(whole: object) -> None:
    """Make the unbroken run first."""


@pytest.mark.parametrize("moment", range(6))
def test_a_disk_that_is_full_stops_a_run_and_costs_nothing(
    listed: Path, whole: tuple[Path, dict[str, str], int], tmp_path: Path, moment: int
) -> None:
    _, files, changes = whole
    with full_from(1 + moment * (changes - 1) // 5), pytest.raises(StorageFault, match="the disk is full"):
        run(listed, tmp_path / "out")
    done = run(listed, tmp_path / "out")
    assert shards(tmp_path / "out") == files
    assert moment == 0 or len(done) < 40
    assert not list((tmp_path / "out").rglob(".tmp-*"))


@pytest.mark.parametrize("command", ["raw", "clips"])
def test_an_output_that_vanishes_stops_the_run_and_the_next_one_completes(
    listed: Path, whole: tuple[Path, dict[str, str], int], tmp_path: Path, command: str
) -> None:
    out, stage = tmp_path / "out", {"raw": "shots", "clips": "poses"}[command]
    gone: list[str] = []

    def vanish(job: object) -> None:
        if job.stage == stage and not gone:  # type: ignore[attr-defined]
            gone.append(stage)
            shutil.rmtree(out / command)

    with pytest.raises(StorageFault, match=r"vanished|gone"):
        run(listed, out, told=vanish)
    assert gone
    assert not list((out / command).glob("*.tar"))
    run(listed, out)
    assert shards(out) == whole[1]


def test_the_order_in_which_jobs_end_decides_nothing(
    listed: Path, whole: tuple[Path, dict[str, str], int], tmp_path: Path
) -> None:
    run(listed, tmp_path / "out", seed=5)
    assert shards(tmp_path / "out") == whole[1]


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ("rules.min_seconds=0.1", {"people", "quality", "poses", "clips"}),
        ("curation.max_still_share=0.99", {"people"}),
        ("clip.crf=30", {"people", "clips"}),
        ("pose.confidence=0.5", {"people", "poses"}),
        ("asd.sure=0.8", {"speaking", "people", "quality", "poses"}),
    ],
)
def test_a_changed_setting_redoes_what_it_touches_and_says_so_before(
    listed: Path, whole: tuple[Path, dict[str, str], int], tmp_path: Path, setting: str, again: set[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    forecast = annotate_forecast([str(out / "raw" / "shots-*.tar")], out / "clips", driver.config([setting]))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before, "a rehearsal wrote something"
    said = {step.stage: step.to_do for step in forecast if step.to_do}
    open_ = {step.stage for step in forecast if step.open}
    done = Counter(stage for stage in run(listed, out, [setting]) if stage in STAGES)
    assert {stage: done[stage] for stage in said} == said
    assert done.keys() <= said.keys() | open_
    assert done.keys() <= again
    run(listed, tmp_path / "fresh", [setting])
    assert shards(out) == shards(tmp_path / "fresh")
