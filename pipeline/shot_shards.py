"""The raw shards that ingest writes and annotate reads: one sample a source with its sound, one a shot."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitds.config import canonical
from mitds.errors import BadShard
from mitds.manifests.codec import from_plain
from mitds.manifests.records import Shot, Source, SourceSound
from mitds.manifests.shards import ShardWriter, expand, index_shard
from mitds.pipeline.stages.items import ShotItem, SourceItem, SplitResult
from mitds.pipeline.work import Member, Work


def add_source(writer: ShardWriter, result: SplitResult, work: Work) -> None:
    """Append one source's sample (json, flac where it has sound) and its shots' (json, mp4)."""
    key = (result.source.id or "")[:16]
    about = {"kind": "source", "source": result.source, "sound": result.sound, "shots": len(result.shots)}
    members: dict[str, bytes | Path] = {"json": canonical(about).encode()}
    if result.sound:
        members["flac"] = work.path("sound", key, ".flac")
    writer.add(key, members)
    for shot in result.shots:
        json_bytes = canonical({"kind": "shot", "shot": shot}).encode()
        writer.add(shot.key, {"json": json_bytes, "mp4": work.path("shots", shot.key, ".mp4")})


SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class _Found:
    source: Source | None = None
    sound: SourceSound | None = None
    expected: int = 0
    flac: Member | None = None
    shots: list[ShotItem] = field(default_factory=list)


def read_sources(patterns: Sequence[str]) -> list[SourceItem]:
    """Find all sources and shots in shards, in the order they were written; no media is read.

    Raises:
        BadShard: If a shard is not one of ingest's, or a source lacks its sample or some of its shots.
    """
    found: dict[str, _Found] = {}
    for path in expand(patterns):
        samples: dict[str, dict[str, Member]] = {}
        for entry in index_shard(path):
            samples.setdefault(entry.key, {})[entry.ext] = Member(path, entry)
        for key, members in samples.items():
            try:
                _read_sample(found, key, members, path)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise _not_shots(path, key) from error
    return [_complete(key, source) for key, source in found.items()]


def _read_sample(found: dict[str, _Found], key: str, members: Mapping[str, Member], path: Path) -> None:
    about = _about(members)
    if about.get("kind") == "source":
        entry = found.setdefault(key, _Found())
        if entry.source is not None:
            raise BadShard(
                f"source {key} is there twice",
                where=str(path),
                remedy="Give the shards of one of the ingest runs.",
            )
        entry.source = from_plain(Source, about["source"])
        if not SHA256.fullmatch(entry.source.id or "") or (entry.source.id or "")[:16] != key:
            raise _not_shots(path, key)
        entry.sound = from_plain(SourceSound, about["sound"]) if about["sound"] else None
        entry.expected, entry.flac = about["shots"], members.get("flac")
    elif about.get("kind") == "shot":
        shot = from_plain(Shot, about["shot"])
        if shot.key != key or not key.startswith(shot.source_id[:16]) or not SHA256.fullmatch(shot.source_id):
            raise _not_shots(path, key)
        found.setdefault(shot.source_id[:16], _Found()).shots.append(ShotItem(shot, members["mp4"]))
    else:
        raise _not_shots(path, key)


def _about(members: Mapping[str, Member]) -> Any:
    return json.loads(members["json"].read())


def _not_shots(path: Path, key: str) -> BadShard:
    return BadShard(
        f"not a shard of shots: sample {key!r} is of another kind or damaged",
        where=str(path),
        remedy="Give the shots-*.tar that mitds ingest wrote.",
    )


def _complete(key: str, found: _Found) -> SourceItem:
    if found.source is None or len(found.shots) != found.expected:
        raise BadShard(
            f"source {key} is incomplete: {len(found.shots)} of {found.expected or 'an unknown number of'} shots",
            remedy="Give all shots-*.tar of the ingest run.",
        )
    shots = tuple(sorted(found.shots, key=lambda s: s.shot.index))
    return SourceItem(found.source, found.sound, found.flac, shots)
