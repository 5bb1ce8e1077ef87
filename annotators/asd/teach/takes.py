"""A take: one face over one unbroken run of frames, with the sound that was recorded with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.asd.lip_net_features import STEPS
from mitds.manifests.records import Array

Kind = Literal["speaker", "company", "silent"]
"""What a clip holds: one person who alone is heard; several people; or faces that never speak."""

LOUD_BELOW = 4.0
"""Nepers of power below the clip's loud passages at which a pause is silent, whatever the speech detector fills."""
DOUBT = (0.3, 0.7)
"""Probabilities of speech between which nobody knows."""
DENIED = -3.0
"""Log odds of the teacher below which a lone speaker's own voice is not taken for theirs: a cutaway, a voice-over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One face and its sound; T frames at 25 a second, F = 4 T steps of the sound.

    Attributes:
        clip: Name of the clip; no two people of one clip are told apart in splits.
        lip_TC: `lip_features`, without gaps.
        power_FM: `mel_power` of the sound.
        speech_T: Probability that anybody is heard.
        own_T: Probability that this face speaks; NaN where unknown.
        exact: True where that follows from what the clip holds, not from a teacher's opinion.
    """

    clip: str
    lip_TC: Array
    power_FM: Array
    speech_T: Array
    own_T: Array
    exact: bool

    @property
    def frames(self) -> int:
        """Length."""
        return len(self.lip_TC)

    @property
    def voiced(self) -> bool:
        """Say whether its sound holds enough speech to lend a voice to others."""
        return float(self.speech_T.mean()) > 0.3


def own_voice(kind: Kind, power_FM: Array, speech_T: Array, teacher_T: Array | None) -> Array:
    """Return own_T: how likely the face speaks, from what its clip holds and what a teacher said.

    Args:
        kind: What the clip holds.
        power_FM: The sound's power.
        speech_T: Probability of speech.
        teacher_T: Log odds by a teacher, NaN where it abstains; None without a teacher.
    """
    if kind == "silent":
        return np.zeros_like(speech_T)
    heard_T = np.where(_hushed(power_FM, speech_T), 0, speech_T)
    doubt_T = (heard_T > DOUBT[0]) & (heard_T < DOUBT[1])
    if kind == "speaker":
        own_T = np.where(doubt_T, np.nan, (heard_T > 0.5).astype(np.float32))
        if teacher_T is not None:
            own_T[(own_T > 0.5) & (teacher_T < DENIED)] = np.nan
        return np.asarray(own_T, np.float32)
    if teacher_T is None:
        return np.where(heard_T < DOUBT[0], 0.0, np.nan).astype(np.float32)
    return np.asarray(np.minimum(1 / (1 + np.exp(-teacher_T)), np.maximum(heard_T, 0.02)), np.float32)


def _hushed(power_FM: Array, speech_T: Array) -> NDArray[np.bool_]:
    """Return where the sound is far below the clip's speech: detectors fill pauses of a few tenths of a second."""
    power_T = power_FM.sum(axis=1).reshape(-1, STEPS).mean(axis=1)
    power_T = np.convolve(power_T, np.ones(3) / 3, mode="same")
    spoken_T = power_T[speech_T > 0.5]
    loud = np.quantile(spoken_T, 0.9) if len(spoken_T) else np.inf
    return np.asarray(np.log(power_T + 1e-12) < np.log(loud + 1e-12) - LOUD_BELOW)
