"""Revises the speaker scorer frame by frame with what is heard: silence, and whose the voice is.

A speaker scorer sees half a second of lips and sound; the source knows more. Where nobody speaks, nobody in
view does; where the only voice heard belongs to another face or to nobody in view, moving lips are not speech,
unless two people are heard at once and only one of the voices could be told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from mitds.annotators.binding.binder import Floats, Ownership
from mitds.annotators.binding.evidence import ShotEvidence, logit
from mitds.manifests.records import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    """Weights of a logistic model; each feature is explained in `features`.

    The defaults leave the scorer alone except for a push by what is heard.
    """

    bias: float = -1.0
    scorer: float = 0.7
    speech: float = 0.3
    own_voice: float = 3.5
    other_face: float = -2.0
    other_face_overlap: float = 0.0
    out_of_view: float = -2.0
    out_of_view_clear: float = -0.5
    unnamed_overlap: float = 1.0


FITTED: dict[str, FusionConfig] = {
    "lip-motion": FusionConfig(
        bias=-1.15,
        scorer=0.33,
        speech=0.49,
        own_voice=3.09,
        other_face=-1.97,
        other_face_overlap=0.01,
        out_of_view=-1.46,
        out_of_view_clear=-0.5,
        unnamed_overlap=1.03,
    ),
    "lip-net": FusionConfig(
        bias=-1.64,
        scorer=0.5,
        speech=0.74,
        own_voice=4.35,
        other_face=-2.72,
        other_face_overlap=0.11,
        out_of_view=-0.45,
        out_of_view_clear=-0.47,
        unnamed_overlap=1.39,
    ),
    "lr-asd": FusionConfig(
        bias=-1.52,
        scorer=0.43,
        speech=0.61,
        own_voice=2.57,
        other_face=-2.5,
        other_face_overlap=0.21,
        out_of_view=-0.36,
        out_of_view_clear=-0.19,
        unnamed_overlap=1.42,
    ),
    "lr-asd-lip-net": FusionConfig(
        bias=-0.9,
        scorer=0.76,
        speech=0.31,
        own_voice=3.3,
        other_face=-2.65,
        other_face_overlap=0.14,
        out_of_view=-0.58,
        out_of_view_clear=-0.48,
        unnamed_overlap=1.49,
    ),
}
"""Weights by speaker scorer: logistic regression on 20 composed scenes with exact truth, ten minutes by
`mitds compose` (all presets, with silent people's moving lips and off-screen voices), drawn towards the defaults,
lip-motion's more strongly. None of their 13 people is in any composite or hand-labelled clip that mitds is tested
on. Lip-net taught on the same people, so networks that never saw a person judged that person's faces. A third of the
weight lies on the same scenes with two of their voices made one, for diarization takes like voices for one more
often on real footage. On scenes held out the calibration error of speaking is .02 (lip-motion .04)."""

CLEAR_LIPS = 4.0
"""Log odds from which a face's lips clearly speak; a voice whose owner is not seen may then be two people's."""


def fitted(scorer: str) -> FusionConfig:
    """Return the weights fitted for a speaker scorer, or the plain defaults for one that was never fitted."""
    return FITTED.get(scorer, FusionConfig())


def features(shot: ShotEvidence, ownership: Ownership) -> Array:
    """Return features_ITF for the logistic model; NaN in feature 0 where the scorer gave nothing.

    0. the scorer's log odds, clipped to +-6;
    1. log odds that anybody speaks, clipped to -4..0: silence speaks against everybody, sound for nobody;
    2. activity of this identity's voices, by the probability that they are its own;
    3. activity of voices of other faces in view, as far as these look like speaking (lips at rest say that
       two like voices were taken for one), where no own voice is active and no unnamed second voice is heard;
    4. the same where an unnamed second voice is heard;
    5. activity of voices whose owner is out of view, where no own voice is active and the lips are not clear;
    6. the same where the lips clearly speak;
    7. probability that a second voice is heard which diarization could not name.
    """
    active_VT = shot.activity_TV.T.astype(np.float64)
    z_IT = np.clip(shot.logit_IT, -6, 6).astype(np.float64)
    spare_T = shot.overlap_T * np.clip(2 - active_VT.sum(axis=0), 0, 1)
    own_IT = _loudest(ownership.owner_VI.T[:, :, None] * active_VT)
    seen_IT, unseen_T = _elsewhere(active_VT, ownership.owner_VI, z_IT)
    rest_IT, clear_IT = 1 - own_IT, expit(1.5 * (np.nan_to_num(z_IT) - CLEAR_LIPS))
    speech_T = np.clip(logit(shot.speech_T), -4, 0)
    columns = (
        z_IT,
        speech_T,
        own_IT,
        seen_IT * rest_IT * (1 - spare_T),
        seen_IT * rest_IT * spare_T,
        unseen_T * rest_IT * (1 - clear_IT),
        unseen_T * rest_IT * clear_IT,
        spare_T,
    )
    return np.stack([np.broadcast_to(column, z_IT.shape) for column in columns], axis=-1).astype(np.float32)


def _elsewhere(active_VT: Floats, owner_VI: Floats, z_IT: Floats) -> tuple[Floats, Floats]:
    """Return activity of voices explained by other faces in view, seen_IT, and by none in view, unseen_T."""
    in_view_IT = np.isfinite(z_IT)
    speaking_IT = np.where(in_view_IT, expit(np.nan_to_num(z_IT)), 0.0)
    lips_VIT = owner_VI[:, :, None] * speaking_IT
    others_VIT = lips_VIT.sum(axis=1, keepdims=True) - lips_VIT
    hidden_VT = np.clip(1 - owner_VI @ in_view_IT, 0, 1)
    return _loudest((active_VT[:, None] * others_VIT).transpose(1, 0, 2)), _loudest(active_VT * hidden_VT)


def _loudest(value_XVT: Floats) -> Floats:
    """Return the greatest over the voices, the last axis but one; 0 where there is none."""
    loudest: Floats = value_XVT.max(axis=-2, initial=0.0)
    return loudest


def fuse(shot: ShotEvidence, ownership: Ownership, config: FusionConfig) -> Array:
    """Return probability_IT that each identity speaks; NaN where the scorer gave nothing."""
    weights = (
        config.scorer,
        config.speech,
        config.own_voice,
        config.other_face,
        config.other_face_overlap,
        config.out_of_view,
        config.out_of_view_clear,
        config.unnamed_overlap,
    )
    z_IT = features(shot, ownership) @ np.array(weights, np.float32) + config.bias
    return np.asarray(expit(z_IT), np.float32)
