"""What SyncNet reads of a video, and how: the pipeline of the release ("compat").

The pictures go through the release's lossy copies, its detector (S3FD), its cuts and links; each face track that it
would score is cropped by its rule and compared with the sound under its padding, less the window it loses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from mitds.annotators.asd.rows import SAMPLES_PER_FRAME
from mitds.annotators.faces.boxes import iou
from mitds.benchmark.contracts import Scene, Score, Status
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.release_tracks import ReleaseTrack
from mitds.benchmark.judges.syncnet import network, release_tracks, sound_features, track_features
from mitds.benchmark.metrics.sync_maths import Sync, padded_curve, reading
from mitds.manifests.records import Array, ClipArrays

LOST = 5
"""Frames less than windows in the release: four that windows need, and one that it loses."""
MIN_PLACE_IOU = 0.3
"""Overlap, the mean over frames, from which a detected track is a person's."""

Reads = Callable[[Sync], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of one person, or of a video: a Sync for each track, or a status."""

    syncs: tuple[Sync, ...] = ()
    status: Status = "ok"
    person: int | None = None
    n: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def undefined(cls, reason: str, person: int | None = None) -> Self:
        """Return what is said of a scene that gives nothing to read."""
        return cls(status="undefined", person=person, detail={"reason": reason})

    def score(self, read: Reads) -> Score:
        """Return the mean over tracks of what is asked for."""
        value = float(np.mean([read(sync) for sync in self.syncs])) if self.status == "ok" else None
        offsets = {"offset": [sync.offset for sync in self.syncs]} if self.syncs else {}
        detail = {**self.detail, **offsets}
        return Score(value=value, status=self.status, person=self.person, n=self.n, detail=detail)


def compat(scene: Scene, generated: Footage) -> list[Reading]:
    """Read a video as the release does.

    An item's own sound counts, whatever sound the output carries; a bare video is read under its own.

    Returns:
        One reading a person of the item, or one of a bare video. "undefined" where the real footage has no face
        that the release would score.
    """
    network()
    wave_S = scene.real.wave_S if scene.clip or generated.wave_S is None else generated.wave_S
    if wave_S is None:
        return [Reading.undefined("no sound")]
    wanted, made = (_tracks(scene.arrays, footage) for footage in (scene.real, generated))
    return [_compat_person(n, tracks, made[n], generated, wave_S) for n, tracks in wanted.items()]


def _compat_person(
    person: int | None, wanted: list[ReleaseTrack], made: list[ReleaseTrack], footage: Footage, wave_S: Array
) -> Reading:
    if not wanted:
        return Reading.undefined("no face of the real footage is over 100 px on more than 100 frames", person)
    if not _heard(wanted, wave_S):
        return Reading.undefined("the sound ends before the face appears", person)
    heard = _heard(made, wave_S)
    if not heard:
        return Reading(status="no_face", person=person)
    syncs = tuple(_compat_track(footage, track, wave_S, windows) for track, windows in heard)
    return Reading(syncs=syncs, person=person, n=sum(windows for _, windows in heard))


def _heard(tracks: list[ReleaseTrack], wave_S: Array) -> list[tuple[ReleaseTrack, int]]:
    """Return the tracks under which there is sound for a window at least, each with its windows."""
    counted = ((track, _heard_windows(track, wave_S)) for track in tracks)
    return [(track, windows) for track, windows in counted if windows > 0]


def _heard_windows(track: ReleaseTrack, wave_S: Array) -> int:
    heard: int = min(len(wave_S) // SAMPLES_PER_FRAME, track.frames.stop) - track.first
    return max(heard - LOST, 0)


def _compat_track(footage: Footage, track: ReleaseTrack, wave_S: Array, windows: int) -> Sync:
    heard_S = wave_S[track.first * SAMPLES_PER_FRAME : track.frames.stop * SAMPLES_PER_FRAME]
    sound_WD = sound_features(footage, heard_S, windows)
    return reading(padded_curve(track_features(footage, track)[:windows], sound_WD))


def _tracks(arrays: ClipArrays | None, footage: Footage) -> dict[int | None, list[ReleaseTrack]]:
    """Return the tracks that the release scores by person; all under None where nobody is labelled."""
    tracks = release_tracks(footage)
    if arrays is None or not len(arrays.face_xyxy_NT4):
        return {None: tracks}
    owned: dict[int | None, list[ReleaseTrack]] = {n: [] for n in range(len(arrays.face_xyxy_NT4))}
    for track in tracks:
        owner = _owner(track, arrays.face_xyxy_NT4)
        if owner is not None:
            owned[owner].append(track)
    return owned


def _owner(track: ReleaseTrack, face_xyxy_NT4: Array) -> int | None:
    """Return the person whose face a track overlaps best, if enough."""
    shared = np.zeros(len(face_xyxy_NT4))
    for n, xyxy_T4 in enumerate(face_xyxy_NT4[:, track.frames].astype(np.float64)):
        seen_T = np.isfinite(xyxy_T4).all(axis=1)
        pairs = zip(track.xyxy_T4[seen_T], xyxy_T4[seen_T], strict=True)
        overlaps = [iou(own_4[None], wanted_4[None])[0, 0] for own_4, wanted_4 in pairs]
        shared[n] = np.mean(overlaps) if overlaps else 0.0
    best = int(np.argmax(shared))
    return best if shared[best] >= MIN_PLACE_IOU else None


def confidence(sync: Sync) -> float:
    """Read Sync-C."""
    return sync.confidence


def distance(sync: Sync) -> float:
    """Read Sync-D."""
    return sync.distance
