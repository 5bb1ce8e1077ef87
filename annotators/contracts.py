"""What each family of annotators promises. A backend is any class with these methods; see CONTRIBUTING.md.

Frames are `frame_HWC`: uint8 RGB, upright, square pixels. Waves are `wave_S`: float32 mono at 16 kHz, -1..1.
Iterables of frames are consumed once, in order, and never collected: a shot may be long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array, FaceTrack, SpeakingScores, Voices

if TYPE_CHECKING:
    from mitds.media import Picture

Frame = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut: PTS and presentation index of the new shot's first frame, and the detector's score."""

    pts: Fraction
    frame: int
    score: float


@dataclass(frozen=True, slots=True)
class FaceDetections:
    """Faces of one frame, best first: boxes px, five landmarks px (as FaceTrack), scores 0..1."""

    xyxy_N4: Array
    landmarks_N52: Array
    score_N: Array


class ShotDetector(Protocol):
    """Finds cuts in a stream of pictures.

    Attributes:
        max_side: Longest side of the pictures it wants, px; None for full size.
    """

    name: str
    max_side: int | None

    def detect(self, pictures: Iterable[Picture]) -> list[Cut]:
        """Return the cuts in order; an unbroken shot gives an empty list."""


class FaceDetector(Protocol):
    """Finds faces in one frame."""

    name: str

    def detect(self, frame_HWC: Frame) -> FaceDetections:
        """Return the faces; none gives empty arrays, never a made-up box."""


class FaceEmbedder(Protocol):
    """Turns faces into identity embeddings."""

    name: str

    def embed(self, frame_HWC: Frame, landmarks_N52: Array) -> Array:
        """Return unit-norm embeddings, embedding_ND."""


class FaceTracker(Protocol):
    """Finds, follows and identifies the faces of one shot."""

    name: str

    def track(self, frames: Iterable[Frame]) -> list[FaceTrack]:
        """Return the face tracks of one shot's 25 fps grid, with embeddings and without identities."""


class Diarizer(Protocol):
    """Tells voices apart over one source's whole audio."""

    name: str

    def diarize(self, wave_S: Array) -> Voices:
        """Return who speaks when; silence gives no voices and no turns."""


class SpeakerScorer(Protocol):
    """Says, per frame, which of the faces of one shot speaks."""

    name: str

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Score each track.

        Args:
            frames: All frames of the shot's 25 fps grid, from grid frame 0.
            tracks: Face tracks of the shot.
            wave_S: The shot's sound, starting at grid frame 0; None where the source has no sound:
                every score is then NaN.
        """


class PoseEstimator(Protocol):
    """Estimates COCO-WholeBody 133 keypoints of given people."""

    name: str

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Estimate each person on each frame.

        Args:
            frames: T frames.
            face_xyxy_NT4: The face box that says who is meant; NaN where unknown.
            visible_NT: False where the person is not in view: that row is absent in the result.

        Returns:
            pose_NTK3: x px, y px, confidence 0..1. Absent points: NaN, NaN, 0.
        """
