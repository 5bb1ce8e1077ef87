"""The work folder of a run: what stages leave for each other, and files taken out of shards for a while."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mitds.errors import BadShard
from mitds.manifests.shards import Entry, read_member
from mitds.store import storage_errors

KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a shard, by place: small enough to travel between processes."""

    shard: Path
    entry: Entry

    def read(self) -> bytes:
        """Return the file's bytes."""
        return read_member(self.shard, self.entry)


@dataclass(frozen=True, slots=True)
class Work:
    """Paths of intermediate results: one folder a stage, one file an item, named by safe keys.

    Attributes:
        root: The work folder, on storage that all workers share.
    """

    root: Path

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

    def path(self, stage: str, key: str, suffix: str) -> Path:
        """Return where a stage leaves the result of an item; keys come from shards and are never trusted."""
        if not KEY.fullmatch(key):
            raise BadShard(f"{key!r} cannot be a key", remedy="Write the shards anew with mitds ingest.")
        return self.root / stage / f"{key}{suffix}"


@contextmanager
def extracted(work: Work, member: Member, suffix: str) -> Iterator[Path]:
    """Lay a shard member out as a file in the work folder for the length of a job."""
    scratch = work.root / "scratch"
    with storage_errors(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            path = Path(folder) / f"member{suffix}"
            path.write_bytes(member.read())
            yield path


def remove_stale(folder: Path, written: Sequence[Path], pattern: str) -> None:
    """Remove shards that an earlier, longer run left in the folder."""
    for path in folder.glob(pattern.replace("%06d", "[0-9]" * 6)):
        if path not in written:
            path.unlink()
