"""What exports read: clips grouped by source without their pictures, and whole-source labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import clip_arrays_from_npz, from_json
from mitds.manifests.records import Clip, ClipArrays
from mitds.manifests.shards import Entry, index_shard, read_member, read_shard
from mitds.manifests.source_labels import SourceLabels, from_sample


@dataclass(frozen=True, slots=True)
class ClipRef:
    """Where a clip's record and arrays lie; both are read when asked for.

    Attributes:
        path: The shard.
        members: All that the sample holds, by extension.
    """

    path: Path
    json: Entry
    npz: Entry
    members: dict[str, Entry]

    def clip(self) -> Clip:
        """Read the record."""
        return from_json(Clip, read_member(self.path, self.json))

    def arrays(self) -> ClipArrays:
        """Read the arrays."""
        return clip_arrays_from_npz(read_member(self.path, self.npz))


@dataclass(frozen=True, slots=True)
class SourceClips:
    """All clips of one source, in the order of the shards."""

    source_id: str
    source_name: str
    clips: list[ClipRef]


def clips_by_source(paths: Sequence[Path]) -> list[SourceClips]:
    """Group the clips of shards by source, in order of first appearance.

    Raises:
        BadShard: If a shard does not hold clips.
    """
    sources: dict[str, SourceClips] = {}
    for ref in clip_refs(paths):
        about = json.loads(read_member(ref.path, ref.json))
        if not isinstance(about, dict) or not {"source_id", "source_name"} <= about.keys():
            raise _not_clips(ref.path)
        known = SourceClips(about["source_id"], about["source_name"], [])
        sources.setdefault(about["source_id"], known).clips.append(ref)
    return list(sources.values())


def clip_refs(paths: Sequence[Path]) -> Iterator[ClipRef]:
    """Yield where the clips of shards lie, one shard's index in memory at a time.

    Raises:
        BadShard: If a shard does not hold clips.
    """
    for path in paths:
        yield from _refs(path)


def _refs(path: Path) -> Iterator[ClipRef]:
    members: dict[str, dict[str, Entry]] = {}
    for entry in index_shard(path):
        members.setdefault(entry.key, {})[entry.ext] = entry
    for entries in members.values():
        if not {"json", "npz"} <= entries.keys():
            raise _not_clips(path)
        yield ClipRef(path, entries["json"], entries["npz"], entries)


def _not_clips(path: Path) -> BadShard:
    return BadShard(
        "the shard does not hold clips",
        where=str(path),
        remedy="Give the shards that annotate wrote (clips-*.tar).",
    )


def source_shards(paths: Sequence[Path]) -> list[Path]:
    """Return the shards with whole-source labels that lie beside the given shards.

    Raises:
        UsageError: If a folder has none.
    """
    found: list[Path] = []
    for folder in dict.fromkeys(path.parent for path in paths):
        beside = sorted(folder.glob("sources-*.tar"))
        if not beside:
            raise UsageError(
                "labels on the source's clock are in sources-*.tar, and there is none",
                where=str(folder),
                remedy="Keep sources-*.tar beside clips-*.tar, or use --timeline clip.",
            )
        found += beside
    return found


def source_labels(paths: Sequence[Path]) -> Iterator[SourceLabels]:
    """Yield the labels of every source in shards, one in memory at a time."""
    for path in paths:
        for sample in read_shard(path):
            try:
                labels = from_sample(sample)
            except BadShard as error:
                raise error.at(str(path)) from error
            yield labels
