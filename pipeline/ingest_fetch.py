"""The first step of ingest: lines of the list become files, each fetched once."""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mitds.config import digest
from mitds.errors import BadShard, EnvironmentFault, InputFault, MissingDependency, MissingWeights
from mitds.manifests.codec import from_json
from mitds.manifests.records import Source, Status
from mitds.manifests.removals import Removals, withdrawn_source
from mitds.pipeline.background import in_background
from mitds.pipeline.jobs import Progress
from mitds.pipeline.sources.fetch import FetchConfig, Fetched, fetch
from mitds.pipeline.sources.lists import Entry
from mitds.pipeline.work import Work
from mitds.places import is_remote
from mitds.store import publish, write_json
from mitds.weights.web import redact

T = TypeVar("T")
R = TypeVar("R")

Pair = tuple[Source, Path | None]
"""A line's record, and its file where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    """What is remembered of a fetched source: all of `Fetched`, and where the file lay."""

    file: str
    url: str
    name: str
    title: str | None
    fetched_at: str
    bytes: int
    sha256: str
    licence: str | None
    notes: tuple[str, ...]


def fetch_fingerprint(config: FetchConfig) -> str:
    """Return a digest of the settings that decide what is fetched, or whether it may be."""
    may = (config.local, config.private_hosts, config.file_systems, config.max_bytes)
    return digest(may, config.max_height, config.formats, config.format_order)


class Fetcher:
    """Fetches lines of the list that no earlier run has fetched.

    Args:
        work: The work folder: "downloads" SHA256.SUFFIX, and "fetch" KEY.done, a line each.
        config: How links are fetched.
        connections: Links fetched at the same time.
        refused: What may not be taken in.
        settled: Says whether nothing is left to do with a source, so that its file is not needed.
        progress: Told of every line.
    """

    def __init__(
        self,
        work: Work,
        config: FetchConfig,
        connections: int,
        refused: Removals,
        settled: Callable[[Source], bool],
        progress: Progress,
    ) -> None:
        self._work, self._config, self._connections = work, config, connections
        self._refused, self._settled, self._progress = refused, settled, progress
        self.folder = work.root / "downloads"

    def fetch_all(self, entries: Sequence[Entry]) -> list[Pair]:
        """Fetch some lines side by side; a dead link is a recorded state."""

        def one(entry: Entry) -> Pair:
            source, path = self._one(entry)
            failed = source.status == "failed"
            self._progress.ended("fetch", str(entry.row), not failed, reason=source.reason if failed else "")
            return source, path

        for _ in entries:
            self._progress.added("fetch")
        return in_background(one, entries, self._connections)

    def known(self, entry: Entry) -> Pair | None:
        """Return what an earlier run fetched for a line, where its file is there or is not needed any more."""
        if self._refused.refuses(entry.url):
            return withdrawn_source(entry.row), None
        try:
            had = from_json(_Download, self._note(entry).read_bytes())
        except (BadShard, OSError):
            return None
        path = self.folder / had.file  # an absolute path stays what it is
        source = _source(entry, Fetched(path=path, **{k: getattr(had, k) for k in _SHARED}))
        if self._refused.refuses(had.sha256):
            return withdrawn_source(entry.row), None
        return (source, path) if path.is_file() or self._settled(source) else None

    def rehearse(self, entry: Entry) -> Pair | None:
        """Return the same as `known`, and look at a file of this machine where it lies."""
        if "://" in entry.url and not entry.url.startswith("file://"):
            return self.known(entry)
        with tempfile.TemporaryDirectory(prefix="mitds-") as scratch:
            return self._fetched(entry, Path(scratch))

    def forget(self, sha256: str) -> None:
        """Delete a download that is not needed any more; files of the user stay."""
        if self.folder.is_dir():
            for path in self.folder.glob(f"{sha256}*"):
                path.unlink(missing_ok=True)

    def _one(self, entry: Entry) -> Pair:
        known = self.known(entry)
        if known is not None:
            return known
        if "://" in entry.url:  # a file of this machine is looked at every time, which is not worth a word
            self._progress.started("fetch", str(entry.row))
        if not is_remote(self.folder):
            return self._fetched(entry, self.folder)
        with tempfile.TemporaryDirectory(prefix="mitds-") as scratch:
            return self._fetched(entry, Path(scratch))

    def _fetched(self, entry: Entry, folder: Path) -> Pair:
        try:
            got = fetch(replace(entry, title=None), folder, self._config)
        except (InputFault, MissingDependency, MissingWeights) as error:
            return _source(entry, None, status="failed", reason=error.code, detail=str(error)), None
        except EnvironmentFault:
            raise
        except Exception as error:  # noqa: BLE001  one line's surprise must not end the others; it is recorded
            detail = f"{type(error).__name__}: {error}"
            return _source(entry, None, status="failed", reason="internal", detail=detail), None
        if self._refused.refuses(got.sha256):
            self.forget(got.sha256)
            return withdrawn_source(entry.row), None
        path = self._laid(got, folder)
        self._remember(entry, got, path)
        return _source(entry, got), path

    def _laid(self, got: Fetched, folder: Path) -> Path:
        """Return where a fetched file lies for all workers to read."""
        if folder == self.folder or got.path.parent != folder:
            return got.path
        publish(got.path, self.folder / got.path.name)
        return self.folder / got.path.name

    def _note(self, entry: Entry) -> Path:
        return self._work.path("fetch", digest(entry.url), ".done")

    def _remember(self, entry: Entry, got: Fetched, path: Path) -> None:
        """Write down what was fetched; a file that lay on this machine is looked at anew by every run."""
        if got.fetched_at is not None:
            file = path.name if path.parent == self.folder else str(path)
            write_json(self._note(entry), _Download(file=file, **{k: getattr(got, k) for k in _SHARED}))


_SHARED = ("url", "name", "title", "fetched_at", "bytes", "sha256", "licence", "notes")


def _source(
    entry: Entry, got: Fetched | None, *, status: Status = "kept", reason: str = "", detail: str = ""
) -> Source:
    return Source(
        row=entry.row,
        url=got.url if got else redact(entry.url),
        id=got.sha256 if got else None,
        name=got.name if got else redact(entry.url),
        title=entry.title or (got.title if got else None),
        rights=entry.rights,
        fetched_at=got.fetched_at if got else None,
        bytes=got.bytes if got else None,
        probe=None,
        status=status,
        reason=reason,
        detail=detail,
        notes=_notes(got) if got else (),
    )


def _notes(got: Fetched) -> tuple[str, ...]:
    licence = (f"licence stated by the source: {got.licence}",) if got.licence else ()
    return (*licence, *got.notes)


def mark_duplicates(fetched: Iterable[Pair], first: dict[str, int]) -> list[Pair]:
    """Keep the first line of each content; the others are filtered and name it.

    Args:
        fetched: Lines in order.
        first: Row of the first line of each content so far; those of these lines are added.
    """
    marked = []
    for source, path in fetched:
        original = first.setdefault(source.id, source.row) if source.id else source.row
        if original != source.row:
            detail = f"the same bytes as line {original}"
            source = replace(source, status="filtered", reason="duplicate_of", detail=detail)
        marked.append((source, path))
    return marked


def one_ahead(make: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what is made of each item, in order, while the next one is being made by a daemon thread."""
    waiting: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()

    def work(item: T) -> None:
        try:
            waiting.put((make(item), None))
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
            waiting.put((None, error))

    def begin() -> bool:
        with contextlib.suppress(StopIteration):
            threading.Thread(target=work, args=(next(left),), daemon=True).start()
            return True
        return False

    left = iter(items)
    begun = begin()
    while begun:
        result, error = waiting.get()
        if error is not None:
            raise error
        begun = begin()
        yield result  # type: ignore[misc]
