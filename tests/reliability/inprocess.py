"""Ingest and annotate in this process, with the backends of the driver: for faults that need no process to die."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from mitds.pipeline.jobs import FollowUps, Job, Recall, Stage, nothing_known
from mitds.pipeline.pool import Host
from tests.reliability import driver

Told = Callable[[Job], None]


class Steps:
    """Stands in for `Runner`: recalls what is done, and works in an order drawn from a seed."""

    seed = 0
    told: Told = staticmethod(lambda job: None)

    def __init__(
        self, stages: Sequence[Stage], progress: object, recall: Recall = nothing_known, begin: object = None
    ) -> None:
        self._stages, self._recall = {stage.name: stage for stage in stages}, recall
        self._hosts: dict[str, Host] = {}

    def run(self, jobs: Iterable[Job], follow_ups: FollowUps) -> None:
        """Run all jobs."""
        waiting, draw = list(jobs), random.Random(Steps.seed)  # noqa: S311
        while waiting:
            job = waiting.pop(draw.randrange(len(waiting)))
            outcome = self._recall(job)
            if outcome is None:
                Steps.told(job)
                stage = self._stages[job.stage]
                host = self._hosts.setdefault(job.stage, Host(stage.worker, stage.arguments))
                outcome = host.run(job.payload, job.done)
            waiting += follow_ups(job, outcome)


def run(
    list_path: Path, folder: Path, settings: Sequence[str] = (), *, seed: int = 0, told: Told | None = None
) -> list[str]:
    """Do both commands and return the jobs that somebody had to work on; `told` hears of each before."""
    worked: list[str] = []

    def note(job: Job) -> None:
        worked.append(job.stage)
        if told:
            told(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Steps, "seed", seed)
        patch.setattr(Steps, "told", staticmethod(note))
        for module in ("ingest", "annotate"):
            patch.setattr(f"mitds.pipeline.{module}.Runner", Steps)
            patch.setattr(f"mitds.pipeline.{module}.ray_session", lambda **_: nullcontext())
        driver.run(list_path, folder, 1, settings)
    return worked


@contextmanager
def full_from(change: int) -> Iterator[list[int]]:
    """Within it the disk is full from the n-th change of the file system on; yields where the changes are counted."""
    count = [0]
    fsync, replace = os.fsync, os.replace

    def counted(make: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] >= change:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return make(*arguments, **options)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", counted(fsync))
        patch.setattr(os, "replace", counted(replace))
        yield count
