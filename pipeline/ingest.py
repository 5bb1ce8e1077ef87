"""Ingest: a list of links becomes sources, shots, and the record of what became of every line.

list ─▶ fetch (link) ─▶ duplicates ─▶ probe (source) ─▶ cuts (source) ─▶ shots (group of shots)
     ─▶ shots-NNNNNN.tar, sources.parquet, ledger.jsonl
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache
from pathlib import Path

from mitds.annotators.registries import SHOTS, WEIGHTS
from mitds.config import canonical, digest
from mitds.errors import UsageError
from mitds.lock import Hold
from mitds.manifests.ledger import End, funnel
from mitds.manifests.records import Source
from mitds.manifests.removals import Removals, removals
from mitds.manifests.schemas import write_sources
from mitds.pipeline import ingest_run
from mitds.pipeline.claims import claim, keep_earlier
from mitds.pipeline.dry_run import StageForecast
from mitds.pipeline.fingerprints import code
from mitds.pipeline.ingest_config import IngestConfig, IngestResult
from mitds.pipeline.ingest_fetch import Fetcher, Pair, fetch_fingerprint, mark_duplicates, one_ahead
from mitds.pipeline.ingest_run import IngestCourse, Known
from mitds.pipeline.jobs import Progress, Silent
from mitds.pipeline.nodes import Needs
from mitds.pipeline.runner import Runner
from mitds.pipeline.session import ray_session
from mitds.pipeline.shot_shards import ShotShards
from mitds.pipeline.sources.lists import Entry, read_list
from mitds.pipeline.stages.split import CutsResult, split_fingerprints
from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.recorder import recorded
from mitds.pipeline.work import Work, run_on
from mitds.store import write_bytes
from mitds.weights import digests, resolve

__all__ = ["STAGES", "IngestConfig", "IngestResult", "ingest", "ingest_forecast"]

STAGES = ("fetch", *ingest_run.STAGES)

WINDOW = 64
"""Lines that are worked on together: so many sources, and as many fetched ahead, lie on the disk at most."""


def ingest(
    list_path: Path,
    out: Path,
    config: IngestConfig = IngestConfig(),
    *,
    removed: Sequence[Path] = (),
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> IngestResult:
    """Fetch, check and split every line of a list; one bad line harms no other.

    What an earlier run with the same output has done already is not done again.

    Args:
        list_path: The list.
        out: The output folder.
        config: All settings.
        removed: Folders and files with records of what was withdrawn, besides those of the output itself.
        address: A Ray cluster; None for this machine.
        workers: Processes on this machine; None for one a core.
        progress: Told of every job.
    """
    weights, entries = ready_weights(config), _entries(list_path)
    claim(out, "ingest")
    plan = RunPlan(command="ingest", stages=STAGES, first=("fetch",), jobs=len(entries))
    with run_on(out, "ingest") as (root, hold), recorded(out, plan, progress) as told, ExitStack() as stack:
        work = Work(root, _fingerprints(config, weights))
        run = stack.enter_context(closing(_Ingest(out, work, config, removals(out, *removed), told)))
        needs = Needs(work=root, weights=WEIGHTS.get(config.split.detector, ()))
        session = ray_session(address=address, workers=workers, needs=needs)
        run.split(entries, cache(lambda: stack.enter_context(session)))
        result = run.finish(hold)
        told.published(result.records)
        about = {
            "command": "ingest",
            "complete": True,
            "inputs": [list_path.name],
            "config": config,
            "config_digest": digest(config.split, weights),
            "weights": weights,
            "funnel": result.funnel,
            "shards": result.records,
        }
        _write(out / "run.json", (canonical(about) + "\n").encode())
    return result


def ingest_forecast(
    list_path: Path, out: Path, config: IngestConfig = IngestConfig(), *, removed: Sequence[Path] = ()
) -> list[StageForecast]:
    """Say what `ingest` would do with the same arguments: what is done, what is to be done; nothing is changed."""
    weights, entries = ready_weights(config), _entries(list_path)
    work = Work(out / ".work", _fingerprints(config, weights))
    with closing(
        _Ingest(out, work, config, removals(*([out] if out.is_dir() else []), *removed), None)
    ) as run:
        return run.rehearse(entries)


def ready_weights(config: IngestConfig) -> dict[str, str]:
    """Fetch what the detector needs before any work begins, and return the sha256 by name."""
    SHOTS.origin(config.split.detector)
    names = WEIGHTS.get(config.split.detector, ())
    for name in names:
        resolve(name)
    return digests(names)


def _entries(list_path: Path) -> list[Entry]:
    entries = read_list(list_path)
    if not entries:
        raise UsageError(
            "the list names no source", where=str(list_path), remedy="Write one URL or path a line."
        )
    return entries


def _fingerprints(config: IngestConfig, weights: dict[str, str]) -> dict[str, str]:
    return {
        "fetch": fetch_fingerprint(config.fetch),
        **split_fingerprints(config.split, weights, code()),
    }


class _Ingest:
    """One run: windows of the list are fetched, split and packed, one after the other."""

    def __init__(
        self, out: Path, work: Work, config: IngestConfig, refused: Removals, progress: Progress | None
    ) -> None:
        self._out, self._work, self._config = out, work, config
        self._progress = progress or Silent()
        self._shards = ShotShards(out, work, work.fingerprints["shots"])
        self._known = Known(work, self._shards)
        self._fetcher = Fetcher(
            work, config.fetch, config.connections, refused, self._known.settled, self._progress
        )
        self._first: dict[str, int] = {}
        self._ended: list[Source] = []
        self._shots = 0

    def split(self, entries: Sequence[Entry], need_workers: Callable[[], object]) -> None:
        """Take all lines as far as they go; `need_workers` is called before anybody must work."""
        windows = (entries[at : at + WINDOW] for at in range(0, len(entries), WINDOW))
        for fetched in one_ahead(self._fetcher.fetch_all, windows):
            pairs = mark_duplicates(fetched, self._first)
            if any(step.to_do for step in self._course(pairs, _nothing).rehearse()):
                need_workers()
            course = self._course(pairs, self._pack)
            runner = Runner(ingest_run.stages(self._config.split, self._work), self._progress, course.recall)
            runner.run(course.first_jobs(), course.follow_ups)
            self._ended += [course.ends.get(source.row, source) for source, _ in pairs]
            self._forget_duplicates(pairs)

    def rehearse(self, entries: Sequence[Entry]) -> list[StageForecast]:
        """Say what `split` would do."""
        found = [self._fetcher.rehearse(entry) for entry in entries]
        pairs = mark_duplicates([pair for pair in found if pair is not None], self._first)
        missing = found.count(None)
        steps = self._course(pairs, _nothing).rehearse()
        fetch = StageForecast("fetch", len(entries) - missing, missing, open=False)
        return [fetch, *(replace(step, open=step.open or missing > 0) for step in steps)]

    def _course(self, pairs: Sequence[Pair], packed: ingest_run.Packed) -> IngestCourse:
        kept = [(source, path) for source, path in pairs if source.status == "kept" and path is not None]
        return IngestCourse(kept, self._known, packed)

    def _pack(self, source: Source, cuts: CutsResult) -> None:
        """Write a source's samples; what they were made of is not needed any more."""
        self._shards.add(source, cuts)
        self._shots += len(cuts.shots)
        self._fetcher.forget(source.id or "")

    def _forget_duplicates(self, pairs: Sequence[Pair]) -> None:
        """Delete what was fetched again after the first line of its content had been dealt with."""
        rows = {source.row for source, _ in pairs}
        for source, _ in pairs:
            if source.id and self._first[source.id] not in rows:
                self._fetcher.forget(source.id)

    def finish(self, hold: Hold) -> IngestResult:
        """Put everything in its place, and write down every line's end; `hold` is the right to write there."""
        ids = {source.id for source in self._ended if source.status == "kept"}
        kept = [
            source.url
            for source in self._ended
            if source.status == "kept" or (source.reason == "duplicate_of" and source.id in ids)
        ]
        keep_earlier(self._out, "sources.parquet", "url", kept, "sources")
        hold.check()
        records = self._shards.publish()
        table = self._work.root / "sources.parquet"
        write_sources(table, self._ended)
        _write(self._out / "sources.parquet", table.read_bytes())
        table.unlink()
        ends = [_end(source) for source in self._ended]
        _write(self._out / "ledger.jsonl", "".join(canonical(end) + "\n" for end in ends).encode())
        rows = funnel(ends, {"source": len(ends), "shot": 0, "clip": 0})
        return IngestResult(self._out, rows, self._ended, self._shots, records)

    def close(self) -> None:
        """Let go of the open files; what is done stays for a later run."""
        self._shards.close()


def _nothing(source: Source, cuts: CutsResult) -> None:
    """Pack nothing."""


def _write(path: Path, data: bytes) -> None:
    """Write a file, unless it stands there already as it is."""
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)


def _end(source: Source) -> End:
    return End(
        kind="source",
        item=str(source.row),
        stage="fetch" if source.id is None else "ingest",
        status=source.status,
        reason=source.reason,
        detail=source.detail,
        seconds=float(source.probe.duration) if source.probe else None,
    )
