"""Mouth-region crops as LR-ASD is trained on: smoothed boxes, shifted down to the mouth, grey, 112 x 112.

The geometry is that of the TalkNet demonstration, which LR-ASD keeps: a square of 2.8 half face sides that
reaches from the top of the face to .8 half sides below it, scaled to 224 px, of which the middle 112 are
used. The demonstrations round the square to whole pixels; here it moves by fractions and does not jitter.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import median_filter

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array

CROP = 112
SMOOTH = 13
SCALE = 0.40
GREY = 110


def mouth_squares(xyxy_T4: Array) -> Array:
    """Return the squares to crop: left, top and side in px, square_T3.

    Boxes are median-filtered over 13 frames; beyond the track's ends its end boxes are repeated.
    """
    centre_T2 = (xyxy_T4[:, :2] + xyxy_T4[:, 2:]) / 2
    half_T1 = (xyxy_T4[:, 2:] - xyxy_T4[:, :2]).max(axis=1, keepdims=True) / 2
    raw_T3 = np.concatenate((centre_T2, half_T1), axis=1).astype(np.float64)
    x, y, half = median_filter(raw_T3, size=(SMOOTH, 1), mode="nearest").T
    side = half * (1 + SCALE)
    return np.stack((x - side / 2, y + SCALE * half - side / 2, side), axis=1).astype(np.float32)


def mouth_crop(frame_HWC: Frame, square_3: Array) -> Frame:
    """Cut one square out of a frame: grey, 112 x 112; outside the picture it is uniform grey 110."""
    left, top, side = (float(v) for v in square_3)
    step = side / CROP
    to_frame = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    crop = cv2.warpAffine(
        frame_HWC, to_frame, (CROP, CROP), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY, GREY, GREY),
    )  # fmt: skip
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
