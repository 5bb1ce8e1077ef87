"""The count of a run: what each stage has done, is doing and has before it, and how fast it goes."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.time_left import Load, time_left_s

WINDOW_S = 300.0
"""Rates are those of the last five minutes."""

FAILURES = 10
"""Failures that are named one by one: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage at one moment.

    Attributes:
        stage: Its name.
        done: Jobs that this run has done.
        running: Jobs that workers are at.
        waiting: Jobs that wait for a worker.
        failed: Jobs that gave nothing.
        recalled: Jobs that earlier runs have done.
        retries: Jobs handed out again, because their worker or node was lost or they overran their deadline.
        reasons: Failures by reason.
        media_s: Media seconds of all jobs that have ended.
        job_s: Seconds that workers have spent.
        jobs_per_min: Jobs that ended lately, a minute; None before the first.
        media_per_min: Media seconds of those, a minute; None before the first.
    """

    stage: str
    done: int
    running: int
    waiting: int
    failed: int
    recalled: int
    retries: int
    reasons: dict[str, int]
    media_s: float
    job_s: float
    jobs_per_min: float | None
    media_per_min: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One job that gave nothing: the ledger has the sentence."""

    stage: str
    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A whole run at one moment.

    Attributes:
        command: What the run does.
        rows: Its stages in order.
        seconds: Time since it began.
        left_s: Seconds it may still take; None while that is not known.
        failures: The last failures, the latest last.
        dashboard: Address of Ray's dashboard; empty where there is none.
    """

    command: str
    rows: tuple[StageRow, ...]
    seconds: float
    left_s: float | None
    failures: tuple[Failure, ...]
    dashboard: str

    @property
    def busy(self) -> int:
        """Number of workers that are at a job."""
        return sum(row.running for row in self.rows)


@dataclass(slots=True)
class _Stage:
    added: int = 0
    done: int = 0
    failed: int = 0
    recalled: int = 0
    retries: int = 0
    added_s: float = 0.0
    ended_s: float = 0.0
    worked_s: float = 0.0
    job_s: float = 0.0
    first: float | None = None
    running: dict[str, float] = field(default_factory=dict)
    lately: deque[tuple[float, float]] = field(default_factory=deque)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.recalled


class Tally:
    """Counts what a runner tells (it is a `mitds.pipeline.jobs.Progress`); safe to use from several threads.

    A job that ends without having been started was known from an earlier run.

    Args:
        plan: What is known of the run.
        clock: Seconds since any moment.
    """

    def __init__(self, plan: RunPlan, clock: Callable[[], float] = time.time) -> None:
        self.plan, self._clock = plan, clock
        self._begun = clock()
        self._stages = {stage: _Stage() for stage in plan.stages}
        self._failures: deque[Failure] = deque(maxlen=FAILURES)
        self._dashboard = ""
        self._lock = threading.Lock()

    def begun(self, plan: RunPlan) -> None:
        """Count from nothing, for this run."""
        with self._lock:
            self.plan, self._begun = plan, self._clock()
            self._stages = {stage: _Stage() for stage in plan.stages}

    def dashboard(self, url: str) -> None:
        """Note where Ray's dashboard is."""
        self._dashboard = url

    def added(self, stage: str, media_s: float = 0.0, jobs: int = 1) -> None:
        """Count jobs that wait."""
        with self._lock:
            own = self._stages[stage]
            own.added += jobs
            own.added_s += media_s

    def recalled(self, stage: str, media_s: float, jobs: int) -> None:
        """Count jobs that an earlier run has done."""
        with self._lock:
            own = self._stages[stage]
            own.recalled += jobs
            own.ended_s += media_s

    def started(self, stage: str, item: str) -> None:
        """Count a job that a worker begins."""
        with self._lock:
            own, now = self._stages[stage], self._clock()
            own.running[item] = now
            own.first = now if own.first is None else own.first

    def retried(self, stage: str, item: str, reason: str) -> None:
        """Count a job that waits again, because it was lost."""
        with self._lock:
            own = self._stages[stage]
            own.retries += 1
            own.job_s += self._spent(own, item)

    def ended(
        self, stage: str, item: str, ok: bool, *, media_s: float = 0.0, reason: str = "", node: str = ""
    ) -> None:
        """Count a job that ended."""
        with self._lock:
            own = self._stages[stage]
            own.ended_s += media_s
            if ok and item not in own.running:
                own.recalled += 1
                return
            own.job_s += self._spent(own, item)
            own.worked_s += media_s
            own.lately.append((self._clock(), media_s))
            self._forget(own)
            own.done += ok
            if not ok:
                own.failed += 1
                own.reasons[reason or "unknown"] += 1
                self._failures.append(Failure(stage=stage, item=item, reason=reason))

    def seconds_of(self, stage: str, item: str) -> float | None:
        """Return how long a job has been with a worker; None where none has it."""
        begun = self._stages[stage].running.get(item)
        return None if begun is None else self._clock() - begun

    def view(self) -> View:
        """Return everything as it is now."""
        with self._lock:
            now = self._clock()
            return View(
                command=self.plan.command,
                rows=tuple(self._row(name, stage, now) for name, stage in self._stages.items()),
                seconds=now - self._begun,
                left_s=self._left_s(now),
                failures=tuple(self._failures),
                dashboard=self._dashboard,
            )

    def _spent(self, stage: _Stage, item: str) -> float:
        now = self._clock()
        return now - stage.running.pop(item, now)

    def _forget(self, stage: _Stage) -> None:
        while stage.lately and self._clock() - stage.lately[0][0] >= WINDOW_S:
            stage.lately.popleft()

    def _row(self, name: str, stage: _Stage, now: float) -> StageRow:
        self._forget(stage)
        known = stage.first is not None and now > stage.first and bool(stage.done + stage.failed)
        minutes = min(WINDOW_S, now - (stage.first or 0.0)) / 60
        return StageRow(
            stage=name,
            done=stage.done,
            running=len(stage.running),
            waiting=stage.added - stage.ended - len(stage.running),
            failed=stage.failed,
            recalled=stage.recalled,
            retries=stage.retries,
            reasons=dict(stage.reasons),
            media_s=stage.ended_s,
            job_s=stage.job_s,
            jobs_per_min=len(stage.lately) / minutes if known else None,
            media_per_min=sum(s for _, s in stage.lately) / minutes if known else None,
        )

    def _left_s(self, now: float) -> float | None:
        begins = [stage.first for stage in self._stages.values() if stage.first is not None]
        spent = sum(s.job_s + sum(now - at for at in s.running.values()) for s in self._stages.values())
        if not begins or now <= min(begins) or not spent:
            return None
        loads = {name: _load(stage) for name, stage in self._stages.items()}
        work_s = time_left_s(self.plan, loads)
        return None if work_s is None else work_s * (now - min(begins)) / spent


def _load(stage: _Stage) -> Load:
    """Measure a stage in media seconds, or in jobs where its jobs have none."""
    if stage.added_s:
        return Load(stage.added_s, stage.ended_s, stage.worked_s, stage.job_s, by_jobs=False)
    return Load(stage.added, stage.ended, stage.done + stage.failed, stage.job_s, by_jobs=True)
