"""Binds diarized voices to face identities over a whole source, with a probability and the right to abstain.

While a voice speaks alone, every face in view is for or against being its owner: the speaker scorer's log
odds are summed. Neighbouring frames repeat each other, so the sum is divided by the number of frames that
carry one independent look. "Off-screen" competes as a further owner that neither gains nor loses. Moving lips
under somebody else's voice fool any scorer: where several voices claim one face, the best fitting one has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.binding.evidence import ACTIVE, ShotEvidence
from mitds.manifests.records import Array, Binding
from mitds.time import CLIP_FPS


@dataclass(frozen=True, slots=True, kw_only=True)
class BinderConfig:
    """Settings of the binder.

    Attributes:
        frames_per_look: Frames that carry one independent look at a face (1 s at 25 fps).
        max_logit: Log odds of a single frame are clipped to this, so that no frame decides alone.
        offscreen_logit: Head start of the off-screen owner.
        min_probability: Below it the binder abstains.
        min_evidence_s: With fewer seconds of solo speech in front of a face it abstains.
        clearly_weaker: Where two voices claim one face, the weaker is somebody else's if its mean log odds
            lie this much below the stronger's; nearer ones may be one person's voice heard as two: it abstains.
    """

    frames_per_look: float = 25.0
    max_logit: float = 6.0
    offscreen_logit: float = 0.0
    min_probability: float = 0.8
    min_evidence_s: float = 0.4
    clearly_weaker: float = 0.4


@dataclass(frozen=True, slots=True)
class _Claims:
    """What speaks for each voice v belonging to each identity i.

    Attributes:
        support_VI: Log odds summed over the voice's solo speech, in independent looks.
        frames_VI: Frames of solo speech with the face in view.
        strength_VI: Mean log odds a frame; 0 where never in view.
    """

    support_VI: Array
    frames_VI: Array
    strength_VI: Array


def bind(
    evidence: Sequence[ShotEvidence],
    identities: Sequence[str],
    voices: Sequence[str],
    config: BinderConfig = BinderConfig(),
) -> list[Binding]:
    """Return one binding per voice, in the order of `voices`; a face has at most one voice."""
    claims = _claims(evidence, len(identities), len(voices), config)
    free = np.ones((len(voices), len(identities)), bool)
    bindings = [_judge(v, free[v], 1.0, claims, identities, voices, config) for v in range(len(voices))]
    for i, identity in enumerate(identities):
        rivals = [v for v, b in enumerate(bindings) if b.identity == identity]
        if len(rivals) > 1:
            winner = max(rivals, key=lambda v: (claims.strength_VI[v, i], claims.support_VI[v, i], -v))
            for v in (r for r in rivals if r != winner):
                free[v, i] = False
                taken = bindings[winner].probability
                bindings[v] = _judge(v, free[v], taken, claims, identities, voices, config)
                if claims.strength_VI[winner, i] - claims.strength_VI[v, i] < config.clearly_weaker:
                    bindings[v] = replace(bindings[v], identity=None, abstained=True)
    return bindings


def _claims(
    evidence: Sequence[ShotEvidence], n_identities: int, n_voices: int, config: BinderConfig
) -> _Claims:
    """Sum clipped log odds, and count frames, of each identity during each voice's solo speech."""
    total = np.zeros((n_voices, n_identities), np.float32)
    frames = np.zeros((n_voices, n_identities), np.float32)
    for shot in evidence:
        active_TV = shot.activity_TV > ACTIVE
        solo_T = active_TV.sum(axis=1) == 1
        seen_IT = np.isfinite(shot.logit_IT)
        clipped_IT = np.where(seen_IT, np.clip(shot.logit_IT, -config.max_logit, config.max_logit), 0.0)
        solo_TV = (active_TV & solo_T[:, None]).astype(np.float32)
        total += (clipped_IT @ solo_TV).T
        frames += (seen_IT.astype(np.float32) @ solo_TV).T
    strength = (total / np.maximum(frames, 1)).astype(np.float32)
    return _Claims(total / config.frames_per_look, frames, strength)


def _judge(
    voice: int,
    free_I: NDArray[np.bool_],
    condition: float,
    claims: _Claims,
    identities: Sequence[str],
    voices: Sequence[str],
    config: BinderConfig,
) -> Binding:
    """Weigh the identities that are free and the off-screen owner against each other.

    `condition` is the probability of what made the others unfree; it bounds the result's.
    """
    frames_I = claims.frames_VI[voice]
    possible_I = (frames_I > 0) & free_I
    logits = np.append(np.where(possible_I, claims.support_VI[voice], -np.inf), config.offscreen_logit)
    posterior = np.exp(logits.astype(np.float64) - logits.max())
    posterior *= condition / posterior.sum()
    best = int(posterior.argmax())
    offscreen = best == len(identities)
    evidence_s = float(frames_I.max(initial=0.0) if offscreen else frames_I[best]) / float(CLIP_FPS)
    unsure = posterior[best] < config.min_probability or evidence_s < config.min_evidence_s
    return Binding(
        identity=None if offscreen or unsure else identities[best],
        voice=voices[voice],
        probability=float(posterior[best]),
        abstained=bool(unsure),
        evidence_s=evidence_s,
    )
