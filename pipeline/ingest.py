"""Ingest: a list of links becomes sources, shots, and the record of what became of every line.

list ─▶ fetch (link) ─▶ duplicates ─▶ split (source) ─▶ shots-NNNNNN.tar, sources.parquet, ledger.jsonl
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitds.annotators.registries import SHOTS, WEIGHTS
from mitds.config import digest, require
from mitds.errors import EnvironmentFault, InputFault, MissingDependency, MissingWeights, UsageError
from mitds.manifests.ledger import End, FunnelRow, Ledger, funnel
from mitds.manifests.records import Source, Status
from mitds.manifests.schemas import write_sources
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.background import in_background
from mitds.pipeline.claims import claim, keep_earlier
from mitds.pipeline.runner import Job, Outcome, Progress, Runner, Silent, Stage, ray_session
from mitds.pipeline.shot_shards import add_source
from mitds.pipeline.sources.fetch import FetchConfig, Fetched, fetch
from mitds.pipeline.sources.lists import Entry, read_list
from mitds.pipeline.stages.items import SplitResult
from mitds.pipeline.stages.split import SplitConfig
from mitds.pipeline.work import Work, remove_stale
from mitds.store import write_json
from mitds.weights import digests, resolve
from mitds.weights.web import redact

STAGES = ("fetch", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """Everything that decides what ingest writes.

    Attributes:
        fetch: How links are fetched.
        split: How sources become shots.
        connections: Links fetched at the same time; one host is never asked twice at once.
    """

    fetch: FetchConfig = field(default_factory=FetchConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    connections: int = 4

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require(self.connections >= 1, "connections", self.connections, "at least 1")


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What a run wrote.

    Attributes:
        out: The output folder.
        funnel: Every line's end, counted; the sums match.
        sources: One record a line, in the order of the list.
        shots: Number of shots.
        shards: The shards written.
    """

    out: Path
    funnel: list[FunnelRow]
    sources: list[Source]
    shots: int
    shards: list[Path]

    @property
    def failed(self) -> int:
        """Number of lines that failed."""
        return sum(source.status == "failed" for source in self.sources)


def ingest(
    list_path: Path,
    out: Path,
    config: IngestConfig = IngestConfig(),
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> IngestResult:
    """Fetch, check and split every line of a list; one bad line harms no other."""
    SHOTS.origin(config.split.detector)
    weights = WEIGHTS.get(config.split.detector, ())
    for name in weights:
        resolve(name)
    entries = read_list(list_path)
    if not entries:
        raise UsageError(
            "the list names no source", where=str(list_path), remedy="Write one URL or path a line."
        )
    claim(out, "ingest")
    with Work.over(out) as work:
        return _ingest(entries, list_path, out, work, config, weights, address, workers, progress)


def _ingest(
    entries: Sequence[Entry],
    list_path: Path,
    out: Path,
    work: Work,
    config: IngestConfig,
    weights: Sequence[str],
    address: str | None,
    workers: int | None,
    progress: Progress | None,
) -> IngestResult:
    fetched = _fetch_all(entries, work.root / "downloads", config, progress or Silent())
    sources = _mark_duplicates(fetched)
    jobs = [
        Job(stage="split", item=str(source.row), payload=(source, path), media_s=_expected_s(source))
        for source, path in sources
        if source.status == "kept" and path is not None
    ]
    outcomes = _split_all(jobs, work, config, address, workers, progress)
    result = _finish([source for source, _ in sources], outcomes, out, work)
    write_json(
        out / "run.json",
        {
            "command": "ingest",
            "list": list_path.name,
            "config": config,
            "config_digest": digest(config.split, digests(weights)),
            "weights": digests(weights),
            "funnel": result.funnel,
        },
    )
    return result


def _fetch_all(
    entries: Sequence[Entry], folder: Path, config: IngestConfig, progress: Progress
) -> list[tuple[Source, Path | None]]:
    def one(entry: Entry) -> tuple[Source, Path | None]:
        source, path = _fetch_one(entry, folder, config.fetch)
        progress.ended("fetch", str(entry.row), source.status != "failed")
        return source, path

    for _ in entries:
        progress.added("fetch")
    return in_background(one, entries, config.connections)


def _fetch_one(entry: Entry, folder: Path, config: FetchConfig) -> tuple[Source, Path | None]:
    """Fetch one line; a dead link is a recorded state."""
    try:
        got = fetch(entry, folder, config)
    except (InputFault, MissingDependency, MissingWeights) as error:
        return _source(entry, None, status="failed", reason=error.code, detail=str(error)), None
    except EnvironmentFault:
        raise
    except Exception as error:  # noqa: BLE001  one line's surprise must not end the others; it is recorded
        detail = f"{type(error).__name__}: {error}"
        return _source(entry, None, status="failed", reason="internal", detail=detail), None
    return _source(entry, got), got.path


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


def _mark_duplicates(fetched: Iterable[tuple[Source, Path | None]]) -> list[tuple[Source, Path | None]]:
    """Keep the first line of each content; the others are filtered and name it."""
    first: dict[str, int] = {}
    marked = []
    for source, path in fetched:
        original = first.setdefault(source.id, source.row) if source.id else source.row
        if original != source.row:
            detail = f"the same bytes as line {original}"
            source = replace(source, status="filtered", reason="duplicate_of", detail=detail)
        marked.append((source, path))
    return marked


def _expected_s(source: Source) -> float:
    """Guess the seconds of a source that was not probed yet, for its deadline: at least 100 kbit/s."""
    return (source.bytes or 0) * 8 / 100_000


def _split_all(
    jobs: list[Job],
    work: Work,
    config: IngestConfig,
    address: str | None,
    workers: int | None,
    progress: Progress | None,
) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}

    def keep(job: Job, outcome: Outcome) -> Iterable[Job]:
        outcomes[int(job.item)] = outcome
        return ()

    stage = Stage(
        name="split",
        worker="mitds.pipeline.stages.split:Splitter",
        arguments={"config": config.split, "work": work},
        deadline_per_media_s=20.0,
    )
    if jobs:
        with ray_session(address=address, workers=workers):
            Runner([stage], progress).run(jobs, keep)
    return outcomes


def _finish(sources: list[Source], outcomes: dict[int, Outcome], out: Path, work: Work) -> IngestResult:
    """Pack shards in the order of the list, and write down every line's end."""
    split = {row for row, outcome in outcomes.items() if outcome.ok}
    keep_earlier(out, "sources.parquet", "url", [s.url for s in sources if s.row in split], "sources")
    ledger, ended, shots = Ledger(work.root / "ledger.jsonl"), [], 0
    with ShardWriter("shots-%06d.tar", out) as writer:
        for source in sources:
            outcome = outcomes.get(source.row)
            if outcome is not None and outcome.ok:
                result: SplitResult = outcome.value
                source, shots = result.source, shots + len(result.shots)
                add_source(writer, result, work)
            elif outcome is not None:
                source = replace(source, status="failed", reason=outcome.reason, detail=outcome.detail)
            ended.append(source)
            ledger.append(_end(source))
    remove_stale(out, writer.paths, writer.pattern)
    write_sources(out / "sources.parquet", ended)
    ledger.publish(out / "ledger.jsonl")
    rows = funnel(ledger.ends(), {"source": len(sources), "shot": 0, "clip": 0})
    return IngestResult(out, rows, ended, shots, writer.paths)


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
