"""Global motion of the picture: what remains when the people are left out."""

from __future__ import annotations

import math

import cv2
import numpy as np

from mitds.benchmark.footage import Frames
from mitds.manifests.records import Array

STEP = 5
"""Frames between which motion is measured: slow pans rise above the noise of single frames."""
SIDE = 320
"""Length in px of the longer side of the pictures that are compared."""
MAX_POINTS = 200
MIN_POINTS = 12
"""Background points that must agree on one motion."""
MIN_AGREEING = 0.5
"""Share of the points that must."""
BODY = (0.7, 0.6)
"""What is left out around a face, in face sides: to the left and right, and above; below, all is."""


def camera_motion(frames_THWC: Frames, face_xyxy_NT4: Array) -> float:
    """Return the mean displacement of the background per frame, in picture widths; NaN where none can be told.

    Corners outside of people are followed by Lucas-Kanade over 5 frames; a similarity transform is fitted by
    RANSAC (OpenCV's, with its fixed seed), and its mean displacement over the whole picture counts, so that
    zooms and rolls do too. NaN where in more than half of the steps too few points agree.
    """
    scale = min(1.0, SIDE / max(frames_THWC.shape[1:3]))
    grey = [_grey(frames_THWC[k], scale) for k in range(0, len(frames_THWC), STEP)]
    masks = [
        _background(grey[0].shape, face_xyxy_NT4[:, k] * scale) for k in range(0, len(frames_THWC), STEP)
    ]
    moved = [_displacement(a, b, mask) for a, b, mask in zip(grey, grey[1:], masks, strict=False)]
    known = [m for m in moved if math.isfinite(m)]
    if 2 * len(known) < len(moved) or not known:
        return math.nan
    return math.fsum(known) / len(known) / STEP / int(grey[0].shape[1])


def _grey(frame_HWC: Frames, scale: float) -> Frames:
    size = (max(1, round(frame_HWC.shape[1] * scale)), max(1, round(frame_HWC.shape[0] * scale)))
    small_HWC = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_HWC, cv2.COLOR_RGB2GRAY), np.uint8)


def _background(shape: tuple[int, ...], xyxy_N4: Array) -> Frames:
    """Return 255 where nobody is: outside of each face and all that hangs below it."""
    mask_HW = np.full(shape, 255, np.uint8)
    for x1, y1, x2, y2 in xyxy_N4[np.isfinite(xyxy_N4).all(axis=1)]:
        aside, above = BODY[0] * (x2 - x1), BODY[1] * (y2 - y1)
        left, right, top = (max(0, int(v)) for v in (x1 - aside, x2 + aside, y1 - above))
        mask_HW[top:, left:right] = 0
    return mask_HW


def _displacement(before_HW: Frames, after_HW: Frames, mask_HW: Frames) -> float:
    """Return the mean displacement of the picture between two frames, px; NaN where too few points agree."""
    points_P12 = cv2.goodFeaturesToTrack(before_HW, MAX_POINTS, 0.01, 5, mask=mask_HW)
    if points_P12 is None or len(points_P12) < MIN_POINTS:
        return math.nan
    followed_P12, found_P1, _ = cv2.calcOpticalFlowPyrLK(before_HW, after_HW, points_P12, points_P12.copy())
    kept_P = found_P1[:, 0] == 1
    if kept_P.sum() < MIN_POINTS:
        return math.nan
    matrix_23, agree_P1 = cv2.estimateAffinePartial2D(
        points_P12[kept_P], followed_P12[kept_P], ransacReprojThreshold=1.0
    )
    if matrix_23 is None or agree_P1.sum() < max(MIN_POINTS, MIN_AGREEING * len(points_P12)):
        return math.nan
    height, width = before_HW.shape
    grid_G2 = np.stack(np.meshgrid(np.linspace(0, width, 5), np.linspace(0, height, 5)), axis=-1).reshape(
        -1, 2
    )
    moved_G2 = grid_G2 @ matrix_23[:, :2].T + matrix_23[:, 2] - grid_G2
    return float(np.sqrt((moved_G2**2).sum(axis=1)).mean())
