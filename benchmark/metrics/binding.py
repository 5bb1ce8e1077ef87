"""Binding: does the right face speak? Each voice's solo speech against every face's active-speaker score."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.speaking import Scorer, audible, judgeable_NT, speaking
from mitds.benchmark.metrics.talk import binding_matrix, listed, solo_NT, undefined, verdict


class BindingLipMotion:
    """Diagonal margin of the voice-by-face matrix, by the project's own lip-motion scorer."""

    card: ClassVar[Card] = Card(
        id="binding.lip-motion@1",
        title="Binding (lips)",
        says="Mean speaking probability of the voice's own face while it is heard alone, less that of the "
        "other face which seems to speak most, averaged over voices; by lip motion, of faces from 48 px.",
        better="higher",
        needs="scene",
        bounds=(-1.0, 1.0),
        floor="wrong-voice",
        axis="binding",
        tolerance=1e-3,
        weights=("faces.yunet", "pose.face_mesh", "speech.segmentation"),
        source="mitds; scorer annotators.asd.lip_motion",
    )
    scorer: ClassVar[Scorer] = "lip-motion"

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score for the item.

        A face that the output does not show gets the worst: 0 under its own voice, 1 under another's, so that
        hiding a face never pays. Frames on which the real footage cannot be judged are left out, and with them
        voices of less than 0.6 s.
        """
        if scene.clip is None or not audible(scene):
            return [undefined("no labels or no sound")]
        real_NT = speaking(scene, scene.real, self.scorer).probability_NT
        asked_NT, alone_NT = judgeable_NT(scene, real_NT, self.scorer), solo_NT(scene.clip)
        if verdict(binding_matrix(real_NT, alone_NT, asked_NT)).margin is None:
            return [undefined("no voice is heard alone for 0.6 s with two faces in view")]
        seen_NT = speaking(scene, generated, self.scorer).probability_NT
        if not np.isfinite(seen_NT[asked_NT]).any():
            return [Score(value=None, status="no_face")]
        matrix_NN = binding_matrix(seen_NT, alone_NT, asked_NT)
        found = verdict(matrix_NN)
        detail = {
            "matrix": listed(matrix_NN),
            "voices": found.voices,
            "accuracy": found.accuracy,
            "assigned": found.assigned,
        }
        return [Score(value=found.margin, n=int(alone_NT[found.voices].sum()), detail=detail)]


class BindingLrAsd(BindingLipMotion):
    """The same by LR-ASD: a second judge, trained on other data in another way."""

    card: ClassVar[Card] = Card(
        id="binding.lr-asd@1",
        title="Binding (LR-ASD)",
        says="Mean speaking probability of the voice's own face while it is heard alone, less that of the "
        "other face which seems to speak most, averaged over voices; by LR-ASD.",
        better="higher",
        needs="scene",
        bounds=(-1.0, 1.0),
        floor="wrong-voice",
        tolerance=1e-3,
        weights=("faces.yunet", "asd.lr_asd"),
        source="mitds; scorer: Liao et al., LR-ASD, as annotators.asd.lr_asd runs it",
    )
    scorer: ClassVar[Scorer] = "lr-asd"
