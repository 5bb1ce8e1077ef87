"""SFace identity embeddings through OpenCV.

Source: Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array
from mitds.weights import resolve

DIMENSIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SFaceConfig:
    """SFace has nothing to set: alignment and input size belong to its weights."""


class SFace:
    """Embeds faces that are aligned by their five landmarks."""

    name = "sface"

    def __init__(self, config: SFaceConfig = SFaceConfig()) -> None:
        self.config = config
        self._net = cv2.FaceRecognizerSF.create(str(resolve("identity.sface")), "")

    def embed(self, frame_HWC: Frame, landmarks_N52: Array) -> Array:
        """Return unit-norm embeddings, embedding_ND with D = 128, of faces in one RGB frame."""
        frame_BGR = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR)
        embedding_ND = np.zeros((len(landmarks_N52), DIMENSIONS), np.float32)
        for n, landmarks_52 in enumerate(landmarks_N52):
            # OpenCV wants a YuNet row and reads only its columns 4 to 13.
            row_15 = np.concatenate([np.zeros(4), landmarks_52.ravel(), [1.0]]).astype(np.float32)
            feature_1D = self._net.feature(self._net.alignCrop(frame_BGR, row_15[None]))
            embedding_ND[n] = feature_1D[0] / np.linalg.norm(feature_1D)
        return embedding_ND
