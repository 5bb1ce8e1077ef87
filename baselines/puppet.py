"""Puppet: the simplest honest model. A still picture whose mouths open with the loudness of their own voice.

It needs no training and no pose. It binds voices to faces by construction and does nothing else: listeners are
frozen, heads do not move. What a trained model must beat on binding, and beats easily on motion.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mitds.baselines.mouths import find_mouth, talk
from mitds.manifests.items import Frame, Request
from mitds.manifests.records import Array

LOUDEST = 95
"""Percentile of a voice's level in its own turns at which the mouth is wide open."""
RANGE_DB = 25.0
"""A level so far below the loudest closes the mouth."""

Floats = NDArray[np.float64]


class Puppet:
    """Answers with the reference frame and moving mouths."""

    name = "puppet"

    def generate(self, request: Request) -> Iterator[Frame]:
        """Yield the reference frame, each mouth opened by its own voice; people whose face is unknown stay still."""
        k = request.reference_frame
        known = np.flatnonzero(np.isfinite(request.face_xyxy_NT4[:, k]).all(axis=1))
        mouths = {n: find_mouth(request.face_xyxy_NT4[n, k], request.pose_NTK3[n, k]) for n in known}
        openings = {n: opening(request.voices_NS[n], request.frames) for n in mouths}
        for t in range(request.frames):
            frame_HWC = request.reference_HWC.copy()
            for n, mouth in mouths.items():
                talk(frame_HWC, mouth, float(openings[n][t]))
            yield frame_HWC


def opening(voice_S: Array, frames: int) -> Floats:
    """Return how far a mouth is open in each frame, 0..1, by the level of its voice; 0 in silence.

    Args:
        voice_S: 16 kHz; silence where the person does not speak.
        frames: T, at 25 fps.
    """
    per_frame_TS = voice_S[: frames * (len(voice_S) // frames)].reshape(frames, -1).astype(np.float64)
    power_T = (per_frame_TS**2).mean(axis=1)
    sounding_T = power_T > 0
    if not sounding_T.any():
        return np.zeros(frames)
    level_T = 10 * np.log10(np.where(sounding_T, power_T, 1.0))
    loudest = np.percentile(level_T[sounding_T], LOUDEST)
    opened_T: Floats = np.clip(1 + (level_T - loudest) / RANGE_DB, 0, 1)
    return np.where(sounding_T, opened_T, 0.0)
