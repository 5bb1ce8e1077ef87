"""Where people are and where their faces are: boxes, masks, and the shares of cells that faces cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from mitds.baselines.conditions.skeleton import confident
from mitds.baselines.contracts import Told
from mitds.manifests.records import Array

MARGIN = 0.1
"""A region reaches beyond what is known of its person by this share of its width and height, on each side."""

FACE_MARGINS = (0.1, 0.1, 0.1, 0.2)
"""What a face's mask adds to its box, left, above, right and below, in its width and height: 1.2 x 1.3 of it, and
more below, so that an opening jaw stays inside."""


def regions(told: Told, *, to_bottom: bool = False) -> Array:
    """Return region_N4: one box a person that holds all of their faces and keypoints over the T frames.

    It does not move: a model is told where a person is, not how they move, by it. Boxes are enlarged by `MARGIN`
    and end at the picture's border; a person of whom nothing is known has none, NaN.

    Args:
        told: What is told, on any picture; the boxes are in its px.
        to_bottom: The published defect `regions_to_bottom`: every box reaches the lower edge.
    """
    # Sizes in full: where there are no persons, numpy cannot find out what is left.
    persons, frames, points = told.pose_NTK3.shape[:3]
    corners_NTF2 = told.face_xyxy_NT4.reshape(persons, 2 * frames, 2)
    pose_NTK3 = told.pose_NTK3.reshape(persons, frames * points, 3)
    points_NTK2 = np.where(confident(pose_NTK3)[..., None], pose_NTK3[..., :2], np.nan)
    known_NX2 = np.concatenate([corners_NTF2, points_NTK2], axis=1)
    # NaN compares as neither smaller nor larger: fmin and fmax pass over it, and leave it where all is NaN.
    low_N2, high_N2 = np.fmin.reduce(known_NX2, axis=1), np.fmax.reduce(known_NX2, axis=1)
    margin_N2 = MARGIN * (high_N2 - low_N2)
    region_N4 = np.concatenate([low_N2 - margin_N2, high_N2 + margin_N2], axis=1)
    if to_bottom:
        region_N4[:, 3] = np.where(np.isfinite(region_N4[:, 3]), told.height, np.nan)
    return np.asarray(np.clip(region_N4, 0, [told.width, told.height] * 2), np.float32)


def face_boxes(face_xyxy_X4: Array) -> Array:
    """Return the boxes of faces enlarged by `FACE_MARGINS`, in the same px; NaN stays NaN."""
    size_X2 = face_xyxy_X4[..., 2:] - face_xyxy_X4[..., :2]
    grown_X4 = np.concatenate([-size_X2, size_X2], axis=-1) * np.array(FACE_MARGINS, np.float32)
    return np.asarray(face_xyxy_X4 + grown_X4, np.float32)


def masks(xyxy_X4: Array, size_HW: tuple[int, int]) -> Array:
    """Return masks_XHW: 1 for the pixels whose middle lies inside a box, 0 elsewhere and where the box is NaN.

    Args:
        xyxy_X4: Boxes, px; leading axes are free.
        size_HW: Size of the masks, px.
    """
    y_H, x_W = (np.arange(side) + np.float32(0.5) for side in size_HW)
    x1_X1, y1_X1, x2_X1, y2_X1 = (xyxy_X4[..., i, None] for i in range(4))
    inside_XH, inside_XW = (y1_X1 <= y_H) & (y_H < y2_X1), (x1_X1 <= x_W) & (x_W < x2_X1)
    return np.asarray(inside_XH[..., :, None] & inside_XW[..., None, :], np.float32)


def face_levels(face_BNTHW: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return the share of each cell that a face covers, face_BNThw, at each of a U-Net's sizes.

    Shares are means over the cell, never rounded to 0 or 1: a face smaller than a cell still lets its voice in,
    and one that ends inside a cell lets in as much as it covers.

    Args:
        face_BNTHW: Masks of the faces at the model's size.
        sizes: Height and width in cells, by level.
    """
    flat_XTHW, (samples, persons) = face_BNTHW.flatten(0, 1), face_BNTHW.shape[:2]
    pooled = [F.adaptive_avg_pool2d(flat_XTHW, size) for size in sizes]
    return [level_XThw.reshape(samples, persons, *level_XThw.shape[1:]) for level_XThw in pooled]
