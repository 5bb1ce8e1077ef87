"""Whether speech is given to the right face: in each frame, and voice by voice over a whole source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mitds.pipeline.audit.faces import owners
from mitds.pipeline.audit.reliability import Calibration, expected_error
from mitds.pipeline.audit.scenes import Flags, Floats, Ints, Scene, Talk, certain, frames_of, row_of, talk
from mitds.pipeline.audit.statistics import Found, Spec, Sums, shares

FULL_CONFIDENCE = 0.99

_SOLO = "Frames in which one person in view speaks alone"
RIGHT = Spec(
    "binding.right",
    "Speech given to the right face",
    f"{_SOLO}: the face of highest probability is theirs, and the probability is .5 or more.",
    "frames",
)
ARGMAX = Spec(
    "binding.right_argmax",
    "The same, at any probability",
    f"{_SOLO}: the face of highest probability is theirs.",
    "frames",
)
OFFSCREEN = Spec(
    "binding.offscreen_nobody",
    "Off-screen voice given to nobody",
    "Frames in which one person out of view speaks alone: no face has a probability of .5 or more.",
    "frames",
)
VOICE = Spec(
    "binding.voice",
    "Voices bound to the right person",
    "Frames in which one person speaks alone and one voice is labelled that is bound: it is bound to the identity "
    "whose face is that person's, or to nobody if they are never in view.",
    "frames",
)
ABSTAINED = Spec(
    "binding.abstained",
    "Voices left open",
    "Frames in which one person speaks alone and one voice is labelled: the binder left its owner open.",
    "frames",
    "",
)
WRONG_SURE = Spec(
    "binding.wrong_at_full_confidence",
    "Wrong at full confidence",
    "Frames of voices bound with a stated probability of .99 or more: the owner is wrong.",
    "frames",
    "lower",
)
CALIBRATION = Spec(
    "binding.calibration_error",
    "Binding: calibration error",
    "Expected calibration error of the probability of a voice's owner: |stated - true share| in 10 equal bins, "
    "weighted by frames of speech.",
    "frames",
    "lower",
)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the frames of solo speech of one video say.

    Attributes:
        argmax: Frames (parts of frames where faces tie) whose highest face is the speaker's.
        right: The same, at probability .5 or more.
        onscreen: Frames whose only speaker is in view.
        rejected: Frames whose only speaker is out of view, and nobody is said to speak.
        offscreen: Frames whose only speaker is out of view.
    """

    argmax: float = 0.0
    right: float = 0.0
    onscreen: int = 0
    rejected: int = 0
    offscreen: int = 0


@dataclass(frozen=True, slots=True)
class Cases:
    """Frames in which one person speaks alone and one voice is labelled, of all V videos.

    Attributes:
        probability_C: What the binder says of the voice's owner; NaN where it abstained.
        right_C: Whether it is right.
        video_C: Which video.
    """

    probability_C: Floats
    right_C: Flags
    video_C: Ints


def measure_binding(
    scenes: Sequence[Scene],
) -> tuple[list[Found], Calibration, tuple[tuple[float, float], ...]]:
    """Score bindings in every scene whose speech and faces are known.

    Returns:
        Measures, how probabilities came true, and the abstention curve.
    """
    verdicts, cases = [judge(s) for s in scenes], voices(scenes)
    answered_C = np.isfinite(cases.probability_C)
    calibration = Calibration.of(
        cases.probability_C[answered_C], cases.right_C[answered_C], cases.video_C[answered_C], len(scenes)
    )

    def share(hit_C: Flags, of_C: Flags) -> Sums:
        count = [np.bincount(cases.video_C[f], minlength=len(scenes)) for f in (hit_C & of_C, of_C)]
        return shares(list(zip(*(c.tolist() for c in count), strict=True)))

    sure_C = answered_C & (np.nan_to_num(cases.probability_C) >= FULL_CONFIDENCE)
    error = Sums(calibration.sums_VB3.reshape(len(scenes), -1), calibration.cases_V, expected_error)
    found = [
        Found(RIGHT, shares([(v.right, v.onscreen) for v in verdicts])),
        Found(ARGMAX, shares([(v.argmax, v.onscreen) for v in verdicts])),
        Found(OFFSCREEN, shares([(v.rejected, v.offscreen) for v in verdicts])),
        Found(VOICE, share(cases.right_C, answered_C)),
        Found(ABSTAINED, share(~answered_C, np.ones(len(answered_C), np.bool_))),
        Found(WRONG_SURE, share(~cases.right_C, sure_C)),
        Found(CALIBRATION, error),
    ]
    return found, calibration, abstention(cases)


def judge(scene: Scene) -> Verdicts:
    """Look at each frame in which one person speaks alone, among those with a true or a labelled face."""
    truth, faces = scene.truth, scene.labels.faces
    if truth.faces is None or not truth.speech:
        return Verdicts()
    frame_F = certain(truth, np.union1d(truth.faces.frame_R, faces.frame_P))
    heard = talk(truth.speech, frame_F, float(truth.fps))
    argmax, right, onscreen, rejected, offscreen = 0.0, 0.0, 0, 0, 0
    for frame, voice in zip(frame_F, heard.solo_F, strict=True):
        if voice < 0:
            continue
        row = row_of(truth.faces, int(frame), heard.voices[voice])
        first, end = np.searchsorted(faces.frame_P, [frame, frame + 1])
        score_P = faces.score_P[first:end]
        loud = bool((score_P >= 0).any())
        if row is None:
            offscreen, rejected = offscreen + 1, rejected + (not loud and not scene.missing)
            continue
        top = first + np.flatnonzero(score_P == score_P.max(initial=-np.inf))
        hit = float(scene.pair_R[row] in top) / max(1, len(top))
        onscreen, argmax, right = onscreen + 1, argmax + hit, right + hit * loud
    return Verdicts(argmax, right, onscreen, rejected, offscreen)


def voices(scenes: Sequence[Scene]) -> Cases:
    """Judge the binding of the labelled voice in each frame in which one person speaks alone."""
    parts = [_voices(scene) for scene in scenes]
    return Cases(
        np.concatenate([np.zeros(0), *(p for p, _ in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(r for _, r in parts)]),
        np.repeat(np.arange(len(parts)), [len(p) for p, _ in parts]).astype(np.int64),
    )


def _voices(scene: Scene) -> tuple[Floats, Flags]:
    truth, labels = scene.truth, scene.labels
    if truth.faces is None or not truth.speech:
        return np.zeros(0), np.zeros(0, np.bool_)
    frame_F = certain(truth, frames_of(truth))
    heard, said = talk(truth.speech, frame_F, float(truth.fps)), talk(labels.turns, frame_F, float(truth.fps))
    shown = set(truth.faces.person_R)
    # Where faces are labelled in passages only, somebody who is in none of them may still be seen elsewhere.
    judged_V = np.array([truth.regions is None or v in shown for v in heard.voices], np.bool_)
    true_F, said_F = heard.solo_F, _only(said)
    both = np.flatnonzero((true_F >= 0) & (said_F >= 0))
    both = both[judged_V[true_F[both]]]
    answers = _answers(scene)
    given = [answers.get(said.voices[v], (float("nan"), None)) for v in said_F[both]]
    people = [heard.voices[v] for v in true_F[both]]
    wanted = [person if person in shown else "" for person in people]
    right = [owner == person for (_, owner), person in zip(given, wanted, strict=True)]
    return np.array([p for p, _ in given], np.float64), np.array(right, np.bool_)


def _only(said: Talk) -> Ints:
    """Return the one voice that is labelled in each frame, -1 where none or several are."""
    if not said.voices:
        return np.full(said.active_VF.shape[1], -1, np.int64)
    alone_F = said.active_VF.sum(axis=0) == 1
    return np.where(alone_F, said.active_VF.argmax(axis=0), -1).astype(np.int64)


def _answers(scene: Scene) -> dict[str, tuple[float, str | None]]:
    """Return by voice the stated probability and the true person whose face it was bound to; "" is nobody.

    Voices that were left open are not there. An identity that shows no true person belongs to None.
    """
    people = owners(scene.labels.faces.identity_P, scene)
    person_of = {scene.labels.identities[k]: person for k, (person, _) in people.items()}
    bound = [b for b in scene.labels.bindings if not b.abstained]
    return {b.voice: (b.probability, "" if b.identity is None else person_of.get(b.identity)) for b in bound}


def abstention(cases: Cases) -> tuple[tuple[float, float], ...]:
    """Return (share answered, share right of those) at each stated probability, from all answers to the surest."""
    answered_C = np.isfinite(cases.probability_C)
    points = []
    for least in np.unique(cases.probability_C[answered_C]):
        taken_C = answered_C & (cases.probability_C >= least)
        points.append((float(taken_C.mean()), float(cases.right_C[taken_C].mean())))
    return tuple(points)
