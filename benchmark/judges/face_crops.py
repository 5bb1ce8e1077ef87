"""The crop rule of the SyncNet release: what of a frame its network sees.

With s half the longer side of the face box, the crop is a square of side 2.8 s whose middle lies .4 s below the
middle of the face; beyond the picture it is grey 110. Boxes are smoothed over 13 frames first. Source:
joonson/syncnet_python, `run_pipeline.py`, `crop_video`.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from mitds.benchmark.judges.syncnet_net import SIDE
from mitds.manifests.items import Frame
from mitds.manifests.records import Array

SMOOTH = 13
"""Frames of the median filter."""
MARGIN = 0.4
"""Of s, at either side and below; above the face there is none."""
GREY = 110

Ends = Literal["zeros", "nearest"]
Float64 = NDArray[np.float64]


def squares(xyxy_T4: Array | Float64, ends: Ends) -> Float64:
    """Return where a face is, smoothed: middle x, middle y and half side s, square_T3, px.

    Args:
        xyxy_T4: Boxes on consecutive frames, none missing.
        ends: What the median filter sees beyond the first and the last frame. The release pads with "zeros", so
            that it takes the least of seven at the very ends; "nearest" repeats the end.
    """
    low_T2, high_T2 = xyxy_T4[:, :2].astype(np.float64), xyxy_T4[:, 2:].astype(np.float64)
    half_T1 = (high_T2 - low_T2).max(axis=1, keepdims=True) / 2
    square_T3 = np.concatenate([(low_T2 + high_T2) / 2, half_T1], axis=1)
    mode = "constant" if ends == "zeros" else "nearest"
    smooth_T3: Float64 = median_filter(square_T3, (SMOOTH, 1), mode=mode, cval=0.0)
    return smooth_T3


def crops(frames_THWC: NDArray[np.uint8], square_T3: Float64) -> NDArray[np.uint8]:
    """Cut one face out of its frames.

    Args:
        frames_THWC: RGB; as many frames as squares.
        square_T3: As `squares` gives them.

    Returns:
        crops_THWC: BGR, 224 x 224, as the network reads them.
    """
    pairs = zip(frames_THWC, square_T3, strict=True)
    return np.stack([_crop(frame_HWC, *square_3) for frame_HWC, square_3 in pairs])


def _crop(frame_HWC: Frame, middle_x: float, middle_y: float, half: float) -> Frame:
    height, width = frame_HWC.shape[:2]
    half = max(half, 1.0)
    reach = half * (1 + MARGIN)
    border = int(half * (1 + 2 * MARGIN))
    # A middle outside the picture would cut beyond the border; the release never meets one.
    x = float(np.clip(middle_x, 0, width - 1)) + border
    y = float(np.clip(middle_y, 0, height - 1)) + border
    wide_HWC = cv2.copyMakeBorder(
        frame_HWC[..., ::-1], border, border, border, border, cv2.BORDER_CONSTANT, value=(GREY,) * 3
    )
    face_HWC = wide_HWC[int(y - half) : int(y + half * (1 + 2 * MARGIN)), int(x - reach) : int(x + reach)]
    return np.asarray(cv2.resize(face_HWC, (SIDE, SIDE)), np.uint8)
