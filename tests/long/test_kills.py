"""Fifty kills over all stages, a power cut at every change while shards are published, full disks."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.reliability.inprocess import full_from, run
from tests.reliability.laws import shards
from tests.reliability.result import note
from tests.reliability_tools import VICTIMS, Whole, cut_everywhere, cut_power, strike

pytestmark = pytest.mark.long

ENGINE = os.environ.get("MITDS_LONG_ENGINE", "ray")
KILLS = int(os.environ.get("MITDS_LONG_KILLS", "50"))


@pytest.mark.timeout(7200)
def test_fifty_kills(whole: Whole, tmp_path: Path) -> None:
    """Each hits a run of its own, at a moment drawn from its own fiftieth of all changes; the same command ends it."""
    draw = random.Random(6)  # noqa: S311
    hit = dict.fromkeys(VICTIMS, 0)
    for number in range(KILLS):
        victim, moment = VICTIMS[number % 4], (number + draw.random()) / KILLS
        broken = whole.again(tmp_path / str(number), engine=ENGINE)
        code = strike(broken, 1 + int(moment * whole.changes), victim)
        hit[victim] += 1
        if code != 0:
            broken.finish()
        whole.compare(broken, twice=4)
        shutil.rmtree(broken.folder)
    note(
        "kills",
        rows=[1, 2],
        figures={"kills": KILLS, "engine": ENGINE, "equal": sum(hit.values()), "lost": 0, "twice": 0, **hit},
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("on", "most"), [("replace /raw/shots-000000.tar", 13), ("replace /clips/sources-000000.tar", 40)]
)
def test_a_power_cut_at_every_change_while_shards_are_published(
    whole: Whole, tmp_path: Path, on: str, most: int
) -> None:
    """Of ingest up to its last file, after which annotate begins; of annotate to the end."""
    broken = whole.again(tmp_path / "broken")
    cut_power(broken, on)
    moments = cut_everywhere(whole, broken, tmp_path / "cut", range(1, most))
    assert moments > 10
    note(
        f"power cuts from {on.partition(' ')[2]} on", rows=[2], figures={"moments": moments, "equal": moments}
    )


@pytest.mark.timeout(1800)
def test_the_disk_is_full_at_every_fifth_change(whole: Whole, tmp_path: Path) -> None:
    listed, stops = whole.command.list_path, 0
    for change in range(1, whole.changes + 100, 5):
        out, said = tmp_path / str(change), ""
        with full_from(change):
            try:
                run(listed, out)
            except Exception as error:  # noqa: BLE001  whatever else comes is the failure
                said = f"{type(error).__name__}: {error}"
        if not said:
            break
        assert said.startswith("StorageFault"), said
        assert "the disk is full" in said
        stops += 1
        run(listed, out)
        assert shards(out) == whole.files
        shutil.rmtree(out)
    assert stops > 20
    note("full disk, at every fifth change", rows=[16], figures={"stops": stops, "equal": stops})


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a small file system; tests that need it skip where that is not allowed."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here: a small file system cannot be had")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def test_a_small_disk_and_one_that_turns_read_only(whole: Whole, tmp_path: Path) -> None:
    """The kernel's own refusals, in the middle of encoders and of shards."""
    size = sum(path.stat().st_size for path in whole.command.folder.rglob("*") if path.is_file())
    for number, share in enumerate((0.3, 0.6, 0.9)):
        disk = tmp_path / f"small{number}"
        with mounted(disk, f"size={max(1, int(size * share) // 4096) * 4096}"):
            small = whole.again(disk)
            code, said = small.run()
            assert (code, "the disk is full" in said) == (3, True), said
            remount(disk, "ro,size=1g")
            code, said = small.run()
            assert (code, "read-only" in said) == (3, True), said
            remount(disk, "rw")
            small.finish()
            whole.compare(small, twice=4)
    note("small and read-only file systems", rows=[16], figures={"full": 3, "read-only": 3, "equal": 3})
