"""Whole-body pose from MediaPipe's networks, told by a face box whose body is meant.

Face box -> a crop around the person -> body detector, keeping the detection whose face is ours -> body
landmarks, refined by looking again where they lie -> hands from wrist, index and little finger -> face mesh.
Between frames the last region is followed, as long as the head in it stays in the face box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.blazepose import Body, BodyDetector, BodyLandmarks, body_region
from mitds.annotators.pose.face_mesh import FaceMesh, FaceMeshConfig
from mitds.annotators.pose.face_points import IBUG68
from mitds.annotators.pose.hands import Hand, HandLandmarks, region_beyond, region_of_fingers
from mitds.annotators.pose.people import overlap, veiled, without_borrowed, without_shared_hands
from mitds.annotators.pose.per_person import KEYPOINTS, absent, estimate_each
from mitds.annotators.pose.region import Region
from mitds.annotators.pose.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from mitds.annotators.pose.smoothing import smoothed
from mitds.manifests.records import Array

BODY17 = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""BlazePose landmark of each of COCO's body points."""

FEET4 = {17: 31, 19: 29, 20: 32, 22: 30}
"""BlazePose landmark of big toes and heels; the small toes (18, 21) have no counterpart."""

HEAD, FACE5 = (0, 2, 5), (5, 2, 0, 10, 9)
"""BlazePose's nose and eyes; and the landmarks in the order of a FaceTrack."""

EYES, MOUTH = (2, 5), (9, 10)
"""BlazePose's eyes and mouth corners."""

LIMBS = slice(5, 23)
"""Keypoints that come from BlazePose alone, and tremble."""

HEAD5 = {0: 4, 1: 473, 2: 468, 3: 454, 4: 234}
"""Mesh point of nose, eyes and ears: ten times as fine as BlazePose's own, which sees the whole body."""

SIDES = {"left": (LEFT_HAND, (7, 9), (19, 17)), "right": (RIGHT_HAND, (8, 10), (20, 18))}
"""Keypoints of a hand, its elbow and wrist among the keypoints, and BlazePose's index and little finger."""

ABSENT = (np.nan, np.nan, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPipePoseConfig:
    """When a body, a hand or a point counts.

    Attributes:
        searches: Sides of the squares around the person in which bodies are looked for, in face heights.
        min_detection: Score of a body detection.
        min_body: Probability that the region shows a body.
        min_point: Confidence below which a body point is absent: hidden or outside the picture.
        min_wrist: Confidence of a wrist below which its hand is not looked for.
        min_hand: Probability that the region shows a hand.
        min_torso: Face heights from shoulders to hips below which hips and legs are only guessed at.
        follow: Share of the way that the region goes to where the body is, a frame; a still crop of a still
            person gives still points.
        smoothing: Frames over which shoulders, arms and legs are smoothed, without delay; 1: not at all.
        passes: Looks at a body or hand that was not followed from the frame before.
        mesh: Settings of the face mesh.
    """

    searches: tuple[float, ...] = (6.0, 3.5)
    min_detection: float = 0.2
    min_body: float = 0.5
    min_point: float = 0.1
    min_wrist: float = 0.3
    min_hand: float = 0.5
    min_torso: float = 1.9
    follow: float = 0.3
    smoothing: int = 7
    passes: int = 2
    mesh: FaceMeshConfig = field(default_factory=FaceMeshConfig)


@dataclass(slots=True)
class _Followed:
    """What is known of one person from the frame before."""

    body: Body | None = None
    region: Region | None = None
    hands: dict[str, Hand] = field(default_factory=dict)


class MediaPipePose:
    """Whole-body pose on any CPU, with weights from the package index."""

    name = "mediapipe"

    def __init__(self, config: MediaPipePoseConfig = MediaPipePoseConfig()) -> None:
        self.config = config
        self._detector, self._body, self._hand = BodyDetector(), BodyLandmarks(), HandLandmarks()
        self._mesh = FaceMesh(config.mesh)

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Estimate each person on each frame; see `PoseEstimator`."""
        people: defaultdict[int, _Followed] = defaultdict(_Followed)

        def estimate(frame_HWC: Frame, face_N4: Array) -> Array:
            return self._everybody(frame_HWC, face_N4, people)

        pose_NTK3 = estimate_each(frames, face_xyxy_NT4, visible_NT, estimate)
        pose_NTK3[:, :, LIMBS] = smoothed(pose_NTK3[:, :, LIMBS], self.config.smoothing)
        return pose_NTK3

    def _everybody(self, frame_HWC: Frame, face_N4: Array, people: defaultdict[int, _Followed]) -> Array:
        pose_NK3 = absent(len(face_N4), KEYPOINTS)
        seen = [int(n) for n in np.flatnonzero(np.isfinite(face_N4).all(axis=1))]
        for n in seen:
            own_HWC, who = veiled(frame_HWC, face_N4, n), people[n]
            who.body, who.region = self._find_body(own_HWC, face_N4[n], who.region)
            if who.body is not None:
                pose_NK3[n] = self._body_points(who.body, face_N4[n])
        pose_NK3 = without_borrowed(pose_NK3, face_N4)
        for n in seen:
            body, last = people[n].body, people[n].hands
            if body is not None:
                self._add_face(frame_HWC, pose_NK3[n], face_N4[n], body)
                people[n].hands = self._add_hands(frame_HWC, pose_NK3[n], face_N4[n], body, last)
        return without_shared_hands(pose_NK3)

    def _body_points(self, body: Body, face_4: Array) -> Array:
        pose_K3 = absent(KEYPOINTS)
        pose_K3[:17] = body.landmarks_P3[list(BODY17)]
        pose_K3[list(FEET4)] = body.landmarks_P3[list(FEET4.values())]
        shoulders_2, hips_2 = pose_K3[5:7, :2].mean(axis=0), pose_K3[11:13, :2].mean(axis=0)
        if np.linalg.norm(hips_2 - shoulders_2) < self.config.min_torso * (face_4[3] - face_4[1]):
            pose_K3[11:23] = ABSENT
        pose_K3[pose_K3[:, 2] < self.config.min_point] = ABSENT
        return pose_K3

    def _add_face(self, frame_HWC: Frame, pose_K3: Array, face_4: Array, body: Body) -> None:
        mesh_P3, presence = self._mesh.points(frame_HWC, face_4, body.landmarks_P3[list(FACE5), :2])
        if np.isfinite(mesh_P3[0, 0]):
            pose_K3[FACE] = _with_confidence(mesh_P3[list(IBUG68), :2], presence)
            pose_K3[list(HEAD5), :2] = mesh_P3[list(HEAD5.values()), :2]

    def _add_hands(
        self, frame_HWC: Frame, pose_K3: Array, face_4: Array, body: Body, last: dict[str, Hand]
    ) -> dict[str, Hand]:
        """Write the hands into a pose, and return them to be followed."""
        found, height = {}, float(face_4[3] - face_4[1])
        for side, (_, (elbow, wrist), fingers) in SIDES.items():
            if pose_K3[wrist, 2] < self.config.min_wrist:
                continue
            wrist_2 = pose_K3[wrist, :2]
            starts = [
                region_of_fingers(wrist_2, body.landmarks_P3[list(fingers), :2]),
                region_beyond(pose_K3[elbow, :2], wrist_2, height),
            ]
            looks = self._looks(frame_HWC, starts, last.get(side))
            hand = next((h for h in looks if self._fits(h, wrist_2, height)), None)
            if hand is not None:
                found[side] = hand
        found = _distinct(found)
        for side, hand in found.items():
            pose_K3[SIDES[side][0]] = _with_confidence(hand.points_P2, hand.presence)
        return found

    def _find_body(
        self, frame_HWC: Frame, face_4: Array, last: Region | None
    ) -> tuple[Body | None, Region | None]:
        """Return the body of a face, and where to look for it on the next frame."""
        if last is not None:
            body = self._body.estimate(frame_HWC, last)
            if self._is_ours(body, face_4):
                return body, last.towards(body.region, self.config.follow)
        for region in self._candidates(frame_HWC, face_4):
            body = self._body.estimate(frame_HWC, region)
            for _ in range(self.config.passes - 1):
                body = self._body.estimate(frame_HWC, body.region)
            if self._is_ours(body, face_4):
                return body, body.region
        return None, None

    def _candidates(self, frame_HWC: Frame, face_4: Array) -> Iterator[Region]:
        """Yield, for each search square, the region of the best detection whose face is the given one."""
        x, y, height = (face_4[0] + face_4[2]) / 2, face_4[1], face_4[3] - face_4[1]
        for side in self.config.searches:
            square = Region.square(x, y + (side / 2 - 1) * height, side * height)
            found = self._detector.detect(frame_HWC, square, self.config.min_detection)
            match_N = found.score_N * (overlap(found.face_xyxy_N4, face_4) > 0.2)
            if match_N.any():
                best = int(match_N.argmax())
                yield body_region(found.hips_N2[best], found.above_N2[best])

    def _is_ours(self, body: Body, face_4: Array) -> bool:
        """Tell whether the head lies in the face box, upright, with shoulders where that head can have them.

        Where the top of a head is cut off, BlazePose may find the person upside down: eyes on the mouth.
        """
        size_2 = face_4[2:] - face_4[:2]
        head_H2, (left_2, right_2) = (
            body.landmarks_P3[list(HEAD), :2],
            body.landmarks_P3[[11, 12], :2] / size_2[1],
        )
        place_H2 = (head_H2 - face_4[:2]) / size_2
        neck = np.linalg.norm((left_2 + right_2) / 2 - head_H2.mean(axis=0) / size_2[1])
        return bool(
            body.presence >= self.config.min_body
            and body.landmarks_P3[list(EYES), 1].mean() < body.landmarks_P3[list(MOUTH), 1].mean()
            and ((place_H2 > -0.25) & (place_H2 < 1.25)).all()
            and 0.3 < neck < 2.5
            and np.linalg.norm(left_2 - right_2) < 4.0
        )

    def _looks(self, frame_HWC: Frame, starts: list[Region], last: Hand | None) -> Iterator[Hand]:
        if last is not None:
            yield self._hand.estimate(frame_HWC, last.region)
        for start in starts:
            hand = self._hand.estimate(frame_HWC, start)
            for _ in range(self.config.passes - 1):
                if hand.presence >= self.config.min_hand:
                    hand = self._hand.estimate(frame_HWC, hand.region)
            yield hand

    def _fits(self, hand: Hand, wrist_2: Array, face_height: float) -> bool:
        """Tell whether a hand is one, hangs on the body's wrist, and is of a size with the face."""
        off = float(np.linalg.norm(hand.points_P2[0] - wrist_2))
        return (
            hand.presence >= self.config.min_hand
            and off < 0.4 * face_height
            and 0.1 * face_height < hand.size < 1.2 * face_height
        )


def _distinct(hands: dict[str, Hand]) -> dict[str, Hand]:
    """Where both sides found the same hand, leave it to the side that its handedness says."""
    if len(hands) < 2:
        return hands
    left, right = hands["left"], hands["right"]
    apart = float(np.linalg.norm(left.points_P2 - right.points_P2, axis=1).mean())
    if apart > 0.5 * max(left.size, right.size):
        return hands
    side = "right" if left.right + right.right > 1.0 else "left"
    return {side: hands[side]}


def _with_confidence(points_P2: Array, confidence: float) -> Array:
    return np.column_stack([points_P2, np.full(len(points_P2), confidence, np.float32)])
