"""How the items of an annotate run end."""

from __future__ import annotations

from dataclasses import dataclass, field

from mitds.manifests.ledger import End, Kind
from mitds.manifests.records import Clip
from mitds.pipeline import curation, selection
from mitds.pipeline.jobs import Outcome

REASONS = selection.REASONS | curation.REASONS
"""Codes of all rules a clip can break, in words."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Collects ends; the last word on an item counts. Every run comes by all of them, also by those of older work."""

    last: dict[tuple[str, str], End] = field(default_factory=dict)

    def _write(self, end: End) -> None:
        self.last[end.kind, end.item] = end

    def ended(self, kind: Kind, item: str, stage: str, outcome: Outcome, seconds: float | None) -> None:
        """Write that a job decided on an item: kept, or failed with the outcome's reason."""
        self._write(
            End(
                kind=kind,
                item=item,
                stage=stage,
                status="kept" if outcome.ok else "failed",
                reason=outcome.reason,
                detail=outcome.detail,
                seconds=seconds,
            )
        )

    def filtered(self, clip: Clip, stage: str) -> None:
        """Write that a clip broke rules at a stage; the first one broken is its reason."""
        self._write(
            End(
                kind="clip",
                item=clip.key,
                stage=stage,
                status="filtered",
                reason=clip.reasons[0],
                detail="; ".join(REASONS[r] for r in clip.reasons),
                seconds=clip.seconds,
            )
        )
