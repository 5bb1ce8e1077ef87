"""Identity: is the person's face found at its place, is it that person's, and not a neighbour's?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.faces import faces, identities
from mitds.benchmark.metrics.talk import Reals, undefined
from mitds.manifests.records import ClipArrays
from mitds.manifests.turns import Mask

FEWEST = 3
"""Embedded frames of the real footage below which a person's identity is unknown."""


class FaceFound:
    """Share of frames on which a person's face is where it belongs."""

    card: ClassVar[Card] = Card(
        id="face-found.yunet@1",
        title="Face found",
        says="Share of the frames on which the person's face is found in the real footage that show a face at "
        "its place in the output (overlap of a fifth, or centres within 0.6 sides).",
        better="higher",
        needs="scene",
        bounds=(0.0, 1.0),
        floor=0.0,
        tolerance=0.02,
        weights=("faces.yunet",),
        source="mitds; detector: Wu et al., YuNet, 2023mar",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score for each person; undefined for those whom the real footage never shows."""
        if scene.arrays is None or not len(scene.arrays.visible_NT):
            return [undefined("no labels")]
        asked_NT = faces(scene.arrays, scene.real).found_NT
        found_NT = faces(scene.arrays, generated).found_NT & asked_NT
        return [_share(found_NT[n], asked_NT[n], n) for n in range(len(asked_NT))]


class Identity:
    """Cosine of a person's face in the output and in the real footage.

    Frames of the real footage itself have 0.93 (1 % below 0.74); strangers have 0.09 on average and 0.30 at most
    (178 pairs of persons in 44 windows of real footage).
    """

    card: ClassVar[Card] = Card(
        id="identity.sface@1",
        title="Identity",
        says="Mean cosine of the SFace embeddings of a person's face in the output, on one frame of each five drawn by "
        "its content, and of "
        "the person's mean embedding in the item's real footage; frames without a face count as 0.",
        better="higher",
        needs="scene",
        bounds=(-1.0, 1.0),
        floor=0.0,
        axis="identity",
        tolerance=2e-3,
        weights=("faces.yunet", "identity.sface"),
        source="mitds; embedding: Zhong et al., SFace, 2021dec",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score for each person; undefined for those whom the real footage shows too briefly."""
        if scene.arrays is None or not len(scene.arrays.visible_NT):
            return [undefined("no labels")]
        mean_ND, seen_NT = _known(scene.arrays, scene.real)
        cosine_NEN, found_NE, frame_E = _cosines(scene.arrays, generated, mean_ND)
        asked_NE = seen_NT[:, frame_E]
        return [self._score(cosine_NEN[n, :, n], found_NE[n], asked_NE[n], n) for n in range(len(mean_ND))]

    def _score(self, cosine_E: Reals, found_E: Mask, asked_E: Mask, n: int) -> Score:
        if not asked_E.any():
            return undefined("the real footage shows the face on fewer than three embedded frames", n)
        found = int((found_E & asked_E).sum())
        if not found:
            return Score(value=None, status="no_face", person=n)
        value = float(np.where(found_E, cosine_E, 0.0)[asked_E].mean())
        detail = {"found": found, "where_found": float(cosine_E[found_E & asked_E].mean())}
        return Score(value=value, person=n, n=int(asked_E.sum()), detail=detail)


class IdentitySwap:
    """Share of frames on which a person looks more like another person of the item."""

    card: ClassVar[Card] = Card(
        id="identity-swap.sface@1",
        title="Identity swaps",
        says="Share of the frames, one of each five drawn by the output's content, on which the face at a "
        "person's place is missing, or nearer (SFace) to "
        "another person of the item than to that person.",
        better="lower",
        needs="scene",
        bounds=(0.0, 1.0),
        floor=0.5,
        tolerance=0.02,
        weights=("faces.yunet", "identity.sface"),
        source="mitds; embedding: Zhong et al., SFace, 2021dec",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score for each person; undefined where the real footage shows fewer than two people."""
        if scene.arrays is None or not len(scene.arrays.visible_NT):
            return [undefined("no labels")]
        mean_ND, seen_NT = _known(scene.arrays, scene.real)
        known_N = np.asarray(seen_NT.any(axis=1))
        cosine_NEN, found_NE, frame_E = _cosines(scene.arrays, generated, mean_ND)
        asked_NE = seen_NT[:, frame_E]
        return [self._score(cosine_NEN[n], found_NE[n], asked_NE[n], known_N, n) for n in range(len(mean_ND))]

    def _score(self, cosine_EN: Reals, found_E: Mask, asked_E: Mask, known_N: Mask, n: int) -> Score:
        others_N = known_N & (np.arange(len(known_N)) != n)
        if not asked_E.any() or not others_N.any():
            return undefined("fewer than two people with a known face", n)
        if not (found_E & asked_E).any():
            return Score(value=None, status="no_face", person=n)
        nearer_E = cosine_EN[:, others_N].max(axis=1) > cosine_EN[:, n]
        value = float((nearer_E | ~found_E)[asked_E].mean())
        detail = {"missing": int((asked_E & ~found_E).sum())}
        return Score(value=value, person=n, n=int(asked_E.sum()), detail=detail)


def mean_embedding(embedding_ED: NDArray[np.float32], found_E: Mask) -> Reals:
    """Return the unit-norm mean of the embeddings of frames with a face; zeros where there is none."""
    sum_D: Reals = np.where(found_E[:, None], embedding_ED.astype(np.float64), 0.0).sum(axis=0)
    return sum_D / max(float(np.linalg.norm(sum_D)), 1e-12)


def _known(arrays: ClipArrays, real: Footage) -> tuple[Reals, Mask]:
    """Return each person's mean real embedding, mean_ND, and the real frames that show the face, seen_NT.

    Persons whose face the real footage shows on fewer than three embedded frames are shown nowhere.
    """
    embedding_NED, frame_E = identities(arrays, real)
    found_NT = faces(arrays, real).found_NT
    known_N1 = found_NT[:, frame_E].sum(axis=1, keepdims=True) >= FEWEST
    rows = [mean_embedding(e_ED, f_E) for e_ED, f_E in zip(embedding_NED, found_NT[:, frame_E], strict=True)]
    return np.stack(rows), found_NT & known_N1


def _cosines(arrays: ClipArrays, footage: Footage, mean_ND: Reals) -> tuple[Reals, Mask, NDArray[np.int64]]:
    """Return the cosine of each person's face with each person's mean, where faces are, and on which frames."""
    embedding_NED, frame_E = identities(arrays, footage)
    cosine_NEN: Reals = np.einsum("ned,md->nem", embedding_NED.astype(np.float64), mean_ND)
    return cosine_NEN, faces(arrays, footage).found_NT[:, frame_E], frame_E


def _share(found_T: Mask, asked_T: Mask, n: int) -> Score:
    if not asked_T.any():
        return undefined("the real footage does not show the face", n)
    return Score(value=float(found_T.sum() / asked_T.sum()), person=n, n=int(asked_T.sum()))
