"""The packing of an annotate run: shards of clips and labels in the order of the sources, and the table of clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.manifests.records import Clip
from mitds.manifests.schemas import write_clips
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.work import remove_stale

Made = tuple[Clip, Mapping[str, Path] | None]
"""A candidate as it stands at the end, and its files where they were made."""
Packed = list[tuple[Clip, str | None]]
"""All candidates with the shard they lie in; None where they were not written."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What came of one source: the sample members of its labels, and its candidates in order."""

    key: str
    labels: Mapping[str, bytes]
    clips: Sequence[Made]


def pack(lots: Iterable[Lot], out: Path, *, keep_all: bool) -> Packed:
    """Write `clips-*.tar`, `rejected-*.tar`, `sources-*.tar` and `clips.parquet`, and remove older shards.

    Args:
        lots: In the order of the sources.
        out: The output folder.
        keep_all: Write filtered clips too, to `rejected-*.tar`.
    """
    packed: Packed = []
    with (
        ShardWriter("clips-%06d.tar", out) as kept,
        ShardWriter("rejected-%06d.tar", out) as rejected,
        ShardWriter("sources-%06d.tar", out) as labels,
    ):
        for lot in lots:
            labels.add(lot.key, lot.labels)
            for clip, files in lot.clips:
                writer = kept if clip.status == "kept" else rejected
                written = files if clip.status == "kept" or keep_all else None
                packed.append((clip, writer.add(clip.key, written) if written else None))
    for writer in (kept, rejected, labels):
        remove_stale(out, writer.paths, writer.pattern)
    write_clips(out / "clips.parquet", packed)
    return packed
