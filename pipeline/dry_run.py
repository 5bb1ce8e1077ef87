"""What a run would do: the same course of jobs, of which only those already done have an outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mitds.pipeline.jobs import FollowUps, Job, Recall


@dataclass(frozen=True, slots=True)
class StageForecast:
    """How much of a stage's work is done.

    Attributes:
        stage: Its name.
        done: Jobs that earlier runs have done.
        to_do: Jobs that wait for nothing but their turn.
        open: True where jobs of earlier stages that are still to be done decide how many more there will be.
    """

    stage: str
    done: int
    to_do: int
    open: bool


def forecast(
    stages: Sequence[str], jobs: Iterable[Job], follow_ups: FollowUps, recall: Recall
) -> list[StageForecast]:
    """Follow the course of a run as far as earlier runs have gone; nobody works, nothing is written."""
    done, to_do = dict.fromkeys(stages, 0), dict.fromkeys(stages, 0)
    waiting = deque(jobs)
    first = {job.stage for job in waiting}
    while waiting:
        job = waiting.popleft()
        outcome = recall(job)
        if outcome is None:
            to_do[job.stage] += 1
        else:
            done[job.stage] += 1
            waiting.extend(follow_ups(job, outcome))
    return [
        StageForecast(
            stage, done[stage], to_do[stage], stage not in first and any(to_do[s] for s in stages[:number])
        )
        for number, stage in enumerate(stages)
    ]
