"""The raw shards that ingest writes and annotate reads: one sample a source with its sound, one a shot."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mitds.config import canonical, digest
from mitds.errors import BadShard
from mitds.manifests.codec import from_plain
from mitds.manifests.records import Shot, Source, SourceSound
from mitds.manifests.shard_journal import ShardRecord
from mitds.manifests.shards import expand, index_shard
from mitds.manifests.standing_shards import StandingShards
from mitds.pipeline.stages.items import ShotItem, SoundItem, SourceItem
from mitds.pipeline.stages.split import CutsResult
from mitds.pipeline.work import Member, Work, staging_of
from mitds.places import is_remote


class ShotShards:
    """Writes `shots-*.tar`: one sample a source (json, flac where it has sound) and one a shot (json, mp4).

    Args:
        out: The output folder.
        work: Where the files lie that the stages "cuts" and "shots" left.
        made_by: Digest of what they were made with.
    """

    def __init__(self, out: Path, work: Work, made_by: str) -> None:
        self._work, self._made_by = work, made_by
        self._shards = StandingShards("shots-%06d.tar", out, staging_of(out))

    def has(self, key: str, ext: str) -> bool:
        """Say whether a sample's flac or mp4 is in a shard, or waits to get there."""
        return self._shards.stands(self._media(key)) or self._file(key, ext).exists()

    def add(self, source: Source, cuts: CutsResult) -> None:
        """Append a source's samples; the files are not needed any more once they are in the shard."""
        key = (source.id or "")[:16]
        about = {"kind": "source", "source": source, "sound": cuts.sound, "shots": len(cuts.shots)}
        self._add(key, {**about, "made_by": self._made_by}, "flac" if cuts.sound else None)
        for shot in cuts.shots:
            self._add(shot.key, {"kind": "shot", "shot": shot}, "mp4")

    def _add(self, key: str, about: Mapping[str, Any], ext: str | None) -> None:
        text, media = canonical(about), self._media(key)

        def members() -> dict[str, bytes | Path]:
            return {"json": text.encode(), **({ext: self._encoded(key, ext)} if ext else {})}

        self._shards.add(key, digest(text, media), members, media=media if ext else "")
        if ext:
            self._file(key, ext).unlink(missing_ok=True)

    def _encoded(self, key: str, ext: str) -> bytes | Path:
        file = self._file(key, ext)
        if file.exists():
            return file.read_bytes() if is_remote(file) else file
        return (self._shards.encoded(self._media(key)) or {})[ext]

    def _media(self, key: str) -> str:
        return digest(key, self._made_by)

    def _file(self, key: str, ext: str) -> Path:
        return self._work.path("cuts" if ext == "flac" else "shots", key, f".{ext}")

    def publish(self) -> list[ShardRecord]:
        """Put the shards in their places, and return all that stand then."""
        return self._shards.publish()

    def close(self) -> None:
        """Let go of the open shard; what is staged stays for a later run."""
        self._shards.close()


SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class _Found:
    source: Source | None = None
    sound: SourceSound | None = None
    expected: int = 0
    flac: Member | None = None
    shots: list[ShotItem] = field(default_factory=list)
    made_by: str = ""


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
        entry.made_by = _made_by(about)
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
    shots = tuple(
        replace(shot, made_by=found.made_by) for shot in sorted(found.shots, key=lambda s: s.shot.index)
    )
    item = SourceItem(found.source, None, shots, found.made_by)
    if found.sound is None or found.flac is None:
        return item
    return replace(item, sound=SoundItem(found.sound, found.flac, item.name))


def _made_by(about: Mapping[str, Any]) -> str:
    """Return the digest of what made a source's files; older shards do not say."""
    made_by = about.get("made_by", "")
    if not re.fullmatch(r"[0-9a-f]{0,16}", made_by):
        raise ValueError("made_by is no digest")
    return str(made_by)
