"""How a run stands, told from another process by what it leaves: its lock, its log, and run.json."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mitds.drivers import answers, driver
from mitds.lease import LeaseTimes
from mitds.lock import LOCK
from mitds.pipeline.watching.events import EventReader, Replay, events_path, published_events
from mitds.pipeline.watching.tally import View
from mitds.places import is_remote, remote

State = Literal["never_begun", "running", "interrupted", "complete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How an output's last run stands.

    Attributes:
        out: The output folder.
        state: "interrupted" also where an error ended it: the same command goes on from there.
        command: What the run does; empty where that is not known.
        reason: Why it did not complete: an error's code; empty where it was killed, or all is well.
        began: When the last run with something to do began, UTC; empty where none is known.
        ended: When it ended; empty where it goes on or was killed.
        published: A run has completed here, so that a whole dataset stands.
        holder: Who holds the output now.
        view: Counts of the last run; None where there are none.
    """

    out: str
    state: State
    command: str = ""
    reason: str = ""
    began: str = ""
    ended: str = ""
    published: bool = False
    holder: Mapping[str, str] = field(default_factory=dict)
    view: View | None = None


class Watch:
    """Looks at an output again and again, and reads its log as far as it has grown.

    Args:
        out: The output folder; it need not be there.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._replay = Replay()
        own = events_path(out)
        self._reader = EventReader(own if own.exists() else published_events(out))

    def look(self) -> Status:
        """Return how the run stands now; one that has noted its end is over, though it may still hold the lock."""
        holder = lock_holder(self._out)
        self._replay.take(self._reader.new())
        about = _run_json(self._out)
        own = holder is not None and self._is_of(holder)
        if holder is not None and not (own and self._replay.end):
            return self._running(holder, own, bool(about))
        if not self._replay.begun:
            return self._unlogged(about)
        end, view = self._replay.end, self._replay.tally.view()
        whole = end is not None and end.get("how") == "complete"
        return Status(
            out=str(self._out),
            state="complete" if whole and about else "interrupted",
            command=view.command,
            reason="" if whole or end is None else str(end.get("reason", "")),
            began=self._replay.begun,
            ended=str(end["at"]) if end else "",
            published=bool(about),
            view=view,
        )

    def _is_of(self, holder: Mapping[str, str]) -> bool:
        """Say whether the log's last run is that of the lock's holder; one with nothing to do yet has no log."""
        second = len("2026-01-01T00:00:00")
        started = holder.get("started", "")
        return bool(started) and self._replay.begun[:second] >= started[:second]

    def _running(self, holder: Mapping[str, str], own: bool, published: bool) -> Status:
        if own:
            self._replay.at(time.time())
        return Status(
            out=str(self._out),
            state="running",
            command=holder.get("command", ""),
            began=self._replay.begun if own else holder.get("started", ""),
            published=published,
            holder=holder,
            view=self._replay.tally.view() if own else None,
        )

    def _unlogged(self, about: Mapping[str, object]) -> Status:
        work = self._out / ".work"
        state: State = "complete" if about else "interrupted" if work.is_dir() else "never_begun"
        command = str(about.get("command", ""))
        return Status(out=str(self._out), state=state, command=command, published=bool(about))


def lock_holder(out: Path) -> dict[str, str] | None:
    """Return what is known of the run that holds an output; None where none does. No run is disturbed by it."""
    path = out / LOCK
    try:
        held = _text(path.read_bytes())
        alive = _renewed(path) if is_remote(out) else _held(path, held)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return held if alive else None


def _text(data: bytes) -> dict[str, str]:
    """Read a lock's text; one that was taken a moment ago has none yet."""
    try:
        return {str(key): str(value) for key, value in json.loads(data).items()}
    except (ValueError, AttributeError):
        return {}


def _renewed(path: Path) -> bool:
    with answers(str(path)):
        renewed_at = driver(remote(path).protocol).modified(str(path)).timestamp()
    return bool(time.time() - renewed_at <= LeaseTimes().stale_s)


def _held(path: Path, held: Mapping[str, str]) -> bool:
    """Say whether a process holds a lock.

    To ask the kernel is to take the lock for a moment, which a run that begins at that moment would take for
    another run. So it is only asked about a lock whose process seems to live and has written itself down.
    """
    if not held:
        return True
    if held.get("host") == socket.gethostname() and not _lives(held.get("pid", "")):
        return False
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        return True
    finally:
        os.close(file)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _run_json(out: Path) -> Mapping[str, object]:
    """Return what a complete run wrote; nothing where there is none."""
    try:
        about = json.loads((out / "run.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return about if isinstance(about, dict) and about.get("complete", True) else {}
