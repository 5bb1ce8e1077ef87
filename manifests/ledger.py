"""What became of every input: JSON lines that survive a crash, and the funnel whose sums must match."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mitds.config import canonical
from mitds.errors import BadShard, MitdsError
from mitds.manifests.codec import from_plain
from mitds.manifests.records import Status
from mitds.store import storage_errors, write_bytes

Kind = Literal["source", "shot", "clip"]
KINDS: tuple[Kind, ...] = ("source", "shot", "clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of one item.

    Attributes:
        kind: What the item is.
        item: Its name: the list's row for a source, the sample key for a shot or clip.
        stage: The stage that decided.
        status: "kept", "filtered" or "failed".
        reason: Code ("not_video", "too_few_people", ...); empty where kept.
        detail: The sentence a person reads.
        seconds: Length of the item; None where unknown.
    """

    kind: Kind
    item: str
    stage: str
    status: Status
    reason: str = ""
    detail: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """How many items of one kind ended in one way."""

    kind: Kind
    stage: str
    status: Status
    reason: str
    count: int


class Ledger:
    """An append-only file of ends, one JSON line each.

    Args:
        path: The file; a line that a crash cut off is dropped when the ledger is opened again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                whole = path.read_bytes().rpartition(b"\n")
                os.truncate(path, len(whole[0]) + len(whole[1]))

    def append(self, end: End) -> None:
        """Add one end; it is on disk, as one write, when this returns."""
        line = (canonical(end) + "\n").encode()
        with storage_errors(self._path), self._path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())

    def publish(self, path: Path) -> None:
        """Copy the ledger to where it belongs, whole; an earlier one there is replaced."""
        write_bytes(path, self._path.read_bytes() if self._path.exists() else b"")

    def ends(self) -> list[End]:
        """Return the last word on every item, in order of first mention."""
        return read_ledger(self._path) if self._path.exists() else []


def read_ledger(path: Path) -> list[End]:
    """Read a ledger: the last end of every item, in order of first mention.

    Raises:
        BadShard: Naming the line that is not an end.
    """
    ends: dict[tuple[str, str], End] = {}
    lines = path.read_bytes().split(b"\n")[:-1]
    for number, line in enumerate(lines, 1):
        try:
            end = from_plain(End, json.loads(line))
        except (ValueError, BadShard) as error:
            raise BadShard(f"not a ledger line: {error}", where=f"{path}:{number}") from error
        ends[end.kind, end.item] = end
    return list(ends.values())


def funnel(ends: Iterable[End], inputs: Mapping[Kind, int]) -> list[FunnelRow]:
    """Count ends by stage and reason, and check that every input has exactly one.

    Args:
        ends: The last end of every item, as `read_ledger` returns them.
        inputs: How many items of each kind went in.

    Returns:
        Rows ordered by kind (sources first), then kept before filtered before failed, then by count.

    Raises:
        MitdsError: If inputs = kept + filtered + failed does not hold for a kind.
    """
    counts = Counter((end.kind, end.stage, end.status, end.reason) for end in ends)
    rows = [FunnelRow(*key, count) for key, count in counts.items()]
    for kind in KINDS:
        ended = sum(row.count for row in rows if row.kind == kind)
        if ended != inputs.get(kind, 0):
            raise MitdsError(
                f"the funnel does not add up: {inputs.get(kind, 0)} {kind}s went in, {ended} have an end",
                remedy="Run the same command again; if it stays, report it with ledger.jsonl.",
            )
    order = ("kept", "filtered", "failed")
    return sorted(
        rows, key=lambda r: (KINDS.index(r.kind), order.index(r.status), -r.count, r.stage, r.reason)
    )
