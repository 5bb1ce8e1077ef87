"""The course of an annotate run: what follows what, and what ends how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitds.config import canonical
from mitds.lock import Hold
from mitds.manifests.ledger import KINDS, End, FunnelRow, Kind, funnel
from mitds.manifests.records import Clip
from mitds.manifests.removals import Removals
from mitds.manifests.shard_journal import ShardRecord
from mitds.pipeline.curation import judged
from mitds.pipeline.ends import Ends
from mitds.pipeline.jobs import Job, Outcome
from mitds.pipeline.memory import Memory
from mitds.pipeline.near_duplicates import NearDuplicates, read_fingerprint
from mitds.pipeline.packing import Packed, Packer, RehearsingPacker
from mitds.pipeline.settings import AnnotateConfig
from mitds.pipeline.stages.faces import FacesResult
from mitds.pipeline.stages.items import ClipItem, ShotItem, SourceItem
from mitds.pipeline.stages.people import PeopleResult, PlannedClip
from mitds.pipeline.stages.voices import VoicesResult
from mitds.pipeline.work import Work
from mitds.store import write_bytes

RESULTS: dict[str, type] = {
    "faces": FacesResult,
    "voices": VoicesResult,
    "speaking": int,
    "people": PeopleResult,
    "quality": dict[str, float],
    "poses": dict[str, float],
}
"""What the workers of each stage return, where it is remembered."""


@dataclass(frozen=True, slots=True)
class AnnotateResult:
    """What a run wrote.

    Attributes:
        out: The output folder.
        funnel: Every input's end, counted; the sums match.
        clips: All candidates with the shard they lie in; None where they were filtered and not written.
        failures: Item and sentence of everything that failed.
        shards: All shards that stand now.
    """

    out: Path
    funnel: list[FunnelRow]
    clips: Packed
    failures: list[tuple[str, str]]
    shards: list[ShardRecord]

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


class AnnotateRun:
    """Decides what follows what, which of it earlier runs have done, and hands clips to the packer as they end.

    Args:
        sources: What is to be annotated, in order.
        out: The output folder.
        work: The work folder.
        config: All settings.
        gone: What was withdrawn: clips that show withdrawn people are not made, and their labels are blanked.
        rehearsal: Only follow the course, as far as earlier runs have gone; write nothing.
    """

    def __init__(
        self,
        sources: Sequence[SourceItem],
        out: Path,
        work: Work,
        config: AnnotateConfig,
        gone: Removals = Removals(),
        *,
        rehearsal: bool = False,
    ) -> None:
        self._sources = {item.key: _Progress(item) for item in sources}
        self._shots = {s.shot.key: s for item in sources for s in item.shots}
        self._clip_items: dict[str, ClipItem] = {}
        self._made: set[str] = set()
        self._config, self._out, self._work, self._gone = config, out, work, gone
        self._memory = Memory(work, RESULTS)
        self._duplicates = NearDuplicates() if "duplicates" in config.quality.measures else None
        keys = list(self._sources)
        packer = RehearsingPacker if rehearsal else Packer
        self._packer = packer(keys, out, work, self._last_word, keep_all=config.keep_all)
        self._ends = Ends()
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
                media_s = float(item.sound.about.duration)
                yield self._memory.job("voices", key, item, key=item.name, media_s=media_s)
            for shot in item.shots:
                yield self._memory.job("faces", shot.shot.key, shot, key=shot.name, media_s=shot.seconds)
            if item.sound is None and not item.shots:
                yield from self._people_job(progress)

    def recall(self, job: Job) -> Outcome | None:
        """Return the outcome of a job that an earlier run has done."""
        if job.stage == "clips":
            return Outcome() if self._packer.has(job.payload) else None
        return self._memory.recall(job)

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
        payload = (shot, progress.item.sound)
        return self._memory.job("speaking", key, payload, key=shot.name, media_s=shot.seconds)

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
            media_s = sum(s.seconds for s in ready)
            yield self._memory.job("people", item.key, item, key=item.unit, media_s=media_s)

    def _after_people(self, key: str, outcome: Outcome) -> Iterable[Job]:
        progress = self._sources[key]
        if not outcome.ok:
            self._source_failed(progress, "people", outcome)
            return
        planned = tuple(plan for plan in outcome.value.clips if not self._gone.shown(plan.clip))
        progress.people = replace(outcome.value, clips=planned)
        self._inputs["clip"] += len(planned)
        self._clip_items |= {plan.clip.key: self._clip_item(progress, plan) for plan in planned}
        ready = tuple(sorted(progress.ready, key=lambda s: s.shot.index))
        labels = replace(progress.item, shots=ready).unit
        hidden = self._gone.hidden(progress.item.source.id or "")
        self._packer.plan(key, labels, [plan.clip.key for plan in planned], hidden)
        for plan in planned:
            if plan.clip.status == "filtered":
                self._ends.filtered(plan.clip, "selection")
            if self._goes_on(plan.clip):
                progress.to_write.add(plan.clip.key)
                yield self._clip_job("quality" if self._config.quality.measures else "poses", plan.clip.key)
            else:
                self._packer.dropped(key, plan.clip.key)
        self._close_if_done(progress)

    def _clip_item(self, progress: _Progress, plan: PlannedClip) -> ClipItem:
        shot = self._shots[plan.shot]
        return ClipItem(plan.clip, shot, plan.first, progress.item.sound, plan.unit, plan.looks)

    def _goes_on(self, clip: Clip) -> bool:
        return clip.status == "kept" or self._config.keep_all

    def _clip_job(self, stage: str, key: str) -> Job:
        item = self._clip_items[key]
        if stage == "clips":
            return Job(stage=stage, item=key, payload=item, media_s=item.clip.seconds)
        unit = item.looks if stage == "poses" else item.unit
        return self._memory.job(stage, key, item, key=unit, media_s=item.clip.seconds)

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
            self._packer.dropped(progress.item.key, key)
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
            self._made.add(key)
            self._packer.made(progress.item.key, self._clip_items[key], outcome.value)
            clip = self._clip_items[key].clip
        else:
            self._packer.dropped(progress.item.key, key)
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
        self._packer.failed(progress.item.key)
        for key in sorted(progress.to_score):
            self._ends.ended("shot", key, stage, outcome, self._shots[key].seconds)

    def finish(self, hold: Hold) -> AnnotateResult:
        """Put everything in its place, and check the sums; `hold` is the right to write to the output."""
        hold.check()
        packed, shards = self._packer.finish()
        ends = self._in_order(self._ends.last.values())
        rows = funnel(ends, self._inputs)
        write_bytes(self._out / "ledger.jsonl", "".join(canonical(end) + "\n" for end in ends).encode())
        failures = [(f"{e.kind} {e.item}", e.detail) for e in ends if e.status == "failed"]
        return AnnotateResult(self._out, rows, packed, failures, shards)

    def _in_order(self, ends: Iterable[End]) -> list[End]:
        """Order ends as their items come in the inputs, whatever order they came about in."""
        sources = {key: place for place, key in enumerate(self._sources)}
        clips = sorted(self._clip_items, key=lambda key: sources[self._clip_items[key].clip.source_id[:16]])
        places = {key: place for place, key in enumerate([*self._sources, *self._shots, *clips])}
        return sorted(ends, key=lambda end: (KINDS.index(end.kind), places[end.item]))

    def close(self) -> None:
        """Let go of the open files; what is done stays for a later run."""
        self._packer.close()

    def _last_word(self, key: str) -> ClipItem:
        """Compare a clip with the kept ones of the sources before its own, and return it as it is to be written."""
        item = self._clip_items[key]
        if self._duplicates is None or key not in self._made:
            return item
        own = read_fingerprint(self._work, item.unit)
        scores, twin = self._duplicates.compare(item.clip.source_id, own)
        clip = replace(self._judged(key, "duplicates", scores), duplicate_of=twin)
        self._clip_items[key] = replace(item, clip=clip)
        if clip.status == "kept":
            self._duplicates.keep(key, clip.source_id, own)
        return self._clip_items[key]
