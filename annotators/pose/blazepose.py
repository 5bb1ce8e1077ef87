"""BlazePose (Bazarevsky et al. 2020), MediaPipe's weights: a body detector and 39 body landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.region import Region, sigmoid, tensor
from mitds.annotators.pose.tflite import Graph
from mitds.manifests.records import Array
from mitds.weights import resolve

DETECTOR_SIDE, BODY_SIDE, HEATMAP_SIDE = 224, 256, 64
HIP_CENTRE, ABOVE_HEAD = 33, 34
"""Auxiliary landmarks that say where and how large the body is."""

BODY_MARGIN = 1.25
"""Side of the landmark network's region over the body's own size, as in its training."""

LAYERS = ((8, 2), (16, 2), (32, 6))
"""Strides of the detector's feature maps, and anchors a cell."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """Raw detections in a crop, unsuppressed, in picture pixels.

    Attributes:
        score_N: Probability 0..1.
        face_xyxy_N4: Face boxes, axis-aligned.
        hips_N2: Middles of the hips.
        above_N2: Points above the heads whose distance from the hips is half the body's size.
    """

    score_N: Array
    face_xyxy_N4: Array
    hips_N2: Array
    above_N2: Array


def anchors() -> Array:
    """Return the centres of the detector's 2254 anchors, 0..1 of the crop: xy_A2."""
    layers = []
    for stride, count in LAYERS:
        cells = (np.arange(DETECTOR_SIDE // stride) + 0.5) * stride / DETECTOR_SIDE
        grid_YX2 = np.stack(np.meshgrid(cells, cells), axis=-1)
        layers.append(np.repeat(grid_YX2.reshape(-1, 2), count, axis=0))
    return np.concatenate(layers).astype(np.float32)


class BodyDetector:
    """Finds bodies, each known by its face, in an upright crop."""

    def __init__(self) -> None:
        self._net = Graph(resolve("pose.detector"), ["input_1"], ["Identity", "Identity_1"])
        self._anchor_A2 = anchors() * DETECTOR_SIDE

    def detect(self, frame_HWC: Frame, region: Region, min_score: float) -> Bodies:
        """Return the detections of a square region that reach a score."""
        size = (DETECTOR_SIDE, DETECTOR_SIDE)
        out = self._net(tensor(region.crop(frame_HWC, size), -1.0, 1.0))
        score_A = sigmoid(out["Identity_1"].reshape(-1))
        keep = np.flatnonzero(score_A >= min_score)
        raw_N62 = out["Identity"][0, keep].reshape(-1, 6, 2)  # centre, size and four points
        half_N2 = raw_N62[:, 1] / 2
        points_N62 = raw_N62 + self._anchor_A2[keep, None]
        low_N2, high_N2 = points_N62[:, 0] - half_N2, points_N62[:, 0] + half_N2
        low_N2, high_N2, hips_N2, above_N2 = (
            region.to_picture(p, size) for p in (low_N2, high_N2, points_N62[:, 2], points_N62[:, 3])
        )
        return Bodies(score_A[keep], np.concatenate([low_N2, high_N2], axis=1), hips_N2, above_N2)


def body_region(hips_2: Array, above_2: Array) -> Region:
    """Return the region that the landmark network wants: centred on the hips, turned with the body."""
    dx, dy = (float(v) for v in above_2 - hips_2)
    side = 2 * BODY_MARGIN * float(np.hypot(dx, dy))
    return Region.square(hips_2[0], hips_2[1], side, float(np.arctan2(dx, -dy)))


@dataclass(frozen=True, slots=True)
class Body:
    """One body: presence 0..1 and 39 landmarks x px, y px, confidence 0..1 (33 of the body, 6 auxiliary)."""

    presence: float
    landmarks_P3: Array

    @property
    def region(self) -> Region:
        """Where the network should look for the same body next."""
        return body_region(self.landmarks_P3[HIP_CENTRE, :2], self.landmarks_P3[ABOVE_HEAD, :2])


class BodyLandmarks:
    """Estimates the landmarks of the one body in a region."""

    def __init__(self) -> None:
        # The graph also draws a segmentation mask, which costs time and is cut off.
        self._net = Graph(resolve("pose.landmarks"), ["input_1"], ["Identity", "Identity_1", "Identity_3"])

    def estimate(self, frame_HWC: Frame, region: Region) -> Body:
        """Return the body in a region; `presence` says whether to believe it."""
        size = (BODY_SIDE, BODY_SIDE)
        out = self._net(tensor(region.crop(frame_HWC, size)))
        raw_P5 = out["Identity"].reshape(-1, 5)  # x, y, z, visibility, presence
        points_P2 = _sharpen(raw_P5[:, :2], out["Identity_3"][0])
        confidence_P = sigmoid(raw_P5[:, 3:5]).min(axis=1)
        landmarks_P3 = np.column_stack([region.to_picture(points_P2, size), confidence_P])
        return Body(float(out["Identity_1"].item()), landmarks_P3)


def _sharpen(points_P2: Array, heatmaps_HWP: Array, radius: int = 3, min_peak: float = 0.5) -> Array:
    """Move each point to the centre of mass of its heatmap nearby, where the heatmap has a clear peak."""
    sharp_P2, scale = points_P2.copy(), BODY_SIDE / HEATMAP_SIDE
    for p, (x, y) in enumerate((points_P2 / scale).astype(int)):
        if not (0 <= x < HEATMAP_SIDE and 0 <= y < HEATMAP_SIDE):
            continue
        left, top = max(0, x - radius), max(0, y - radius)
        window_YX = sigmoid(heatmaps_HWP[top : y + radius + 1, left : x + radius + 1, p])
        if window_YX.max() >= min_peak:
            mass, (rows, columns) = window_YX.sum(), np.indices(window_YX.shape)
            centre = (left + (window_YX * columns).sum() / mass, top + (window_YX * rows).sum() / mass)
            sharp_P2[p] = np.multiply(centre, scale)
    return sharp_P2
