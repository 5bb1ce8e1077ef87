"""Binds diarized voices to face identities over a whole source, with a probability and the right to abstain.

While a voice speaks alone, every face in view is for or against being its owner: the speaker scorer's log
odds are summed. Neighbouring frames repeat each other, so the sum is divided by the number of frames that
carry one independent look. "Off-screen" competes as a further owner that neither gains nor loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mitds.annotators.binding.evidence import ACTIVE, ShotEvidence
from mitds.manifests.records import Array, Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class BinderConfig:
    """Settings of the binder.

    Attributes:
        frames_per_look: Frames that carry one independent look at a face (.5 s at 25 fps).
        max_logit: Log odds of a single frame are clipped to this, so that no frame decides alone.
        offscreen_logit: Head start of the off-screen owner.
        min_probability: Below it the binder abstains.
        min_evidence_s: With fewer seconds of solo speech in front of a face it abstains.
        max_overlap_s: Two voices heard together for longer cannot both belong to one face.
    """

    frames_per_look: float = 12.0
    max_logit: float = 3.0
    offscreen_logit: float = 0.0
    min_probability: float = 0.7
    min_evidence_s: float = 0.4
    max_overlap_s: float = 0.5


def bind(
    evidence: Sequence[ShotEvidence],
    identities: Sequence[str],
    voices: Sequence[str],
    config: BinderConfig = BinderConfig(),
) -> list[Binding]:
    """Return one binding per voice, in the order of `voices`."""
    support_VI, frames_VI = _support(evidence, len(identities), len(voices), config)
    bindings = [
        _judge(voice, support_VI[v], frames_VI[v], identities, config) for v, voice in enumerate(voices)
    ]
    return _resolve_conflicts(bindings, _overlap_s(evidence, len(voices)), voices, config)


def _support(
    evidence: Sequence[ShotEvidence], n_identities: int, n_voices: int, config: BinderConfig
) -> tuple[Array, Array]:
    """Sum clipped log odds, and count frames, of each identity during each voice's solo speech."""
    support = np.zeros((n_voices, n_identities), np.float32)
    frames = np.zeros((n_voices, n_identities), np.float32)
    for shot in evidence:
        active_TV = shot.activity_TV > ACTIVE
        solo_T = active_TV.sum(axis=1) == 1
        seen_IT = np.isfinite(shot.logit_IT)
        clipped_IT = np.where(seen_IT, np.clip(shot.logit_IT, -config.max_logit, config.max_logit), 0.0)
        solo_TV = (active_TV & solo_T[:, None]).astype(np.float32)
        support += (clipped_IT @ solo_TV).T / config.frames_per_look
        frames += (seen_IT.astype(np.float32) @ solo_TV).T
    return support, frames


def _judge(
    voice: str, support_I: Array, frames_I: Array, identities: Sequence[str], config: BinderConfig
) -> Binding:
    """Weigh all identities and the off-screen owner against each other."""
    logits = np.append(np.where(frames_I > 0, support_I, -np.inf), config.offscreen_logit).astype(np.float64)
    posterior = np.exp(logits - logits.max())
    posterior /= posterior.sum()
    best = int(posterior.argmax())
    offscreen = best == len(identities)
    evidence_s = float((frames_I.max() if frames_I.size else 0.0) if offscreen else frames_I[best]) / 25
    unsure = posterior[best] < config.min_probability or evidence_s < config.min_evidence_s
    return Binding(
        identity=None if offscreen or unsure else identities[best],
        voice=voice,
        probability=float(posterior[best]),
        abstained=bool(unsure),
        evidence_s=evidence_s,
    )


def _overlap_s(evidence: Sequence[ShotEvidence], n_voices: int) -> Array:
    """Seconds for which each two voices are heard together."""
    total = np.zeros((n_voices, n_voices), np.float32)
    for shot in evidence:
        active = (shot.activity_TV > ACTIVE).astype(np.float32)
        total += active.T @ active / 25
    return total


def _resolve_conflicts(
    bindings: list[Binding], overlap_VV: Array, voices: Sequence[str], config: BinderConfig
) -> list[Binding]:
    """Where two simultaneous voices claim one face, the better supported keeps it and the other abstains.

    Voices that are never heard together may share a face: diarization splits one voice into two more often
    than one face speaks with two.
    """
    resolved = list(bindings)
    order = sorted(range(len(voices)), key=lambda v: (-bindings[v].probability, -bindings[v].evidence_s, v))
    owners: dict[str, list[int]] = {}
    for v in order:
        identity = bindings[v].identity
        if identity is None:
            continue
        if any(overlap_VV[v, w] > config.max_overlap_s for w in owners.get(identity, [])):
            resolved[v] = replace(bindings[v], identity=None, abstained=True)
        else:
            owners.setdefault(identity, []).append(v)
    return resolved
