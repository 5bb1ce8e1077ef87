"""Whole-source labels, one sample a source in ``sources-*.tar``: every face of every shot, and every voice.

Clips keep only what was selected; exports on the source's own clock need all that was seen and heard.

A sample's key is the first 16 digits of the source id. ``KEY.json`` holds the records and lists the tracks
with the prefix of their arrays in ``KEY.npz`` (``s0000_t000_xyxy``: shot 0, track 0).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.config import canonical, plain
from mitds.errors import BadShard
from mitds.manifests.codec import from_plain, pack_arrays, take, unpack_arrays
from mitds.manifests.records import Array, Binding, Shot, Source, SpeechTurn
from mitds.manifests.shards import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackLabels:
    """One face track of one shot and how much it speaks, on the shot's 25 fps grid.

    Attributes:
        shot: Position of the shot in `SourceLabels.shots`.
        track: Number of the track within the shot.
        first: Grid frame of row 0.
        identity: Person within the source.
        xyxy_T4: Face boxes, px.
        score_T: Detector score 0..1; 0 where interpolated.
        detected_T: False where interpolated.
        speaking_T: Probability of speaking 0..1; NaN where the scorer abstains.
        logit_T: The scorer's raw score; NaN where it abstains.
    """

    shot: int
    track: int
    first: int
    identity: str | None
    xyxy_T4: Array
    score_T: Array
    detected_T: NDArray[np.bool_]
    speaking_T: Array
    logit_T: Array

    @property
    def prefix(self) -> str:
        """The start of this track's array names."""
        return f"s{self.shot:04d}_t{self.track:03d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLabels:
    """All labels of one source.

    Attributes:
        shots: All shots in order, with a picture or not.
        tracks: All face tracks of all shots.
        turns: All speech turns, seconds on the source's clock (where pictures and sound share one zero).
        bindings: Which voice is which face.
        models: Backend name by stage.
        digests: "config", and sha256 by weight name.
    """

    source: Source
    shots: tuple[Shot, ...]
    tracks: tuple[TrackLabels, ...]
    turns: tuple[SpeechTurn, ...]
    bindings: tuple[Binding, ...]
    models: dict[str, str]
    digests: dict[str, str]

    @property
    def key(self) -> str:
        """Key of the shard sample."""
        return (self.source.id or "")[:16]


_RECORDS = ("source", "shots", "turns", "bindings", "models", "digests")


def to_sample(labels: SourceLabels) -> dict[str, bytes]:
    """Serialise to the members of one shard sample."""
    tracks = [
        {
            "shot": labels.shots[t.shot].key,
            "track": t.track,
            "first": t.first,
            "identity": t.identity,
            "npz": t.prefix,
        }
        for t in labels.tracks
    ]
    about = {name: plain(getattr(labels, name)) for name in _RECORDS}
    arrays: dict[str, NDArray[Any]] = {}
    for track in labels.tracks:
        arrays |= {
            f"{track.prefix}_xyxy": track.xyxy_T4,
            f"{track.prefix}_score": track.score_T,
            f"{track.prefix}_detected": track.detected_T,
            f"{track.prefix}_speaking": track.speaking_T,
            f"{track.prefix}_logit": track.logit_T,
            f"{track.prefix}_first": np.array(track.first, np.int64),
        }
    npz = pack_arrays(arrays)
    seals = {"npz": hashlib.sha256(npz).hexdigest()}
    return {"json": canonical({**about, "tracks": tracks, "seals": seals}).encode(), "npz": npz}


def from_sample(sample: Sample) -> SourceLabels:
    """Read the members of one shard sample back.

    Raises:
        BadShard: If a member is missing or damaged, or tracks name shots that are not there.
    """
    try:
        about, arrays = json.loads(sample.members["json"]), unpack_arrays(sample.members["npz"])
        records = {name: about[name] for name in _RECORDS}
        shots = {shot["key"]: i for i, shot in enumerate(about["shots"])}
        tracks = tuple(_track(entry, shots[entry["shot"]], arrays) for entry in about["tracks"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadShard(
            f"sample {sample.key} does not hold the labels of a source: {error}",
            remedy="Give the shards that annotate wrote (sources-*.tar).",
        ) from error
    return SourceLabels(
        source=from_plain(Source, records["source"]),
        shots=tuple(from_plain(Shot, v) for v in records["shots"]),
        tracks=tracks,
        turns=tuple(from_plain(SpeechTurn, v) for v in records["turns"]),
        bindings=tuple(from_plain(Binding, v) for v in records["bindings"]),
        models=from_plain(dict[str, str], records["models"]),
        digests=from_plain(dict[str, str], records["digests"]),
    )


def _track(entry: dict[str, Any], shot: int, arrays: dict[str, NDArray[Any]]) -> TrackLabels:
    prefix = entry["npz"]
    (count,) = take(arrays, f"{prefix}_score", (-1,)).shape
    return TrackLabels(
        shot=shot,
        track=entry["track"],
        first=entry["first"],
        identity=entry["identity"],
        xyxy_T4=take(arrays, f"{prefix}_xyxy", (count, 4)),
        score_T=take(arrays, f"{prefix}_score", (count,)),
        detected_T=take(arrays, f"{prefix}_detected", (count,), np.bool_),
        speaking_T=take(arrays, f"{prefix}_speaking", (count,)),
        logit_T=take(arrays, f"{prefix}_logit", (count,)),
    )
