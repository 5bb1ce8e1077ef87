"""Where it runs: stages are pools of Ray actors, jobs are small messages that carry paths.

A stage declares its resources. The runner holds as many actors as the cluster has room for, gives each
the next job of its stage, and lets an idle actor make way for a stage that waits. Plain actors are used,
not Ray Data: an actor that dies takes one item with it and nothing else, and nothing hangs on two cores.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mitds.pipeline.jobs import FollowUps, Job, Outcome, Progress, Recall, Silent, Stage, nothing_known
from mitds.pipeline.nodes import check_head
from mitds.pipeline.pool import Actor, Pool

ATTEMPTS = 2
"""A job whose worker dies or overruns its deadline is tried once more, then given up alone."""

MOVES = 3
"""A job that loses its node is not to blame and goes elsewhere; one that loses this many may be to blame after all."""

LOOK_S = 0.5
"""Seconds between two looks at deadlines, and at the head of the cluster."""

PLACE_S = 10.0
"""Seconds that an actor may take to start before idle ones make way: room may be there, but not on one node."""


@dataclass(frozen=True, slots=True)
class _Try:
    """A job that waits or runs, how often it has been tried and how often it lost its node."""

    job: Job
    number: int = 1
    moves: int = 0


@dataclass(slots=True)
class _Running:
    """A job that an actor has been given."""

    attempt: _Try
    actor: Actor
    since: float
    deadline: float


class Runner:
    """Runs jobs through stages, inside `ray_session`.

    Args:
        stages: The steps, in the order the material passes through them.
        progress: Told of every job that is added or ends.
        recall: Knows what earlier runs have done.
        begin: Called once, before the first job that somebody must work on; it may open the session.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        progress: Progress | None = None,
        recall: Recall = nothing_known,
        begin: Callable[[], object] | None = None,
    ) -> None:
        self._recall, self._begin = recall, begin
        self._recalled: deque[tuple[Job, Outcome]] = deque()
        self._stages = {stage.name: stage for stage in stages}
        self._progress = progress or Silent()
        self._waiting: dict[str, deque[_Try]] = {name: deque() for name in self._stages}
        self._busy: dict[Any, _Running] = {}
        self._pool = Pool(stages)
        self._looked = 0.0

    def run(self, jobs: Iterable[Job], follow_ups: FollowUps) -> None:
        """Run all jobs and those that `follow_ups` returns when one ends; returns when none is left.

        A fault of the machine (missing weights, no disk) ends the run and is raised here.
        """
        for job in jobs:
            self._add(job)
        try:
            while self._recalled or self._busy or any(self._waiting.values()):
                self._start_waiting()
                for job, outcome in self._ended():
                    for follow_up in follow_ups(job, outcome):
                        self._add(follow_up)
        finally:
            self._pool.close()
            self._busy.clear()

    def _add(self, job: Job) -> None:
        self._progress.added(job.stage, job.media_s)
        known = self._recall(job)
        if known is None:
            self._waiting[job.stage].append(_Try(job))
        else:
            self._recalled.append((job, known))

    def _ended(self) -> Iterator[tuple[Job, Outcome]]:
        """Yield what is known already, or else wait for what the actors do."""
        if not self._recalled:
            yield from self._collect()
        while self._recalled:
            yield self._told(*self._recalled.popleft())

    def _told(self, job: Job, outcome: Outcome, node: str | None = None) -> tuple[Job, Outcome]:
        """Tell how a job ended, and return both."""
        about = {"reason": outcome.reason, "node": node or ""}
        self._progress.ended(job.stage, job.item, outcome.ok, media_s=job.media_s, **about)
        return job, outcome

    def _start_waiting(self) -> None:
        """Give waiting jobs to actors, latest stage first, so that begun work ends before new work begins."""
        if self._begin is not None and any(self._waiting.values()):
            self._begin()
            self._begin = None
        for name in reversed(self._stages):
            queue = self._waiting[name]
            while queue and (actor := self._pool.obtain(self._stages[name], self._wanted())):
                self._send(actor, queue.popleft())

    def _wanted(self) -> set[str]:
        """Return the stages whose actors have more to do."""
        return {name for name, queue in self._waiting.items() if queue}

    def _send(self, actor: Actor, attempt: _Try) -> None:
        job, now = attempt.job, time.monotonic()
        reference = actor.handle.run.remote(job.payload, job.done)
        self._busy[reference] = _Running(attempt, actor, now, now + _allowed_s(actor.stage, job))
        self._progress.started(job.stage, job.item)

    def _collect(self) -> Iterator[tuple[Job, Outcome]]:
        """Wait until a job ends, and yield all that have: a wait costs as much for one as for thousands."""
        import ray

        if not self._busy:
            return
        done, others = ray.wait(list(self._busy), num_returns=1, timeout=1.0)
        if others:
            done += ray.wait(others, num_returns=len(others), timeout=0)[0]
        for reference in done:
            yield from self._got(reference, self._busy.pop(reference))
        if time.monotonic() > self._looked + LOOK_S:
            self._looked = time.monotonic()
            self._progress.dashboard(_dashboard())
            check_head()
            self._pool.check_own_node()
            yield from self._overdue()

    def _got(self, reference: Any, running: _Running) -> Iterator[tuple[Job, Outcome]]:
        """Take what an actor answers, or what became of it."""
        import ray

        actor = running.actor
        self._pool.settle([actor])
        try:
            outcome = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, MemoryError):
                raise error.cause from None
            yield from self._lost(running, "out_of_memory", "the worker ran out of memory")
        except ray.exceptions.OutOfMemoryError as error:
            yield from self._lost(
                running, "out_of_memory", f"the worker ran out of memory: {_first_line(error)}"
            )
        except ray.exceptions.RayError as error:
            yield from self._lost(running, "crashed", f"the worker process died: {_first_line(error)}")
        else:
            self._pool.free(actor)
            yield self._told(running.attempt.job, outcome, actor.node)

    def _overdue(self) -> Iterator[tuple[Job, Outcome]]:
        """Kill what overran its deadline, which begins when the actor has started; yield what is given up."""
        now = time.monotonic()
        starting = [running for running in self._busy.values() if running.actor.starting is not None]
        self._pool.settle(running.actor for running in starting)
        for running in starting:
            running.deadline = now + _allowed_s(running.actor.stage, running.attempt.job)
        if any(r.actor.starting is not None and now > r.since + PLACE_S for r in starting):
            self._pool.make_way(self._wanted())
        for reference, running in list(self._busy.items()):
            if now > running.deadline:
                del self._busy[reference]
                yield from self._lost(running, "timeout", "the worker did not finish before its deadline")

    def _lost(self, running: _Running, reason: str, detail: str) -> Iterator[tuple[Job, Outcome]]:
        """Try the job of a dead or killed worker once more, then give it up alone; a lost node is not its fault."""
        attempt, actor = running.attempt, running.actor
        job = attempt.job
        self._pool.dismiss(actor)
        if attempt.moves < MOVES and self._pool.lost_by_node(actor):
            self._waiting[job.stage].append(replace(attempt, moves=attempt.moves + 1))
            self._progress.retried(job.stage, job.item, "node_lost")
        elif attempt.number < ATTEMPTS:
            self._waiting[job.stage].append(replace(attempt, number=attempt.number + 1))
            self._progress.retried(job.stage, job.item, reason)
        else:
            yield self._told(
                job, Outcome(reason=reason, detail=f"{detail} ({ATTEMPTS} attempts)"), actor.node
            )


def _allowed_s(stage: Stage, job: Job) -> float:
    return stage.deadline_s + stage.deadline_per_media_s * job.media_s


def _dashboard() -> str:
    """Return the address of Ray's dashboard; empty where it has none."""
    from ray._private.worker import get_dashboard_url

    host: str | None = get_dashboard_url()  # type: ignore[no-untyped-call]
    return f"http://{host}" if host else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
