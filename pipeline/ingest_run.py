"""The course of an ingest run over some sources: what follows what, and what is packed when.

probe (source) ─▶ cuts (source) ─▶ shots (group of shots) ─▶ shots-NNNNNN.tar, in the order of the list
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitds.manifests.records import Probe, Source
from mitds.pipeline.dry_run import StageForecast, forecast
from mitds.pipeline.jobs import Job, Outcome, Stage
from mitds.pipeline.memory import Memory
from mitds.pipeline.shot_shards import ShotShards
from mitds.pipeline.stages.split import (
    CutsItem,
    CutsResult,
    ShotGroup,
    ShotsResult,
    SplitConfig,
    effort_s,
    group_effort_s,
    groups,
)
from mitds.pipeline.work import Work

Packed = Callable[[Source, CutsResult], None]
"""Told of every source of which all is there, in the order of the list."""

STAGES = ("probe", "cuts", "shots")
RESULTS: dict[str, type] = {"probe": Probe, "cuts": CutsResult, "shots": ShotsResult}
"""What the workers of each stage return."""

_PROBED_BYTES_PER_S = 1e6


def stages(config: SplitConfig, work: Work) -> list[Stage]:
    """Declare the stages, their workers and what each needs."""
    both = {"config": config, "work": work}
    return [
        Stage(name="probe", worker="mitds.pipeline.stages.probing:ProbeStage", deadline_per_media_s=1.0),
        Stage(
            name="cuts",
            worker="mitds.pipeline.stages.cuts:CutsStage",
            arguments=both,
            deadline_per_media_s=10.0,
        ),
        Stage(
            name="shots",
            worker="mitds.pipeline.stages.shots:ShotsStage",
            arguments=both,
            deadline_per_media_s=30.0,
        ),
    ]


class Known:
    """What earlier runs have done: jobs whose value is written down and whose files are there, or in a shard.

    Args:
        work: The work folder.
        shards: The shards of the output.
    """

    def __init__(self, work: Work, shards: ShotShards) -> None:
        self._shards, self._memory = shards, Memory(work, RESULTS)
        self.job = self._memory.job

    def recall(self, job: Job) -> Outcome | None:
        """Return a finished job's outcome."""
        outcome = self._memory.recall(job)
        return outcome if outcome is not None and self._has_files(job, outcome) else None

    def _has_files(self, job: Job, outcome: Outcome) -> bool:
        if job.stage == "cuts":
            return outcome.value.sound is None or self._shards.has(job.payload.source_id[:16], "flac")
        if job.stage == "shots":
            return all(self._shards.has(shot.key, "mp4") for shot in job.payload.shots)
        return True

    def settled(self, source: Source) -> bool:
        """Say whether nothing is left to do with a source, so that its file is not needed."""
        course = IngestCourse([(source, Path())], self, lambda source, cuts: None)
        return not any(step.to_do for step in course.rehearse())


@dataclass(slots=True)
class _Progress:
    """How far one source has come."""

    source: Source
    path: Path
    probe: Probe | None = None
    cuts: CutsResult | None = None
    waiting: set[str] = field(default_factory=set)
    end: Source | None = None


class IngestCourse:
    """Decides what follows what for some sources, and hands each on, in order, once all its jobs have ended.

    Args:
        sources: The kept ones with their files, in the order of the list.
        known: What earlier runs have done.
        packed: Told of every source of which all is there, in order.
    """

    def __init__(self, sources: Sequence[tuple[Source, Path]], known: Known, packed: Packed) -> None:
        self._all = {str(source.row): _Progress(source, path) for source, path in sources}
        self._known, self._packed = known, packed
        self._order = deque(self._all)
        self.recall = known.recall

    def rehearse(self) -> list[StageForecast]:
        """Go through the course as far as earlier runs have gone."""
        return forecast(STAGES, self.first_jobs(), self.follow_ups, self.recall)

    @property
    def ends(self) -> dict[int, Source]:
        """The sources that have ended, as they ended, by row."""
        return {p.source.row: p.end for p in self._all.values() if p.end is not None}

    def first_jobs(self) -> Iterable[Job]:
        """Yield the jobs that wait for nothing."""
        for item, progress in self._all.items():
            media_s = (progress.source.bytes or 0) / _PROBED_BYTES_PER_S
            yield self._job("probe", item, progress.path, _key(progress.source), media_s)

    def follow_ups(self, job: Job, outcome: Outcome) -> Iterable[Job]:
        """Return the jobs that can start now that one has ended."""
        progress = self._all[job.item.partition(" ")[0]]
        if not outcome.ok:
            self._failed(progress, outcome)
            return ()
        if job.stage == "probe":
            return self._after_probe(progress, outcome.value)
        if job.stage == "cuts":
            return self._after_cuts(progress, outcome.value)
        progress.waiting.discard(job.item)
        self._close_if_done(progress)
        return ()

    def _job(self, stage: str, item: str, payload: object, key: str, media_s: float) -> Job:
        return self._known.job(stage, item, payload, key=key, media_s=media_s)

    def _after_probe(self, progress: _Progress, found: Probe) -> list[Job]:
        progress.probe = found
        item = CutsItem(progress.source.id or "", progress.path, found.audio_tracks)
        media_s = effort_s(found, float(found.duration))
        return [self._job("cuts", str(progress.source.row), item, _key(progress.source), media_s)]

    def _after_cuts(self, progress: _Progress, found: CutsResult) -> list[Job]:
        progress.cuts = found
        jobs = [self._group_job(progress, n, g) for n, g in enumerate(groups(found, progress.path))]
        progress.waiting = {job.item for job in jobs}
        return jobs

    def _group_job(self, progress: _Progress, number: int, group: ShotGroup) -> Job:
        if progress.probe is None:
            raise RuntimeError("a source was cut before it was probed")
        item, key = f"{progress.source.row} part {number + 1}", f"{_key(progress.source)}-g{number:04d}"
        return self._job("shots", item, group, key, group_effort_s(progress.probe, group.shots))

    def _failed(self, progress: _Progress, outcome: Outcome) -> None:
        """End a source with the first failure of its jobs; what the others give is of no use without it."""
        if progress.end is None:
            progress.end = replace(
                progress.source, status="failed", reason=outcome.reason, detail=outcome.detail
            )
        self._go_on()

    def _close_if_done(self, progress: _Progress) -> None:
        if progress.end is None and progress.cuts is not None and not progress.waiting:
            notes = (*progress.source.notes, *progress.cuts.notes)
            progress.end = replace(progress.source, probe=progress.probe, notes=notes)
            self._go_on()

    def _go_on(self) -> None:
        """Hand on the sources whose turn it is."""
        while self._order and (end := self._all[self._order[0]].end) is not None:
            progress = self._all[self._order.popleft()]
            if end.status == "kept" and progress.cuts is not None:
                self._packed(end, progress.cuts)


def _key(source: Source) -> str:
    return (source.id or "")[:16]
