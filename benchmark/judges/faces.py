"""Faces of a video at the places where the real footage shows each person, and the identities they have."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mitds.annotators.contracts import Frame
from mitds.annotators.faces.boxes import area, distance, distinct, iou
from mitds.annotators.faces.yunet import YuNet
from mitds.annotators.identity.sface import DIMENSIONS, SFace
from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Arrays
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.cache import content, judge_id, judged
from mitds.config import plain
from mitds.manifests.records import Array, ClipArrays


@dataclass(frozen=True, slots=True, kw_only=True)
class FacesConfig:
    """When a face of the output stands for a person of the real footage, frame by frame.

    Attributes:
        min_iou: Overlap with the person's real box that is enough.
        reach: Else the distance of centres that is allowed, in sides of the larger box: heads move.
        max_ratio: Else the ratio of sides that is allowed: faces in the background do not stand in.
        duplicate: Share of the smaller box above which two detections are one face.
        stride: One frame of each `stride` frames is embedded.
    """

    min_iou: float = 0.2
    reach: float = 0.6
    max_ratio: float = 2.0
    duplicate: float = 0.6
    stride: int = 5


CONFIG = FacesConfig()
"""The setting of all metrics: another one would be another metric."""


@dataclass(frozen=True, slots=True)
class Faces:
    """The face at each person's place.

    Attributes:
        face_xyxy_NT4: Boxes, px; NaN where none was found.
        landmarks_NT52: Landmarks as FaceTrack has them, px; NaN where none was found.
        found_NT: True where one was found.
    """

    face_xyxy_NT4: Array
    landmarks_NT52: Array
    found_NT: NDArray[np.bool_]

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """Read what the judge stored."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def places(arrays: ClipArrays) -> Array:
    """Return each person's real face box where the face is in view, NaN elsewhere, xyxy_NT4."""
    return np.where(arrays.visible_NT[..., None], arrays.face_xyxy_NT4, np.float32(np.nan))


def faces(arrays: ClipArrays, footage: Footage) -> Faces:
    """Find the face at each person's place in every frame of a video, once per video.

    Args:
        arrays: Of the real footage: they say where each person's face belongs.
        footage: The video that is looked at, as many frames as the arrays have.
    """
    wanted_NT4 = places(arrays)
    inputs = {"places": content(wanted_NT4), "config": plain(CONFIG)}
    judge = judge_id("yunet-places", 1, "faces.yunet")
    return Faces.of(judged(footage, judge, inputs, lambda: _find(footage.frames_THWC, wanted_NT4)))


def identities(arrays: ClipArrays, footage: Footage) -> tuple[Array, NDArray[np.int64]]:
    """Embed the found faces on one frame of each five, drawn by the content.

    Returns:
        embedding_NED, unit norm, D = 128, zero where no face was found; and the E frames, frame_E.
    """
    seen = faces(arrays, footage)
    frame_E = footage.sample(CONFIG.stride)
    inputs = {"landmarks": content(seen.landmarks_NT52), "config": plain(CONFIG)}
    judge = judge_id("sface", 2, "identity.sface")
    found = judged(footage, judge, inputs, lambda: _embed(footage.frames_THWC, seen, frame_E))
    return found["embedding_NED"], frame_E


def match(wanted_N4: Array, face_M4: Array, config: FacesConfig = CONFIG) -> list[tuple[int, int]]:
    """Assign detections to places: pairs (n, m), each at most once, with the largest sum of nearness.

    Args:
        wanted_N4: Where each person's face belongs; NaN for none.
        face_M4: Detected boxes.
        config: What is near enough.
    """
    rows = np.flatnonzero(np.isfinite(wanted_N4).all(axis=1))
    if not len(rows) or not len(face_M4):
        return []
    wanted_A4 = wanted_N4[rows].astype(np.float64)
    overlap_AM, apart_AM = iou(wanted_A4, face_M4), distance(wanted_A4, face_M4)
    ratio_AM = np.sqrt(area(wanted_A4)[:, None] / np.maximum(area(face_M4), 1e-9)[None])
    alike_AM = np.maximum(ratio_AM, 1 / np.maximum(ratio_AM, 1e-9)) <= config.max_ratio
    near_AM = (overlap_AM >= config.min_iou) | ((apart_AM <= config.reach) & alike_AM)
    affinity_AM = np.where(near_AM, 1 + overlap_AM - apart_AM, 0.0)
    pairs = zip(*linear_sum_assignment(affinity_AM, maximize=True), strict=True)
    return [(int(rows[a]), int(m)) for a, m in pairs if near_AM[a, m]]


def _find(frames_THWC: NDArray[np.uint8], wanted_NT4: Array) -> Arrays:
    persons, frames = wanted_NT4.shape[:2]
    box_NT4 = np.full((persons, frames, 4), np.nan, np.float32)
    mark_NT52 = np.full((persons, frames, 5, 2), np.nan, np.float32)
    for t, frame_HWC in enumerate(frames_THWC):
        found = _yunet().detect(frame_HWC)
        kept = distinct(found.xyxy_N4, CONFIG.duplicate)
        for n, m in match(wanted_NT4[:, t], found.xyxy_N4[kept]):
            box_NT4[n, t], mark_NT52[n, t] = found.xyxy_N4[kept][m], found.landmarks_N52[kept][m]
    return asdict(Faces(box_NT4, mark_NT52, np.isfinite(box_NT4[..., 0])))


def _embed(frames_THWC: NDArray[np.uint8], seen: Faces, frame_E: NDArray[np.int64]) -> Arrays:
    embedding_NED = np.zeros((len(seen.found_NT), len(frame_E), DIMENSIONS), np.float32)
    for e, t in enumerate(frame_E):
        rows = np.flatnonzero(seen.found_NT[:, t])
        frame_HWC: Frame = np.ascontiguousarray(frames_THWC[t])
        embedding_NED[rows, e] = _sface().embed(frame_HWC, seen.landmarks_NT52[rows, t])
    return {"embedding_NED": embedding_NED}


@cache
def _yunet() -> YuNet:
    single_threaded()
    return YuNet()


@cache
def _sface() -> SFace:
    single_threaded()
    return SFace()
