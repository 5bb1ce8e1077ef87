"""Journals of shards: which samples one holds, written sample by sample, and its digest once it is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.config import canonical
from mitds.store import write_bytes


@dataclass(frozen=True, slots=True)
class Laid:
    """One sample of a shard.

    Attributes:
        key: The sample's key.
        token: Digest of everything that decides its bytes.
        media: Digest of what its encoded members were made of; empty where it has none.
        end: Offset in the shard at which it ends.
    """

    key: str
    token: str
    media: str
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """One finished shard, as run.json lists it."""

    name: str
    sha256: str
    bytes: int
    samples: int


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal says: the samples in order and, where the shard was finished, its digest."""

    laid: tuple[Laid, ...] = ()
    record: ShardRecord | None = None


def read_journal(path: Path) -> Journal:
    """Read a journal; one that is not there says nothing, and a line that a kill left half written is none."""
    laid, record = [], None
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        values = json.loads(line)
        if "sha256" in values:
            record = ShardRecord(**values)
        else:
            laid.append(Laid(**values))
    return Journal(tuple(laid), record)


def begin_journal(path: Path, laid: Sequence[Laid]) -> None:
    """Write a journal anew, of the samples that are there already."""
    write_bytes(path, "".join(canonical(entry) + "\n" for entry in laid).encode())


def note(path: Path, line: Laid | ShardRecord) -> None:
    """Add a line to a journal; it is on the disk when this returns."""
    with path.open("ab", buffering=0) as journal:
        journal.write((canonical(line) + "\n").encode())
        os.fsync(journal.fileno())
