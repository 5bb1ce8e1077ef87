"""events.jsonl: what happened in the runs of an output, one line an event, kept in its work folder.

A line is appended with a single write, so that a reader sees it whole or torn at the very end, and is never synced
by itself: after a power cut the last lines may be missing. Lines name jobs by their items' keys and say nothing else
of anybody. Times are UTC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.tally import Tally
from mitds.pipeline.work import staging_of
from mitds.places import is_remote
from mitds.store import publish_copy, storage_errors

NAME = "events.jsonl"
OLD = "events-old.jsonl"

MAX_BYTES = 32 << 20
"""A log that is longer when a run begins is set aside; the one before it goes."""

Event = dict[str, Any]


def published_events(out: Path) -> Path:
    """Return where an output's log lies in the end."""
    return out / ".work" / NAME


def events_path(out: Path) -> Path:
    """Return where a run of this machine keeps an output's log: on object storage nothing can be appended to."""
    return staging_of(out) / NAME if is_remote(out) else published_events(out)


def utc(seconds: float) -> str:
    """Write a time, in seconds since 1970, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_at(text: str) -> float:
    """Read a time that `utc` wrote."""
    return datetime.fromisoformat(text).timestamp()


class EventLog:
    """Appends to the log of an output, which the caller holds; opened with the first line.

    Args:
        out: The output folder.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._path = out, events_path(out)
        self._file: int | None = None

    def append(self, events: Iterable[Event]) -> None:
        """Write events down, by one write."""
        data = "".join(json.dumps(event) + "\n" for event in events).encode()
        with storage_errors(self._path):
            if self._file is None:
                self._file = self._open()
            os.write(self._file, data)

    def close(self) -> None:
        """Let go of the log; on object storage, put it beside the output."""
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if is_remote(self._out):
            publish_copy(self._path, published_events(self._out))
            self._path.unlink()

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if is_remote(self._out) and not self._path.exists() and published_events(self._out).is_file():
            publish_copy(published_events(self._out), self._path)
        if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
            self._path.replace(self._path.with_name(OLD))
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")  # an earlier run was stopped in the middle of a line
        return file


class EventReader:
    """Reads a log as it grows; what is torn is passed over.

    Args:
        path: The log; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._rest = path, 0, b""

    def new(self) -> Iterator[Event]:
        """Yield the whole lines that were added since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                while data := file.read(1 << 20):
                    self._read += len(data)
                    *lines, self._rest = (self._rest + data).split(b"\n")
                    yield from filter(None, map(_event, lines))
        except (FileNotFoundError, NotADirectoryError):
            return


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event and "at" in event else None


class Replay:
    """The last run that a log tells of, counted anew.

    Attributes:
        begun: When it began; empty where the log tells of none.
        end: The event of its end; None where it has none.
        tally: What it has done.
    """

    def __init__(self) -> None:
        self.begun = ""
        self.end: Event | None = None
        self._now = 0.0
        self.tally = Tally(RunPlan(), self._clock)

    def take(self, events: Iterable[Event]) -> None:
        """Go on with more events; those of another version of mitds that say nothing to this one are passed over."""
        for event in events:
            try:
                self._take(event)
            except (KeyError, TypeError, ValueError):
                continue

    def at(self, now: float) -> None:
        """Let the time be `now`, in seconds since 1970, for a run that goes on."""
        self._now = max(self._now, now)

    def _clock(self) -> float:
        return self._now

    def _take(self, event: Event) -> None:
        self._now = seconds_at(event["at"])
        kind, stage, tally = event["event"], event.get("stage", ""), self.tally
        if kind == "run":
            plan = RunPlan(
                command=event["command"],
                stages=tuple(event["stages"]),
                first=tuple(event["first"]),
                jobs=event["jobs"],
            )
            self.begun, self.end, self.tally = event["at"], None, Tally(plan, self._clock)
        elif kind == "run ended":
            self.end = event
        elif kind == "added":
            tally.added(stage, event["media_s"], event["jobs"])
        elif kind == "recalled":
            tally.recalled(stage, event["media_s"], event["jobs"])
        elif kind == "started":
            tally.started(stage, event["item"])
        elif kind == "retried":
            tally.retried(stage, event["item"], event["reason"])
        elif kind in ("done", "failed"):
            ok, reason = kind == "done", event.get("reason", "")
            tally.ended(stage, event["item"], ok, media_s=event["media_s"], reason=reason)
        elif kind == "dashboard":
            tally.dashboard(event["url"])
