"""Still images: pictures, and faces, in which nothing moves but the camera, which a slide or a zoom can imitate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.quality.contracts import Sample, window
from mitds.annotators.quality.motion import Grey, Motion, corners, motion_between

STILL_PX = 0.3
"""A patch that changes by less than this, in px of the grey picture, does not move. Photographs, recoded or zoomed
into: up to .25; people who hold still: from .5 (of two pictures a fifth of a second apart)."""

_PATCHES = 12
_STILL_SHARE = 0.98
_SIGMA = 1.5
_NOISE = 2.0
_MARGIN = 0.03
_FACE_SIDE = 96
_MIN_FACE = 24


class StillsMeter:
    """Compares samples after undoing the motion that the whole picture, or the whole face, shares.

    Scores:
        still_share: Share of the steps between samples in which no part of the picture moves by itself, 0..1:
            a frozen picture, or a photograph, also one that is panned over or zoomed into.
        still_face_share: The same inside the face of the person who moves least: a photograph or a frozen panel
            beside people who move.
    """

    name = "stills"

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the clip before."""
        self._before: Sample | None = None
        self._pictures: list[bool] = []
        self._faces: dict[int, list[bool]] = {}

    def see(self, sample: Sample) -> None:
        """Compare with the last sample."""
        before, self._before = self._before, sample
        if before is None:
            return
        self._pictures.append(is_still(before.grey_HW, sample.grey_HW))
        for person in range(len(sample.face_xyxy_N4)):
            pair = _faces(before, sample, person)
            if pair is not None:
                self._faces.setdefault(person, []).append(is_still(*pair))

    def scores(self) -> dict[str, float]:
        """Return the shares; no face in two samples running, no share of faces."""
        scores = {"still_share": float(np.mean(self._pictures))} if self._pictures else {}
        if self._faces:
            scores["still_face_share"] = max(float(np.mean(still)) for still in self._faces.values())
        return scores


def is_still(before_HW: Grey, after_HW: Grey) -> bool:
    """Tell whether two grey pictures show the same thing, but for one motion of the whole."""
    if residual(before_HW, after_HW, None) < STILL_PX:
        return True
    motion = motion_between(before_HW, after_HW, corners(before_HW))
    return motion is not None and residual(before_HW, after_HW, motion) < STILL_PX


def residual(before_HW: Grey, after_HW: Grey, motion: Motion | None) -> float:
    """Return how far the most mobile patches still move once `motion` is undone, about px.

    The change of brightness over its gradient, patch by patch; of all patches, the one that 2 % exceed.
    """
    height, width = after_HW.shape
    inside_HW = np.ones((height, width), np.float32)
    if motion is not None:
        warp = motion.matrix_23
        before_HW = cv2.warpAffine(before_HW, warp, (width, height), flags=cv2.INTER_CUBIC).astype(np.uint8)
        inside_HW = cv2.warpAffine(inside_HW, warp, (width, height)).astype(np.float32)
    a_HW, b_HW = (cv2.GaussianBlur(g.astype(np.float32), (0, 0), _SIGMA) for g in (before_HW, after_HW))
    gradient_HW = np.hypot(*np.gradient(b_HW))
    edge = max(1, round(_MARGIN * min(height, width)))
    cut = slice(edge, height - edge), slice(edge, width - edge)
    change, slope, known = (
        _patches(x[cut]) for x in (np.abs(a_HW - b_HW) * (inside_HW > 0.99), gradient_HW, inside_HW)
    )
    ratio = change / (slope + _NOISE)
    return float(np.quantile(ratio[known > 0.9], _STILL_SHARE)) if (known > 0.9).any() else np.inf


def _patches(values_HW: NDArray[np.floating]) -> NDArray[np.float32]:
    size = (_PATCHES, _PATCHES)
    return cv2.resize(values_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _faces(before: Sample, after: Sample, person: int) -> tuple[Grey, Grey] | None:
    """Return a face of two samples at one size, never enlarged; None where it is not in view in both."""
    pair = [
        s.luma_HW[part]
        for s in (before, after)
        if (part := window(s.face_xyxy_N4[person], s.luma_HW.shape, smallest=_MIN_FACE)) is not None
    ]
    if len(pair) < 2:
        return None
    side = min(_FACE_SIDE, *(min(face.shape) for face in pair))
    small = [cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8) for f in pair]
    return small[0], small[1]
