"""The course of an annotate run, with answers in place of workers: rules, ends, and near duplicates, in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.annotators.quality.fingerprints import Fingerprint
from mitds.manifests.codec import from_json, pack_arrays
from mitds.manifests.records import Clip
from mitds.manifests.shards import Entry, read_shard
from mitds.pipeline.annotate import STAGES
from mitds.pipeline.annotate_run import AnnotateResult, AnnotateRun
from mitds.pipeline.curation import CurationRules
from mitds.pipeline.dry_run import forecast
from mitds.pipeline.jobs import Job, Outcome
from mitds.pipeline.near_duplicates import NearDuplicates, read_fingerprint, write_fingerprint
from mitds.pipeline.settings import AnnotateConfig, annotate_config
from mitds.pipeline.stages.faces import FacesResult
from mitds.pipeline.stages.items import ShotItem, SourceItem
from mitds.pipeline.stages.people import PeopleResult, PlannedClip
from mitds.pipeline.work import Member, Work, run_on
from mitds.store import write_bytes, write_json
from tests import factories

SOURCES = ("a" * 64, "b" * 64, "c" * 64)
Scores = Mapping[str, Mapping[str, float]]
NOTHING: Scores = {}
FACE_ARRAYS = ("face_xyxy_NT4", "face_score_NT", "speaking_NT", "visible_NT")


def fingerprint(seed: int, moved: int = 0, wrong: float = 0.0) -> Fingerprint:
    """Twelve seconds of words; `wrong` of their bits turned."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(1, 2**63, 60 + 50, dtype=np.uint64)[moved : moved + 60]
    sound = rng.integers(1, 2**32, 960 + 800, dtype=np.uint32)[moved * 16 : moved * 16 + 960]
    noise = np.random.default_rng(1000 + seed)
    for bit in range(32):
        picture = picture ^ ((noise.random(60) < wrong).astype(np.uint64) << np.uint64(bit))
        sound = sound ^ ((noise.random(960) < wrong).astype(np.uint32) << np.uint32(bit))
    return Fingerprint(picture, sound)


PRINTS = {0: fingerprint(1), 1: fingerprint(2), 2: fingerprint(1, wrong=0.05)}
"""The third source shows what the first does."""


def item(number: int) -> SourceItem:
    member = Member(Path("shots.tar"), Entry(key="k", ext="mp4", offset=0, size=0))
    source = replace(factories.source(), id=SOURCES[number], row=number + 1)
    shot = replace(factories.shot(), key=f"{SOURCES[number][:16]}-s0000", source_id=SOURCES[number])
    return SourceItem(source, None, (ShotItem(shot, member),))


def unit_of(number: int) -> str:
    return f"{SOURCES[number][:16]}-unit"


def planned(number: int, source: SourceItem) -> PlannedClip:
    clip = factories.clip(number, source_id=SOURCES[number], start=Fraction(0), end=Fraction(2))
    return PlannedClip(
        clip=clip, shot=source.shots[0].shot.key, first=0, unit=unit_of(number), looks=unit_of(number)
    )


class Course:
    """Answers jobs at once, first or last come first served, and notes them."""

    def __init__(self, work: Work, scores: Scores, backwards: bool) -> None:
        self.work, self.scores, self.backwards = work, scores, backwards
        self.jobs: list[tuple[str, str]] = []

    def run(self, run: AnnotateRun) -> None:
        waiting = deque(run.first_jobs())
        while waiting:
            job = waiting.pop() if self.backwards else waiting.popleft()
            self.jobs.append((job.stage, job.item))
            answer: Callable[[Job], Any] = getattr(self, f"_{job.stage}", lambda job: None)
            waiting.extend(run.follow_ups(job, Outcome(value=answer(job))))

    def _people(self, job: Job) -> PeopleResult:
        number = SOURCES.index(job.payload.source.id)
        arrays = factories.clip_arrays(planned(number, job.payload).clip)
        faces = {name: getattr(arrays, name) for name in FACE_ARRAYS}
        write_bytes(self.work.path("people", unit_of(number), ".npz"), pack_arrays(faces))
        for ext in ("json", "npz"):
            write_bytes(self.work.path("people", job.payload.unit, f".{ext}"), b"{}")
        return PeopleResult(clips=(planned(number, job.payload),))

    def _quality(self, job: Job) -> Mapping[str, float]:
        write_fingerprint(self.work, job.payload.unit, PRINTS[int(job.item, 16)])
        return self.scores.get(job.item, {})

    def _poses(self, job: Job) -> Mapping[str, float]:
        poses = {"pose_NTK3": factories.clip_arrays(job.payload.clip).pose_NTK3}
        write_bytes(self.work.path("poses", job.payload.looks, ".npz"), pack_arrays(poses))
        return {"hand_on_face": 0.25}

    def _clips(self, job: Job) -> dict[str, bytes]:
        return {"mp4": f"pictures of {job.item}".encode()}


def annotated(
    out: Path, *, scores: Scores = NOTHING, backwards: bool = False, keep_all: bool = False, **rules: float
) -> tuple[AnnotateResult, Course]:
    config: AnnotateConfig = replace(
        annotate_config("embedded", keep_all=keep_all), curation=CurationRules(**rules)
    )
    with run_on(out, "annotate") as (root, hold):
        work = Work(root)
        run = AnnotateRun([item(n) for n in range(3)], out, work, config)
        course = Course(work, scores, backwards)
        course.run(run)
        return run.finish(hold), course


def ends(result: AnnotateResult) -> dict[tuple[str, str, str], int]:
    return {(r.stage, r.status, r.reason): r.count for r in result.funnel if r.kind == "clip"}


def written(out: Path, pattern: str) -> list[Clip]:
    paths = sorted(out.glob(pattern))
    return [from_json(Clip, sample.members["json"]) for path in paths for sample in read_shard(path)]


def test_scores_are_written_and_nothing_is_filtered_without_rules(tmp_path: Path):
    result, _ = annotated(tmp_path, scores={f"{0:016x}": {"text_area": 0.9}})
    assert ends(result) == {("clips", "kept", ""): 3}
    first, second, third = written(tmp_path, "clips-*.tar")
    assert (first.scores["text_area"], first.scores["hand_on_face"]) == (0.9, 0.25)
    assert (first.scores["duplicate_share"], first.duplicate_of) == (0, None)
    assert (second.scores["duplicate_share"], second.duplicate_of) == (0, None)
    assert third.scores["duplicate_share"] > 0.9
    assert third.duplicate_of == first.key


def test_a_rule_ends_a_clip_where_it_is_broken_and_no_later_stage_sees_it(tmp_path: Path):
    result, course = annotated(tmp_path, scores={f"{1:016x}": {"text_area": 0.9}}, max_text_area=0.5)
    assert ends(result) == {("clips", "kept", ""): 2, ("quality", "filtered", "much_text"): 1}
    assert ("poses", f"{1:016x}") not in course.jobs
    assert [shard is None for _, shard in result.clips] == [False, True, False]
    everything, course = annotated(tmp_path / "poses", max_hand_on_face=0.2)
    assert ends(everything) == {("poses", "filtered", "hand_on_face"): 3}
    assert not [job for job in course.jobs if job[0] == "clips"]


def test_keep_all_writes_what_breaks_a_rule_with_all_its_reasons(tmp_path: Path):
    scores = {f"{1:016x}": {"text_area": 0.9}}
    result, _ = annotated(tmp_path, scores=scores, keep_all=True, max_text_area=0.5, max_hand_on_face=0.2)
    rejected = written(tmp_path, "rejected-*.tar")
    assert [c.reasons for c in rejected] == [
        ("hand_on_face",),
        ("much_text", "hand_on_face"),
        ("hand_on_face",),
    ]
    assert ends(result) == {("poses", "filtered", "hand_on_face"): 2, ("quality", "filtered", "much_text"): 1}


@pytest.mark.parametrize("keep_all", [False, True])
def test_of_two_that_show_the_same_the_first_source_stays_in_whatever_order_they_are_made(
    tmp_path: Path, keep_all: bool
):
    tables = []
    for backwards in (False, True):
        out = tmp_path / str(backwards)
        result, _ = annotated(out, backwards=backwards, keep_all=keep_all, max_duplicate_share=0.5)
        assert ends(result) == {("clips", "kept", ""): 2, ("duplicates", "filtered", "near_duplicate"): 1}
        assert [c.key for c in written(out, "clips-*.tar")] == [f"{0:016x}", f"{1:016x}"]
        assert [c.duplicate_of for c in written(out, "rejected-*.tar")] == [f"{0:016x}"] * keep_all
        files = sorted(path for path in out.iterdir() if path.suffix in (".tar", ".parquet"))
        tables.append([(path.name, path.read_bytes()) for path in files])
    assert tables[0] == tables[1]


def test_a_clip_is_not_compared_with_its_own_source_nor_with_one_that_was_dropped(tmp_path: Path):
    work = Work(tmp_path)
    write_fingerprint(work, unit_of(0), fingerprint(5))
    assert (read_fingerprint(work, unit_of(0)).sound_F == fingerprint(5).sound_F).all()
    known = NearDuplicates()
    assert known.compare(SOURCES[1], fingerprint(6))[1] is None
    known.keep("first", SOURCES[1], fingerprint(6))
    assert known.compare(SOURCES[1], fingerprint(6, wrong=0.03))[0]["duplicate_share"] == 0
    assert known.compare(SOURCES[2], fingerprint(6, wrong=0.03))[1] == "first"


def test_a_still_and_silent_clip_has_no_share():
    assert NearDuplicates().compare(SOURCES[0], Fingerprint(np.zeros(9, np.uint64))) == ({}, None)


class Recalling(Course):
    """Asks the run what is done already, as the runner does, and stops after some jobs, as a kill would."""

    def __init__(self, work: Work, scores: Scores, stop_after: int) -> None:
        super().__init__(work, scores, backwards=False)
        self.left = stop_after

    def run(self, run: AnnotateRun) -> None:
        waiting = deque(run.first_jobs())
        while waiting:
            job = waiting.popleft()
            outcome = run.recall(job)
            if outcome is None:
                if self.left == 0:
                    raise Killed
                self.left -= 1
                self.jobs.append((job.stage, job.item))
                answer: Callable[[Job], Any] = getattr(self, f"_{job.stage}", _NOTHING.get(job.stage))
                outcome = Outcome(value=answer(job))
                if job.done is not None:
                    write_json(job.done, outcome.value)
            waiting.extend(run.follow_ups(job, outcome))


class Killed(Exception):
    """Stands for a kill."""


_NOTHING: dict[str, Callable[[Job], Any]] = {
    "faces": lambda job: FacesResult(1),
    "speaking": lambda job: 1,
}


def resumed(out: Path, stop_after: int, **rules: float) -> list[tuple[str, str]]:
    """Run until so many jobs are done, whatever earlier runs did; returns the jobs."""
    config = replace(annotate_config("embedded"), curation=CurationRules(**rules))
    with run_on(out, "annotate") as (root, hold):
        work = Work(root)
        with closing(AnnotateRun([item(n) for n in range(3)], out, work, config)) as run:
            course = Recalling(work, NOTHING, stop_after)
            try:
                course.run(run)
            except Killed:
                return course.jobs
            run.finish(hold)
    return course.jobs


def outputs(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


def test_a_run_killed_after_every_job_in_turn_ends_as_an_unbroken_one_and_does_nothing_twice(tmp_path: Path):
    whole = resumed(tmp_path / "whole", 1000)
    done: list[tuple[str, str]] = []
    for _ in range(len(whole) + 1):
        done += resumed(tmp_path / "broken", 1)
    assert sorted(done) == sorted(whole)
    assert outputs(tmp_path / "broken") == outputs(tmp_path / "whole")


def test_a_finished_run_again_does_nothing(tmp_path: Path):
    resumed(tmp_path, 1000)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}
    assert resumed(tmp_path, 1000) == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")} == before


def test_a_rule_that_drops_a_clip_measures_and_encodes_nothing_again(tmp_path: Path):
    resumed(tmp_path, 1000)
    assert resumed(tmp_path, 1000, max_duplicate_share=0.5) == []
    assert [c.key for c in written(tmp_path, "clips-*.tar")] == [f"{0:016x}", f"{1:016x}"]


def test_a_rehearsal_counts_what_is_done_and_writes_nothing(tmp_path: Path):
    resumed(tmp_path, 7)
    config = replace(annotate_config("embedded"), curation=CurationRules())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    work = Work(tmp_path / ".work")
    with closing(AnnotateRun([item(n) for n in range(3)], tmp_path, work, config, rehearsal=True)) as run:
        rows = {row.stage: row for row in forecast(STAGES, run.first_jobs(), run.follow_ups, run.recall)}
    assert sum(row.done for row in rows.values()) == 7
    assert (rows["faces"].done, rows["faces"].to_do, rows["faces"].open) == (3, 0, False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
