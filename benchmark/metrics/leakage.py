"""Leakage: do the mouths of listeners keep still while somebody else speaks?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.speaking import Scorer, audible, judgeable_NT, speaking
from mitds.benchmark.metrics.talk import SHORTEST, listening_NT, undefined, worst_if_absent
from mitds.manifests.records import Array


class LeakageLipMotion:
    """Speaking probability on listening time, by the project's own lip-motion scorer.

    A frozen picture leaks nothing and scores perfectly here: it pays for that in binding, lag, motion and
    listener metrics, and only the aggregate of all axes ranks systems.
    """

    card: ClassVar[Card] = Card(
        id="leakage.lip-motion@1",
        title="Leakage (lips)",
        says="Mean speaking probability of a person's face while somebody else speaks and the person is silent; "
        "by lip motion, of faces from 48 px.",
        better="lower",
        needs="scene",
        bounds=(0.0, 1.0),
        floor="always-talking",
        axis="silence",
        tolerance=1e-3,
        weights=("faces.yunet", "pose.face_mesh", "speech.segmentation"),
        source="mitds; scorer annotators.asd.lip_motion",
    )
    scorer: ClassVar[Scorer] = "lip-motion"

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score for each person.

        A face that the output does not show counts as speaking (1), as it cannot be shown to be silent. Persons
        who listen for less than 0.6 s of what the real footage lets be judged are undefined.
        """
        if scene.clip is None or not scene.clip.persons or not audible(scene):
            return [undefined("no labels or no sound")]
        real_NT = speaking(scene, scene.real, self.scorer).probability_NT
        asked_NT = listening_NT(scene.clip) & judgeable_NT(scene, real_NT, self.scorer)
        seen_NT = speaking(scene, generated, self.scorer).probability_NT
        return [_leak(seen_NT[n, asked_T], n) for n, asked_T in enumerate(asked_NT)]


class LeakageLrAsd(LeakageLipMotion):
    """The same by LR-ASD."""

    card: ClassVar[Card] = Card(
        id="leakage.lr-asd@1",
        title="Leakage (LR-ASD)",
        says="Mean speaking probability of a person's face while somebody else speaks and the person is silent; "
        "by LR-ASD.",
        better="lower",
        needs="scene",
        bounds=(0.0, 1.0),
        floor="always-talking",
        tolerance=1e-3,
        weights=("faces.yunet", "asd.lr_asd"),
        source="mitds; scorer: Liao et al., LR-ASD, as annotators.asd.lr_asd runs it",
    )
    scorer: ClassVar[Scorer] = "lr-asd"


def _leak(probability_T: Array, n: int) -> Score:
    """Reduce one person's scores on listening time."""
    if len(probability_T) < SHORTEST:
        return undefined("listens for less than 0.6 s with the face in view", n)
    absent = int(np.isnan(probability_T).sum())
    if absent == len(probability_T):
        return Score(value=None, status="no_face", person=n)
    value = float(worst_if_absent(probability_T, 1.0).mean())
    return Score(value=value, person=n, n=len(probability_T), detail={"absent": absent})
