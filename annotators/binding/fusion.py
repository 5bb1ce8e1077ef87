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

    `clear_lips` is no weight: from these log odds on, a face's lips outweigh a voice that is bound elsewhere.

    The defaults leave the scorer alone except for a push by what is heard.
    """

    bias: float = 0.0
    scorer: float = 1.0
    speech: float = 1.0
    own_voice: float = 1.5
    other_voice: float = -1.5
    doubtful_voice: float = 0.0
    clear_lips: float = 4.0


FITTED: dict[str, FusionConfig] = {
    "lr-asd": FusionConfig(bias=-1.0, scorer=0.7, speech=0.5, own_voice=2.3, other_voice=-2.5),
    "lr-asd-lips": FusionConfig(bias=-0.5, scorer=0.8, speech=0.4, own_voice=1.9, other_voice=-2.0),
    "lip-motion": FusionConfig(bias=0.7, scorer=0.81, speech=0.58, own_voice=2.1, other_voice=-1.2),
}
"""Weights by speaker scorer: logistic regression on two composed conversations with exact truth (three and
four people, 100 s), then drawn towards the scorer for LR-ASD: diarization takes like voices for one more often
on real footage than on composites, so lips that clearly speak must outweigh a voice bound elsewhere."""


def fitted(scorer: str) -> FusionConfig:
    """Return the weights fitted for a speaker scorer, or the plain defaults for one that was never fitted."""
    return FITTED.get(scorer, FusionConfig())


def features(
    shot: ShotEvidence, identities: Sequence[str], bindings: Sequence[Binding], clear_lips: float = 4.0
) -> Array:
    """Return features_ITF for the logistic model.

    0. the scorer's log odds, clipped to +-6;
    1. log odds that anybody speaks, clipped to -4..0: silence speaks against everybody, sound for nobody;
    2. activity of the voices bound to this identity, times the binding probability;
    3. activity of voices that belong elsewhere (another face, or off-screen), times their probability,
       where no voice of this identity is active and the scorer's log odds stay below `clear_lips`: two
       people who talk over each other often come out of diarization as one voice;
    4. activity of voices whose owner the binder left open, where no voice of this identity is active.
    """
    own_IT = np.zeros_like(shot.logit_IT)
    other_IT = np.zeros_like(shot.logit_IT)
    doubtful_T = np.zeros_like(shot.speech_T)
    for v, binding in enumerate(bindings):
        heard_T = shot.activity_TV[:, v] * binding.probability
        if binding.abstained:
            doubtful_T = np.maximum(doubtful_T, shot.activity_TV[:, v])
            continue
        elsewhere_T = heard_T * _plausible(shot, identities, binding)
        for i, identity in enumerate(identities):
            if binding.identity == identity:
                own_IT[i] = np.maximum(own_IT[i], heard_T)
            else:
                other_IT[i] = np.maximum(other_IT[i], elsewhere_T)
    speech_T = np.clip(logit(shot.speech_T), -4, 0)
    return np.stack(
        [
            np.clip(shot.logit_IT, -6, 6),
            np.broadcast_to(speech_T, shot.logit_IT.shape),
            own_IT,
            other_IT * (1 - own_IT) * _unclear(shot.logit_IT, clear_lips),
            doubtful_T * (1 - own_IT),
        ],
        axis=-1,
    ).astype(np.float32)


def _plausible(shot: ShotEvidence, identities: Sequence[str], binding: Binding) -> Array:
    """Say how far a voice's owner, where in view, looks like speaking, 0..1; 1 where out of view.

    Diarization takes two like voices for one; lips at rest say that the voice is somebody else's this time.
    """
    if binding.identity is None:
        return np.ones_like(shot.speech_T)
    seen_T = shot.logit_IT[identities.index(binding.identity)]
    return np.asarray(np.where(np.isnan(seen_T), 1.0, 1 / (1 + np.exp(-np.nan_to_num(seen_T)))), np.float32)


def _unclear(logit_IT: Array, clear_lips: float) -> Array:
    """Fall from 1 to 0 around `clear_lips`."""
    return np.asarray(1 / (1 + np.exp(1.5 * (np.nan_to_num(logit_IT) - clear_lips))), np.float32)


def fuse(
    shot: ShotEvidence, identities: Sequence[str], bindings: Sequence[Binding], config: FusionConfig
) -> Array:
    """Return probability_IT that each identity speaks; NaN where the scorer gave nothing."""
    weights = np.array(
        [config.scorer, config.speech, config.own_voice, config.other_voice, config.doubtful_voice],
        np.float32,
    )
    z_IT = features(shot, identities, bindings, config.clear_lips) @ weights + config.bias
    return np.asarray(1 / (1 + np.exp(-z_IT)), np.float32)
