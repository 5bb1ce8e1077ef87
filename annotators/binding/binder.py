"""Which face owns which voice of a source: one posterior over all pairings, with the right to abstain.

The model, in natural logarithms:

- While a voice talks alone, and no other within half a second, each half second of a face in view is one look: a
  speaker scorer sees that far, so that next to another voice it scores that voice too. A look weighs by the scorer's
  mean log odds, less what the same face scores while *others* talk (lips that always move say little) where
  that is above zero. Looks during one voice share their errors: n of them weigh as much as sqrt(n) alone.
- A look at which a face is out of view speaks against it by `unseen`: editors show who speaks. A person out of
  view throughout stays possible, and so does "nobody in the picture", whose odds are `nobody`.
- A voice has at most one face. A face has one voice: a second costs `again`, for diarization may take one person
  for two. The published probabilities are the marginals of this matching. What a face scores while others talk
  depends on whose the voices are, so both are found by turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from mitds.annotators.binding.evidence import ACTIVE, ShotEvidence
from mitds.annotators.binding.matching import matching_marginals
from mitds.manifests.records import Binding
from mitds.time import CLIP_FPS

Floats = NDArray[np.float64]

TURNS = 8
"""Times that resting scores and owners are found by turns; they settle within four or five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BinderConfig:
    """Settings of the binder.

    Attributes:
        frames_per_look: Frames that carry one look at a face (half a second at 25 fps).
        apart: Frames nearer than this to another voice's speech carry no look.
        max_logit: Log odds of a single frame are clipped to this, so that no frame decides alone.
        trust: What a single look weighs; at 1 its log odds would be taken at their word.
        lift: Added to the log odds of a look: that somebody talks alone makes each face likelier to be it.
        resting: What a face is expected to score while others talk.
        resting_looks: Looks that this expectation weighs.
        unseen: What a look at which a face is out of view costs it.
        nobody: Log odds that a voice belongs to nobody in the picture, against any one face.
        again: What a further voice costs a face.
        min_probability: Below it the binder abstains.
        min_evidence_s: With fewer seconds of speech, no other voice near, in front of a face it abstains.
    """

    frames_per_look: float = 12.5
    apart: int = 12
    max_logit: float = 8.0
    trust: float = 0.6
    lift: float = 0.0
    resting: float = -3.0
    resting_looks: float = 3.0
    unseen: float = 0.75
    nobody: float = -1.25
    again: float = 3.0
    min_probability: float = 0.8
    min_evidence_s: float = 0.4


FITTED: dict[str, BinderConfig] = {
    "lip-motion": BinderConfig(lift=1.0, again=20.0),
    "lip-net": BinderConfig(lift=0.75, trust=0.7),
    "lr-asd": BinderConfig(again=20.0),
    "lr-asd-lip-net": BinderConfig(lift=1.0),
}
"""Settings by speaker scorer. The lift brings the mean log odds of speaking faces about as far above zero as those of
listening ones lie below. Lift, trust, unseen, nobody and again were chosen for the likelihood of the true owners
on composed scenes of other people than any test shows (see `fusion.FITTED`), drawn towards round values; answers
come true there about as often as they say. Two scorers take lips that move for lips that fit, so that a voice from
off screen looks like a second voice of the face in view: with them a face has one voice only."""


def fitted_binder(scorer: str) -> BinderConfig:
    """Return the settings for a speaker scorer, or the defaults."""
    return FITTED.get(scorer, BinderConfig())


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose the voices of a source are.

    Attributes:
        owner_VI: Probability that voice v belongs to identity i.
        nobody_V: Probability that it belongs to nobody in the picture; rows sum to 1 with it.
        seen_VI: Seconds of the voice's speech, no other voice near, with the face in view.
    """

    owner_VI: Floats
    nobody_V: Floats
    seen_VI: Floats


def own(
    evidence: Sequence[ShotEvidence],
    identities: int,
    voices: int,
    config: BinderConfig = BinderConfig(),
) -> Ownership:
    """Find the owners of `voices` voices among `identities` faces."""
    mean_VI, look_VI, solo_V = _looks(evidence, identities, voices, config)
    weight_VI, away_VI = _weight(look_VI, config), _weight(solo_V[:, None] - look_VI, config)
    owner_VI, nobody_V = np.zeros((voices, identities)), np.ones(voices)
    for _ in range(TURNS):
        resting_VI = _resting(mean_VI, weight_VI * (1 - owner_VI), config)
        odds_VI = weight_VI * (mean_VI + config.lift - np.maximum(0, resting_VI)) - config.unseen * away_VI
        owner_VI, nobody_V = matching_marginals(odds_VI, config.nobody, config.again)
    seconds = config.frames_per_look / float(CLIP_FPS)
    return Ownership(owner_VI, nobody_V, look_VI * seconds)


def _looks(
    evidence: Sequence[ShotEvidence], identities: int, voices: int, config: BinderConfig
) -> tuple[Floats, Floats, Floats]:
    """Return mean log odds and looks of each face while each voice is heard clearly, and that speech in looks."""
    total_VI, frame_VI = np.zeros((voices, identities)), np.zeros((voices, identities))
    solo_V = np.zeros(voices)
    for shot in evidence:
        solo_TV = _clear(shot.activity_TV > ACTIVE, config.apart)
        seen_IT = np.isfinite(shot.logit_IT)
        clipped_IT = np.where(seen_IT, np.clip(shot.logit_IT, -config.max_logit, config.max_logit), 0.0)
        total_VI += (clipped_IT @ solo_TV).T
        frame_VI += (seen_IT.astype(np.float64) @ solo_TV).T
        solo_V += solo_TV.sum(axis=0)
    look = config.frames_per_look
    return total_VI / np.maximum(frame_VI, 1), frame_VI / look, solo_V / look


def _clear(active_TV: NDArray[np.bool_], apart: int) -> Floats:
    """Return 1 where a voice talks and no other does within `apart` frames, else 0."""
    near_TV = maximum_filter1d(active_TV.astype(np.uint8), 2 * apart + 1, axis=0, mode="constant")
    clear_TV: Floats = (active_TV & (near_TV.sum(axis=1, keepdims=True) == 1)).astype(np.float64)
    return clear_TV


def _weight(look_VI: Floats, config: BinderConfig) -> Floats:
    """Return what so many looks during one voice weigh."""
    weight_VI: Floats = config.trust * look_VI / np.sqrt(np.maximum(look_VI, 1))
    return weight_VI


def _resting(mean_VI: Floats, weight_VI: Floats, config: BinderConfig) -> Floats:
    """Return what each face scores while voices other than v talk, as far as they are not its own."""
    weighted_VI = weight_VI * mean_VI
    total_VI = weighted_VI.sum(axis=0) - weighted_VI + config.resting_looks * config.resting
    resting_VI: Floats = total_VI / (weight_VI.sum(axis=0) - weight_VI + config.resting_looks)
    return resting_VI


def bindings_of(
    ownership: Ownership, identities: Sequence[str], voices: Sequence[str], config: BinderConfig
) -> list[Binding]:
    """Return one binding per voice, in the order of `voices`: its most probable owner, or an abstention."""
    return [_judge(v, voice, ownership, identities, config) for v, voice in enumerate(voices)]


def _judge(
    v: int, voice: str, ownership: Ownership, identities: Sequence[str], config: BinderConfig
) -> Binding:
    probability_J = np.append(ownership.owner_VI[v], ownership.nobody_V[v])
    best = int(probability_J.argmax())
    nobody = best == len(identities)
    seen_I = ownership.seen_VI[v]
    evidence_s = float(seen_I.max(initial=0.0) if nobody else seen_I[best])
    unsure = probability_J[best] < config.min_probability or evidence_s < config.min_evidence_s
    return Binding(
        identity=None if nobody or unsure else identities[best],
        voice=voice,
        probability=float(probability_J[best]),
        abstained=bool(unsure),
        evidence_s=evidence_s,
    )
