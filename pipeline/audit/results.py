"""What an audit found: every label type's accuracy with its interval, and how far its probabilities hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import from_json
from mitds.store import write_json

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number of an audit.

    Attributes:
        id: Stable name, "binding.right"; a measure may stand there several times under different `by`.
        label: The label type it judges: shots, faces, people, speaking, binding, diarization or pose.
        title: A few words for a table.
        definition: One sentence that says exactly what is counted.
        value: The number over all videos pooled; None where nothing could be scored.
        low: 2.5th percentile over resampled videos; None with one video.
        high: 97.5th percentile.
        n: How many of `unit` the value rests on.
        unit: What `n` counts: "cuts", "face frames", "frames", "seconds", "people".
        better: Which direction is good; "" where none is.
        by: The condition that the number is restricted to ("overlap", "small faces"); empty for all.
    """

    id: str
    label: str
    title: str
    definition: str
    value: float | None
    low: float | None
    high: float | None
    n: float
    unit: str
    better: Literal["higher", "lower", ""]
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Stated probabilities against what came true, in B equally wide bins.

    Attributes:
        label: Which probability: "speaking" (of a face in a frame) or "binding" (of a voice's owner).
        edges: B + 1 bin edges, 0..1.
        said: Mean stated probability of each bin; None where the bin is empty.
        found: Share that came true; None where the bin is empty.
        count: Cases in each bin: face frames for speaking, frames (1/25 s) of speech for binding.
        error: Expected calibration error: |said - found| averaged over all cases.
    """

    label: Literal["speaking", "binding"]
    edges: tuple[float, ...]
    said: tuple[float | None, ...]
    found: tuple[float | None, ...]
    count: tuple[int, ...]
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All that one audit found; ``audit.json``.

    Attributes:
        version: Of this record.
        profile: Profile that made the labels, as run.json says; empty where unknown.
        models: Backend name by stage.
        names: Videos with truth, sorted; they are the units that intervals resample.
        measures: In the order of the label types, all-conditions rows before conditional ones.
        per_video: By name: values by measure id (those without a condition); None where not defined.
        reliability: One entry a kind of probability that could be judged.
        abstention: (share answered, share right of the answered) as the least probability asked of a binding rises.
        missing: Names with truth and without labels; they count as wrong.
        notes: What a reader has to know to read the numbers rightly.
    """

    version: int
    profile: str
    models: dict[str, str]
    names: tuple[str, ...]
    measures: tuple[Measure, ...]
    per_video: dict[str, dict[str, float | None]]
    reliability: tuple[Reliability, ...]
    abstention: tuple[tuple[float, float], ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def write_audit(path: Path, audit: Audit) -> None:
    """Write ``audit.json``; it is complete or absent."""
    write_json(path, audit)


def read_audit(path: Path) -> Audit:
    """Read ``audit.json``.

    Raises:
        UsageError: If it is not there.
        BadShard: If it is damaged, or of another version.
    """
    try:
        audit = from_json(Audit, path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError("there is no audit", where=str(path), remedy="Run mitds audit first.") from error
    except BadShard as error:
        raise error.at(str(path)) from error
    if audit.version != VERSION:
        raise BadShard(
            f"an audit of version {audit.version}, not {VERSION}",
            where=str(path),
            remedy="Run mitds audit again.",
        )
    return audit
