"""Two thousand short clips: memory, open files and the number of processes stay as they are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reliability.drawing import scenes
from tests.reliability.laws import check_law
from tests.reliability.processes import descriptors, rss_bytes, tree
from tests.reliability.result import note
from tests.reliability_tools import Command, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

ENGINE = os.environ.get("MITDS_LONG_ENGINE", "ray")
CLIPS, SCENES, FRAMES = 2000, 50, 10
SETTINGS = ("rules.min_seconds=0.1", "rules.min_speaking_s=0.0", 'quality.measures=["stills","duplicates"]')


@dataclass(frozen=True, slots=True)
class Sample:
    """What a run holds at a moment: bytes, open files, processes; of workers the largest."""

    driver: int
    worker: int
    files: int
    processes: int


def look(driver: int) -> Sample:
    everybody = tree(driver)
    others = [rss_bytes(pid) for pid in everybody[1:]]
    return Sample(rss_bytes(driver), max(others, default=0), descriptors(driver), len(everybody))


def test_two_thousand_clips_leave_no_trace_in_memory(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    films = [scenes(tmp_path / "films" / f"{n}.mp4", n, SCENES, FRAMES) for n in range(CLIPS // SCENES)]
    listed = tmp_path / "films" / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in films))
    command = Command(list_path=listed, folder=tmp_path / "out", engine=ENGINE, settings=SETTINGS)
    process, samples = command.start(), list[Sample]()
    while process.poll() is None:
        if (command.folder / "clips" / ".work").exists():
            samples.append(look(process.pid))
        until(lambda: process.poll() is not None, 0.5)
    assert process.returncode == 0, process.communicate()[1]
    check_law(command.folder, len(films))
    funnel = json.loads((command.folder / "clips" / "run.json").read_text())["funnel"]
    assert [row["count"] for row in funnel if (row["kind"], row["status"]) == ("clip", "kept")] == [CLIPS]
    middle = len(samples) // 2

    def most(what: str, part: slice) -> int:
        return max(getattr(sample, what) for sample in samples[part])

    def growth(what: str) -> float:
        """Return by how much the most that is held after the middle exceeds the most before it, %."""
        return round(100 * (most(what, slice(middle, None)) / most(what, slice(middle)) - 1), 1)

    figures = {f"{what} growth, %": growth(what) for what in ("driver", "worker", "files", "processes")}
    held = {f"{what}, most MB": round(most(what, slice(None)) / 1e6) for what in ("driver", "worker")}
    note(
        "soak",
        rows=[27],
        figures={"clips": CLIPS, "engine": ENGINE, "samples": len(samples), **figures, **held},
    )
    assert max(figures.values()) <= 5.0, (figures, held)
