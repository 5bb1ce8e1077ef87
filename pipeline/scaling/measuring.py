"""What each stage costs by itself and beside another worker, measured on one's own shards."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mitds.errors import UsageError
from mitds.pipeline.annotate import STAGES, people_config, ready_weights, stages
from mitds.pipeline.annotate_run import AnnotateRun
from mitds.pipeline.fingerprints import annotate_fingerprints
from mitds.pipeline.jobs import Job, Outcome, Progress
from mitds.pipeline.runner import Runner
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import AnnotateConfig
from mitds.pipeline.shot_shards import read_sources
from mitds.pipeline.work import Work, run_on


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What one stage took with a number of workers.

    Attributes:
        stage: Its name.
        workers: How many worked at once, on whatever stages had work.
        jobs: Jobs done.
        media_s: Seconds of media in them.
        cpu_s: CPU time of them.
        seconds: Their length, added up; beside `cpu_s` it tells how busy the machine was with other things.
    """

    stage: str
    workers: int
    jobs: int
    media_s: float
    cpu_s: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a measurement found.

    Attributes:
        profile: The profile of backends.
        media_s: Seconds of media annotated, once for each number of workers.
        clip_bytes: Bytes of the shards of all clips, also of those that break a rule.
        label_bytes: Bytes of all else that stands at the end, the work folder included.
        costs: By stage and number of workers.
    """

    profile: str
    media_s: float
    clip_bytes: int
    label_bytes: int
    costs: tuple[StageCost, ...]

    def efficiency(self, stage: str, workers: int) -> float | None:
        """Return CPU time of one worker alone over that beside others; 1 where they do not slow each other down."""
        by = {(cost.stage, cost.workers): cost for cost in self.costs}
        alone, beside = by.get((stage, 1)), by.get((stage, workers))
        return alone.cpu_s / beside.cpu_s if alone and beside and beside.cpu_s else None


def measure(
    shards: Sequence[str],
    config: AnnotateConfig,
    workers: Sequence[int] = (1, 2),
    progress: Progress | None = None,
) -> Measured:
    """Annotate the same shards with each number of workers, from nothing, and add up what each stage took."""
    sources = read_sources(shards)
    if not sources:
        raise UsageError("the shards hold no source", remedy="Run mitds ingest first.")
    media_s = sum(shot.seconds for source in sources for shot in source.shots)
    costs: list[StageCost] = []
    sizes = (0, 0)
    for count in workers:
        with tempfile.TemporaryDirectory(prefix="mitds-") as folder:
            costs += _costs(shards, Path(folder), config, count, progress)
            sizes = _sizes(Path(folder))
    return Measured(
        profile=config.profile,
        media_s=media_s,
        clip_bytes=sizes[0],
        label_bytes=sizes[1],
        costs=tuple(costs),
    )


def _costs(
    shards: Sequence[str], out: Path, config: AnnotateConfig, count: int, progress: Progress | None
) -> list[StageCost]:
    weights = ready_weights(config)
    people = people_config(config, weights)
    taken: dict[str, list[tuple[float, Outcome]]] = defaultdict(list)
    with run_on(out, "annotate") as (root, hold):
        work = Work(root, annotate_fingerprints(config, weights, people))
        with closing(AnnotateRun(read_sources(shards), out, work, config)) as run:

            def follow_ups(job: Job, outcome: Outcome) -> Iterable[Job]:
                taken[job.stage].append((job.media_s, outcome))
                return run.follow_ups(job, outcome)

            with ray_session(workers=count):
                Runner(stages(config, work, people), progress, run.recall).run(run.first_jobs(), follow_ups)
            run.finish(hold)
    return [
        StageCost(
            stage=stage,
            workers=count,
            jobs=len(taken[stage]),
            media_s=sum(media_s for media_s, _ in taken[stage]),
            cpu_s=sum(outcome.cpu_s for _, outcome in taken[stage]),
            seconds=sum(outcome.seconds for _, outcome in taken[stage]),
        )
        for stage in STAGES
        if taken[stage]
    ]


def _sizes(out: Path) -> tuple[int, int]:
    """Return the bytes of the clips, and of everything else."""
    files = [path for path in out.rglob("*") if path.is_file()]
    of_clips = ("clips-*.tar", "rejected-*.tar")
    clips = sum(path.stat().st_size for path in files if any(path.match(name) for name in of_clips))
    return clips, sum(path.stat().st_size for path in files) - clips
