"""The MIT layout's labels: who speaks and listens when, with which score, where each person is, and the points.

The layout has no word for absence. A face that is not in view is the box 0, 0, 0, 0 and a score that was not given
is 0, the boundary; `visible` and `scored`, lists of our own beside them, say where that is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array, Clip, ClipArrays, Person
from mitds.pipeline.export.ava import score
from mitds.pipeline.export.mit_pictures import Canvas
from mitds.runs import Run, runs_of

MERGE_BELOW = 25
"""Frames (1 s): the layout's merged version has no shorter stretch of speaking or listening."""

_SURE = 0.4
"""The layout's loaders take points from this score on."""

_FPS = 25


def speaker_infos(clip: Clip, arrays: ClipArrays, canvas: Canvas) -> dict[str, list[dict[str, Any]]]:
    """Return the three lists of people by file name; frames count from 0, stretches are [first, end)."""
    raw = [_person(clip, arrays, canvas, n) for n in range(len(clip.persons))]
    spoken = [speaking_frames(person, clip.frames) for person in clip.persons]
    whole = {"clip_range": [1, clip.frames]}
    boxes = [{"instance_bbox": _instance(arrays, canvas, n)} for n in range(len(clip.persons))]
    plain = [told | _stretches(roles) for told, roles in zip(raw, spoken, strict=True)]
    return {
        "speaker_info.json": plain,
        "speaker_info_merged.json": [t | _stretches(merged(r)) for t, r in zip(raw, spoken, strict=True)],
        "speaker_info_with_instance_bbox.json": [t | b | whole for t, b in zip(plain, boxes, strict=True)],
    }


def pose_json(points_NK3: Array) -> dict[str, Any]:
    """Return the points of one frame in Sapiens' form: one entry a person in view; an absent point is 0, 0, score 0."""
    people = []
    for points_K3 in points_NK3:
        there_K = np.isfinite(points_K3[:, :2]).all(axis=1) & (points_K3[:, 2] > 0)
        if there_K.any():
            kept_K3 = np.where(there_K[:, None], points_K3, 0)
            people.append(
                {
                    "keypoints": _rounded(kept_K3[:, :2], 2),
                    "keypoint_scores": [round(float(s), 4) for s in kept_K3[:, 2]],
                }
            )
    return {"instance_info": people}


def speaking_frames(person: Person, frames: int) -> list[bool]:
    """Return whether a person speaks, by frame: a frame counts if its instant lies in a turn."""
    speaks_T = np.zeros(frames, bool)
    time_T = np.arange(frames) / _FPS
    for turn in person.turns:
        speaks_T |= (time_T >= turn.start_s) & (time_T < turn.end_s)
    return [bool(s) for s in speaks_T]


def merged(roles_T: Sequence[bool], shortest: int = MERGE_BELOW) -> list[bool]:
    """Give stretches shorter than a second to their neighbours, the shortest first, the earlier on a tie."""
    roles = list(roles_T)
    while True:
        stretches = _runs(roles)
        first, end = min(stretches, key=lambda run: (run[1] - run[0], run[0]), default=(0, shortest))
        if end - first >= shortest or len(stretches) < 2:
            return roles
        roles[first:end] = [not roles[first]] * (end - first)


def _runs(roles: Sequence[bool]) -> list[Run]:
    roles_T = np.array(roles, bool)
    return sorted(runs_of(roles_T) + runs_of(~roles_T))


def _stretches(roles: Sequence[bool]) -> dict[str, Any]:
    roles_T = np.array(roles, bool)
    speak, listen = runs_of(roles_T), runs_of(~roles_T)
    return {
        "speak": [list(run) for run in speak],
        "listen": [list(run) for run in listen],
        "period_num": len(speak) + len(listen),
    }


def _person(clip: Clip, arrays: ClipArrays, canvas: Canvas, n: int) -> dict[str, Any]:
    """Return what the three files say alike of one person, a value a frame."""
    probability_T, box_T4 = arrays.speaking_NT[n], canvas.boxes(arrays.face_xyxy_NT4[n])
    scored_T: NDArray[np.bool_] = np.isfinite(probability_T)
    visible_T: NDArray[np.bool_] = np.asarray(np.isfinite(box_T4).all(axis=1))
    return {
        "face_track": _rounded(np.where(visible_T[:, None], box_T4, 0), 2),
        "speaking_score": [round(float(s), 4) for s in np.where(scored_T, score(probability_T), 0)],
        "visible": [bool(v) for v in visible_T],
        "scored": [bool(s) for s in scored_T],
        "identity": clip.persons[n].identity,
        "voice": clip.persons[n].voice,
    }


def _instance(arrays: ClipArrays, canvas: Canvas, n: int) -> list[int]:
    """Return one box around all that is surely seen of a person in the whole clip: face boxes and points."""
    face_T4 = arrays.face_xyxy_NT4[n]
    corners_P2 = face_T4[np.isfinite(face_T4).all(axis=1)].reshape(-1, 2)
    pose_P3 = arrays.pose_NTK3[n].reshape(-1, 3)
    sure_P2 = pose_P3[np.isfinite(pose_P3[:, :2]).all(axis=1) & (pose_P3[:, 2] >= _SURE), :2]
    points_P2 = np.concatenate([corners_P2, sure_P2])
    if not len(points_P2):
        return [0, 0, 0, 0]
    box_4 = np.concatenate([points_P2.min(axis=0), points_P2.max(axis=0)]).astype(np.float32)
    x1, y1, x2, y2 = canvas.boxes(box_4).tolist()
    return [int(np.floor(x1)), int(np.floor(y1)), int(np.ceil(x2)), int(np.ceil(y2))]


def _rounded(values: Array, digits: int) -> list[list[float]]:
    return [[round(float(v), digits) for v in row] for row in values]
