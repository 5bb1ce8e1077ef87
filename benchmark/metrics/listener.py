"""How people move while they listen, against how the real ones do.

Everything is measured on a person's listening time: frames on which somebody else speaks and this person does not.
Head pose and expression are those of `judges.face_motion`. Values are distances to the real footage, as generated
listeners may also move too much: neither more motion nor less is better by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.face_motion import Kind, Signal
from mitds.benchmark.metrics.listener_watch import Watched, Window, watch, window
from mitds.benchmark.metrics.talk import SHORTEST, undefined
from mitds.manifests.turns import Mask

NOISE = 1e-6
"""Variance that counts as none, in squared face units or radians, of levels and of steps alike. Coding alone moves a
frozen face about so much: H.264 at crf 23, 16 faces of 21 to 92 px between the outer corners of the eyes: median
3e-6 of levels and 3e-7 of steps; at crf 12, 2e-7 and 3e-8. Real faces that move at all: 2e-5 and 7e-6 or more."""
WEIGHTS = ("pose.face_mesh",)


def interactivity(eyes_TK2: Signal, frames_T: Mask) -> float:
    """Return the mean displacement |dx| + |dy| of points between neighbouring frames; 0 where there are none.

    Args:
        eyes_TK2: Aligned points, px of the canvas.
        frames_T: Frames that count; a step counts where both its frames do.
    """
    steps_TK2 = _steps(eyes_TK2, frames_T)
    return float(np.abs(steps_TK2).sum(axis=2).mean()) if len(steps_TK2) else 0.0


def variance(values_TD: Signal, frames_T: Mask) -> float:
    """Return the variance over time, averaged over the parameters."""
    return float(values_TD[frames_T].var(axis=0).mean())


def step_variance(values_TD: Signal, frames_T: Mask) -> float:
    """Return the mean square of the steps between neighbouring frames, averaged over the parameters."""
    steps_TD = _steps(values_TD, frames_T)
    return float((steps_TD**2).mean()) if len(steps_TD) else 0.0


def _steps(values_T: Signal, frames_T: Mask) -> Signal:
    return np.asarray(np.diff(values_T, axis=0)[frames_T[1:] & frames_T[:-1]])


def disparity(generated: float, real: float) -> float:
    """Return 1 - the smaller of two variances over the larger, 0..1; `NOISE` is added to both.

    0 for equal ones, near 1 for a frozen face against a moving one, 0 for two frozen ones.
    """
    low, high = sorted((generated + NOISE, real + NOISE))
    return 1 - low / high


def pcc(left_TD: Signal, right_TD: Signal) -> Signal:
    """Return Pearson's correlation of each parameter, with `NOISE` added to the variances: 0 for still signals.

    Args:
        left_TD: One person's parameters.
        right_TD: Another's, on the same frames; fewer than two frames correlate with nothing.
    """
    if len(left_TD) < 2:
        return np.zeros(left_TD.shape[1])
    left_TD, right_TD = left_TD - left_TD.mean(axis=0), right_TD - right_TD.mean(axis=0)
    both_D = (left_TD * right_TD).mean(axis=0)
    each_D = ((left_TD**2).mean(axis=0) + NOISE) * ((right_TD**2).mean(axis=0) + NOISE)
    return np.asarray(both_D / np.sqrt(each_D))


Measure = Callable[[Watched, Window], tuple[float, dict[str, float]]]


def _scores(people: Sequence[Watched], windows: Sequence[Window | None], measure: Measure) -> list[Score]:
    """Measure each person over a window; what cannot be measured says why."""
    if not people:
        return [undefined("no labels")]
    return [_score(*pair, measure) for pair in zip(people, windows, strict=True)]


def _score(who: Watched, frames: Window | None, measure: Measure) -> Score:
    if frames is None:
        return undefined("listens for less than 0.6 s with the face in view", who.person)
    if frames.absent:
        return Score(value=None, status="no_face", person=who.person, n=int(frames.real_T.sum()))
    value, detail = measure(who, frames)
    return Score(value=value, person=who.person, n=int(frames.generated_T.sum()), detail=detail)


class Interactivity:
    """Motion of eyes and brows while listening."""

    card: ClassVar[Card] = Card(
        id="interactivity.mesh-eyes@1",
        title="Interactivity",
        says="Difference to the real listener in how far 22 points of eyes and brows move from frame to frame "
        "(|dx| + |dy|, head motion taken out, on a face of 256 px), over each person's listening time.",
        unit="px",
        better="lower",
        needs="scene",
        bounds=(0.0, None),
        floor="copy",
        tolerance=1e-2,
        weights=WEIGHTS,
        source="AnyTalker (arXiv 2511.23475), as a distance to real: generated faces exceed real ones there",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Measure each listener; `detail` has the published value of both, to be pooled by frames `n`."""
        people = watch(scene, generated)
        return _scores(people, [window(who) for who in people], self._measure)

    @staticmethod
    def _measure(who: Watched, frames: Window) -> tuple[float, dict[str, float]]:
        real = interactivity(who.real.eyes_TK2, frames.real_T)
        generated = interactivity(who.generated.eyes_TK2, frames.generated_T)
        return abs(generated - real), {"real": real, "generated": generated}


class _Var:
    """Amount and speed of a listener's motion."""

    card: ClassVar[Card]
    _kind: ClassVar[Kind]

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Measure each listener; `detail` has the variances of levels (as published) and of steps."""
        people = watch(scene, generated)
        return _scores(people, [window(who) for who in people], self._measure)

    def _measure(self, who: Watched, frames: Window) -> tuple[float, dict[str, float]]:
        real = (who.real.of(self._kind), frames.real_T)
        generated = (who.generated.of(self._kind), frames.generated_T)
        detail = {
            "real": variance(*real),
            "generated": variance(*generated),
            "real_steps": step_variance(*real),
            "generated_steps": step_variance(*generated),
        }
        levels = disparity(detail["generated"], detail["real"])
        steps = disparity(detail["generated_steps"], detail["real_steps"])
        return max(levels, steps), detail


class _Rpcc:
    """How differently a listener moves with those who speak."""

    card: ClassVar[Card]
    _kind: ClassVar[Kind]

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Measure each listener against each other person who speaks meanwhile, and take the mean."""
        people = watch(scene, generated)
        windows = [window(who, self._heard(who, people)) for who in people]
        return _scores(people, windows, lambda who, frames: self._measure(who, frames, people))

    @staticmethod
    def _heard(who: Watched, people: Sequence[Watched]) -> Mask:
        """Return when any other person speaks whose real face shows, of those heard for 0.6 s."""
        heard_MT = [partner_T for _, partner_T in _partners(who, people)]
        return np.asarray(np.any(heard_MT, axis=0)) if heard_MT else np.zeros_like(who.listens_T)

    def _measure(
        self, who: Watched, frames: Window, people: Sequence[Watched]
    ) -> tuple[float, dict[str, float]]:
        real_TD, generated_TD = who.real.of(self._kind), who.generated.of(self._kind)
        real_MD, generated_MD = [], []
        for partner, partner_T in _partners(who, people):
            partner_TD = partner.real.of(self._kind)
            real_T, generated_T = frames.real_T & partner_T, frames.generated_T & partner_T
            real_MD.append(pcc(real_TD[real_T], partner_TD[real_T]))
            generated_MD.append(pcc(generated_TD[generated_T], partner_TD[generated_T]))
        detail = {"real": float(np.mean(real_MD)), "generated": float(np.mean(generated_MD))}
        return float(np.abs(np.subtract(real_MD, generated_MD)).mean()), detail


def _partners(who: Watched, people: Sequence[Watched]) -> list[tuple[Watched, Mask]]:
    """Return the persons whose face shows while they speak to a listener for 0.6 s, and when."""
    others = [p for p in people if p.person != who.person]
    heard = [(p, who.asked_T & p.speaks_T & p.real.known_T) for p in others]
    return [(p, heard_T) for p, heard_T in heard if heard_T.sum() >= SHORTEST]


AVATAR_FORCING = "Avatar Forcing (arXiv 2601.00664), on face-mesh parameters in place of EMOCA's"
EXPRESSION_WORDS, POSE_WORDS = "14 numbers of facial expression", "6 numbers of head pose"
_VAR = (
    "Of {}: how far their variance over each person's listening time, and that of their steps from frame to frame, "
    "is from the real listener's: 1 - smaller/larger, the worse of the two."
)
_RPCC = (
    "Of {}: how much their correlation over time with those of whoever speaks differs between the real listener and "
    "the generated one; mean over the numbers."
)


def _card(metric: str, title: str, says: str, top: float, axis: str = "") -> Card:
    return Card(
        id=metric,
        title=title,
        says=says,
        better="lower",
        needs="scene",
        bounds=(0.0, top),
        floor="copy",
        axis=axis,
        tolerance=1e-2,
        weights=WEIGHTS,
        source=AVATAR_FORCING,
    )


class VarExp(_Var):
    """Amount and speed of facial expression while listening."""

    card: ClassVar[Card] = _card(
        "var-exp.mesh@1", "Var-Exp", _VAR.format(EXPRESSION_WORDS), 1.0, axis="motion"
    )
    _kind: ClassVar[Kind] = "expression"


class VarPose(_Var):
    """Amount and speed of head motion while listening."""

    card: ClassVar[Card] = _card("var-pose.mesh@1", "Var-Pose", _VAR.format(POSE_WORDS), 1.0, axis="motion")
    _kind: ClassVar[Kind] = "pose"


class RpccExp(_Rpcc):
    """Facial expression in step with those who speak."""

    card: ClassVar[Card] = _card("rpcc-exp.mesh@1", "rPCC-Exp", _RPCC.format(EXPRESSION_WORDS), 2.0)
    _kind: ClassVar[Kind] = "expression"


class RpccPose(_Rpcc):
    """Head motion in step with those who speak."""

    card: ClassVar[Card] = _card("rpcc-pose.mesh@1", "rPCC-Pose", _RPCC.format(POSE_WORDS), 2.0)
    _kind: ClassVar[Kind] = "pose"
