"""Bytes written, and the same bytes with one, two and eight workers; what the real engine does with poison."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reliability.drawing import big_film, listing
from tests.reliability.result import note
from tests.reliability.test_poison import check_poison
from tests.reliability_tools import Command, Whole

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ENGINE = os.environ.get("MITDS_LONG_ENGINE", "ray")


def test_written_bytes_are_those_of_the_clips_and_little_more(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    films = [big_film(tmp_path / "films" / f"film {n}.mp4", n, 6.0) for n in range(2)]
    command = Command(list_path=listing(tmp_path / "films" / "list.jsonl", films), folder=tmp_path / "out")
    command = replace(command, engine=ENGINE, settings=("rules.min_face_height=0.0",))
    command.finish()
    kept = sum(path.stat().st_size for path in command.folder.glob("clips/clips-*.tar"))
    share = command.written_bytes("/clips/") / kept
    note("written bytes", rows=[], figures={"kept clips, MB": kept / 1e6, "written / kept": round(share, 3)})
    assert share <= 1.3


@pytest.mark.parametrize("workers", [1, 8])
def test_any_number_of_workers_gives_the_same_bytes(whole: Whole, tmp_path: Path, workers: int) -> None:
    other = whole.again(
        tmp_path / "out", workers=workers, engine=ENGINE, env={"MITDS_TEST_NAPS": str(workers)}
    )
    other.finish()
    whole.compare(other)
    note(f"{workers} worker(s)", rows=[21], figures={"engine": ENGINE, "equal": "yes"})


def test_poison_in_the_real_engine(whole: Whole, tmp_path: Path) -> None:
    """Among it a decoder that never lets go of the interpreter, so that only a kill ends it."""
    reasons = {"segfault": "crashed", "spin": "timeout", "memory": "out_of_memory"}
    check_poison(whole, tmp_path, reasons, 30.0, ENGINE)
    note("poison", rows=[3, 4, 5], figures={"engine": ENGINE, **reasons, "neighbours harmed": 0})
