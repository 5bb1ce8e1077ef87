"""Calls that cannot hurt the caller: own processes with limits of memory, time, files and, where possible, no network.

What decodes or judges files from strangers runs here. A worker is a fresh interpreter (nothing is forked, nothing
is pickled) that is told a function by name and arguments as JSON. A call that crashes, hangs, floods its output or
runs out of memory costs its own outcome and nothing else: its worker is replaced.

What this is and is not: RLIMIT_AS, RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_FSIZE, a wall-clock deadline and, on Linux where
the system permits an ordinary process to do so, a network namespace of its own. The file system stays readable with
the caller's rights, so this contains faults and blunt attacks, not an attacker who takes over the decoder: who scores
files of strangers on a server should also put the whole command in a container.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from mitds.benchmark.isolation_process import START_S, Broken, Limits, Worker
from mitds.benchmark.isolation_worker import OUT_OF_MEMORY
from mitds.errors import EnvironmentFault

__all__ = ["Limits", "Outcome", "isolated_map", "network_is_cut", "run_isolated"]

_DEATH_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Attributes:
        status: "value"; "error": the function raised; "crashed": the process died or ran out of memory;
            "timeout": it used up its time.
        value: What the function returned: JSON-ready or bytes.
        code: Of an error: `MitdsError.code`, or the name of the exception's class.
        what: What went wrong.
        where: Of a `MitdsError`.
        remedy: Of a `MitdsError`.
        trace: Of an error.
    """

    status: Literal["value", "error", "crashed", "timeout"]
    value: Any = None
    code: str = ""
    what: str = ""
    where: str = ""
    remedy: str = ""
    trace: str = ""


def isolated_map(
    function: str,
    arguments: Iterable[Any],
    workers: int = 1,
    limits: Limits = Limits(),
) -> Iterator[tuple[int, Outcome]]:
    """Call a function on each argument in worker processes.

    Args:
        function: "package.module:function" of one argument; imported once a worker. Its result is JSON-ready
            (tuples arrive as lists) or bytes.
        arguments: JSON-ready; drawn as workers become free.
        workers: Processes at once.
        limits: Of each call.

    Yields:
        (Index of the argument, how the call ended), as calls end: in any order, each index once.

    Raises:
        EnvironmentFault: If a worker cannot start: the function cannot be imported, or not within the limits.
    """
    pool = _Pool(function, limits)
    try:
        yield from pool.run(enumerate(arguments), workers)
    finally:
        pool.close()


def run_isolated(function: str, argument: Any, limits: Limits = Limits()) -> Outcome:
    """Call a function once in a process of its own; see `isolated_map`."""
    return next(outcome for _, outcome in isolated_map(function, [argument], 1, limits))


@cache
def network_is_cut() -> bool:
    """True where isolated calls cannot reach any network on this machine."""
    return bool(run_isolated("mitds.benchmark.isolation_worker:network_is_cut", None).value)


class _Pool:
    """Workers that are started as calls need them and replaced when they break."""

    def __init__(self, function: str, limits: Limits) -> None:
        self._function, self._limits = function, limits
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []

    def run(self, calls: Iterator[tuple[int, Any]], workers: int) -> Iterator[tuple[int, Outcome]]:
        """Keep `workers` processes busy until the calls are used up."""
        for index, argument in calls:
            self._submit(index, argument)
            while len(self._workers) >= workers and not self._idle():
                yield from self._wait()
        while any(worker.index is not None for worker in self._workers):
            yield from self._wait()

    def close(self) -> None:
        """End every worker."""
        for worker in list(self._workers):
            self._drop(worker)
        self._selector.close()

    def _idle(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.index is None]

    def _submit(self, index: int, argument: Any) -> None:
        idle = self._idle()
        worker = idle[0] if idle else self._add()
        worker.give(index, argument)

    def _add(self) -> Worker:
        worker = Worker(self._function, self._limits)
        self._workers.append(worker)
        self._selector.register(worker.line, selectors.EVENT_READ, worker)
        return worker

    def _wait(self) -> Iterator[tuple[int, Outcome]]:
        """Wait for replies or deadlines; yield what ended."""
        first = min(worker.deadline for worker in self._workers if worker.index is not None)
        for key, _ in self._selector.select(max(0.0, first - time.monotonic())):
            yield from self._read(key.data)
        now = time.monotonic()
        for worker in [w for w in self._workers if w.index is not None and now >= w.deadline]:
            yield from self._overrun(worker)

    def _read(self, worker: Worker) -> Iterator[tuple[int, Outcome]]:
        try:
            for reply in worker.take():
                yield from self._handle(worker, reply)
        except Broken as error:
            yield from self._buried(worker, str(error))

    def _handle(self, worker: Worker, reply: Any) -> Iterator[tuple[int, Outcome]]:
        if not worker.ready:
            if "fault" in reply:
                raise self._cannot_start(**reply["fault"])
            worker.ready = True
            worker.run_clock()
        elif worker.index is not None:
            index, worker.index = worker.index, None
            outcome = _outcome(reply)
            if outcome.status == "crashed":
                self._drop(worker)
            yield index, outcome

    def _buried(self, worker: Worker, why: str) -> Iterator[tuple[int, Outcome]]:
        status = self._drop(worker, _DEATH_S)
        if not worker.ready:
            raise self._cannot_start(what=_death(status, why).what)
        if worker.index is not None:
            yield worker.index, _death(status, why)

    def _overrun(self, worker: Worker) -> Iterator[tuple[int, Outcome]]:
        self._drop(worker)
        if not worker.ready:
            raise self._cannot_start(what=f"it is not ready after {START_S:g} s")
        if worker.index is not None:
            yield worker.index, Outcome("timeout", what=f"no result within {self._limits.wall_s:g} s")

    def _cannot_start(self, what: str, remedy: str = "", **_: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"an isolated process cannot start: {what}",
            where=self._function,
            remedy=remedy or "Check that the function can be imported, and raise the memory limit.",
        )

    def _drop(self, worker: Worker, wait_s: float = 0) -> int:
        self._workers.remove(worker)
        self._selector.unregister(worker.line)
        return worker.end(wait_s)


def _outcome(reply: Any) -> Outcome:
    if isinstance(reply, bytes):
        return Outcome("value", reply)
    if "value" in reply:
        return Outcome("value", reply["value"])
    error = reply["error"]
    if error["code"] == OUT_OF_MEMORY:
        return Outcome("crashed", code=OUT_OF_MEMORY, what=error["what"])
    return Outcome("error", **error)


def _death(status: int, why: str) -> Outcome:
    if why:
        return Outcome("crashed", what=why)
    if -status in (signal.SIGXCPU, signal.SIGALRM):
        return Outcome("timeout", what="its time is used up")
    if status < 0:
        return Outcome("crashed", what=f"killed by {signal.Signals(-status).name}")
    return Outcome("crashed", what=f"the process ended by itself with status {status}")
