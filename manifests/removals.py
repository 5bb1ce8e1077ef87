"""What was withdrawn from a folder: a chain of signed-off records, and what they forbid to take in again.

``removals.jsonl`` holds one record a line; each carries the sha256 of the line before it, so that none can be taken
out or altered unseen. Addresses stand in it as sha256 only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitds.config import canonical
from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import from_plain
from mitds.manifests.records import Clip, Rights, Source
from mitds.store import write_bytes
from mitds.weights.web import redact

RECORDS = "removals.jsonl"
PENDING = ".removal.json"
"""A removal that has begun and has not ended; what it withdraws is refused from its first moment."""
REASON = "removed"
WITHDRAWN = "withdrawn"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A shard before and after: sha256, hex; None after where nothing was left to keep."""

    name: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One withdrawal.

    Attributes:
        sources: sha256 of the withdrawn sources.
        urls: sha256 of their addresses.
        identities: "SHA256:P0": persons within sources that stay otherwise.
        at: UTC time, ISO 8601.
        by: Who signs it off.
        why: On what ground.
        signature: sha256 of a letter or signature that was given with it; empty without one.
        counts: What went, by kind: "clips", "shots", "sources", "items" of a release, "files" by name.
        shards: Those that were written anew; all others stayed as they were.
        previous: sha256 of the record before this one; empty for the first.
    """

    sources: tuple[str, ...]
    urls: tuple[str, ...]
    identities: tuple[str, ...]
    at: str
    by: str
    why: str
    signature: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    shards: tuple[Rewritten, ...] = ()
    previous: str = ""
    schema: str = "mitds.removal/1"


def url_digest(url: str) -> str:
    """Return what a record keeps of an address: the sha256 of it without credentials."""
    return hashlib.sha256(redact(url.strip()).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Removals:
    """What may not be taken in again."""

    sources: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()

    def refuses(self, what: str) -> bool:
        """Say whether a source was withdrawn.

        Args:
            what: sha256 of its bytes, or its address.
        """
        return what in self.sources if SHA256.fullmatch(what) else url_digest(what) in self.urls

    def hidden(self, source_id: str) -> frozenset[str]:
        """Return the persons ("P0", ...) of a source who were withdrawn while the source stayed."""
        named = (entry.split(":", 1) for entry in self.identities)
        return frozenset(person for source, person in named if source == source_id)

    def shown(self, clip: Clip) -> bool:
        """Say whether a clip is of a withdrawn source, or shows a withdrawn person."""
        hidden = self.hidden(clip.source_id)
        return self.refuses(clip.source_id) or any(p.identity in hidden for p in clip.persons)


def withdrawn_source(row: int) -> Source:
    """Return the record of a line of the list that may not be taken in: it says nothing but its number and its end."""
    return Source(
        row=row,
        url="",
        id=None,
        name=WITHDRAWN,
        title=None,
        rights=Rights(),
        fetched_at=None,
        bytes=None,
        probe=None,
        status="filtered",
        reason=REASON,
        detail=WITHDRAWN,
    )


def removals(*places: Path) -> Removals:
    """Read what was withdrawn.

    Args:
        places: Folders, with a ``removals.jsonl`` or without one, and files like it; all must be there.

    Raises:
        UsageError: One is not there.
        BadShard: A file is damaged.
    """
    found = Removals()
    for place in places:
        if place.is_dir():
            found = _joined(found, _pending(place / PENDING), *read_records(place / RECORDS))
        elif place.is_file():
            found = _joined(found, *read_records(place))
        else:
            raise UsageError(
                "the list of removals is not there", where=str(place), remedy="Check --removals."
            )
    return found


def _joined(found: Removals, *more: Removals | Removal) -> Removals:
    return Removals(
        found.sources.union(*(m.sources for m in more)),
        found.urls.union(*(m.urls for m in more)),
        found.identities.union(*(m.identities for m in more)),
    )


def _pending(path: Path) -> Removals:
    if not path.is_file():
        return Removals()
    values = json.loads(path.read_bytes())
    urls = frozenset(url_digest(url) for url in values["urls"])
    return Removals(frozenset(values["sources"]), urls, frozenset(values["identities"]))


def read_records(path: Path) -> list[Removal]:
    """Read records; a file that is not there has none.

    Raises:
        BadShard: Naming the line that is no record.
    """
    records = []
    for number, line in enumerate(_lines(path), 1):
        try:
            records.append(from_plain(Removal, json.loads(line)))
        except (ValueError, BadShard) as error:
            raise BadShard(f"not a removal record: {error}", where=f"{path}:{number}") from error
    return records


def chain_faults(path: Path) -> list[str]:
    """Return where the chain of records is broken: a record was altered, taken out or put in."""
    lines = _lines(path)
    before = ["", *(hashlib.sha256(line).hexdigest() for line in lines)][: len(lines)]
    return [
        f"record {number} does not follow the one before it"
        for number, (record, previous) in enumerate(zip(read_records(path), before, strict=True), 1)
        if record.previous != previous
    ]


def append_record(path: Path, removal: Removal) -> None:
    """Add a record to the chain; one that is there already, from a removal that was stopped, is not added again."""
    lines = _lines(path)
    previous = hashlib.sha256(lines[-1]).hexdigest() if lines else ""
    line = canonical(replace(removal, previous=previous)).encode()
    if lines and _same(lines[-1], line):
        return
    write_bytes(path, b"".join(entry + b"\n" for entry in [*lines, line]))


def _same(one: bytes, other: bytes) -> bool:
    return {**json.loads(one), "previous": ""} == {**json.loads(other), "previous": ""}


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.is_file() else []


def covers(
    records: Iterable[Removal], sources: Iterable[str], urls: Iterable[str], persons: Iterable[str]
) -> bool:
    """Say whether records withdraw all of these already (addresses as sha256)."""
    known = _joined(Removals(), *records)
    return (
        known.sources.issuperset(sources)
        and known.urls.issuperset(urls)
        and known.identities.issuperset(persons)
    )
