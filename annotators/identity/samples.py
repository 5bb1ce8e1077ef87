"""The identity of one growing track: its best face per stretch of time, embedded once, averaged."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mitds.annotators.contracts import FaceEmbedder, Frame
from mitds.manifests.records import Array

MARGIN = 0.6
"""Share of the box side kept around a face, so that alignment finds what it would find in the whole frame."""

SHARPNESS_SIDE = 64
"""Faces are scaled to this side before their sharpness is measured, so that sizes compare."""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face cut out of its frame: picture, landmarks in px of the picture, and how good it is (any unit)."""

    crop_HWC: Frame
    landmarks_52: Array
    quality: float

    def embed(self, embedder: FaceEmbedder) -> Array:
        """Return the unit-norm embedding_D."""
        embedding_1D = embedder.embed(self.crop_HWC, self.landmarks_52[None])
        return np.asarray(embedding_1D[0], np.float32)


def cut_face(frame_HWC: Frame, xyxy_4: Array, landmarks_52: Array, score: float) -> FaceCrop:
    """Copy a face out of a frame that will not be kept."""
    height, width = frame_HWC.shape[:2]
    margin_2 = MARGIN * (xyxy_4[2:] - xyxy_4[:2])
    x1, y1 = np.clip(np.floor(xyxy_4[:2] - margin_2), 0, None).astype(int)
    x2, y2 = np.minimum(np.ceil(xyxy_4[2:] + margin_2), (width, height)).astype(int)
    face_HWC = frame_HWC[int(xyxy_4[1]) : int(np.ceil(xyxy_4[3])), int(xyxy_4[0]) : int(np.ceil(xyxy_4[2]))]
    quality = score * frontality(landmarks_52) * sharpness(face_HWC)
    offset_2 = np.array([x1, y1], np.float32)
    return FaceCrop(frame_HWC[y1:y2, x1:x2].copy(), landmarks_52 - offset_2, quality)


def frontality(landmarks_52: Array) -> float:
    """Return 1 where the nose tip stands midway between the eyes, 0 where it passes one of them."""
    right_2, left_2, nose_2 = landmarks_52[:3]
    axis_2 = left_2 - right_2
    along = float((nose_2 - right_2) @ axis_2) / max(float(axis_2 @ axis_2), 1e-6)
    return max(0.0, 1.0 - abs(2.0 * along - 1.0))


def sharpness(face_HWC: Frame) -> float:
    """Return the spread of the Laplacian of the grey face at a fixed size, in grey levels."""
    grey_HW = cv2.cvtColor(face_HWC, cv2.COLOR_RGB2GRAY)
    small_HW = cv2.resize(grey_HW, (SHARPNESS_SIDE, SHARPNESS_SIDE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small_HW, cv2.CV_32F).std())


@dataclass(slots=True)
class IdentitySamples:
    """Best face per `every` frames of one track; holds at most one picture.

    Attributes:
        embedder: Embeds the best faces.
        every: Frames among which one face is chosen.
    """

    embedder: FaceEmbedder
    every: int
    _sum_D: Array | None = None
    _pending: FaceCrop | None = None
    _stretch: int = field(default=-1)

    def offer(self, frame: int, crop: FaceCrop) -> None:
        """Consider the track's face of a frame; frames come in order."""
        if frame // self.every != self._stretch:
            self._settle()
            self._stretch = frame // self.every
        if self._pending is None or crop.quality > self._pending.quality:
            self._pending = crop

    def embedding(self) -> Array | None:
        """Return the unit-norm mean embedding_D so far; None where no face was offered."""
        self._settle()
        if self._sum_D is None:
            return None
        return np.asarray(self._sum_D / np.linalg.norm(self._sum_D), np.float32)

    def _settle(self) -> None:
        if self._pending is not None:
            embedding_D = self._pending.embed(self.embedder)
            self._sum_D = embedding_D if self._sum_D is None else self._sum_D + embedding_D
            self._pending = None
