"""Whole-source labels from shards, laid on the frames of a truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.errors import UsageError
from mitds.manifests.records import Clip, ClipArrays, SpeechTurn
from mitds.manifests.shards import expand
from mitds.manifests.source_labels import SourceLabels, TrackLabels
from mitds.manifests.truth import Truth, read_truth
from mitds.pipeline.audit.scenes import Bodies, Faces, Ints, Labels
from mitds.pipeline.export.ava import probe_of, relative, score
from mitds.pipeline.export.names import Names
from mitds.pipeline.export.reading import ClipRef, clips_by_source, source_labels, source_shards
from mitds.store import safe_name

LABEL_FPS = 25.0


def read_labels(
    shards: Sequence[str], folder: Path, names: Sequence[str]
) -> tuple[dict[str, tuple[Truth, Labels]], list[str]]:
    """Read the labels of every source that there is truth of, and the truth, on the frames of the source.

    Args:
        shards: Patterns of ``clips-*.tar``.
        folder: Where the truth is.
        names: Which videos to read.

    Returns:
        Truth and labels by the truth's name, and the names of the sources without truth.

    Raises:
        UsageError: If names differ only in what exports leave out of them, or a truth cannot be understood.
    """
    paths, exported, wanted = expand(shards), Names(), _by_exported(names, folder)
    clips = {source.source_id: source.clips for source in clips_by_source(paths)}
    found, ignored = dict[str, tuple[Truth, Labels]](), list[str]()
    for labels in source_labels(source_shards(paths)):
        name = exported.of(labels.source.id or labels.key, labels.source.name)
        if name in wanted:
            truth = read_truth(folder, wanted[name], probe_of(labels).fps)
            found[truth.name] = truth, on_truth(labels, clips.get(labels.source.id or "", []), truth)
        else:
            ignored.append(name)
    return found, sorted(ignored)


def _by_exported(names: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the names of truths by the names under which their videos are exported."""
    by_exported: dict[str, str] = {}
    for name in names:
        other = by_exported.setdefault(safe_name(name), name)
        if other != name:
            raise UsageError(
                f"truths of {other} and {name} cannot be told apart",
                where=str(folder),
                remedy="Name them, and their videos, by letters, digits and dashes that differ.",
            )
    return by_exported


def nothing() -> Labels:
    """Return the labels of a source that is missing: none at all."""
    return Labels(
        cuts=(), turns=(), bindings=(), faces=_faces([]), identities=(), bodies=None, size=(0, 0), models={}
    )


def on_truth(labels: SourceLabels, clips: Iterable[ClipRef], truth: Truth) -> Labels:
    """Lay a source's labels on the frames of its truth; times count from the first picture."""
    probe, fps = probe_of(labels), float(truth.fps)
    zero = float(probe.start)
    starts = [(shot.first_frame, float(shot.start) - zero) for shot in labels.shots[1:] if not shot.continues]
    counted_alike = abs(float(probe.fps) - fps) < 0.01
    people = {name: k for k, name in enumerate(_people(labels.tracks))}
    rows = [_track(labels, k, people[_person(track)], truth) for k, track in enumerate(labels.tracks)]
    return Labels(
        cuts=tuple(frame if counted_alike else round(start * fps) for frame, start in starts),
        turns=tuple(
            SpeechTurn(voice=t.voice, start_s=t.start_s - zero, end_s=t.end_s - zero) for t in labels.turns
        ),
        bindings=labels.bindings,
        faces=_faces(rows),
        identities=tuple(people),
        bodies=_bodies([_clip(ref.clip(), ref.arrays(), zero, fps) for ref in clips]),
        size=(probe.width, probe.height),
        models=labels.models,
        duration_s=float(probe.duration),
    )


def _person(track: TrackLabels) -> str:
    return track.identity or track.prefix


def _people(tracks: Iterable[TrackLabels]) -> list[str]:
    return list(dict.fromkeys(_person(track) for track in tracks))


def frames_between(start_s: float, rows: int, fps: float) -> tuple[Ints, Ints]:
    """Return the frames at `fps` that `rows` label frames from `start_s` cover, and each one's nearest row."""
    reach = 0.5 / LABEL_FPS
    first = int(np.floor((start_s - reach) * fps))
    last = int(np.ceil((start_s + rows / LABEL_FPS) * fps))
    frame = np.arange(max(0, first), last + 1)
    row = np.rint((frame / fps - start_s) * LABEL_FPS).astype(np.int64)
    inside = (row >= 0) & (row < rows)
    return frame[inside], row[inside]


def _track(labels: SourceLabels, index: int, identity: int, truth: Truth) -> tuple[NDArray[Any], ...]:
    """Return a track's frames, boxes, probabilities, scores, track and identity, one row a frame of the truth."""
    track, fps, probe = labels.tracks[index], float(truth.fps), probe_of(labels)
    shot = labels.shots[track.shot]
    start_s = float(shot.start - probe.start)
    frame, row = frames_between(start_s + track.first / LABEL_FPS, len(track.score_T), fps)
    xyxy = relative(track.xyxy_T4, probe.width, probe.height)[row]
    shown = (frame + 0.5 >= start_s * fps) & (frame + 0.5 < float(shot.end - probe.start) * fps)
    kept = np.isfinite(xyxy).all(axis=1) & shown
    frame, row, xyxy = frame[kept], row[kept], xyxy[kept]
    ones = np.ones(len(frame))
    probability = track.speaking_T.astype(np.float64)[row]
    return (frame, xyxy, probability, score(track.speaking_T)[row], ones * index, ones * identity)


def _faces(rows: Sequence[tuple[NDArray[Any], ...]]) -> Faces:
    empty = (np.zeros(0), np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
    frame, xyxy, probability, logit, track, identity = (
        np.concatenate(parts) for parts in zip(empty, *rows, strict=True)
    )
    order = np.lexsort((track, frame))
    return Faces(
        frame_P=frame[order].astype(np.int64),
        xyxy_P4=xyxy[order],
        probability_P=probability[order],
        score_P=logit[order],
        track_P=track[order].astype(np.int64),
        identity_P=identity[order].astype(np.int64),
    )


def _clip(clip: Clip, arrays: ClipArrays, zero: float, fps: float) -> Bodies:
    frame, row = frames_between(float(clip.start) - zero, clip.frames, fps)
    people, points = len(clip.persons), arrays.pose_NTK3.shape[2]
    size = np.array([clip.width, clip.height, 1], np.float32)
    return Bodies(
        frame_B=np.tile(frame, people),
        xyxy_B4=relative(arrays.face_xyxy_NT4[:, row].reshape(-1, 4), clip.width, clip.height),
        probability_B=arrays.speaking_NT[:, row].reshape(-1).astype(np.float64),
        pose_BK3=(arrays.pose_NTK3[:, row] / size).reshape(len(frame) * people, points, 3),
    )


def _bodies(clips: Sequence[Bodies]) -> Bodies | None:
    if not clips:
        return None
    frame_B = np.concatenate([c.frame_B for c in clips])
    order = np.argsort(frame_B, kind="stable")
    return Bodies(
        frame_B=frame_B[order],
        xyxy_B4=np.concatenate([c.xyxy_B4 for c in clips])[order],
        probability_B=np.concatenate([c.probability_B for c in clips])[order],
        pose_BK3=np.concatenate([c.pose_BK3 for c in clips])[order],
    )


def folder_of(shards: Sequence[str]) -> Path:
    """Return the folder of the first shard."""
    return expand(shards)[0].parent
