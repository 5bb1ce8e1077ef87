"""Where it runs: stages are pools of Ray actors, jobs are small messages that carry paths.

A stage declares its resources. The runner holds as many actors as the cluster has room for, gives each
the next job of its stage, and lets an idle actor make way for a stage that waits. Plain actors are used,
not Ray Data: an actor that dies takes one item with it and nothing else, and nothing hangs on two cores.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mitds.errors import EnvironmentFault, MitdsError, UsageError

CONNECT_S = 5.0
"""Seconds to wait for a cluster to answer."""

ATTEMPTS = 2
"""A job whose worker dies or overruns its deadline is tried once more, then given up alone."""


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
    """One item for one stage; `payload` is small and picklable: paths and records, never frames."""

    stage: str
    item: str
    payload: Any
    media_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: a value, or a code with the sentence a person reads."""

    value: Any = None
    reason: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """True where the job gave a value."""
        return not self.reason


class Progress(Protocol):
    """What the runner tells while it works."""

    def added(self, stage: str) -> None:
        """Count a job that waits."""

    def ended(self, stage: str, item: str, ok: bool) -> None:
        """Count a job that ended."""


FollowUps = Callable[[Job, Outcome], Iterable[Job]]


class Silent:
    """A progress display that shows nothing."""

    def added(self, stage: str) -> None:
        """Ignore."""

    def ended(self, stage: str, item: str, ok: bool) -> None:
        """Ignore."""


class _Host:
    """The actor's inside: builds the worker once, then runs jobs."""

    def __init__(self, worker: str, arguments: Mapping[str, Any]) -> None:
        module, _, name = worker.partition(":")
        self._make: Callable[[], Any] = lambda: getattr(importlib.import_module(module), name)(**arguments)
        self._worker: Any = None

    def start(self) -> None:
        """Answer once the process is up: time spent on starting it is nobody's deadline."""

    def run(self, payload: Any) -> Outcome:
        """Run one job; a bad input is an outcome, a fault of the machine is raised."""
        try:
            if self._worker is None:
                self._worker = self._make()
            return Outcome(value=self._worker(payload))
        except (EnvironmentFault, UsageError):
            raise
        except MitdsError as error:
            return Outcome(reason=error.code, detail=str(error))
        except Exception as error:  # noqa: BLE001  one item's surprise must not end the others; it is recorded
            trace = traceback.format_exc(limit=-3)
            return Outcome(reason="internal", detail=f"{type(error).__name__}: {error}\n{trace}")


@contextlib.contextmanager
def ray_session(*, address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Start Ray on this machine alone, or join the cluster at `address`; no telemetry, loopback only.

    Inside another session nothing is started: several runs can share the workers of an outer one, which
    then must be the only one to name an address or a number of workers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        if address or workers:
            raise UsageError(
                "a Ray session is open already", remedy="Give address and workers to the outer one only."
            )
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
    if address:
        _join(address, options)
    else:
        _stay_on_loopback()
        ray.init(
            num_cpus=workers or os.cpu_count(),
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            **options,
        )
    try:
        yield
    finally:
        ray.shutdown()


def _stay_on_loopback() -> None:
    """Keep Ray's servers on 127.0.0.1.

    They listen on all interfaces unless Ray takes this machine for one that cannot join a cluster; an address
    of 127.0.0.1 given to ray.init is replaced by the outward one. Ray reads the variable when it is imported,
    which somebody else may have done before.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    from ray._private import ray_constants, services

    ray_constants.ENABLE_RAY_CLUSTER = False
    address: str = services.get_node_ip_address()  # type: ignore[no-untyped-call]
    if not address.startswith("127."):
        raise EnvironmentFault(
            "this version of Ray would listen beyond this machine",
            remedy="Install the Ray version of constraints.txt, or start a cluster yourself and name its --address.",
        )


def _join(address: str, options: dict[str, Any]) -> None:
    """Join a cluster; one that does not answer is an error within seconds and not a long silence."""
    import ray

    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        ray.init(address=address, **options)
    except (ConnectionError, TimeoutError, OSError) as error:
        raise EnvironmentFault(
            f"no Ray cluster answers: {error}", where=address, remedy="Start it, or leave --address out."
        ) from error


@dataclass(slots=True)
class _Actor:
    stage: Stage
    handle: Any
    job: Job | None = None
    attempt: int = 0
    starting: Any = None
    allowed_s: float = 0.0
    deadline: float = 0.0


class Runner:
    """Runs jobs through stages; call inside `ray_session`.

    Args:
        stages: The steps, in the order the material passes through them.
        progress: Told of every job that is added or ends.
    """

    def __init__(self, stages: Sequence[Stage], progress: Progress | None = None) -> None:
        self._stages = {stage.name: stage for stage in stages}
        self._order = [stage.name for stage in stages]
        self._progress = progress or Silent()
        self._waiting: dict[str, deque[tuple[Job, int]]] = {name: deque() for name in self._order}
        self._busy: dict[Any, _Actor] = {}
        self._idle: dict[str, list[_Actor]] = {name: [] for name in self._order}

    def run(self, jobs: Iterable[Job], follow_ups: FollowUps) -> None:
        """Run all jobs and those that `follow_ups` returns when one ends; returns when none is left.

        A fault of the machine (missing weights, no disk) ends the run and is raised here.
        """
        for job in jobs:
            self._add(job)
        try:
            while self._busy or any(self._waiting.values()):
                self._start_waiting()
                for job, outcome in self._collect():
                    self._progress.ended(job.stage, job.item, outcome.ok)
                    for follow_up in follow_ups(job, outcome):
                        self._add(follow_up)
        finally:
            self._dismiss_all()

    def _add(self, job: Job) -> None:
        self._waiting[job.stage].append((job, 1))
        self._progress.added(job.stage)

    def _start_waiting(self) -> None:
        """Give waiting jobs to actors, latest stage first, so that begun work ends before new work begins."""
        for name in reversed(self._order):
            queue = self._waiting[name]
            while queue and (actor := self._obtain(self._stages[name])):
                self._send(actor, *queue.popleft())

    def _obtain(self, stage: Stage) -> _Actor | None:
        if self._idle[stage.name]:
            return self._idle[stage.name].pop()
        while not self._fits(stage):
            if not self._evict(stage):
                return None
        return self._hire(stage)

    def _fits(self, stage: Stage) -> bool:
        import ray

        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        actors = [*self._busy.values(), *(a for idle in self._idle.values() for a in idle)]
        cpus = sum(a.stage.num_cpus for a in actors) + stage.num_cpus
        gpus = sum(a.stage.num_gpus for a in actors) + stage.num_gpus
        if stage.num_gpus > total.get("GPU", 0):
            raise EnvironmentFault(
                f"stage {stage.name!r} asks for {stage.num_gpus:g} GPU, the cluster has {total.get('GPU', 0):g}",
                remedy="Run on a machine with a GPU, or set the backend's device: --set FAMILY.device=cpu.",
            )
        alone = not actors
        return alone or (cpus <= total.get("CPU", 1) + 1e-6 and gpus <= total.get("GPU", 0) + 1e-6)

    def _evict(self, wanted: Stage) -> bool:
        """Dismiss one idle actor of a stage that has nothing waiting; say whether there was one."""
        for name in self._order:
            if name != wanted.name and self._idle[name] and not self._waiting[name]:
                self._dismiss(self._idle[name].pop())
                return True
        return False

    def _hire(self, stage: Stage) -> _Actor:
        import ray

        make: Any = ray.remote(num_cpus=stage.num_cpus, num_gpus=stage.num_gpus, max_restarts=0)
        remote = make(_Host)
        handle = remote.remote(stage.worker, dict(stage.arguments))
        return _Actor(stage, handle, starting=handle.start.remote())

    def _send(self, actor: _Actor, job: Job, attempt: int) -> None:
        actor.job, actor.attempt = job, attempt
        actor.allowed_s = actor.stage.deadline_s + actor.stage.deadline_per_media_s * job.media_s
        actor.deadline = time.monotonic() + actor.allowed_s
        self._busy[actor.handle.run.remote(job.payload)] = actor

    def _collect(self) -> Iterator[tuple[Job, Outcome]]:
        import ray

        if not self._busy:
            return
        done, _ = ray.wait(list(self._busy), num_returns=1, timeout=1.0)
        for reference in done:
            actor = self._busy.pop(reference)
            try:
                outcome = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.OutOfMemoryError as error:
                yield from self._lost(
                    actor, "out_of_memory", f"the worker ran out of memory: {_first_line(error)}"
                )
                continue
            except ray.exceptions.RayError as error:
                yield from self._lost(actor, "crashed", f"the worker process died: {_first_line(error)}")
                continue
            self._idle[actor.stage.name].append(actor)
            yield _job(actor), outcome
        yield from self._overdue()

    def _overdue(self) -> Iterator[tuple[Job, Outcome]]:
        import ray

        now = time.monotonic()
        for reference, actor in list(self._busy.items()):
            if actor.starting is not None:
                started, _ = ray.wait([actor.starting], timeout=0)
                actor.starting = None if started else actor.starting
                actor.deadline = now + actor.allowed_s
            elif now > actor.deadline:
                del self._busy[reference]
                yield from self._lost(actor, "timeout", "the worker did not finish before its deadline")

    def _lost(self, actor: _Actor, reason: str, detail: str) -> Iterator[tuple[Job, Outcome]]:
        """Try the job of a dead or killed worker once more, then give it up alone."""
        self._dismiss(actor)
        job = _job(actor)
        if actor.attempt < ATTEMPTS:
            self._waiting[job.stage].append((job, actor.attempt + 1))
        else:
            yield job, Outcome(reason=reason, detail=f"{detail} ({ATTEMPTS} attempts)")

    def _dismiss(self, actor: _Actor) -> None:
        import ray

        ray.kill(actor.handle, no_restart=True)

    def _dismiss_all(self) -> None:
        for actor in [*self._busy.values(), *(a for idle in self._idle.values() for a in idle)]:
            self._dismiss(actor)
        self._busy.clear()
        for idle in self._idle.values():
            idle.clear()


def _job(actor: _Actor) -> Job:
    if actor.job is None:
        raise RuntimeError("an actor without a job was collected")
    return actor.job


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
