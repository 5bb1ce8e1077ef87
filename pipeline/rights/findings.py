"""What a check of shards and folders says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong ("fault"), or worth knowing ("note").

    Attributes:
        level: Faults fail the check, notes do not.
        check: What was checked: "shard", "seal", "list", "table", "ledger", "removal", "release".
        where: File, and sample where it is about one.
        what: What was found.
    """

    level: Literal["fault", "note"]
    check: str
    where: str
    what: str


def fault(check: str, where: object, what: str) -> Finding:
    """Return something that is wrong."""
    return Finding("fault", check, str(where), what)


def note(check: str, where: object, what: str) -> Finding:
    """Return something worth knowing."""
    return Finding("note", check, str(where), what)
