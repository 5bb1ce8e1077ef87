"""Revises the speaker scorer frame by frame with what is heard: silence, and voices bound to someone else.

A speaker scorer sees half a second of lips and sound; the source knows more. Where nobody speaks, nobody in
view does; where the only voice heard belongs to another face or to nobody in view, moving lips are not speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mitds.annotators.binding.evidence import ShotEvidence, logit
from mitds.manifests.records import Array, Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    """Weights of a logistic model; each feature is explained in `features`.

    The defaults leave the scorer alone except for a push by what is heard.
    """

    bias: float = 0.0
    scorer: float = 1.0
    speech: float = 1.0
    own_voice: float = 1.5
    other_voice: float = -1.5


FITTED: dict[str, FusionConfig] = {}
"""Weights fitted per speaker scorer."""


def fitted(scorer: str) -> FusionConfig:
    """Return the weights fitted for a speaker scorer, or the plain defaults for one that was never fitted."""
    return FITTED.get(scorer, FusionConfig())


def features(shot: ShotEvidence, identities: Sequence[str], bindings: Sequence[Binding]) -> Array:
    """Return features_ITF for the logistic model.

    0. the scorer's log odds, clipped to +-6;
    1. log odds that anybody speaks, clipped to -4..0: silence speaks against everybody, sound for nobody;
    2. activity of the voices bound to this identity, times the binding probability;
    3. activity of voices that belong elsewhere (another face, or off-screen), times their probability,
       where no voice of this identity is active.
    """
    own_IT = np.zeros_like(shot.logit_IT)
    other_IT = np.zeros_like(shot.logit_IT)
    for v, binding in enumerate(bindings):
        heard_T = shot.activity_TV[:, v] * binding.probability
        for i, identity in enumerate(identities):
            if binding.identity == identity:
                own_IT[i] = np.maximum(own_IT[i], heard_T)
            elif not binding.abstained:
                other_IT[i] = np.maximum(other_IT[i], heard_T)
    speech_T = np.clip(logit(shot.speech_T), -4, 0)
    return np.stack(
        [
            np.clip(shot.logit_IT, -6, 6),
            np.broadcast_to(speech_T, shot.logit_IT.shape),
            own_IT,
            other_IT * (1 - own_IT),
        ],
        axis=-1,
    ).astype(np.float32)


def fuse(
    shot: ShotEvidence, identities: Sequence[str], bindings: Sequence[Binding], config: FusionConfig
) -> Array:
    """Return probability_IT that each identity speaks; NaN where the scorer gave nothing."""
    weights = np.array([config.scorer, config.speech, config.own_voice, config.other_voice], np.float32)
    z_IT = features(shot, identities, bindings) @ weights + config.bias
    return np.asarray(1 / (1 + np.exp(-z_IT)), np.float32)
