"""S3FD face detection, with the settings of the SyncNet release."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.faces.boxes import iou
from mitds.annotators.runtime import single_threaded
from mitds.benchmark.judges.s3fd_net import S3fdNet
from mitds.manifests.items import Frame
from mitds.manifests.records import Array
from mitds.weights import resolve

MEAN_C = np.array([123.0, 117.0, 104.0], np.float32)
"""Channel means, RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3fdConfig:
    """The settings of the SyncNet release.

    Attributes:
        scale: Pictures are looked at this much smaller; a face of 100 px is 25 px there.
        min_score: Detections must score more, 0..1.
        anchors_iou: Of two anchors of one look that overlap more, the better one stays.
        faces_iou: The same among what is left. Only two looks at other sizes could need it, yet it is stricter.
    """

    scale: float = 0.25
    min_score: float = 0.9
    anchors_iou: float = 0.3
    faces_iou: float = 0.1


class S3fd:
    """Finds faces in one frame, as the release does."""

    name = "s3fd"

    def __init__(self, config: S3fdConfig = S3fdConfig()) -> None:
        single_threaded()
        self.config = config
        self._net = _network()

    def detect(self, frame_HWC: Frame) -> tuple[Array, Array]:
        """Return xyxy_N4, px of this RGB frame and perhaps beyond its edges, and score_N, best first."""
        scale = self.config.scale
        small_HWC = cv2.resize(frame_HWC, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        picture_1CHW = torch.from_numpy((small_HWC - MEAN_C).transpose(2, 0, 1)[None].copy())
        with torch.inference_mode():
            score_A, xyxy_A4 = (found.numpy() for found in self._net(picture_1CHW))
        good_A = score_A > self.config.min_score
        score_N, xyxy_N4 = score_A[good_A], xyxy_A4[good_A]
        best_N = np.argsort(-score_N, kind="stable")
        score_N, xyxy_N4 = score_N[best_N], xyxy_N4[best_N]
        for limit in (self.config.anchors_iou, self.config.faces_iou):
            kept = _apart(xyxy_N4, limit)
            score_N, xyxy_N4 = score_N[kept], xyxy_N4[kept]
        height, width = (new / old for new, old in zip(small_HWC.shape[:2], frame_HWC.shape[:2], strict=True))
        return xyxy_N4 / np.array([width, height] * 2, np.float32), score_N


def _apart(xyxy_N4: Array, limit: float) -> NDArray[np.intp]:
    """Return the rows, best first, that overlap no better row by more than `limit` of their union."""
    kept: list[int] = []
    overlap_NN = iou(xyxy_N4, xyxy_N4)
    for n in range(len(xyxy_N4)):
        if not (overlap_NN[n, kept] > limit).any():
            kept.append(n)
    return np.array(kept, np.intp)


@cache
def _network() -> S3fdNet:
    net = S3fdNet()
    net.load_state_dict(torch.load(resolve("metrics.s3fd"), map_location="cpu", weights_only=True))
    return net.eval()
