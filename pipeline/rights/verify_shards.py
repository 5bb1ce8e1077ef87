"""Are shards whole, and do the labels, pictures and sound in them belong together?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitds.errors import BadShard
from mitds.manifests.codec import from_json
from mitds.manifests.dataset import clip_from_sample
from mitds.manifests.records import Clip
from mitds.manifests.seal import broken, unlike
from mitds.manifests.shards import Sample, read_shard
from mitds.manifests.source_labels import from_sample
from mitds.pipeline.rights.findings import Finding, fault, note
from mitds.pipeline.shot_shards import read_sources

_CLIPS = ("clips-", "rejected-")


@dataclass(slots=True)
class Seen:
    """What lay in the shards that were read, for checks against tables and lists.

    Attributes:
        clips: Record and shard by clip key.
        sources: Ids of all sources that anything is of.
        places: First shard of every key, by kind of shard.
        samples: Number of samples by shard.
    """

    clips: dict[str, tuple[Clip, Path]] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    places: dict[tuple[str, str], Path] = field(default_factory=dict)
    samples: dict[Path, int] = field(default_factory=dict)


def check_shards(paths: Sequence[Path], seen: Seen) -> Iterator[Finding]:
    """Read every shard once, one sample in memory at a time; what is in them is noted in `seen`."""
    for path in paths:
        unsealed = count = 0
        try:
            for sample in read_shard(path):
                count += 1
                yield from _repeated(path, sample, seen)
                found = list(_sample(path, sample, seen))
                unsealed += not found and path.name.startswith(_CLIPS) and not seen.clips[sample.key][0].seals
                yield from found
        except BadShard as error:
            yield fault("shard", path, error.what)
        seen.samples[path] = count
        if unsealed:
            yield note(
                "seal", path, f"{unsealed} of {count} samples are unsealed: they were written before seals"
            )
    shots = [str(path) for path in paths if path.name.startswith("shots-")]
    if shots:
        try:
            seen.sources |= {item.source.id or "" for item in read_sources(shots)}
        except BadShard as error:
            yield fault("shard", error.where or ", ".join(shots), error.what)


def _repeated(path: Path, sample: Sample, seen: Seen) -> Iterator[Finding]:
    kind = path.name.rpartition("-")[0]
    kind = "clips" if kind == "rejected" else kind
    first = seen.places.setdefault((kind, sample.key), path)
    if first != path:
        yield fault("shard", f"{path}:{sample.key}", f"the same sample is in {first.name}")


def _sample(path: Path, sample: Sample, seen: Seen) -> Iterator[Finding]:
    where = f"{path}:{sample.key}"
    try:
        if path.name.startswith(_CLIPS):
            found = broken(sample.key, sample.members)
            if not found:
                clip = clip_from_sample(sample).clip
                seen.clips[sample.key] = clip, path
                seen.sources.add(clip.source_id)
            yield from (fault("seal", where, what) for what in found)
        elif path.name.startswith("sources-"):
            labels = from_sample(sample)
            seen.sources.add(labels.source.id or "")
            yield from _sealed(where, sample)
            if labels.key != sample.key:
                yield fault("seal", where, f"its labels are of source {labels.key}")
        elif path.name.startswith("test-"):
            clip = from_json(Clip, sample.members["json"])
            seen.sources.add(clip.source_id)
            if clip.key != sample.key:
                yield fault("seal", where, f"its json is of item {clip.key}")
        else:
            yield from _sealed(where, sample)
    except BadShard as error:
        yield fault("shard", where, error.what)
    except (AttributeError, KeyError, ValueError) as error:
        yield fault("shard", where, f"its record cannot be read: {error}")


def _sealed(where: str, sample: Sample) -> Iterator[Finding]:
    """Hold the members of a sample of shots or labels against the seals that its record has, if any."""
    seals = json.loads(sample.members["json"]).get("seals")
    if seals:
        yield from (fault("seal", where, what) for what in unlike(seals, sample.members))
