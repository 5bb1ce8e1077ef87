"""The reference with its faces where a frame has them: what a picture looks like that only the boxes are known of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.manifests.items import Frame
from mitds.manifests.records import Array

HEAD = (1.0, 1.15)
"""Half axes of the ellipse that moves with a face, in widths and heights of its box: hair and chin included."""
SOFT = 0.35
"""Share of the ellipse's radius over which what moved fades into what stays."""
LARGEST = 2.0
"""A face grows or shrinks by this at most: beyond it a box is wrong, or another face's."""


def moved(reference_HWC: Frame, from_N4: Array, to_N4: Array) -> Frame:
    """Return the reference in which each face is moved and scaled from one box to another.

    Faces without both boxes stay. Where a face was and is no longer, it stays as well: what lay behind it is unknown.

    Args:
        reference_HWC: uint8 RGB.
        from_N4: Face boxes of the reference, px; NaN where absent.
        to_N4: Face boxes of the frame, px; NaN where absent.
    """
    out_HWC = reference_HWC
    for from_4, to_4 in zip(from_N4.astype(np.float64), to_N4.astype(np.float64), strict=True):
        if np.isfinite([from_4, to_4]).all() and not np.array_equal(from_4, to_4):
            out_HWC = _with_face(out_HWC, reference_HWC, from_4, to_4)
    return out_HWC


def _with_face(
    onto_HWC: Frame, reference_HWC: Frame, from_4: NDArray[np.float64], to_4: NDArray[np.float64]
) -> Frame:
    height, width = reference_HWC.shape[:2]
    (from_2, from_size_2), (to_2, to_size_2) = _middle(from_4), _middle(to_4)
    if min(*from_size_2, *to_size_2) <= 0:
        return onto_HWC
    scale = float(np.clip(np.sqrt(np.prod(to_size_2 / from_size_2)), 1 / LARGEST, LARGEST))
    # OpenCV counts px by their middles, boxes by their edges.
    shift_2 = to_2 - scale * from_2 + (scale - 1) / 2
    there_HWC = cv2.warpAffine(
        reference_HWC, np.column_stack([scale * np.eye(2), shift_2]), (width, height),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    x_W = (np.arange(width) + 0.5 - to_2[0]) / (HEAD[0] * scale * from_size_2[0])
    y_H = (np.arange(height) + 0.5 - to_2[1]) / (HEAD[1] * scale * from_size_2[1])
    radius_HW = np.hypot(x_W[None], y_H[:, None])
    share_HW1 = np.clip((1 - radius_HW) / SOFT, 0, 1)[..., None].astype(np.float32)
    mixed_HWC = onto_HWC + share_HW1 * (there_HWC.astype(np.float32) - onto_HWC)
    return np.asarray(mixed_HWC.round(), np.uint8)


def _middle(box_4: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centre of a box and its width and height."""
    return (box_4[:2] + box_4[2:]) / 2, box_4[2:] - box_4[:2]
