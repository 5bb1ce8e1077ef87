"""Annotate: shards of shots become shards of clips with faces, voices, who speaks, poses and binding.

faces (shot) ──┐
voices (source)┴─▶ speaking (shot) ─▶ people (source) ─▶ poses (clip) ─▶ clips (clip) ─▶ shards
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitds.config import digest
from mitds.errors import MissingWeights, UsageError
from mitds.manifests.ledger import End, FunnelRow, Kind, Ledger, funnel
from mitds.manifests.records import Clip
from mitds.manifests.schemas import concat_sources, write_clips
from mitds.manifests.shards import ShardWriter, expand
from mitds.pipeline.claims import claim, keep_earlier
from mitds.pipeline.runner import Job, Outcome, Progress, Runner, Stage, ray_session
from mitds.pipeline.selection import REASONS
from mitds.pipeline.settings import AnnotateConfig
from mitds.pipeline.shot_shards import read_sources
from mitds.pipeline.stages.items import Backend, ClipItem, ShotItem, SourceItem
from mitds.pipeline.stages.people import PeopleConfig, PeopleResult
from mitds.pipeline.work import Work, remove_stale
from mitds.store import write_json
from mitds.weights import digests, resolve

STAGES = ("faces", "voices", "speaking", "people", "poses", "clips")


@dataclass(frozen=True, slots=True)
class AnnotateResult:
    """What a run wrote.

    Attributes:
        out: The output folder.
        funnel: Every input's end, counted; the sums match.
        clips: All candidates with the shard they lie in; None where they were filtered and not written.
        failures: Item and sentence of everything that failed.
    """

    out: Path
    funnel: list[FunnelRow]
    clips: list[tuple[Clip, str | None]]
    failures: list[tuple[str, str]]

    @property
    def failed(self) -> int:
        """Number of items that failed."""
        return sum(row.count for row in self.funnel if row.status == "failed")


def stages(config: AnnotateConfig, work: Work, weight_digests: dict[str, str]) -> list[Stage]:
    """Declare the stages, their workers and what each needs."""
    device_gpus = {name: _gpus(getattr(config, name)) for name in ("faces", "speech", "asd", "pose")}
    people = PeopleConfig(
        joining=config.joining,
        binder=config.binder,
        fusion=config.fusion,
        turns=config.turns,
        rules=config.rules,
        models=config.backends,
        digests={"config": digest(replace(config, keep_all=False)), **weight_digests},
    )

    def annotator(stage: str, family: str, module: str) -> Stage:
        backend = Backend(config.backends[family], getattr(config, family))
        return Stage(
            name=stage,
            worker=f"mitds.pipeline.stages.{module}",
            arguments={"backend": backend, "work": work},
            num_gpus=device_gpus[family],
        )

    return [
        annotator("faces", "faces", "faces:FacesStage"),
        annotator("voices", "speech", "voices:VoicesStage"),
        annotator("speaking", "asd", "speaking:SpeakingStage"),
        Stage(
            name="people",
            worker="mitds.pipeline.stages.people:PeopleStage",
            arguments={"config": people, "work": work},
        ),
        annotator("poses", "pose", "poses:PosesStage"),
        Stage(
            name="clips",
            worker="mitds.pipeline.stages.clips:ClipsStage",
            arguments={"config": config.clip, "work": work},
        ),
    ]


def _gpus(settings: object) -> float:
    return 1.0 if str(getattr(settings, "device", "cpu")).startswith("cuda") else 0.0


def annotate(
    shards: Sequence[str],
    out: Path,
    config: AnnotateConfig,
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AnnotateResult:
    """Annotate all shots of the shards that the patterns name; see the module's head for the stages."""
    sources = read_sources(shards)
    if not sources:
        raise UsageError(
            "the shards hold no source", where=", ".join(shards), remedy="Run mitds ingest first."
        )
    claim(out, "annotate")
    keep_earlier(out, "clips.parquet", "source_id", [s.source.id or "" for s in sources], "clips' sources")
    weight_digests = ready_weights(config)
    with Work.over(out) as work:
        run = _Run(sources, out, work, config)
        with ray_session(address=address, workers=workers):
            runner = Runner(stages(config, work, weight_digests), progress)
            runner.run(run.first_jobs(), run.follow_ups)
        result = run.finish()
    write_json(
        out / "run.json",
        {
            "command": "annotate",
            "shards": [Path(s).name for s in shards],
            "config": config,
            "config_digest": digest(replace(config, keep_all=False)),
            "weights": weight_digests,
            "funnel": result.funnel,
        },
    )
    copy_sources(shards, out)
    return result


def ready_weights(config: AnnotateConfig) -> dict[str, str]:
    """Fetch what the backends need before any work begins, and return the sha256 by name.

    Raises:
        MissingWeights: One cannot be had; says which profile does without it.
    """
    try:
        for name in config.weights():
            resolve(name)
    except MissingWeights as error:
        if config.profile == "embedded":
            raise
        other = " Or run with --profile embedded, which needs the package index alone."
        raise MissingWeights(error.what, where=error.where, remedy=error.remedy + other) from error
    return digests(config.weights())


def copy_sources(shards: Sequence[str], out: Path) -> None:
    """Keep the list's record (sources.parquet) of every ingest run beside the clips, for the report."""
    folders = dict.fromkeys(path.parent for path in expand(shards))
    tables = [f / "sources.parquet" for f in folders if (f / "sources.parquet").is_file()]
    if tables:
        concat_sources(tables, out / "sources.parquet")


@dataclass(slots=True)
class _Progress:
    """How far one source has come."""

    item: SourceItem
    to_score: set[str] = field(default_factory=set)
    faces_done: set[str] = field(default_factory=set)
    ready: list[ShotItem] = field(default_factory=list)
    sound_ready: bool = False
    failed: bool = False
    people: PeopleResult | None = None
    to_write: set[str] = field(default_factory=set)
    files: dict[str, dict[str, Path]] = field(default_factory=dict)


class _Run:
    """Decides what follows what, and packs each source's clips, in order, once all its jobs have ended."""

    def __init__(self, sources: Sequence[SourceItem], out: Path, work: Work, config: AnnotateConfig) -> None:
        self._sources = {item.key: _Progress(item) for item in sources}
        self._shots = {s.shot.key: s for item in sources for s in item.shots}
        self._clip_items: dict[str, ClipItem] = {}
        self._config, self._out = config, out
        self._ledger = Ledger(work.root / "ledger.jsonl")
        self._inputs: dict[Kind, int] = {"source": len(sources), "shot": len(self._shots), "clip": 0}
        self._packed: list[tuple[Clip, str | None]] = []
        self._after: dict[str, Callable[[str, Outcome], Iterable[Job]]] = {
            "faces": self._after_faces,
            "voices": self._after_voices,
            "speaking": self._after_speaking,
            "people": self._after_people,
            "poses": self._after_poses,
            "clips": self._after_clip,
        }

    def first_jobs(self) -> Iterable[Job]:
        """Yield the jobs that wait for nothing: voices of sources, faces of shots."""
        for key, progress in self._sources.items():
            item = progress.item
            progress.to_score = {s.shot.key for s in item.shots}
            progress.sound_ready = item.sound is None
            if item.sound is not None:
                yield Job(stage="voices", item=key, payload=item, media_s=float(item.sound.duration))
            for shot in item.shots:
                yield Job(stage="faces", item=shot.shot.key, payload=shot, media_s=_seconds(shot))

    def follow_ups(self, job: Job, outcome: Outcome) -> Iterable[Job]:
        """Return the jobs that can start now that one has ended."""
        return list(self._after[job.stage](job.item, outcome))

    def _after_faces(self, key: str, outcome: Outcome) -> Iterable[Job]:
        progress = self._sources[self._shots[key].shot.source_id[:16]]
        if not outcome.ok:
            yield from self._shot_ended(progress, key, "faces", outcome)
            return
        progress.faces_done.add(key)
        if progress.sound_ready:
            yield self._speaking_job(progress, key)

    def _after_voices(self, key: str, outcome: Outcome) -> Iterable[Job]:
        progress = self._sources[key]
        if not outcome.ok:
            self._source_failed(progress, "voices", outcome)
            return
        progress.sound_ready = True
        yield from self._people_job(progress)
        for shot in progress.item.shots:
            if shot.shot.key in progress.faces_done:
                yield self._speaking_job(progress, shot.shot.key)

    def _speaking_job(self, progress: _Progress, key: str) -> Job:
        shot = self._shots[key]
        return Job(stage="speaking", item=key, payload=(shot, progress.item.sound), media_s=_seconds(shot))

    def _after_speaking(self, key: str, outcome: Outcome) -> Iterable[Job]:
        return self._shot_ended(self._sources[self._shots[key].shot.source_id[:16]], key, "speaking", outcome)

    def _shot_ended(self, progress: _Progress, key: str, stage: str, outcome: Outcome) -> Iterable[Job]:
        """Record a shot's end; the last one lets the source's people be brought together."""
        if progress.failed:
            return
        progress.to_score.discard(key)
        shot = self._shots[key]
        if outcome.ok:
            progress.ready.append(shot)
        self._end("shot", key, stage, outcome, _seconds(shot))
        yield from self._people_job(progress)

    def _people_job(self, progress: _Progress) -> Iterable[Job]:
        """Bring a source's people together once its voices, and all that its shots can give, are there."""
        if progress.sound_ready and not progress.to_score:
            ready = tuple(sorted(progress.ready, key=lambda s: s.shot.index))
            item = replace(progress.item, shots=ready)
            yield Job(stage="people", item=item.key, payload=item, media_s=sum(_seconds(s) for s in ready))

    def _after_people(self, key: str, outcome: Outcome) -> Iterable[Job]:
        progress = self._sources[key]
        if not outcome.ok:
            self._source_failed(progress, "people", outcome)
            return
        progress.people = outcome.value
        self._inputs["clip"] += len(outcome.value.clips)
        for item in outcome.value.clips:
            self._clip_items[item.clip.key] = item
            if item.clip.status == "filtered":
                self._filtered(item.clip)
            if item.clip.status == "kept" or self._config.keep_all:
                progress.to_write.add(item.clip.key)
                yield Job(stage="poses", item=item.clip.key, payload=item, media_s=item.clip.seconds)
        self._close_if_done(progress)

    def _filtered(self, clip: Clip) -> None:
        end = End(
            kind="clip",
            item=clip.key,
            stage="selection",
            status="filtered",
            reason=clip.reasons[0],
            detail="; ".join(REASONS[r] for r in clip.reasons),
            seconds=clip.seconds,
        )
        self._ledger.append(end)

    def _after_poses(self, key: str, outcome: Outcome) -> Iterable[Job]:
        if outcome.ok:
            item = self._clip_items[key]
            yield Job(stage="clips", item=key, payload=item, media_s=item.clip.seconds)
        else:
            self._clip_ended(key, "poses", outcome)

    def _after_clip(self, key: str, outcome: Outcome) -> Iterable[Job]:
        self._clip_ended(key, "clips", outcome)
        return ()

    def _clip_ended(self, key: str, stage: str, outcome: Outcome) -> None:
        clip = self._clip_items[key].clip
        progress = self._sources[clip.source_id[:16]]
        progress.to_write.discard(key)
        if outcome.ok:
            progress.files[key] = outcome.value
        if clip.status == "kept" or not outcome.ok:
            self._end("clip", key, stage, outcome, clip.seconds)
        self._close_if_done(progress)

    def _close_if_done(self, progress: _Progress) -> None:
        if progress.people is not None and not progress.to_write:
            self._end("source", progress.item.key, "annotate", Outcome(), None)

    def _source_failed(self, progress: _Progress, stage: str, outcome: Outcome) -> None:
        """End a source, and its shots that have no end yet, with the source's reason."""
        progress.failed = True
        self._end("source", progress.item.key, stage, outcome, None)
        for key in sorted(progress.to_score):
            self._end("shot", key, stage, outcome, _seconds(self._shots[key]))

    def _end(self, kind: Kind, item: str, stage: str, outcome: Outcome, seconds: float | None) -> None:
        self._ledger.append(
            End(
                kind=kind,
                item=item,
                stage=stage,
                status="kept" if outcome.ok else "failed",
                reason=outcome.reason,
                detail=outcome.detail,
                seconds=seconds,
            )
        )

    def finish(self) -> AnnotateResult:
        """Pack the shards in the order of the sources and check the sums."""
        with (
            ShardWriter("clips-%06d.tar", self._out) as kept,
            ShardWriter("rejected-%06d.tar", self._out) as rejected,
            ShardWriter("sources-%06d.tar", self._out) as labels,
        ):
            for key, progress in self._sources.items():
                if progress.people is None:
                    continue
                labels.add(key, progress.people.labels)
                for item in progress.people.clips:
                    files = progress.files.get(item.clip.key)
                    writer = kept if item.clip.status == "kept" else rejected
                    shard = writer.add(item.clip.key, files) if files else None
                    self._packed.append((item.clip, shard))
        for writer in (kept, rejected, labels):
            remove_stale(self._out, writer.paths, writer.pattern)
        write_clips(self._out / "clips.parquet", self._packed)
        self._ledger.publish(self._out / "ledger.jsonl")
        ends = self._ledger.ends()
        failures = [(f"{e.kind} {e.item}", e.detail) for e in ends if e.status == "failed"]
        return AnnotateResult(self._out, funnel(ends, self._inputs), self._packed, failures)


def _seconds(shot: ShotItem) -> float:
    return float(shot.shot.end - shot.shot.start)
