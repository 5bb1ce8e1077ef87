"""What folders hold of whom: sources with their addresses, clips with their people, items of releases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mitds.errors import BadShard, UsageError
from mitds.manifests.removals import SHA256
from mitds.manifests.shard_journal import read_journal
from mitds.manifests.shards import index_shard, read_member
from mitds.manifests.tar_bytes import Stretch, read_sample
from mitds.pipeline.export.names import stem
from mitds.pipeline.rights.plan import Withdrawal
from mitds.weights.web import redact

_IDENTITY = re.compile(r"([0-9a-f]{16,64}):(P\d+)")
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SMALL = 4 << 20


@dataclass(slots=True)
class Known:
    """What was found in all folders.

    Attributes:
        urls: Addresses by source id; "" for lines without bytes.
        names: File names by source id.
        clips: Source id and people by clip key.
        items: Clip key and source id by item of a release.
    """

    urls: dict[str, set[str]] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    clips: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    items: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, source: str | None, url: str, name: str) -> None:
        """Note one line or source."""
        self.urls.setdefault(source or "", set()).add(url)
        if source:
            self.names.setdefault(source, set()).add(name)


def survey(folders: Sequence[Path]) -> Known:
    """Read what is in folders: tables, lists of releases, and the records in shards.

    Raises:
        BadShard: A shard that mitds wrote is damaged.
    """
    known = Known()
    for folder in folders:
        for row in _rows(folder / "sources.parquet", ("id", "url", "name")):
            known.add(row["id"], row["url"], row["name"])
        for row in _rows(
            folder / "clips.parquet", ("key", "source_id", "source_url", "source_name", "identities")
        ):
            _note_clip(known, row)
        for path in shards_of(folder, deep=True):
            for _, about in records_of(path):
                _note(known, about)
        for about in staged_records(folder):
            _note(known, about)
        if (folder / "release.json").is_file():
            for item in json.loads((folder / "release.json").read_bytes())["items"]:
                known.items[item["id"]] = item["clip"], item["source"]
                known.urls.setdefault(item["source"], set())
    return known


def shards_of(folder: Path, *, deep: bool = False) -> list[Path]:
    """Return the shards that mitds wrote into a folder.

    Args:
        folder: The folder.
        deep: Those in folders inside it as well, as exports have them; but for the work folder.
    """
    kinds = ("clips", "rejected", "sources", "shots", "test")
    names = [f"{'**/' if deep else ''}{kind}-{'[0-9]' * 6}.tar" for kind in kinds]
    found = [path for name in names for path in sorted(folder.glob(name))]
    return [path for path in found if ".work" not in path.relative_to(folder).parts]


def records_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and record of every sample of a shard; nothing but the records is read.

    Raises:
        BadShard: If a record is none.
    """
    for entry in index_shard(path):
        if entry.ext == "json":
            try:
                about = json.loads(read_member(path, entry))
            except ValueError as error:
                raise BadShard(f"the record of {entry.key} is not JSON", where=str(path)) from error
            if not isinstance(about, dict):
                raise BadShard(f"the record of {entry.key} is not a record", where=str(path))
            yield entry.key, about


def staged_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the records in shards that a stopped run has not published, where their journals say that they lie."""
    for path in sorted((folder / ".work" / "shards").glob("*.journal")):
        part, start = path.with_suffix(".part"), 0
        for laid in read_journal(path).laid if part.is_file() else ():
            yield json.loads(read_sample(Stretch(part, start, laid.end))["json"])
            start = laid.end


def _rows(path: Path, columns: Iterable[str]) -> list[dict[str, Any]]:
    return pq.read_table(path, columns=list(columns)).to_pylist() if path.is_file() else []


def _note(known: Known, about: Mapping[str, Any]) -> None:
    source = about.get("source")
    if isinstance(source, dict):
        known.add(source["id"], source["url"], source["name"])
    elif "persons" in about:
        _note_clip(known, {**about, "identities": [p["identity"] for p in about["persons"]]})


def _note_clip(known: Known, row: Mapping[str, Any]) -> None:
    known.add(row["source_id"], row["source_url"], row["source_name"])
    known.clips[row["key"]] = row["source_id"], frozenset(row["identities"])


def resolve(
    known: Known,
    folders: Sequence[Path],
    sources: Sequence[str],
    urls: Sequence[str],
    identities: Sequence[str],
) -> Withdrawal:
    """Turn what a person named into all that goes.

    Args:
        known: What the folders hold.
        folders: They themselves, for addresses that a run has not written into a table yet.
        sources: sha256 of sources, or their first 16 digits or more.
        urls: Addresses; everything with the bytes that came from there goes.
        identities: "SOURCE:P0", SOURCE as in `sources`.

    Raises:
        UsageError: An id is none, or its digits fit no source or several.
    """
    asked = {redact(url.strip()) for url in urls}
    ids = {_source(known, source) for source in sources}
    ids |= {source for source, found in known.urls.items() if source and found & asked}
    ids |= {source for url in asked for source in _downloaded(folders, url)}
    persons = {_person(known, text) for text in identities}
    clips = {
        key
        for key, (source, people) in known.clips.items()
        if source in ids or any(f"{source}:{person}" in persons for person in people)
    }
    return Withdrawal(
        sources=tuple(sorted(ids)),
        urls=tuple(sorted(asked.union(*(known.urls.get(source, set()) for source in ids)))),
        identities=tuple(sorted(persons)),
        clips=tuple(sorted(clips)),
        items=tuple(sorted(i for i, (clip, source) in known.items.items() if source in ids or clip in clips)),
        names=tuple(sorted(_export_names(known, ids | {p[:64] for p in persons}))),
        videos=tuple(sorted(name for source in ids for name in known.names.get(source, ()))),
    )


def _source(known: Known, text: str) -> str:
    if SHA256.fullmatch(text):
        return text
    fitting = [source for source in known.urls if len(text) >= 16 and source.startswith(text)]
    if len(fitting) != 1:
        raise UsageError(
            f"{len(fitting)} sources have an id that begins with {text!r}",
            remedy="Give the sha256 of the source's bytes, or 16 digits of it or more: see sources.parquet.",
        )
    return fitting[0]


def _person(known: Known, text: str) -> str:
    match = _IDENTITY.fullmatch(text)
    if not match:
        raise UsageError(
            f"{text!r} names no person", remedy="Write SOURCE:P0, with 16 digits of the source's id."
        )
    return f"{_source(known, match[1])}:{match[2]}"


def _downloaded(folders: Sequence[Path], url: str) -> set[str]:
    """Return the ids of downloads of runs that are not finished, by the notes that name the address."""
    found = set()
    for folder in folders:
        for path in (folder / ".work").rglob("*"):
            if (
                path.is_file()
                and path.stat().st_size < _SMALL
                and url.encode() in (data := path.read_bytes())
            ):
                digests = {match.decode() for match in _DIGEST.findall(data)}
                found |= {d for d in digests if any((folder / ".work" / "downloads").glob(f"{d}*"))}
    return found


def _export_names(known: Known, ids: Iterable[str]) -> set[str]:
    """Return what exports call the sources: the name, and the name with the id's digits, which later ones get."""
    stems = [(source, stem(name)) for source in ids for name in known.names.get(source, ())]
    return {name for _, name in stems} | {f"{name}-{source[:8]}" for source, name in stems}
