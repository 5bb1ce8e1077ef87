"""One isolated process and the line to it: a fresh interpreter that is told a function by name."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mitds.benchmark.isolation_worker import HEADER, message, unpacked

START_S = 300.0
_CHUNK = 1 << 20
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one isolated call may use.

    Attributes:
        memory_bytes: Address space of the process; None for no limit, as drivers of GPUs reserve far more than
            they use.
        cpu_s: Processor time of one call.
        wall_s: Time on the clock of one call.
        files: Files open at once.
        file_bytes: Largest file it may write.
        reply_bytes: Largest reply.
        network: Leave the network reachable.
    """

    memory_bytes: int | None = 8 << 30
    cpu_s: float = 300
    wall_s: float = 300
    files: int = 256
    file_bytes: int = 1 << 30
    reply_bytes: int = 256 << 20
    network: bool = False


class Broken(Exception):
    """A worker closed its line, or sent what no worker sends."""


class Worker:
    """One process and the line to it.

    Attributes:
        index: The call it is busy with; None while idle.
        ready: It has imported the function.
        deadline: When it must have answered.
    """

    def __init__(self, function: str, limits: Limits) -> None:
        self.limits = limits
        self.index: int | None = None
        self.ready = False
        self.deadline = time.monotonic() + START_S
        self._buffer = bytearray()
        self.line, theirs = socket.socketpair()
        self.line.settimeout(START_S)
        with theirs:
            self._process = _start(theirs)
        self._post({"function": function, **_plain(limits)})

    def give(self, index: int, argument: Any) -> None:
        """Hand over one call; its time runs from when the worker is ready."""
        self.index = index
        if self.ready:
            self.run_clock()
        self._post({"argument": argument})

    def run_clock(self) -> None:
        """Let a call's time begin."""
        self.deadline = time.monotonic() + self.limits.wall_s

    def _post(self, value: Any) -> None:
        # A worker that died idle is seen when its line is read, like any other death.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.line.sendall(message(value))

    def take(self) -> Iterator[Any]:
        """Yield the messages that have arrived in full; never blocks once the line is readable.

        Raises:
            Broken: If the worker is gone or sends nonsense.
        """
        try:
            part = self.line.recv(_CHUNK)
        except ConnectionResetError:
            part = b""
        if not part:
            raise Broken
        self._buffer += part
        while (body := self._next()) is not None:
            try:
                yield unpacked(*body)
            except (ValueError, RecursionError) as error:
                raise Broken(f"its reply cannot be read: {error}") from error

    def _next(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < HEADER.size:
            return None
        size, kind = HEADER.unpack_from(self._buffer)
        if size > self.limits.reply_bytes:
            raise Broken(f"its reply has {size} bytes, more than the limit of {self.limits.reply_bytes}")
        end = HEADER.size + size
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return kind, body

    def end(self, wait_s: float = 0) -> int:
        """Stop the process and all it started, leaving it `wait_s` to end by itself; return its exit status."""
        self.line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


def _plain(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in limits.__slots__}


def _start(line: socket.socket) -> subprocess.Popen[bytes]:
    paths = [path or str(os.getcwd()) for path in sys.path]  # noqa: PTH109
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "mitds.benchmark.isolation_worker", str(line.fileno())],
        pass_fds=[line.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )
