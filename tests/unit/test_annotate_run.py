"""The course of an annotate run, with answers in place of workers: rules, ends, and near duplicates, in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.annotators.quality.fingerprints import Fingerprint
from mitds.manifests.codec import from_json, to_json
from mitds.manifests.records import Clip
from mitds.manifests.shards import Entry, read_shard
from mitds.pipeline.annotate_run import AnnotateResult, AnnotateRun
from mitds.pipeline.curation import CurationRules
from mitds.pipeline.near_duplicates import NearDuplicates, read_fingerprint, write_fingerprint
from mitds.pipeline.runner import Job, Outcome
from mitds.pipeline.settings import AnnotateConfig, annotate_config
from mitds.pipeline.stages.items import ClipItem, ShotItem, SourceItem
from mitds.pipeline.stages.people import PeopleResult
from mitds.pipeline.work import Member, Work
from mitds.store import write_bytes
from tests import factories

SOURCES = ("a" * 64, "b" * 64, "c" * 64)
Scores = Mapping[str, Mapping[str, float]]
NOTHING: Scores = {}


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
    return SourceItem(source, None, None, (ShotItem(shot, member),))


def clip_item(number: int, source: SourceItem) -> ClipItem:
    clip = factories.clip(number, source_id=SOURCES[number], start=Fraction(0), end=Fraction(2))
    return ClipItem(clip, source.shots[0], 0, None)


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
        return PeopleResult((clip_item(number, job.payload),), {"json": b"{}"})

    def _quality(self, job: Job) -> Mapping[str, float]:
        write_fingerprint(self.work, job.item, PRINTS[int(job.item, 16)])
        return self.scores.get(job.item, {})

    def _poses(self, job: Job) -> Mapping[str, float]:
        return {"hand_on_face": 0.25}

    def _clips(self, job: Job) -> dict[str, Path]:
        path = self.work.path("clips", job.item, ".json")
        write_bytes(path, to_json(job.payload.clip).encode())
        return {"json": path}


def annotated(
    out: Path, *, scores: Scores = NOTHING, backwards: bool = False, keep_all: bool = False, **rules: float
) -> tuple[AnnotateResult, Course]:
    config: AnnotateConfig = replace(
        annotate_config("embedded", keep_all=keep_all), curation=CurationRules(**rules)
    )
    with Work.over(out) as work:
        run = AnnotateRun([item(n) for n in range(3)], out, work, config)
        course = Course(work, scores, backwards)
        course.run(run)
        return run.finish(), course


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
    clips = [factories.clip(n, source_id=SOURCES[min(n, 1)]) for n in range(3)]
    for clip, made in zip(clips, (fingerprint(5), fingerprint(6), fingerprint(6, wrong=0.03)), strict=True):
        write_fingerprint(work, clip.key, made)
    assert (read_fingerprint(work, clips[0].key).sound_F == fingerprint(5).sound_F).all()
    known = NearDuplicates(work, clips)
    known.keep(1)
    assert known.compare(2)[0]["duplicate_share"] == 0
    other = NearDuplicates(work, [clips[1], replace(clips[2], source_id=SOURCES[2])])
    assert other.compare(1)[1] is None
    other.keep(0)
    assert other.compare(1)[1] == clips[1].key


def test_a_still_and_silent_clip_has_no_share(tmp_path: Path):
    work = Work(tmp_path)
    clip = factories.clip(0)
    write_fingerprint(work, clip.key, Fingerprint(np.zeros(9, np.uint64)))
    assert NearDuplicates(work, [clip]).compare(0) == ({}, None)
