"""Who is the same person across sources: mean face embeddings of every (source, identity), joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Protocol

import numpy as np

from mitds.annotators.contracts import FaceDetections, Frame
from mitds.annotators.faces.boxes import iou
from mitds.annotators.faces.yunet import YuNet
from mitds.annotators.identity.joining import average_link
from mitds.annotators.identity.sface import SFace
from mitds.annotators.runtime import single_threaded
from mitds.manifests.dataset import LoadedClip
from mitds.manifests.records import Array, ClipArrays
from mitds.weights import digests

SAMPLES = 8
"""Frames of a clip in which a person is looked at."""
MIN_IOU = 0.3
"""Overlap of a detected face and the annotated box that makes them one."""

Who = tuple[str, str]
"""A person within a source: (source id, identity)."""


class Recogniser(Protocol):
    """Turns the people of a clip into identity embeddings."""

    models: Mapping[str, str]
    """sha256 by weight name."""

    def look(self, loaded: LoadedClip) -> list[Array | None]:
        """Return for each person the sum of unit-norm embeddings over some frames; None where no face is found."""


class SFaceRecogniser:
    """YuNet finds the annotated faces again in a few frames, SFace embeds them."""

    def __init__(self) -> None:
        single_threaded()
        self.models: Mapping[str, str] = digests(["faces.yunet", "identity.sface"])
        self._detector, self._embedder = YuNet(), SFace()

    def look(self, loaded: LoadedClip) -> list[Array | None]:
        """Return the summed embeddings of each person, in the order of the arrays' rows."""
        wanted = [sample_frames(loaded.arrays, n) for n in range(len(loaded.clip.persons))]
        last = max((frame for frames in wanted for frame in frames), default=-1)
        sums: list[Array | None] = [None] * len(wanted)
        for k, frame_HWC in enumerate(loaded.frames()):
            if k > last:
                break
            people = [n for n, frames in enumerate(wanted) if k in frames]
            for n, embedding_D in self._embed(frame_HWC, loaded.arrays.face_xyxy_NT4[:, k], people):
                known_D = sums[n]
                sums[n] = embedding_D if known_D is None else known_D + embedding_D
        return sums

    def _embed(self, frame_HWC: Frame, xyxy_N4: Array, people: list[int]) -> list[tuple[int, Array]]:
        if not people:
            return []
        found = match(self._detector.detect(frame_HWC), xyxy_N4[people])
        return [
            (n, self._embedder.embed(frame_HWC, landmarks_52[None])[0])
            for n, landmarks_52 in zip(people, found, strict=True)
            if landmarks_52 is not None
        ]


def sample_frames(arrays: ClipArrays, person: int) -> set[int]:
    """Return up to `SAMPLES` frames, spread evenly over those in which the person's face was detected."""
    known_T = arrays.visible_NT[person] & (arrays.face_score_NT[person] > 0)
    frames = np.flatnonzero(known_T & np.isfinite(arrays.face_xyxy_NT4[person]).all(axis=1))
    if not len(frames):
        return set()
    return {int(f) for f in frames[np.linspace(0, len(frames) - 1, SAMPLES).round().astype(int)]}


def match(faces: FaceDetections, xyxy_N4: Array) -> list[Array | None]:
    """Return for each box the landmarks of the face that overlaps it most; None where none does."""
    if not len(faces.score_N):
        return [None] * len(xyxy_N4)
    iou_NM = iou(xyxy_N4, faces.xyxy_N4)
    return [faces.landmarks_N52[row_M.argmax()] if row_M.max() >= MIN_IOU else None for row_M in iou_NM]


def join_people(
    sums: Mapping[Who, Array | None], together: Iterable[Iterable[Who]], min_cosine: float
) -> dict[Who, str]:
    """Name the people of all sources.

    Average link, because single links would chain thousands of people into one.

    Args:
        sums: Summed embeddings of each person; None where no face was found: a person of its own.
        together: People seen side by side, group by group: never one person.
        min_cosine: Mean cosine between two groups of sightings at which they are one person.

    Returns:
        "H0", "H1", ... in the order of (source id, identity).
    """
    order = sorted(sums)
    known = [who for who in order if sums[who] is not None]
    group = {who: who for who in order}
    if known:
        embedding_ND = np.stack([_unit(sums[who]) for who in known])
        similarity_NN = embedding_ND @ embedding_ND.T
        index = {who: n for n, who in enumerate(known)}
        for a, b in (pair for people in together for pair in combinations(people, 2)):
            if a in index and b in index and a != b:
                similarity_NN[index[a], index[b]] = similarity_NN[index[b], index[a]] = -np.inf
        linked_N = average_link(similarity_NN, min_cosine)
        group.update({who: known[int(n)] for who, n in zip(known, linked_N, strict=True)})
    names: dict[Who, str] = {}
    for who in order:
        names.setdefault(group[who], f"H{len(names)}")
    return {who: names[group[who]] for who in order}


def _unit(sum_D: Array | None) -> np.ndarray:
    vector_D = np.asarray(sum_D, np.float64)
    return vector_D / np.linalg.norm(vector_D)
