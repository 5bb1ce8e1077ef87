"""Dense face mesh of one face (Attention Mesh, Grishchenko et al. 2020; MediaPipe's weights).

The network has three stages: a trunk that gives 468 points, a sampling of its feature map around lips and
eyes, and heads that refine these. The sampling is an operator that only MediaPipe's own runtime has, so it
is done here in NumPy, between two parts of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.face_points import PARTS, Part
from mitds.annotators.pose.region import Region, sigmoid, tensor
from mitds.annotators.pose.tflite import Graph
from mitds.manifests.records import Array
from mitds.weights import resolve

SIDE = 192
"""Side of the network's input, px."""

POINTS = 478
FEATURES, SAMPLES, HEAD_UNITS = 48, 16, 64
"""Sides of the trunk's feature map, of a part sampled from it, and of a head's coordinates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceMeshConfig:
    """How a face is cut out and when its mesh counts.

    Attributes:
        margin: Side of the crop over the longer side of the face box.
        min_presence: Probability of a face below which the mesh is absent.
    """

    margin: float = 1.5
    min_presence: float = 0.5


class FaceMesh:
    """468 mesh points with refined lips and eyes, and 2 x 5 iris points."""

    name = "face-mesh"

    def __init__(self, config: FaceMeshConfig = FaceMeshConfig()) -> None:
        self.config = config
        path = resolve("pose.face_mesh")
        self._trunk = Graph(path, ["input_1"], ["output_mesh", "p_re_lu_3", "conv_faceflag"])
        self._heads = Graph(path, [p.sampled for p in PARTS], [h for p in PARTS for h in p.heads])

    def points(self, frame_HWC: Frame, xyxy_4: Array, landmarks_52: Array | None) -> tuple[Array, float]:
        """Return the mesh of the face in a box.

        Args:
            frame_HWC: The picture.
            xyxy_4: Face box, px.
            landmarks_52: Five landmarks (order of FaceTrack) whose eyes tell the roll; None: upright.

        Returns:
            mesh_P3 with P = 478: x, y, z px (z: smaller is nearer, without absolute origin), all NaN where
            no face is present; and the probability 0..1 that one is.
        """
        region = _face_region(xyxy_4, landmarks_52, self.config.margin)
        out = self._trunk(tensor(region.crop(frame_HWC, (SIDE, SIDE))))
        presence = float(sigmoid(out["conv_faceflag"]).item())
        if presence < self.config.min_presence:
            return np.full((POINTS, 3), np.nan, np.float32), presence
        mesh_P3 = self._refine(out["output_mesh"].reshape(-1, 3), out["p_re_lu_3"][0])
        return region.to_picture(mesh_P3, (SIDE, SIDE)), presence

    def _refine(self, coarse_P3: Array, features_HWC: Array) -> Array:
        """Replace lips and eyes by what the heads say, and add the irises at the depth of their eyes."""
        regions = [_part_region(coarse_P3, part) for part in PARTS]
        out = self._heads(*(_sample(features_HWC, region)[None] for region in regions))
        mesh_P3 = np.concatenate([coarse_P3, np.empty((POINTS - len(coarse_P3), 3), np.float32)])
        for part, region in zip(PARTS, regions, strict=True):
            for head, points in part.heads.items():
                mesh_P3[points, :2] = region.to_picture(out[head].reshape(-1, 2), (HEAD_UNITS, HEAD_UNITS))
            for iris in list(part.heads.values())[1:]:
                mesh_P3[iris, 2] = coarse_P3[part.points[:16], 2].mean()
        return mesh_P3


def _face_region(xyxy_4: Array, landmarks_52: Array | None, margin: float) -> Region:
    x1, y1, x2, y2 = (float(v) for v in xyxy_4)
    angle = 0.0
    if landmarks_52 is not None and np.isfinite(landmarks_52[:2]).all():
        across = landmarks_52[1] - landmarks_52[0]
        angle = float(np.arctan2(across[1], across[0]))
    return Region.square((x1 + x2) / 2, (y1 + y2) / 2, margin * max(x2 - x1, y2 - y1), angle)


def _part_region(mesh_P3: Array, part: Part) -> Region:
    across = mesh_P3[part.axis[1], :2] - mesh_P3[part.axis[0], :2]
    return Region.around(mesh_P3[part.points, :2], float(np.arctan2(across[1], across[0])), 1.5)


def _sample(features_HWC: Array, region: Region) -> Array:
    """Sample a part of the feature map bilinearly; zero where it leaves the map."""
    grid_YX2 = np.stack(np.meshgrid(np.arange(SAMPLES), np.arange(SAMPLES)), axis=-1)
    matrix = region.scaled(FEATURES / SIDE).sampling((SAMPLES, SAMPLES))
    at_YX2 = grid_YX2 @ matrix[:, :2].T + matrix[:, 2]
    inside_YX1 = ((at_YX2 >= 0) & (at_YX2 <= FEATURES - 1)).all(axis=-1, keepdims=True)
    low_YX2 = np.clip(np.floor(at_YX2), 0, FEATURES - 2).astype(int)
    x, y = low_YX2[..., 0], low_YX2[..., 1]
    right, down = np.moveaxis((at_YX2 - low_YX2)[..., None], 2, 0)
    top = features_HWC[y, x] * (1 - right) + features_HWC[y, x + 1] * right
    bottom = features_HWC[y + 1, x] * (1 - right) + features_HWC[y + 1, x + 1] * right
    return np.asarray((top * (1 - down) + bottom * down) * inside_YX1, np.float32)
