"""The packing of an annotate run: clips and labels go into their shards as they come, in the order of the sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mitds.config import digest
from mitds.manifests.codec import unpack_arrays
from mitds.manifests.records import Clip, ClipArrays
from mitds.manifests.schemas import write_clips
from mitds.manifests.seal import sealed
from mitds.manifests.shard_journal import ShardRecord
from mitds.manifests.shards import Sample
from mitds.manifests.source_labels import from_sample, to_sample
from mitds.manifests.standing_shards import StandingShards
from mitds.pipeline.rights.shards import blanked
from mitds.pipeline.stages.items import ClipItem
from mitds.pipeline.work import Work, staging_of
from mitds.store import write_bytes
from mitds.time import CLIP_FPS

Packed = list[tuple[Clip, str | None]]
"""All candidates with the shard they lie in; None where they were not written."""
MEDIA = ("mp4", "wav")


@dataclass(slots=True)
class _Lot:
    """What is known of one source: nothing, that it failed, or its planned clips and those that wait for nothing."""

    labels: str = ""
    hidden: frozenset[str] = frozenset()
    clips: tuple[str, ...] | None = None
    settled: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


class Packer:
    """Writes `clips-*.tar`, `rejected-*.tar`, `sources-*.tar` and `clips.parquet`.

    A clip that is made before its turn waits in the work folder, so that few bytes are written twice.

    Args:
        sources: Keys of all sources, in order.
        out: The output folder.
        work: The work folder; "spool" holds what waits.
        last_word: Called with each clip's key when its turn has come, in order: its item as it is to be written.
        keep_all: Write filtered clips too, to `rejected-*.tar`.
    """

    def __init__(
        self,
        sources: Sequence[str],
        out: Path,
        work: Work,
        last_word: Callable[[str], ClipItem],
        *,
        keep_all: bool,
    ) -> None:
        self._out, self._work, self._last_word, self._keep_all = out, work, last_word, keep_all
        self._lots = {key: _Lot() for key in sources}
        self._order = list(sources)
        self._packed: Packed = []
        self._in_hand: dict[str, Mapping[str, bytes]] = {}
        staging = staging_of(out)
        self._kept = StandingShards("clips-%06d.tar", out, staging)
        self._rejected = StandingShards("rejected-%06d.tar", out, staging)
        self._labels = StandingShards("sources-%06d.tar", out, staging)

    def has(self, item: ClipItem) -> bool:
        """Say whether a clip's encoded members are somewhere already."""
        media = self._media(item)
        return self._kept.stands(media) or self._rejected.stands(media) or self._spooled(item, "mp4").exists()

    def plan(
        self, source: str, labels: str, clips: Sequence[str], hidden: frozenset[str] = frozenset()
    ) -> None:
        """Say which clips a source has.

        Args:
            source: Its key.
            labels: Name of its labels in the work folder ("people").
            clips: Keys, in order.
            hidden: People of whom the labels are to say nothing.
        """
        lot = self._lots[source]
        lot.labels, lot.clips, lot.hidden = labels, tuple(clips), hidden
        self._go_on()

    def failed(self, source: str) -> None:
        """Say that nothing will come of a source."""
        self._lots[source].clips = ()
        self._go_on()

    def made(self, source: str, item: ClipItem, members: Mapping[str, bytes] | None) -> None:
        """Take a clip's encoded members; None where an earlier run made them."""
        self._in_hand = {item.clip.key: members} if members else {}
        self._lots[source].written.add(item.clip.key)
        self.dropped(source, item.clip.key)
        self._put_aside(item)

    def _put_aside(self, item: ClipItem) -> None:
        """Let a clip wait whose turn has not come."""
        for waiting in self._in_hand.values():
            for ext in sorted(
                waiting, reverse=True
            ):  # the mp4 last: a clip counts as made when that is there
                write_bytes(self._spooled(item, ext), waiting[ext])
        self._in_hand = {}

    def dropped(self, source: str, clip: str) -> None:
        """Say that a clip waits for nothing any more."""
        self._lots[source].settled.add(clip)
        self._go_on()

    def finish(self) -> tuple[Packed, list[ShardRecord]]:
        """Put the shards in their places, write the table of clips, and return what went where, and all shards."""
        if self._order:
            raise RuntimeError(f"source {self._order[0]} is not finished")
        records: list[ShardRecord] = []
        for shards in (self._labels, self._rejected, self._kept):
            records += shards.publish()
        write_clips(self._out / "clips.parquet", self._packed)
        self._work.drop("spool", "sound")
        return self._packed, records

    def close(self) -> None:
        """Let go of the open files."""
        for shards in (self._labels, self._rejected, self._kept):
            shards.close()

    def _go_on(self) -> None:
        """Write what has its turn: everything before the first clip that is still being made."""
        while self._order:
            lot = self._lots[self._order[0]]
            if lot.clips is None:
                return
            if lot.labels:
                self._add_labels(self._order[0], lot)
                lot.labels = ""
            while lot.clips and lot.clips[0] in lot.settled:
                self._write(lot, lot.clips[0])
                lot.clips = lot.clips[1:]
            if lot.clips:
                return
            del self._lots[self._order.pop(0)]

    def _add_labels(self, source: str, lot: _Lot) -> None:
        paths = {ext: self._work.path("people", lot.labels, f".{ext}") for ext in ("json", "npz")}
        members = {ext: path.read_bytes() for ext, path in paths.items()}
        if lot.hidden:
            members = to_sample(blanked(from_sample(Sample(source, members)), lot.hidden))
        token = hashlib.sha256(members["json"] + members["npz"]).hexdigest()[:16]
        self._labels.add(source, token, lambda: members)

    def _write(self, lot: _Lot, key: str) -> None:
        item = self._last_word(key)
        kept = item.clip.status == "kept"
        if key not in lot.written or not (kept or self._keep_all):
            self._packed.append((item.clip, None))
        else:
            shards = self._kept if kept else self._rejected
            media = self._media(item)
            shard = shards.add(key, self._token(item, media), lambda: self._members(item, media), media=media)
            self._packed.append((item.clip, shard))
        self._in_hand.pop(key, None)
        for ext in MEDIA:
            self._spooled(item, ext).unlink(missing_ok=True)

    def _media(self, item: ClipItem) -> str:
        return digest(item.media, self._work.fingerprints.get("clips", ""))

    def _token(self, item: ClipItem, media: str) -> str:
        prints = [self._work.fingerprints.get(stage, "") for stage in ("people", "poses")]
        return digest(item.clip, media, item.unit, item.looks, prints)

    def _spooled(self, item: ClipItem, ext: str) -> Path:
        return self._work.path("spool", f"{item.clip.source_id[:16]}-{self._media(item)}", f".{ext}")

    def _members(self, item: ClipItem, media: str) -> dict[str, bytes]:
        """Bring the members of a clip's sample together."""
        found = self._in_hand.get(item.clip.key) or self._kept.encoded(media) or self._rejected.encoded(media)
        if found is None:
            spooled = {ext: self._spooled(item, ext) for ext in MEDIA}
            found = {ext: path.read_bytes() for ext, path in spooled.items() if path.exists()}
        encoded = {ext: found[ext] for ext in MEDIA if ext in found}
        seals = {ext: hashlib.sha256(data).hexdigest() for ext, data in encoded.items()}
        return {**encoded, **sealed(item.clip, self._arrays(item), seals)}

    def _arrays(self, item: ClipItem) -> ClipArrays:
        people = unpack_arrays(self._work.path("people", item.unit, ".npz").read_bytes())
        poses = unpack_arrays(self._work.path("poses", item.looks, ".npz").read_bytes())
        return ClipArrays(
            face_xyxy_NT4=people["face_xyxy_NT4"],
            face_score_NT=people["face_score_NT"],
            speaking_NT=people["speaking_NT"],
            pose_NTK3=poses["pose_NTK3"],
            visible_NT=people["visible_NT"],
            pts_T=np.arange(item.clip.frames) / float(CLIP_FPS),
        )


class RehearsingPacker(Packer):
    """Knows what is there, and writes nothing."""

    def _go_on(self) -> None:
        """Do nothing."""

    def _put_aside(self, item: ClipItem) -> None:
        """Do nothing."""
