"""What a removal takes away, written down before the first byte changes, so that a stopped one can be completed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from mitds.manifests.codec import from_plain
from mitds.manifests.ledger import End
from mitds.manifests.removals import PENDING
from mitds.store import write_json

_ITEM = 16
"""Digits of a source id that keys begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What goes, the same for all folders.

    Attributes:
        sources: sha256 of sources that go altogether.
        urls: Their addresses, as they stand in the records.
        identities: "SHA256:P0": persons of sources that stay.
        clips: Keys of the clips that go.
        items: Keys of the items of releases that go.
        names: Names of files without suffix that exports gave the sources.
        videos: File names of the sources.
        at: UTC time, ISO 8601.
        by: Who signs it off.
        why: On what ground.
        signature: sha256 of a letter given with it.
        anonymous: Write reports without pictures of anybody.
    """

    sources: tuple[str, ...]
    urls: tuple[str, ...]
    identities: tuple[str, ...]
    clips: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    at: str = ""
    by: str = ""
    why: str = ""
    signature: str = ""
    anonymous: bool = False

    @property
    def prefixes(self) -> frozenset[str]:
        """What the keys of all that belongs to the sources begin with."""
        return frozenset(source[:_ITEM] for source in self.sources)

    @property
    def touched(self) -> frozenset[str]:
        """The same, with the sources of persons: what was computed from them is computed anew."""
        return self.prefixes | {entry[:_ITEM] for entry in self.identities}

    @property
    def keys(self) -> frozenset[str]:
        """Keys of clips and items."""
        return frozenset(self.clips) | frozenset(self.items)

    @property
    def words(self) -> tuple[str, ...]:
        """Texts that may stand nowhere afterwards."""
        return (*sorted(self.prefixes), *sorted(self.urls))

    def takes(self, key: str) -> bool:
        """Say whether a sample goes."""
        return key[:_ITEM] in self.prefixes or key in self.keys

    def hidden(self, key: str) -> frozenset[str]:
        """Return the persons that go out of the labels of a source, by its sample's key."""
        named = (entry.split(":", 1) for entry in self.identities)
        return frozenset(person for source, person in named if source[:_ITEM] == key)

    def ends(self, end: End, rows: frozenset[str]) -> bool:
        """Say whether an end in a ledger is that of something that goes."""
        return self.takes(end.item) or (end.kind == "source" and end.item in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes from one folder.

    Attributes:
        what: The same for all folders.
        rows: Lines of the list, as the ledger calls them.
        shards: sha256, as they stand, of the shards that will be written anew or vanish.
        counts: What goes, by kind.
    """

    what: Withdrawal
    rows: tuple[str, ...] = ()
    shards: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """True where the folder holds nothing of it."""
        return not (self.rows or self.shards or any(self.counts.values()))


def write_plan(folder: Path, plan: Plan) -> None:
    """Write a plan into its folder; what it withdraws is refused there from now on."""
    about = {name: getattr(plan.what, name) for name in ("sources", "urls", "identities")}
    write_json(folder / PENDING, {**about, "plan": plan})


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of a removal that was stopped; None where there is none."""
    path = folder / PENDING
    return from_plain(Plan, json.loads(path.read_bytes())["plan"]) if path.is_file() else None
