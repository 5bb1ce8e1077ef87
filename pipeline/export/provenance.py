"""Where each exported clip comes from: one table row a clip, and what a dataset's description sums up of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mitds.errors import BadShard
from mitds.manifests.records import Clip
from mitds.manifests.schemas import RIGHTS, TEXTS
from mitds.pipeline.export.reading import ClipRef, clip_refs

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.string()),
        ("source_id", pa.string()),
        ("source_name", pa.string()),
        ("source_url", pa.string()),
        *RIGHTS,
        ("source_notes", TEXTS),
        ("fetched_at", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("frames", pa.int64()),
        ("persons", pa.int64()),
        ("tool", pa.string()),
        ("libraries", TEXTS),
        ("models", TEXTS),
        ("weights", TEXTS),
        ("config_digest", pa.string()),
        ("seals", TEXTS),
    ]
)
"""Pairs stand as "name=value": libraries and versions, stages and models, weights, seals and their sha256."""

DESCRIPTIONS = {
    "key": "16 hex digits: the clip, and the name of its members in the shard.",
    "shard": "File name of the shard.",
    "source_id": "sha256 of the source's bytes.",
    "source_name": "File name or title of the source.",
    "source_url": "Where the source was fetched.",
    "licence": "What whoever built the dataset stated; null where nothing was stated.",
    "consent": "Reference to the consent of the people shown; null where none was given.",
    "note": "A further remark about rights.",
    "source_notes": "What the source itself states: its licence, an opt-out header.",
    "fetched_at": "UTC time of the fetch; null where the source lay on the machine already.",
    "start_s": "First frame, seconds on the source's clock.",
    "end_s": "End of the last frame, seconds on the source's clock.",
    "frames": "Number of frames, 25 a second.",
    "persons": "Number of people labelled.",
    "tool": "Program and version that made the clip.",
    "libraries": "Library=version of what decides the clip's bytes.",
    "models": "Stage=model of each annotator.",
    "weights": "Name=sha256 of each weight file.",
    "config_digest": "Digest of the configuration.",
    "seals": "Member=sha256 of the clip's files.",
}

_ROWS_AT_ONCE = 1000
_SOURCE_ID = re.compile(r"[0-9a-f]{16,64}")


@dataclass(slots=True)
class Summary:
    """What the clips of an export have in common; grows with sources and words, not with clips.

    Attributes:
        licences: Clips by stated licence; None counts those without one.
        without_consent: Clips without a reference to consent.
        persons: Clips by number of people.
        fetched: Earliest and latest UTC time of a fetch that is known.
    """

    clips: int = 0
    frames: int = 0
    without_consent: int = 0
    licences: Counter[str | None] = field(default_factory=Counter)
    persons: Counter[int] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)
    fetched: tuple[str, str] | None = None

    @property
    def hours(self) -> float:
        """Length of all clips together."""
        return self.frames / 25 / 3600

    def add(self, clip: Clip, row: dict[str, Any]) -> None:
        """Count one clip."""
        self.clips += 1
        self.frames += clip.frames
        self.without_consent += clip.rights.consent is None
        self.licences[clip.rights.licence] += 1
        self.persons[len(clip.persons)] += 1
        self.sources.add(clip.source_id)
        self.tools |= {row["tool"]} - {None}
        self.libraries.update(row["libraries"])
        self.models.update(row["models"])
        self.weights.update(row["weights"])
        if at := row["fetched_at"]:
            self.fetched = (min(at, self.fetched[0]), max(at, self.fetched[1])) if self.fetched else (at, at)


def checked_clips(paths: Sequence[Path]) -> Iterator[tuple[ClipRef, Clip]]:
    """Yield the clips of shards in order, holding each record to its place.

    Raises:
        BadShard: If a shard holds no clips, a record is of another clip, or a clip is there twice.
    """
    seen: set[bytes] = set()
    for ref in clip_refs(paths):
        clip = ref.clip()
        key = ref.json.key
        wrong = "" if clip.key == key else f"the record of {key} is of another clip"
        if not _SOURCE_ID.fullmatch(clip.source_id):
            wrong = f"the source of clip {key} is no digest"
        if key.encode() in seen:
            wrong = f"clip {key} is there twice"
        if wrong:
            remedy = "Export shards of one annotate run that mitds verify finds whole."
            raise BadShard(wrong, where=str(ref.path), remedy=remedy)
        seen.add(key.encode())
        yield ref, clip


def provenance_row(clip: Clip, shard: str) -> dict[str, Any]:
    """Return one clip's row of the table."""
    known = clip.provenance
    return {
        "key": clip.key,
        "shard": shard,
        "source_id": clip.source_id,
        "source_name": clip.source_name,
        "source_url": clip.source_url,
        "licence": clip.rights.licence,
        "consent": clip.rights.consent,
        "note": clip.rights.note,
        "source_notes": list(known.notes) if known else [],
        "fetched_at": known.fetched_at if known else None,
        "start_s": float(clip.start),
        "end_s": float(clip.end),
        "frames": clip.frames,
        "persons": len(clip.persons),
        "tool": known.tool if known else None,
        "libraries": _pairs(known.libraries if known else {}),
        "models": _pairs(clip.models),
        "weights": _pairs({n: d for n, d in clip.digests.items() if n != "config"}),
        "config_digest": clip.digests.get("config"),
        "seals": _pairs(clip.seals),
    }


def _pairs(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(values.items())]


def write_provenance(path: Path, shards: Sequence[Path]) -> Summary:
    """Write the table of all clips in shards, a thousand rows in memory at a time.

    Raises:
        BadShard: As `checked_clips`.
    """
    summary, rows = Summary(), list[dict[str, Any]]()
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for ref, clip in checked_clips(shards):
            row = provenance_row(clip, ref.path.name)
            summary.add(clip, row)
            rows.append(row)
            if len(rows) == _ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return summary
