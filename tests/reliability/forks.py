"""A stand-in for what the runner uses of Ray: actors are processes of a fork server, so that runs begin at once.

The runner is the real one, and so are the processes: they can be killed, run out of memory and hang. `install` puts
this module in Ray's place, in the driver and in the actors.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing import connection
from types import SimpleNamespace
from typing import Any

NODE = "here"
PRELOAD = ["mitds.pipeline.runner", "tests.reliability.backends"] + [
    f"mitds.pipeline.stages.{stage}"
    for stage in (
        "probing", "cuts", "shots", "faces", "voices", "speaking", "people", "quality", "poses", "clips",
    )
]  # fmt: skip
_cpus = 1


class RayError(Exception):
    """The actor is no more."""


class RayTaskError(RayError):
    """The call raised."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class OutOfMemoryError(RayError):
    """Never raised: nobody watches over the memory here."""


exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, OutOfMemoryError=OutOfMemoryError)


class _Reference:
    def __init__(self, actor: _Actor) -> None:
        self.actor, self.answer = actor, None


class _Actor:
    def __init__(self, cls: type, arguments: Sequence[Any]) -> None:
        self.pipe, other = _context().Pipe()
        self.process = _context().Process(target=_serve, args=(other, cls, arguments), daemon=True)
        self.process.start()
        other.close()
        self.asked: deque[_Reference] = deque()

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: self.ask(name, arguments))

    def ask(self, name: str, arguments: Sequence[Any]) -> _Reference:
        self.asked.append(_Reference(self))
        with contextlib.suppress(OSError):
            self.pipe.send((name, arguments))
        return self.asked[-1]

    def hear(self) -> None:
        try:
            self.asked[0].answer = self.pipe.recv()
            self.asked.popleft()
        except (EOFError, OSError):
            self.process.join()
            for reference in self.asked:
                reference.answer = (False, RayError(f"it ended with {self.process.exitcode}"))
            self.asked.clear()


def _serve(pipe: Any, cls: type, arguments: Sequence[Any]) -> None:
    sys.modules["ray"] = sys.modules[__name__]
    server = cls(*arguments)
    with contextlib.suppress(EOFError, OSError):
        while True:
            name, given = pipe.recv()
            try:
                answer = (True, getattr(server, name)(*given))
            except Exception as error:  # noqa: BLE001  it travels back
                answer = (False, RayTaskError(error))
            pipe.send(answer)


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def remote(**_: float) -> Any:
    """Declare an actor's needs, which are not looked at."""
    return lambda cls: SimpleNamespace(remote=lambda *arguments: _Actor(cls, arguments))


def wait(
    references: Sequence[_Reference], num_returns: int = 1, timeout: float | None = None
) -> tuple[list[_Reference], list[_Reference]]:
    """Wait until so many calls are answered."""
    end = time.monotonic() + (timeout or 0)
    while True:
        pipes = {r.actor.pipe: r.actor for r in references if r.answer is None}
        for pipe in connection.wait(list(pipes), max(0.0, end - time.monotonic())) if pipes else ():
            pipes[pipe].hear()
        done = [r for r in references if r.answer is not None]
        if len(done) >= num_returns or time.monotonic() >= end:
            return done[:num_returns], [r for r in references if r not in done[:num_returns]]


def get(reference: _Reference) -> Any:
    """Return an answer."""
    if reference.answer is None:
        wait([reference], timeout=60)
    good, value = reference.answer or (False, RayError("no answer"))
    if good:
        return value
    raise value


def kill(actor: _Actor, no_restart: bool = True) -> None:
    """Kill an actor."""
    actor.process.kill()


def get_runtime_context() -> Any:
    """Say where this is."""
    return SimpleNamespace(get_node_id=lambda: NODE, gcs_address=f"127.0.0.1:{_door()}")


def nodes() -> list[dict[str, Any]]:
    """Return the one node."""
    return [{"NodeID": NODE, "Alive": True, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": _door()}]


@cache
def _door() -> int:
    """Let somebody listen, for those who want to know whether the node is there; returns the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            server.accept()[0].close()

    threading.Thread(target=answer, daemon=True).start()
    return int(server.getsockname()[1])


def cluster_resources() -> dict[str, float]:
    """Return the number of processes."""
    return {"CPU": _cpus}


@contextlib.contextmanager
def session(*, address: str | None = None, workers: int | None = None, needs: Any = None) -> Iterator[None]:
    """Stand in for `ray_session`."""
    global _cpus
    _cpus = workers or os.cpu_count() or 1
    yield


def install() -> None:
    """Take Ray's place in this process."""
    from mitds.pipeline import annotate, ingest

    sys.modules["ray"] = sys.modules[__name__]
    sys.modules["ray._private"] = sys.modules["ray._private.worker"] = SimpleNamespace(get_dashboard_url=str)  # type: ignore[assignment]
    for module in (annotate, ingest):
        module.ray_session = session  # type: ignore[assignment]
