"""The work folder of a run: what stages leave for each other, and files taken out of shards for a while."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mitds.manifests.shards import Entry, read_member


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

    def path(self, stage: str, key: str, suffix: str) -> Path:
        """Return where a stage leaves the result of an item."""
        return self.root / stage / f"{key}{suffix}"


@contextmanager
def extracted(member: Member, suffix: str) -> Iterator[Path]:
    """Lay a shard member out as a file for the length of a job."""
    with tempfile.TemporaryDirectory(prefix="mitds-") as folder:
        path = Path(folder) / f"member{suffix}"
        path.write_bytes(member.read())
        yield path


def remove_stale(folder: Path, written: Sequence[Path], pattern: str) -> None:
    """Remove shards that an earlier, longer run left in the folder."""
    for path in folder.glob(pattern.replace("%06d", "[0-9]" * 6)):
        if path not in written:
            path.unlink()
