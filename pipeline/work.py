"""The work folder of an output: what stages leave for each other, and for later runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Self

from mitds.config import digest
from mitds.errors import BadShard
from mitds.lock import Hold, output_lock
from mitds.manifests.member_file import open_member
from mitds.manifests.shards import Entry, read_member
from mitds.places import is_remote
from mitds.store import remove_tree
from mitds.weights.cache import cache_root

KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a shard, by place: small enough to travel between processes."""

    shard: Path
    entry: Entry

    def read(self) -> bytes:
        """Return the file's bytes."""
        return read_member(self.shard, self.entry)

    def open(self, mode: Literal["rb"] = "rb", /) -> BinaryIO:
        """Open the file where it lies: read-only, seekable, its own position; as `Path.open`, it needs closing."""
        return open_member(self.shard, self.entry)

    def __str__(self) -> str:
        return f"{self.shard}:{self.entry.key}.{self.entry.ext}"


@dataclass(frozen=True, slots=True)
class Work:
    """Paths of intermediate results: one folder a stage, one file an item, named by safe keys.

    A result is found again by a later run, so its folder's name says what it depends on besides the item: the
    stage's fingerprint. What is deleted here is made again when it is needed.

    Attributes:
        root: The work folder, on storage that all workers share.
        fingerprints: Digest of settings, weights and code by stage.
    """

    root: Path
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def folder(self, stage: str) -> Path:
        """Return the folder of a stage's results."""
        fingerprint = self.fingerprints.get(stage)
        return self.root / (f"{stage}-{fingerprint}" if fingerprint else stage)

    def path(self, stage: str, key: str, suffix: str) -> Path:
        """Return where a stage leaves the result of an item; keys come from shards and are never trusted."""
        if not KEY.fullmatch(key):
            raise BadShard(f"{key!r} cannot be a key", remedy="Write the shards anew with mitds ingest.")
        return self.folder(stage) / f"{key}{suffix}"

    @classmethod
    @contextmanager
    def over(cls, out: Path) -> Iterator[Self]:
        """Open an output folder's work folder, empty; it is removed at the end, however that comes."""
        work = cls(out / ".work")
        shutil.rmtree(work.root, ignore_errors=True)
        try:
            yield work
        finally:
            shutil.rmtree(work.root, ignore_errors=True)

    def drop(self, *stages: str) -> None:
        """Delete what stages left."""
        for stage in stages:
            remove_tree(self.folder(stage))


@contextmanager
def run_on(out: Path, command: str) -> Iterator[tuple[Path, Hold]]:
    """Hold an output folder for a run, clear away what was left half written, and yield its work folder.

    Raises:
        UsageError: Another run holds it.
    """
    with output_lock(out, command) as hold:
        root = out / ".work"
        _remove_temporary(out)
        try:
            yield root, hold
        except OSError:  # a file that was there a moment ago is missing where the whole folder is
            hold.check()
            raise
        _remove_temporary(out)  # of workers that died on the way


def staging_of(out: Path) -> Path:
    """Return the folder of this machine in which an output's shards grow: its own, or one kept for object storage."""
    if not is_remote(out):
        return out / ".work" / "shards"
    return cache_root() / "staging" / digest(str(out))


def _remove_temporary(out: Path) -> None:
    """Remove what a killed run had not finished writing; on object storage there is nothing of that kind."""
    if is_remote(out):
        return
    for folder, folders, names in os.walk(out):
        for name in [name for name in folders if name.startswith(".tmp-")]:
            remove_tree(Path(folder) / name)
            folders.remove(name)
        for name in names:
            if name.startswith(".tmp-"):
                (Path(folder) / name).unlink(missing_ok=True)


def remove_stale(folder: Path, written: Sequence[Path], pattern: str) -> None:
    """Remove shards that an earlier, longer run left in the folder."""
    for path in folder.glob(pattern.replace("%06d", "[0-9]" * 6)):
        if path not in written:
            path.unlink()
