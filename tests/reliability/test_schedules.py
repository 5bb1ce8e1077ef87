"""Random schedules of failures, kills and orders: the sums hold, and the bytes are those of an unbroken run."""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mitds.pipeline.annotate_run import AnnotateRun
from mitds.pipeline.curation import CurationRules
from mitds.pipeline.jobs import Job, Outcome
from mitds.pipeline.settings import annotate_config
from mitds.pipeline.stages.faces import FacesResult
from mitds.pipeline.stages.people import PeopleResult
from mitds.pipeline.work import Work, run_on
from mitds.store import write_bytes, write_json
from tests.unit.test_annotate_run import Course, Killed, item, outputs, written

REASONS = ("crashed", "timeout", "out_of_memory", "undecodable", "internal")


class Fated(Course):
    """Ends jobs in a random order; which of them fail is fixed by a seed, when it is killed by the number of lives."""

    def __init__(self, work: Work, fates: int, order: random.Random, lives: float) -> None:
        super().__init__(work, {f"{1:016x}": {"text_area": 0.9}}, backwards=False)
        self.fates, self.order, self.lives = fates, order, lives

    def run(self, run: AnnotateRun) -> None:
        waiting = list(run.first_jobs())
        while waiting:
            job = waiting.pop(self.order.randrange(len(waiting)))
            outcome = run.recall(job) or self._work(job)
            waiting += run.follow_ups(job, outcome)

    def _work(self, job: Job) -> Outcome:
        self.lives -= 1
        if self.lives < 0:
            raise Killed
        self.jobs.append((job.stage, job.item))
        fate = random.Random(f"{self.fates} {job.stage} {job.item}")  # noqa: S311
        if fate.random() < 0.12:
            return Outcome(reason=fate.choice(REASONS), detail="a bad day")
        value = {"faces": FacesResult(1), "speaking": 1}.get(job.stage)
        outcome = Outcome(value=value or getattr(self, f"_{job.stage}", lambda job: None)(job))
        if job.done is not None:
            write_json(job.done, outcome.value)
        return outcome

    def _people(self, job: Job) -> PeopleResult:
        if job.payload.shots:
            return super()._people(job)
        for ext in ("json", "npz"):
            write_bytes(self.work.path("people", job.payload.unit, f".{ext}"), b"{}")
        return PeopleResult(clips=())


def run(out: Path, seed: int, order: random.Random, lives: float) -> list[tuple[str, str]] | None:
    """Run until killed; return the jobs that were done, and None if it was killed."""
    rules = CurationRules(**({"max_duplicate_share": 0.5} if seed % 2 else {}))
    config = replace(annotate_config("embedded", keep_all=seed % 3 == 0), curation=rules)
    with run_on(out, "annotate") as (root, hold):
        work = Work(root)
        with closing(AnnotateRun([item(n) for n in range(3)], out, work, config)) as course:
            fated = Fated(work, seed, order, lives)
            try:
                fated.run(course)
            except Killed:
                return None
            course.finish(hold)
            return fated.jobs


def check_law(out: Path) -> None:
    """Every input has one end, every kept clip is in one shard, and nothing else is."""
    ends = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    assert Counter(end["kind"] for end in ends)["source"] == Counter(end["kind"] for end in ends)["shot"] == 3
    assert max(Counter((end["kind"], end["item"]) for end in ends).values()) == 1
    assert all(bool(end["reason"]) == (end["status"] != "kept") for end in ends)
    kept = sorted(end["item"] for end in ends if (end["kind"], end["status"]) == ("clip", "kept"))
    assert sorted(clip.key for clip in written(out, "clips-*.tar")) == kept


@pytest.mark.parametrize("seed", range(31))
def test_a_random_schedule_ends_as_an_unbroken_one(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    whole = run(tmp_path / "whole", seed, random.Random(0), float("inf"))  # noqa: S311
    assert whole
    check_law(tmp_path / "whole")
    while run(tmp_path / "broken", seed, draw, draw.randrange(1, 8)) is None:
        assert not (tmp_path / "broken" / "clips.parquet").exists()
    check_law(tmp_path / "broken")
    assert outputs(tmp_path / "broken") == outputs(tmp_path / "whole")
