"""What the runner is asked to do and what it answers: stages, jobs, how they end, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mitds.pipeline.watching.plan import RunPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the work and what a worker of it needs.

    Attributes:
        name: Short name, shown in the progress display and the ledger.
        worker: "module:Class"; built once in each actor as Class(**arguments) and called as worker(payload).
        arguments: Picklable arguments of the constructor (configuration, folders).
        num_cpus: CPU share of one actor.
        num_gpus: GPU share of one actor.
        deadline_s: Seconds allowed to any job.
        deadline_per_media_s: Further seconds allowed per second of video or audio in the job.
    """

    name: str
    worker: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    deadline_s: float = 300.0
    deadline_per_media_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One item for one stage; `payload` is small and picklable: paths and records, never frames.

    Attributes:
        stage: The stage's name.
        item: What the ledger and the progress display call the item.
        payload: What the worker is called with.
        media_s: Seconds of video or audio in it.
        done: Where the worker writes down the value once the job is done, for later runs; None for nowhere.
    """

    stage: str
    item: str
    payload: Any
    media_s: float = 0.0
    done: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: a value, or a code with the sentence a person reads.

    Attributes:
        value: What the worker returned.
        reason: Code of a failure; empty where there is none.
        detail: The sentence.
        seconds: What the work took; 0 where it was not done now. Building the worker is not counted.
        cpu_s: CPU time of it, all threads.
    """

    value: Any = None
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def ok(self) -> bool:
        """True where the job gave a value."""
        return not self.reason


class Progress(Protocol):
    """What the runner tells while it works."""

    def begun(self, plan: RunPlan) -> None:
        """Learn what is known of the run; told by whoever uses the runner, before anything else."""

    def dashboard(self, url: str) -> None:
        """Learn where Ray's dashboard is; empty where there is none."""

    def added(self, stage: str, media_s: float = 0.0) -> None:
        """Count a job that waits."""

    def started(self, stage: str, item: str) -> None:
        """Count a job that is handed to a worker."""

    def retried(self, stage: str, item: str, reason: str) -> None:
        """Count a job that was lost with its worker and waits again."""

    def ended(
        self, stage: str, item: str, ok: bool, *, media_s: float = 0.0, reason: str = "", node: str = ""
    ) -> None:
        """Count a job that ended; one that was never started was known from an earlier run."""


FollowUps = Callable[[Job, Outcome], Iterable[Job]]
Recall = Callable[[Job], Outcome | None]
"""Asked of every job before anybody works on it: its outcome where an earlier run has it, else None."""


def nothing_known(job: Job) -> Outcome | None:
    """Recall nothing."""
    return None


class Silent:
    """A progress display that shows nothing."""

    def begun(self, plan: RunPlan) -> None:
        """Ignore."""

    def dashboard(self, url: str) -> None:
        """Ignore."""

    def added(self, stage: str, media_s: float = 0.0) -> None:
        """Ignore."""

    def started(self, stage: str, item: str) -> None:
        """Ignore."""

    def retried(self, stage: str, item: str, reason: str) -> None:
        """Ignore."""

    def ended(
        self, stage: str, item: str, ok: bool, *, media_s: float = 0.0, reason: str = "", node: str = ""
    ) -> None:
        """Ignore."""
