"""The record of a run: everything that its runner tells goes into the log and to whoever watches."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mitds import __version__
from mitds.errors import MitdsError, StorageFault
from mitds.manifests.shard_journal import ShardRecord
from mitds.pipeline.jobs import Progress, Silent
from mitds.pipeline.watching.events import Event, EventLog, utc
from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.tally import Tally

FLUSH_S = 5.0
"""Jobs that are added or known already are summed up; no longer than this once the log is open."""


class Recorder:
    """Writes down what a runner tells and passes it on; made by `recorded`.

    A run that finds everything done already leaves no trace: nothing is written before there is something to do.

    Args:
        out: The output folder, which the run holds.
        plan: What is known of the run.
        shown: Told of everything too.
    """

    def __init__(self, out: Path, plan: RunPlan, shown: Progress) -> None:
        self._log, self._shown, self._tally = EventLog(out), shown, Tally(plan)
        self._stood = _listed(out / "run.json")
        self._lock = threading.RLock()
        self._sums: dict[tuple[str, str], tuple[int, float]] = {}
        self._open, self._closed = False, False
        self._written, self._dashboard = 0.0, ""
        self._kept: list[Event] = []
        self.begun(plan)

    def begun(self, plan: RunPlan) -> None:
        """Announce the run."""
        about = {"stages": plan.stages, "first": plan.first, "jobs": plan.jobs}
        self._kept.append(_event("run", command=plan.command, version=__version__, **about))
        self._shown.begun(plan)

    def dashboard(self, url: str) -> None:
        """Note where Ray's dashboard is."""
        if url and url != self._dashboard:
            self._dashboard = url
            with self._lock:
                self._write(_event("dashboard", url=url))
            self._shown.dashboard(url)

    def added(self, stage: str, media_s: float = 0.0) -> None:
        """Note a job that waits."""
        with self._lock:
            self._tally.added(stage, media_s)
            self._sum("added", stage, media_s)
        self._shown.added(stage, media_s)

    def started(self, stage: str, item: str) -> None:
        """Note a job that a worker begins."""
        with self._lock:
            self._tally.started(stage, item)
            self._write(_event("started", stage=stage, item=item))
        self._shown.started(stage, item)

    def retried(self, stage: str, item: str, reason: str) -> None:
        """Note a job that was lost and waits again."""
        with self._lock:
            seconds = self._tally.seconds_of(stage, item)
            self._tally.retried(stage, item, reason)
            self._write(_event("retried", stage=stage, item=item, reason=reason, seconds=_rounded(seconds)))
        self._shown.retried(stage, item, reason)

    def ended(
        self, stage: str, item: str, ok: bool, *, media_s: float = 0.0, reason: str = "", node: str = ""
    ) -> None:
        """Note a job that ended; one that was never started was known already."""
        with self._lock:
            seconds = self._tally.seconds_of(stage, item)
            self._tally.ended(stage, item, ok, media_s=media_s, reason=reason, node=node)
            if ok and seconds is None:
                self._sum("recalled", stage, media_s)
            else:
                about = {} if ok else {"reason": reason or "unknown"}
                times = {"seconds": _rounded(seconds), "media_s": _rounded(media_s)}
                kind = "done" if ok else "failed"
                self._write(_event(kind, stage=stage, item=item, **about, **times, node=node))
        self._shown.ended(stage, item, ok, media_s=media_s, reason=reason, node=node)

    def published(self, shards: Iterable[ShardRecord]) -> None:
        """Note the shards that this run has finished; those that stood before are no news."""
        with self._lock:
            for shard in shards:
                if (shard.name, shard.sha256) not in self._stood:
                    about = {"sha256": shard.sha256, "bytes": shard.bytes, "samples": shard.samples}
                    self._write(_event("shard", name=shard.name, **about))

    def end(self, how: str, reason: str = "") -> None:
        """Note the end of the run, and write nothing any more."""
        with self._lock:
            if (self._open or how != "complete") and not self._closed:
                view = self._tally.view()
                columns = ("done", "failed", "recalled", "retries")
                counts = {row.stage: {c: getattr(row, c) for c in columns} for row in view.rows}
                about = {"how": how, "reason": reason, "seconds": _rounded(view.seconds)}
                self._write(_event("run ended", **about, counts=counts))
            self._closed = True
            self._log.close()

    def _sum(self, kind: str, stage: str, media_s: float) -> None:
        jobs, seconds = self._sums.get((kind, stage), (0, 0.0))
        self._sums[kind, stage] = jobs + 1, seconds + media_s
        if self._open and time.monotonic() - self._written > FLUSH_S:
            self._write()

    def _write(self, *events: Event) -> None:
        """Append events, after all that was kept back."""
        if self._closed:
            return
        sums = [
            _event(kind, stage=stage, jobs=jobs, media_s=_rounded(media_s))
            for (kind, stage), (jobs, media_s) in self._sums.items()
        ]
        self._log.append([*self._kept, *sums, *events])
        self._open, self._written = True, time.monotonic()
        self._kept.clear()
        self._sums.clear()


@contextmanager
def recorded(out: Path, plan: RunPlan, progress: Progress | None = None) -> Iterator[Recorder]:
    """Record a run for the length of the block, which holds the output folder; yield whom the runner shall tell."""
    recorder = Recorder(out, plan, progress or Silent())
    try:
        yield recorder
    except BaseException as error:
        how = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(StorageFault, OSError):  # the error that is under way says more
            recorder.end(how, error.code if isinstance(error, MitdsError) else type(error).__name__)
        raise
    recorder.end("complete")


def _event(kind: str, **about: object) -> Event:
    return {"at": utc(time.time()), "event": kind, **about}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _listed(run: Path) -> set[tuple[str, str]]:
    """Return name and digest of the shards that the last complete run left."""
    try:
        shards = json.loads(run.read_bytes()).get("shards", ())
        return {(shard["name"], shard["sha256"]) for shard in shards}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
