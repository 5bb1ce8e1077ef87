"""What a leaderboard is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import Anchor, Results, Row
from mitds.benchmark.site import wording
from mitds.config import require
from mitds.errors import UsageError
from mitds.manifests.items import Release
from mitds.manifests.records import Turn

Tier = Literal["claimed", "spot-checked", "rescored", "regenerated", ""]
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the board.

    Attributes:
        slug: Its address, lower case: "systems/SLUG.html".
        name: Name shown, as the authors wrote it; trusted by nobody.
        kind: "real" and "floor" are the two ends of the scale, "control" the degenerate answers.
        tier: What the host did to believe it; empty for what is no submission.
        results: The host's own evaluation.
        rows: Charged rows of that evaluation.
        videos: Output by item, to be shown; those of the "real" entry are shown beside everybody's.
        about: Fields of `submission.json`.
        notes: What the host adds: waivers, flags.
    """

    slug: str
    name: str
    kind: Literal["submission", "control", "real", "floor"]
    tier: Tier = ""
    results: Results
    rows: Sequence[Row]
    videos: Mapping[str, Path] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        require(bool(_SLUG.fullmatch(self.slug)), "slug", self.slug, "a-z, 0-9, dots and dashes, at most 80")
        require(self.tier == "" or self.tier in wording.TIERS, "tier", self.tier, "a tier of trust")

    @property
    def ranked(self) -> bool:
        """True where it takes part in the comparison: a submission that more than its authors vouch for."""
        return (
            self.kind == "submission"
            and self.tier not in ("claimed", "")
            and self.results.aggregate is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that a board is computed from.

    Attributes:
        release: The items.
        release_digest: Digest of release and anchors; every entry must have been measured against it.
        entries: In any order.
        cards: By metric id.
        anchors: By metric id.
        floor_band: Largest aggregate that chance on one axis may reach by luck; None where it is not known.
        title: Of the site.
        turns: Who speaks when, by item, for the bars under the videos; items may be left out.
    """

    release: Release
    release_digest: str
    entries: Sequence[Entry]
    cards: Mapping[str, Card]
    anchors: Mapping[str, Anchor]
    floor_band: float | None
    title: str
    turns: Mapping[str, tuple[tuple[Turn, ...], ...]]

    def of(self, *kinds: str) -> list[Entry]:
        """Return the entries of some kinds."""
        return [entry for entry in self.entries if entry.kind in kinds]

    def check(self) -> None:
        """Refuse what must not share a table.

        Raises:
            UsageError: Two entries of one address, an entry of another release, or rows of unknown items.
        """
        slugs = [entry.slug for entry in self.entries]
        known = {item.id for item in self.release.items}
        for entry in self.entries:
            if slugs.count(entry.slug) > 1:
                raise _refused("two entries have one address", entry, "Give each its own slug.")
            if entry.results.release_digest != self.release_digest:
                raise _refused(
                    "rows of two releases never share a table", entry, f"Score it on {self.release.name}."
                )
            if not {row.item for row in entry.rows} | set(entry.videos) <= known:
                raise _refused("it names items that the release does not have", entry, "Score it again.")


def _refused(what: str, entry: Entry, remedy: str) -> UsageError:
    return UsageError(what, where=f"entry {entry.slug}", remedy=remedy)
