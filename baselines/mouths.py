"""Mouths that open and close on a still picture: where a mouth is, how syllables move it, and the warp."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.manifests.items import Frame
from mitds.manifests.records import Array
from mitds.time import CLIP_FPS

CORNERS = (71, 77)
INNER_LIPS = slice(83, 91)
"""Keypoints of COCO-WholeBody: corners of the mouth (the viewer's left first), and the inner rim of the lips."""
MOUTH_IN_BOX = (0.5, 0.78, 0.2)
"""Centre (x, y) and half width of a mouth in a face box, in its width and height, where no pose is known."""

WIDEST = 0.55
"""Largest opening of the mouth, in half widths of it."""
UPPER_SHARE = 0.12
"""Part of the opening that the upper lip takes; the jaw takes the rest."""
JAW = (0.7, 2.0)
"""Distance below the lips, in half widths, up to which the chin moves with the lip, and from which nothing does."""
LIP = 0.9
"""Distance above the lips from which nothing moves."""
SYLLABLE_S = (0.17, 0.29)
"""Shortest and longest syllable: 3.4 to 5.9 a second."""
DARK_RGB = (58, 22, 22)
"""Inside of a mouth, in a picture of middle brightness."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mouth:
    """A mouth in a picture.

    Attributes:
        centre_2: Middle between its corners, px.
        along_2: Unit vector from the viewer's left corner to the right one.
        half: Half its width, px.
        bow_3: Where the lips meet: coefficients of u^2, u and 1; u along and v down, in half widths.
    """

    centre_2: Floats
    along_2: Floats
    half: float
    bow_3: Floats


def find_mouth(xyxy_4: Array, pose_K3: Array) -> Mouth:
    """Return the mouth of a face: by its keypoints, or by the face box where these are absent."""
    points_K2 = pose_K3[:, :2].astype(np.float64)
    left_2, right_2 = points_K2[list(CORNERS)]
    if not np.isfinite(points_K2[INNER_LIPS]).all() or left_2[0] >= right_2[0]:
        return _mouth_in_box(xyxy_4.astype(np.float64))
    across_2 = right_2 - left_2
    half = float(np.linalg.norm(across_2)) / 2
    mouth = Mouth((left_2 + right_2) / 2, across_2 / (2 * half), half, np.zeros(3))
    u_L, v_L = _local(mouth, points_K2[INNER_LIPS])
    return Mouth(mouth.centre_2, mouth.along_2, half, np.polyfit(u_L, v_L, 2))


def _mouth_in_box(xyxy_4: Floats) -> Mouth:
    x, y, half = MOUTH_IN_BOX
    width, height = xyxy_4[2:] - xyxy_4[:2]
    centre_2 = xyxy_4[:2] + np.array([x * width, y * height])
    return Mouth(centre_2, np.array([1.0, 0.0]), half * float(width), np.zeros(3))


def syllables(frames: int, random: np.random.Generator) -> Floats:
    """Return the opening of a mouth that never rests, 0..1 by frame: syllables of uneven length and width."""
    seconds_T = np.arange(frames) / float(CLIP_FPS)
    opening_T = np.zeros(frames)
    start = -random.uniform(0, SYLLABLE_S[1])
    while start < frames / float(CLIP_FPS):
        length, width = random.uniform(*SYLLABLE_S), random.uniform(0.45, 1.0)
        phase_T = np.clip((seconds_T - start) / length, 0, 1)
        opening_T += width * np.sin(np.pi * phase_T) ** 2
        start += length
    return opening_T


def talk(frame_HWC: Frame, mouth: Mouth, opening: float) -> None:
    """Open a mouth of a picture, in place.

    The lower lip and the chin move down as one, the upper lip a little up, and fade out towards cheeks and
    neck; between the lips the inside of a mouth is painted.

    Args:
        frame_HWC: The picture.
        mouth: Where the mouth is.
        opening: 0 leaves the picture as it is; 1 opens as wide as speech does.
    """
    reach = (JAW[1] + WIDEST + 0.5) * mouth.half
    height, width = frame_HWC.shape[:2]
    x1, y1 = np.clip(np.floor(mouth.centre_2 - reach), 0, (width, height)).astype(int)
    x2, y2 = np.clip(np.ceil(mouth.centre_2 + reach), 0, (width, height)).astype(int)
    if x1 >= x2 or y1 >= y2 or not opening:
        return
    at_HW2 = np.stack(np.meshgrid(np.arange(x1, x2), np.arange(y1, y2)), axis=-1).astype(np.float64)
    u_HW, v_HW = _local(mouth, at_HW2)
    seam_HW = np.polyval(mouth.bow_3, np.clip(u_HW, -1, 1))
    gape_HW = WIDEST * opening * np.clip(1 - u_HW**2, 0, 1) ** 1.5
    shift_HW = _shift(v_HW - seam_HW, gape_HW)
    down_2 = np.array([-mouth.along_2[1], mouth.along_2[0]])
    from_HW2 = (at_HW2 - shift_HW[..., None] * mouth.half * down_2).astype(np.float32)
    warped_HWC = cv2.remap(
        frame_HWC, from_HW2[..., 0], from_HW2[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside_HW1 = _inside(v_HW - seam_HW, gape_HW, 1 / mouth.half)[..., None]
    light = float(frame_HWC[y1:y2, x1:x2].mean()) / 128
    painted_HWC = warped_HWC * (1 - inside_HW1) + np.array(DARK_RGB) * light * inside_HW1
    frame_HWC[y1:y2, x1:x2] = np.clip(painted_HWC.round(), 0, 255).astype(np.uint8)


def _local(mouth: Mouth, points_X2: Floats) -> tuple[Floats, Floats]:
    """Return points along the mouth and down from its centre, in half widths."""
    from_centre_X2 = (points_X2 - mouth.centre_2) / mouth.half
    down_2 = np.array([-mouth.along_2[1], mouth.along_2[0]])
    return from_centre_X2 @ mouth.along_2, from_centre_X2 @ down_2


def _shift(v_HW: Floats, gape_HW: Floats) -> Floats:
    """Return how far down what is shown at a place has moved; `v_HW` counts from where the lips meet.

    A place below the lower lip shows what was s higher, with s = gape * fade(v - s): solved by fixed-point
    steps, which converge as the fade is flatter than the gape is wide.
    """
    lower_HW = (1 - UPPER_SHARE) * gape_HW
    shift_HW = lower_HW.copy()
    for _ in range(6):
        shift_HW = lower_HW * _fade(v_HW - shift_HW, *JAW)
    raised_HW = UPPER_SHARE * gape_HW * _fade(-v_HW, 0.0, LIP)
    return np.where(v_HW > 0, np.minimum(shift_HW, v_HW), -raised_HW)


def _fade(distance_HW: Floats, full: float, none: float) -> Floats:
    """Return 1 up to `full`, 0 from `none`, and a smooth step between."""
    t_HW = np.clip((none - distance_HW) / (none - full), 0, 1)
    return t_HW * t_HW * (3 - 2 * t_HW)


def _inside(v_HW: Floats, gape_HW: Floats, pixel: float) -> Floats:
    """Return how much of each pixel lies between the lips, 0..1."""
    below_HW = v_HW + UPPER_SHARE * gape_HW
    above_HW = (1 - UPPER_SHARE) * gape_HW - v_HW
    return np.clip(np.minimum(below_HW, above_HW) / pixel, 0, 1)
