"""Camera motion: how the background moves, apart from the people in front of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.quality.contracts import Sample
from mitds.annotators.quality.motion import Grey, Motion, corners, motion_between
from mitds.manifests.records import Array

MIN_MEASURED = 0.5
"""Share of the steps between samples whose motion must be known, or the clip has no score."""

_SMOOTH_S = 1.0
_POSTS = np.array([[0.5, 0.5], [0, 0], [1, 0], [0, 1], [1, 1]])


class CameraMeter:
    """Measures pan, zoom and shake on the points outside the people.

    Scores, all in picture heights a second but for the zoom:
        camera_motion: Mean speed at which the picture's centre and corners move (root mean square of the five).
        camera_pan: Speed that remains when the motion is averaged over a second: pans, tilts, dollies.
        camera_shake: Root mean square of what that average leaves: a hand-held camera.
        camera_zoom: Mean rate of zoom over a second, natural logarithm of the scale a second.
    """

    name = "camera"

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the clip before."""
        self._before: Sample | None = None
        self._steps: list[tuple[float, Motion | None]] = []
        self._size = (1, 1)

    def see(self, sample: Sample) -> None:
        """Follow the background from the last sample to this one."""
        before, self._before = self._before, sample
        self._size = (sample.grey_HW.shape[1], sample.grey_HW.shape[0])
        if before is not None:
            points_P2 = corners(before.grey_HW, background(before))
            motion = motion_between(before.grey_HW, sample.grey_HW, points_P2)
            self._steps.append((sample.time_s - before.time_s, motion))

    def scores(self) -> dict[str, float]:
        """Return the four speeds; nothing where the background cannot be followed for half of the time."""
        known = [(step_s, motion) for step_s, motion in self._steps if motion is not None]
        if not known or len(known) < MIN_MEASURED * len(self._steps):
            return {}
        posts = _POSTS * np.array(self._size)
        step_M = np.array([step_s for step_s, _ in known])
        speed_MP2 = np.stack([m.moved(posts) for _, m in known]) / self._size[1] / step_M[:, None, None]
        zoom_M = np.array([m.log_scale for _, m in known]) / step_M
        smooth_M2 = _smooth(speed_MP2[:, 0], step_M)
        return {
            "camera_motion": float(np.sqrt((speed_MP2**2).sum(2).mean(1)).mean()),
            "camera_pan": float(np.linalg.norm(smooth_M2, axis=1).mean()),
            "camera_shake": float(np.sqrt(((speed_MP2[:, 0] - smooth_M2) ** 2).sum(1).mean())),
            "camera_zoom": float(np.abs(_smooth(zoom_M[:, None], step_M)).mean()),
        }


def background(sample: Sample) -> Grey:
    """Return a mask, 255 where no person is expected: outside of heads, and of bodies below them."""
    mask_HW = np.full(sample.grey_HW.shape, 255, np.uint8)
    for box_4 in sample.small_faces_N4:
        if np.isfinite(box_4).all():
            columns, rows = _body(box_4)
            mask_HW[rows, columns] = 0
    return mask_HW


def _body(box_4: Array) -> tuple[slice, slice]:
    """Return columns and rows of a seated person: a head and a half to either side of the face, and all below."""
    x1, y1, x2, y2 = (float(v) for v in box_4)
    width, height = x2 - x1, y2 - y1
    columns = slice(max(0, round(x1 - width)), max(0, round(x2 + width)))
    return columns, slice(max(0, round(y1 - height / 2)), None)


def _smooth(rows_MD: NDArray[np.float64], step_M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over about a second around each step."""
    half = max(1, round(_SMOOTH_S / float(np.median(step_M)) / 2))
    return np.stack([rows_MD[max(0, k - half) : k + half + 1].mean(axis=0) for k in range(len(rows_MD))])
