"""The labels of an item as a video: everybody's skeleton on a dark ground."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from mitds.annotators.pose.skeleton import draw_pose
from mitds.manifests.records import Array
from mitds.media import Frame, write_video
from mitds.time import CLIP_FPS

GROUND = 28
"""Dark grey: limbs are drawn in light colours."""
_CRF = 28


def skeleton_video(path: Path, pose_NTK3: Array, *, width: int, height: int) -> Path:
    """Draw the poses of an item and write them as a silent 25 fps MP4.

    Args:
        path: The file to write.
        pose_NTK3: COCO-WholeBody keypoints: x px, y px, confidence; absent points are NaN.
        width: Picture size, px.
        height: Picture size, px.

    Raises:
        UsageError: If there are no frames.
    """
    frames = (
        (Fraction(t) / CLIP_FPS, _drawn(pose_NTK3[:, t], width, height)) for t in range(pose_NTK3.shape[1])
    )
    write_video(path, frames, crf=_CRF)
    return path


def _drawn(pose_NK3: Array, width: int, height: int) -> Frame:
    canvas_HWC: Frame = np.full((height, width, 3), GROUND, np.uint8)
    for pose_K3 in pose_NK3:
        canvas_HWC = draw_pose(canvas_HWC, pose_K3)
    return canvas_HWC
