"""The course of an annotate run: what follows what, and what ends how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitds.manifests.codec import to_json
from mitds.manifests.ledger import FunnelRow, Kind, Ledger, funnel
from mitds.manifests.records import Clip
from mitds.pipeline.curation import judged
from mitds.pipeline.ends import Ends
from mitds.pipeline.near_duplicates import NearDuplicates
from mitds.pipeline.packing import Lot, Packed, pack
from mitds.pipeline.runner import Job, Outcome
from mitds.pipeline.settings import AnnotateConfig
from mitds.pipeline.stages.items import ClipItem, ShotItem, SourceItem
from mitds.pipeline.stages.people import PeopleResult
from mitds.pipeline.work import Work
from mitds.store import write_bytes


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
    clips: Packed
    failures: list[tuple[str, str]]

    @property
    def failed(self) -> int:
        """Number of items that failed."""
        return sum(row.count for row in self.funnel if row.status == "failed")


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


class AnnotateRun:
    """Decides what follows what, and packs each source's clips, in order, once all its jobs have ended."""

    def __init__(self, sources: Sequence[SourceItem], out: Path, work: Work, config: AnnotateConfig) -> None:
        self._sources = {item.key: _Progress(item) for item in sources}
        self._shots = {s.shot.key: s for item in sources for s in item.shots}
        self._clip_items: dict[str, ClipItem] = {}
        self._config, self._out, self._work = config, out, work
        self._ends = Ends(Ledger(work.root / "ledger.jsonl"))
        self._inputs: dict[Kind, int] = {"source": len(sources), "shot": len(self._shots), "clip": 0}
        self._after: dict[str, Callable[[str, Outcome], Iterable[Job]]] = {
            "faces": self._after_faces,
            "voices": self._after_voices,
            "speaking": self._after_speaking,
            "people": self._after_people,
            "quality": self._after_quality,
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
                yield Job(stage="faces", item=shot.shot.key, payload=shot, media_s=shot.seconds)

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
        return Job(stage="speaking", item=key, payload=(shot, progress.item.sound), media_s=shot.seconds)

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
        self._ends.ended("shot", key, stage, outcome, shot.seconds)
        yield from self._people_job(progress)

    def _people_job(self, progress: _Progress) -> Iterable[Job]:
        """Bring a source's people together once its voices, and all that its shots can give, are there."""
        if progress.sound_ready and not progress.to_score:
            ready = tuple(sorted(progress.ready, key=lambda s: s.shot.index))
            item = replace(progress.item, shots=ready)
            yield Job(stage="people", item=item.key, payload=item, media_s=sum(s.seconds for s in ready))

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
                self._ends.filtered(item.clip, "selection")
            if self._goes_on(item.clip):
                progress.to_write.add(item.clip.key)
                yield self._clip_job("quality" if self._config.quality.measures else "poses", item.clip.key)
        self._close_if_done(progress)

    def _goes_on(self, clip: Clip) -> bool:
        return clip.status == "kept" or self._config.keep_all

    def _clip_job(self, stage: str, key: str) -> Job:
        item = self._clip_items[key]
        return Job(stage=stage, item=key, payload=item, media_s=item.clip.seconds)

    def _after_quality(self, key: str, outcome: Outcome) -> Iterable[Job]:
        return self._measured(key, "quality", "poses", outcome)

    def _after_poses(self, key: str, outcome: Outcome) -> Iterable[Job]:
        return self._measured(key, "poses", "clips", outcome)

    def _measured(self, key: str, stage: str, following: str, outcome: Outcome) -> Iterable[Job]:
        """Judge a clip by what a stage measured; it goes on, or ends here."""
        if not outcome.ok:
            self._clip_ended(key, stage, outcome)
        elif self._goes_on(self._judged(key, stage, outcome.value)):
            yield self._clip_job(following, key)
        else:
            progress = self._progress_of(key)
            progress.to_write.discard(key)
            self._close_if_done(progress)

    def _judged(self, key: str, stage: str, scores: Mapping[str, float]) -> Clip:
        """Add scores to a clip; where they break its first rule, it ends as filtered at this stage."""
        item = self._clip_items[key]
        clip = judged(item.clip, scores, self._config.curation)
        self._clip_items[key] = replace(item, clip=clip)
        if clip.status == "filtered" and item.clip.status == "kept":
            self._ends.filtered(clip, stage)
        return clip

    def _progress_of(self, key: str) -> _Progress:
        return self._sources[self._clip_items[key].clip.source_id[:16]]

    def _after_clip(self, key: str, outcome: Outcome) -> Iterable[Job]:
        self._clip_ended(key, "clips", outcome)
        return ()

    def _clip_ended(self, key: str, stage: str, outcome: Outcome) -> None:
        clip = self._clip_items[key].clip
        progress = self._progress_of(key)
        progress.to_write.discard(key)
        if outcome.ok:
            progress.files[key] = outcome.value
        if clip.status == "kept" or not outcome.ok:
            self._ends.ended("clip", key, stage, outcome, clip.seconds)
        self._close_if_done(progress)

    def _close_if_done(self, progress: _Progress) -> None:
        if progress.people is not None and not progress.to_write:
            self._ends.ended("source", progress.item.key, "annotate", Outcome(), None)

    def _source_failed(self, progress: _Progress, stage: str, outcome: Outcome) -> None:
        """End a source, and its shots that have no end yet, with the source's reason."""
        progress.failed = True
        self._ends.ended("source", progress.item.key, stage, outcome, None)
        for key in sorted(progress.to_score):
            self._ends.ended("shot", key, stage, outcome, self._shots[key].seconds)

    def finish(self) -> AnnotateResult:
        """Compare the clips with each other, pack the shards in the order of the sources, and check the sums."""
        self._find_near_duplicates()
        packed = pack(self._lots(), self._out, keep_all=self._config.keep_all)
        self._ends.ledger.publish(self._out / "ledger.jsonl")
        ends = self._ends.ledger.ends()
        failures = [(f"{e.kind} {e.item}", e.detail) for e in ends if e.status == "failed"]
        return AnnotateResult(self._out, funnel(ends, self._inputs), packed, failures)

    def _lots(self) -> list[Lot]:
        """Return each source's candidates as they stand now, with the files of those that were made."""
        lots = []
        for key, progress in self._sources.items():
            if progress.people is not None:
                planned = [item.clip.key for item in progress.people.clips]
                made = [(self._clip_items[clip].clip, progress.files.get(clip)) for clip in planned]
                lots.append(Lot(key, progress.people.labels, made))
        return lots

    def _find_near_duplicates(self) -> None:
        """Compare each clip with the kept ones of the sources before its own, whatever order they were made in."""
        if "duplicates" not in self._config.quality.measures:
            return
        made = [(clip, files) for lot in self._lots() for clip, files in lot.clips if files is not None]
        known = NearDuplicates(self._work, [clip for clip, _ in made])
        for place, (clip, files) in enumerate(made):
            scores, twin = known.compare(place)
            clip = replace(self._judged(clip.key, "duplicates", scores), duplicate_of=twin)
            self._clip_items[clip.key] = replace(self._clip_items[clip.key], clip=clip)
            write_bytes(files["json"], to_json(clip).encode())
            if clip.status == "kept":
                known.keep(place)
