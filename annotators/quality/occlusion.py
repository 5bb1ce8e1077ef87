"""Occlusion of faces and hands, told from the labels of a clip: no picture is looked at again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.pose.skeleton import LEFT_HAND, RIGHT_HAND
from mitds.config import require
from mitds.manifests.records import Array

_WRISTS = (9, 10)
"""COCO-WholeBody: left and right wrist, in the order of the hands."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionConfig:
    """What counts as covered.

    Attributes:
        sure: Confidence from which a point is believed to be where it is said to be.
        hand_points: Points of one hand inside a face box that cover the face.
        core: The part of a face box that counts, about its centre; the rim is hair and background.
        overlap: Share of a face box under another, nearer (larger) face.
    """

    sure: float = 0.5
    hand_points: int = 5
    core: float = 0.8
    overlap: float = 0.1

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name in ("sure", "core", "overlap"):
            require(0 <= getattr(self, name) <= 1, f"occlusion.{name}", getattr(self, name), "0 to 1")


def occlusion(
    face_xyxy_NT4: Array,
    face_score_NT: Array,
    pose_NTK3: Array,
    size: tuple[int, int],
    config: OcclusionConfig = OcclusionConfig(),
) -> dict[str, float]:
    """Measure a clip's occlusion, each by the person it is worst for; shares of the clip's frames, 0..1.

    Args:
        face_xyxy_NT4: Face boxes, px; NaN where absent.
        face_score_NT: Detector score; 0 where the box was interpolated or is absent.
        pose_NTK3: COCO-WholeBody 133 points: x px, y px, confidence.
        size: Width and height of the picture, px.
        config: What counts as covered.

    Returns:
        hand_on_face: A hand, anybody's, lies over the face.
        face_overlap: A nearer face lies over the face.
        face_lost: The detector does not find the face: covered, turned away, or out of the picture.
        face_occlusion: Any of the three.
        hand_occlusion: Of the frames whose wrist is surely inside the picture, those without that hand: behind
            a body or a thing, or blurred. Left out where no wrist is ever sure.
        Nothing at all for a clip without people.
    """
    if not face_xyxy_NT4.size:
        return {}
    under_hand_NT = hands_on_faces(face_xyxy_NT4, pose_NTK3, config)
    under_face_NT = faces_on_faces(face_xyxy_NT4, config.overlap)
    lost_NT = ~(face_score_NT > 0)
    scores = {
        "hand_on_face": _worst(under_hand_NT),
        "face_overlap": _worst(under_face_NT),
        "face_lost": _worst(lost_NT),
        "face_occlusion": _worst(under_hand_NT | under_face_NT | lost_NT),
    }
    hidden = hidden_hands(pose_NTK3, size, config.sure)
    return scores if hidden is None else {**scores, "hand_occlusion": hidden}


def hands_on_faces(face_xyxy_NT4: Array, pose_NTK3: Array, config: OcclusionConfig) -> Flags:
    """Say for each person and frame whether somebody's hand lies over the face."""
    centre, half = _centre_half(face_xyxy_NT4)
    covered_NT = np.zeros(face_xyxy_NT4.shape[:2], bool)
    for hand in (LEFT_HAND, RIGHT_HAND):
        for points_TH3 in pose_NTK3[:, :, hand]:
            sure_TH = points_TH3[..., 2] >= config.sure
            away_NTH2 = np.abs(points_TH3[None, ..., :2] - centre[:, :, None])
            inside_NTH = (away_NTH2 <= config.core * half[:, :, None]).all(axis=-1) & sure_TH
            covered_NT |= inside_NTH.sum(axis=-1) >= config.hand_points
    return covered_NT


def faces_on_faces(face_xyxy_NT4: Array, least: float) -> Flags:
    """Say for each person and frame whether a larger face covers at least this share of the face."""
    people = len(face_xyxy_NT4)
    area_NT = np.prod(face_xyxy_NT4[..., 2:] - face_xyxy_NT4[..., :2], axis=-1)
    covered_NT = np.zeros(area_NT.shape, bool)
    for n, other in np.ndindex(people, people):
        low = np.maximum(face_xyxy_NT4[n, :, :2], face_xyxy_NT4[other, :, :2])
        high = np.minimum(face_xyxy_NT4[n, :, 2:], face_xyxy_NT4[other, :, 2:])
        shared_T = np.prod(np.maximum(high - low, 0), axis=-1)
        covered_NT[n] |= (shared_T >= least * area_NT[n]) & (area_NT[other] > area_NT[n])
    return covered_NT


def hidden_hands(pose_NTK3: Array, size: tuple[int, int], sure: float) -> float | None:
    """Return the share of frames without the hand, of those with its wrist in the picture; the worst hand's."""
    shares = []
    for wrist, hand in zip(_WRISTS, (LEFT_HAND, RIGHT_HAND), strict=True):
        x, y, confidence = (pose_NTK3[:, :, wrist, k] for k in range(3))
        in_view_NT = (confidence >= sure) & (x > 0) & (y > 0) & (x < size[0]) & (y < size[1])
        there_NT: Flags = np.any(pose_NTK3[:, :, hand, 2] > 0, axis=-1)
        for n in np.flatnonzero(in_view_NT.any(axis=1)):
            shares.append(float((~there_NT[n, in_view_NT[n]]).mean()))
    return max(shares, default=None)


def _centre_half(box_NT4: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    return (box_NT4[..., :2] + box_NT4[..., 2:]) / 2, (box_NT4[..., 2:] - box_NT4[..., :2]) / 2


def _worst(flags_NT: Flags) -> float:
    return float(flags_NT.mean(axis=1).max())
