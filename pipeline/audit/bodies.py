"""Whether the body that speech is given to is the speaker's, and whether its points lie where they should."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mitds.errors import BadShard
from mitds.manifests.codec import from_plain
from mitds.manifests.records import Array
from mitds.pipeline.audit.scenes import Bodies, Scene, certain, matched, row_of, talk
from mitds.pipeline.audit.statistics import Found, Spec, shares

HEAD = slice(0, 3)
"""Nose and both eyes among the COCO-WholeBody points."""

REACH = 0.5
"""A point is right within this share of the height of the person's true face."""

BODY = Spec(
    "binding.body",
    "Speech given to the right body",
    "Frames of kept clips in which one person in view speaks alone: nose and eyes of the pose of whoever has the "
    "highest probability, .5 or more, lie on average in the speaker's true face box.",
    "frames",
)
PCK = Spec(
    "pose.pck",
    "Pose: points in place",
    "Known points of people in kept clips that are labelled within half the height of their true face box.",
    "points",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PosePoints:
    """Where a person's points are in one frame; px of the picture, None where not known."""

    frame: int
    person: str
    xy: tuple[tuple[float, ...] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseTruth:
    """Points found by hand or by a stronger model: ``NAME.pose.json``.

    Attributes:
        by: Who says so: "hand", or the model's name.
        points: Which COCO-WholeBody points, by number; each row's `xy` is in their order.
    """

    by: str
    points: tuple[int, ...]
    rows: tuple[PosePoints, ...]


def read_pose_truth(folder: Path, name: str) -> PoseTruth | None:
    """Read the known points of a video; None where there is no file.

    Raises:
        BadShard: If the file is not such a record.
    """
    path = folder / f"{name}.pose.json"
    if not path.is_file():
        return None
    try:
        truth: PoseTruth = from_plain(PoseTruth, json.loads(path.read_text()))
    except ValueError as error:
        raise BadShard(f"not JSON: {error}", where=str(path)) from error
    except BadShard as error:
        raise error.at(str(path)) from error
    return truth


def measure_bodies(scenes: Sequence[Scene], points: Sequence[PoseTruth | None]) -> list[Found]:
    """Score the poses of every scene of which clips were kept."""
    pck = [_points(s, t) if t is not None else (0, 0) for s, t in zip(scenes, points, strict=True)]
    return [Found(BODY, shares([_bodies(s) for s in scenes])), Found(PCK, shares(pck))]


def _bodies(scene: Scene) -> tuple[int, int]:
    truth, faces, bodies = scene.truth, scene.truth.faces, scene.labels.bodies
    if faces is None or not truth.speech or bodies is None or not len(bodies.frame_B):
        return 0, 0
    frame_F = certain(truth, np.unique(bodies.frame_B))
    heard = talk(truth.speech, frame_F, float(truth.fps))
    hits = cases = 0
    for frame, voice in zip(frame_F, heard.solo_F, strict=True):
        row = row_of(faces, int(frame), heard.voices[voice]) if voice >= 0 else None
        if row is not None:
            cases += 1
            hits += _head_inside(bodies, int(frame), faces.xyxy_R4[row])
    return hits, cases


def _head_inside(bodies: Bodies, frame: int, box_4: Array) -> bool:
    """Say whether the head of the body that is said to speak lies in a box; no pose, or nobody, is a no."""
    first, end = np.searchsorted(bodies.frame_B, [frame, frame + 1])
    probability_B = np.nan_to_num(bodies.probability_B[first:end], nan=-1.0)
    if probability_B.max(initial=-1.0) < 0.5:
        return False
    head_K3 = bodies.pose_BK3[first + int(probability_B.argmax()), HEAD]
    seen = (head_K3[:, 2] > 0) & np.isfinite(head_K3[:, :2]).all(axis=1)
    if not seen.any():
        return False
    x, y = head_K3[seen, :2].mean(axis=0)
    return bool(box_4[0] <= x <= box_4[2] and box_4[1] <= y <= box_4[3])


def _points(scene: Scene, points: PoseTruth) -> tuple[int, int]:
    """Count known points, and those labelled near enough; a person without a pose misses all of theirs."""
    faces, bodies = scene.truth.faces, scene.labels.bodies
    if faces is None or bodies is None:
        return 0, 0
    pair_R = matched(faces.frame_R, faces.xyxy_R4, bodies.frame_B, bodies.xyxy_B4)
    size_2, numbers = np.array(scene.labels.size, np.float64), list(points.points)
    covered = set(bodies.frame_B.tolist())
    hits = cases = 0
    for known in points.rows:
        row = row_of(faces, known.frame, known.person)
        if row is None or known.frame not in covered:
            continue
        true_K2 = np.array([xy if xy is not None else (np.nan, np.nan) for xy in known.xy], np.float64)
        cases += int(np.isfinite(true_K2[:, 0]).sum())
        if pair_R[row] >= 0:
            said_K2 = bodies.pose_BK3[pair_R[row], numbers, :2] * size_2
            reach = REACH * float(faces.xyxy_R4[row, 3] - faces.xyxy_R4[row, 1]) * size_2[1]
            hits += int((np.linalg.norm(said_K2 - true_K2, axis=1) <= reach).sum())
    return hits, cases
