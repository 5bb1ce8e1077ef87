"""A video's labels beside its truth, on the truth's frames: which labelled face is which true one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mitds.manifests.records import Array, Binding, SpeechTurn
from mitds.manifests.truth import Truth, TruthFaces

MIN_IOU = 0.5
NEAR_S = 1e-3
"""A frame whose centre is this near to where speech starts or ends says nothing about who speaks in it."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Labelled faces on the truth's frames, P rows in the order of frames.

    Attributes:
        frame_P: Frame numbers of the truth.
        xyxy_P4: Boxes as shares of the picture's width and height.
        probability_P: Probability of speaking; NaN where the scorer abstains.
        score_P: Its logit; far below all where the scorer abstains.
        track_P: Numbers of tracks, unique in the source.
        identity_P: Numbers of people, unique in the source; a track without an identity is a person of its own.
    """

    frame_P: Ints
    xyxy_P4: Floats
    probability_P: Floats
    score_P: Floats
    track_P: Ints
    identity_P: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """People of clips on the truth's frames, B rows in the order of frames.

    Attributes:
        frame_B: Frame numbers of the truth.
        xyxy_B4: Face boxes as shares of the picture; NaN where there is none.
        probability_B: Probability of speaking; NaN where the scorer abstains.
        pose_BK3: COCO-WholeBody points: x and y as shares of the picture, confidence; NaN where absent.
    """

    frame_B: Ints
    xyxy_B4: Floats
    probability_B: Floats
    pose_BK3: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """All that mitds says of one source, on the truth's frames and seconds from its first picture.

    Attributes:
        cuts: First frame of every new shot but the first.
        identities: Names by the numbers in `faces.identity_P`.
        bodies: None where no clip of the source was kept.
        duration_s: Length of the source, seconds; 0 where it is not known.
    """

    cuts: tuple[int, ...]
    turns: tuple[SpeechTurn, ...]
    bindings: tuple[Binding, ...]
    faces: Faces
    identities: tuple[str, ...]
    bodies: Bodies | None
    size: tuple[int, int]
    models: Mapping[str, str] = field(default_factory=dict)
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One video: truth, labels, and which is which.

    Attributes:
        truth: What is known.
        labels: What is said; nothing where labels are missing.
        pair_R: For each of the truth's R face rows the labels' row, -1 where not found.
        missing: Whether there are no labels at all, so that silence is no answer either.
    """

    truth: Truth
    labels: Labels
    pair_R: Ints
    missing: bool = False


def matched(frame_R: Ints, xyxy_R4: Array, frame_P: Ints, xyxy_P4: Floats) -> Ints:
    """Match labelled boxes one-to-one to true ones in each frame: most IoU in sum, among pairs of IoU >= .5.

    Both sides are in the order of frames. Returns P's row for each of R, -1 where there is none.
    """
    pair_R = np.full(len(frame_R), -1, np.int64)
    for frame in np.intersect1d(frame_R, frame_P):
        r, r_end = np.searchsorted(frame_R, [frame, frame + 1])
        p, p_end = np.searchsorted(frame_P, [frame, frame + 1])
        iou_RP = ious(xyxy_R4[r:r_end].astype(np.float64), xyxy_P4[p:p_end])
        iou_RP = np.where(iou_RP >= MIN_IOU, iou_RP, 0.0)
        rows, columns = linear_sum_assignment(-iou_RP)
        sure = iou_RP[rows, columns] > 0
        pair_R[r + rows[sure]] = p + columns[sure]
    return pair_R


def row_of(faces: TruthFaces, frame: int, person: str) -> int | None:
    """Return the row of a person's true face in a frame; None where they are not in view."""
    first, end = np.searchsorted(faces.frame_R, [frame, frame + 1])
    return next((r for r in range(first, end) if faces.person_R[r] == person), None)


def ious(a_R4: Floats, b_P4: Floats) -> Floats:
    """Return the intersection over union of every pair of boxes; 0 for boxes of NaN."""
    a, b = a_R4[:, None], b_P4[None]
    overlap = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = overlap.prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return np.asarray(np.nan_to_num(shared / np.maximum(areas - shared, 1e-12)), np.float64)


def spans(turns: Iterable[SpeechTurn]) -> dict[str, list[tuple[float, float]]]:
    """Return each voice's speech as disjoint spans, seconds; turns that touch are one."""
    united: dict[str, list[tuple[float, float]]] = {}
    for turn in sorted(turns, key=lambda t: (t.start_s, t.end_s)):
        own = united.setdefault(turn.voice, [])
        if own and turn.start_s <= own[-1][1]:
            own[-1] = (own[-1][0], max(own[-1][1], turn.end_s))
        elif turn.end_s > turn.start_s:
            own.append((turn.start_s, turn.end_s))
    return {voice: own for voice, own in united.items() if own}


@dataclass(frozen=True, slots=True)
class Talk:
    """Who speaks in the middle of each of F frames.

    Attributes:
        voices: Names.
        active_VF: Whether each speaks.
        edge_F: Whether somebody starts or ends right there.
    """

    voices: tuple[str, ...]
    active_VF: Flags
    edge_F: Flags

    @property
    def solo_F(self) -> Ints:
        """The voice that speaks alone, by number; -1 where none or several do, or somebody starts or ends."""
        alone_F = (self.active_VF.sum(axis=0) == 1) & ~self.edge_F
        if not self.voices:
            return np.full(self.active_VF.shape[1], -1, np.int64)
        return np.where(alone_F, self.active_VF.argmax(axis=0), -1).astype(np.int64)


def talk(turns: Sequence[SpeechTurn], frame_F: Ints, fps: float) -> Talk:
    """Say who speaks in the middle of frames."""
    centre_F = (frame_F + 0.5) / fps
    by_voice = spans(turns)
    active_VF = np.zeros((len(by_voice), len(frame_F)), np.bool_)
    edge_F = np.zeros(len(frame_F), np.bool_)
    for row_F, own in zip(active_VF, by_voice.values(), strict=True):
        for start, end in own:
            row_F |= (start <= centre_F) & (centre_F < end)
            edge_F |= (np.abs(centre_F - start) < NEAR_S) | (np.abs(centre_F - end) < NEAR_S)
    return Talk(tuple(by_voice), active_VF, edge_F)


def frames_of(truth: Truth) -> Ints:
    """Return all frames of a video, as far as its truth says how many there are."""
    if truth.frames is not None:
        return np.arange(truth.frames)
    last = int(truth.faces.frame_R.max(initial=-1)) if truth.faces else -1
    spoken = max((t.end_s for t in truth.speech or ()), default=0.0)
    return np.arange(max(last + 1, round(spoken * truth.fps)))


def certain(truth: Truth, frame_F: Ints) -> Ints:
    """Return those of some frames in which both faces and speech are certain; hand labels leave the others open."""
    if truth.bind_frames is not None:
        return frame_F[np.isin(frame_F, list(truth.bind_frames))]
    if truth.regions is None:
        return frame_F
    centre_F = (frame_F + 0.5) / float(truth.fps)
    inside_F = np.zeros(len(frame_F), np.bool_)
    for region in truth.regions:
        if region.kind == "all":
            inside_F |= (region.start_s <= centre_F) & (centre_F < region.end_s)
    return frame_F[inside_F]


def in_one_shot(truth: Truth, frame_N: Ints) -> Flags:
    """Say which frames lie in no gradual transition, where two shots are in view at once."""
    single_N = np.ones(len(frame_N), np.bool_)
    for first, last in truth.soft:
        single_N &= (frame_N < first) | (frame_N > last)
    return single_N
