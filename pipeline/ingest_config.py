"""What an ingest run is told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mitds.config import require
from mitds.manifests.ledger import FunnelRow
from mitds.manifests.records import Source
from mitds.manifests.shard_journal import ShardRecord
from mitds.pipeline.sources.fetch import FetchConfig
from mitds.pipeline.stages.split import SplitConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """Everything that decides what ingest writes.

    Attributes:
        fetch: How links are fetched.
        split: How sources become shots.
        connections: Links fetched at the same time; one host is never asked twice at once.
    """

    fetch: FetchConfig = field(default_factory=FetchConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    connections: int = 4

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require(self.connections >= 1, "connections", self.connections, "at least 1")


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What a run wrote.

    Attributes:
        out: The output folder.
        funnel: Every line's end, counted; the sums match.
        sources: One record a line, in the order of the list.
        shots: Number of shots.
        records: All shards that stand now.
    """

    out: Path
    funnel: list[FunnelRow]
    sources: list[Source]
    shots: int
    records: list[ShardRecord]

    @property
    def shards(self) -> list[Path]:
        """The shards' paths."""
        return [self.out / record.name for record in self.records]

    @property
    def failed(self) -> int:
        """Number of lines that failed."""
        return sum(source.status == "failed" for source in self.sources)
