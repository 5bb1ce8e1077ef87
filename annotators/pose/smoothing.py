"""Smoothing along time that neither delays nor shortens a movement."""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter

from mitds.manifests.records import Array
from mitds.runs import runs_of


def smoothed(pose_NTK3: Array, window: int) -> Array:
    """Fit a parabola to each point's neighbours in time (Savitzky and Golay 1964) and take its middle.

    The fit is centred, so it has no delay. Runs of frames without gap are smoothed each for itself; runs
    shorter than the window stay as they are. No point leaves the range of its run, hence not the picture.

    Args:
        pose_NTK3: Keypoints; absent ones are NaN.
        window: Odd number of frames; 1 changes nothing.
    """
    result = pose_NTK3.copy()
    if window < 3:
        return result
    for n, k in np.ndindex(pose_NTK3.shape[0], pose_NTK3.shape[2]):
        for first, end in runs_of(np.isfinite(pose_NTK3[n, :, k, 0])):
            if end - first >= window:
                run = slice(first, end)
                raw_T2 = pose_NTK3[n, run, k, :2]
                smooth_T2 = savgol_filter(raw_T2, window, 2, axis=0)
                result[n, run, k, :2] = np.clip(smooth_T2, raw_T2.min(axis=0), raw_T2.max(axis=0))
    return result
