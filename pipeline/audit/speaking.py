"""Who speaks, face by face and frame by frame, in all frames and in the hard ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mitds.manifests.truth import TruthFaces
from mitds.pipeline.audit.conditions import (
    LARGE,
    LARGE_PX,
    MIDDLE,
    MOVING_LIPS,
    OFFSCREEN,
    OVERLAP,
    SMALL,
    SMALL_PX,
)
from mitds.pipeline.audit.reliability import Calibration, expected_error
from mitds.pipeline.audit.scenes import Flags, Floats, Ints, Scene, talk
from mitds.pipeline.audit.statistics import Found, Ranking, Spec, Sums, f1

AP = Spec(
    "speaking.ap",
    "Who speaks: average precision",
    "Area under precision over recall of true face frames by stated probability; a speaking face that was not "
    "found is never retrieved.",
    "face frames",
)
F1 = Spec(
    "speaking.f1",
    "Who speaks: F1",
    "F1 of speaking at probability .5; a speaking face that was not found is missed.",
    "face frames",
)
BALANCED = Spec(
    "speaking.balanced_accuracy",
    "Who speaks: balanced accuracy",
    "Mean of the share of speaking and the share of silent face frames that are right at probability .5.",
    "face frames",
)
AUC = Spec(
    "speaking.auc",
    "Who speaks: area under ROC",
    "How often a speaking face frame has a higher probability than a silent one, of faces that were found.",
    "face frames",
)
CALIBRATION = Spec(
    "speaking.calibration_error",
    "Speaking: calibration error",
    "Expected calibration error of the probability of speaking: |stated - true share| in 10 equal bins, "
    "weighted by their face frames.",
    "face frames",
    "lower",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All true face rows of all V videos, and which conditions hold for them."""

    video_R: Ints
    speaking_R: Flags
    found_R: Flags
    score_R: Floats
    probability_R: Floats
    missing_R: Flags
    conditions: dict[str, Flags]
    videos: int

    @property
    def said_R(self) -> Flags:
        """Faces said to speak: found, at probability .5 or more."""
        return self.found_R & (self.score_R >= 0)


def measure_speaking(scenes: Sequence[Scene]) -> tuple[list[Found], Calibration]:
    """Score who speaks in every scene whose faces are known."""
    rows = gather(scenes)
    everywhere = np.ones(len(rows.video_R), np.bool_)
    judged = rows.found_R & np.isfinite(rows.probability_R)
    calibration = Calibration.of(
        rows.probability_R[judged], rows.speaking_R[judged], rows.video_R[judged], rows.videos
    )
    parts_VK = calibration.sums_VB3.reshape(rows.videos, -1)
    error = Sums(parts_VK, calibration.cases_V, expected_error)
    conditional = [f for by, where in rows.conditions.items() if where.any() for f in _under(rows, where, by)]
    return [*_under(rows, everywhere, ""), Found(CALIBRATION, error), *conditional], calibration


def gather(scenes: Sequence[Scene]) -> Rows:
    """Put the face rows of all scenes one after the other."""
    known = [(v, s, s.truth.faces) for v, s in enumerate(scenes)]
    parts = [_rows(video, scene, faces, len(scenes)) for video, scene, faces in known if faces is not None]
    names = list(parts[0].conditions) if parts else []
    no_flags, no_numbers = np.zeros(0, np.bool_), np.zeros(0)
    return Rows(
        video_R=np.concatenate([np.zeros(0, np.int64), *(p.video_R for p in parts)]),
        speaking_R=np.concatenate([no_flags, *(p.speaking_R for p in parts)]),
        found_R=np.concatenate([no_flags, *(p.found_R for p in parts)]),
        score_R=np.concatenate([no_numbers, *(p.score_R for p in parts)]),
        probability_R=np.concatenate([no_numbers, *(p.probability_R for p in parts)]),
        missing_R=np.concatenate([no_flags, *(p.missing_R for p in parts)]),
        conditions={name: np.concatenate([p.conditions[name] for p in parts]) for name in names},
        videos=len(scenes),
    )


def _rows(video: int, scene: Scene, true: TruthFaces, videos: int) -> Rows:
    found_R, faces = scene.pair_R >= 0, scene.labels.faces
    score_R, probability_R = np.full(len(found_R), -np.inf), np.full(len(found_R), np.nan)
    score_R[found_R] = faces.score_P[scene.pair_R[found_R]]
    probability_R[found_R] = faces.probability_P[scene.pair_R[found_R]]
    return Rows(
        video_R=np.full(len(found_R), video),
        speaking_R=true.speaking_R,
        found_R=found_R,
        score_R=score_R,
        probability_R=probability_R,
        missing_R=np.full(len(found_R), scene.missing),
        conditions=conditions(scene, true),
        videos=videos,
    )


def conditions(scene: Scene, faces: TruthFaces) -> dict[str, Flags]:
    """Return by condition which true face rows it holds for; what the truth does not tell holds for none."""
    truth, frame_R = scene.truth, faces.frame_R
    width_R = (faces.xyxy_R4[:, 2] - faces.xyxy_R4[:, 0]) * (truth.width or scene.labels.size[0])
    frame_F, of_R = np.unique(frame_R, return_inverse=True)
    heard = talk(truth.speech or (), frame_F, float(truth.fps))
    lips = talk(truth.moving_lips, frame_F, float(truth.fps))
    person_R = np.array(faces.person_R)
    seen_VF = np.array([np.isin(frame_F, frame_R[person_R == v]) for v in heard.voices], np.bool_)
    offscreen_F = np.asarray((heard.active_VF & ~seen_VF.reshape(heard.active_VF.shape)).any(axis=0))
    moving_R = np.zeros(len(frame_R), np.bool_)
    for voice, active_F in zip(lips.voices, lips.active_VF, strict=True):
        moving_R |= (person_R == voice) & active_F[of_R]
    misleading_F = np.isin(frame_F, frame_R[moving_R & ~faces.speaking_R])
    return {
        SMALL: (width_R > 0) & (width_R < SMALL_PX),
        MIDDLE: (width_R >= SMALL_PX) & (width_R <= LARGE_PX),
        LARGE: width_R > LARGE_PX,
        OVERLAP: np.asarray(heard.active_VF.sum(axis=0) > 1)[of_R],
        OFFSCREEN: offscreen_F[of_R],
        MOVING_LIPS: misleading_F[of_R],
    }


def _under(rows: Rows, where_R: Flags, by: str) -> list[Found]:
    """Score the rows of one condition."""
    video_R, speaking_R, score_R = rows.video_R[where_R], rows.speaking_R[where_R], rows.score_R[where_R]
    said_R, missing_R = rows.said_R[where_R], rows.missing_R[where_R]
    quiet_R = ~said_R & ~speaking_R
    kinds = (
        said_R & speaking_R,
        said_R & ~speaking_R,
        ~said_R & speaking_R,
        quiet_R & ~missing_R,
        quiet_R & missing_R,
    )
    counts_VK = np.stack([np.bincount(video_R[k], minlength=rows.videos) for k in kinds], 1).astype(
        np.float64
    )
    cases_V = counts_VK.sum(axis=1)
    return [
        Found(AP, Ranking(score_R, speaking_R, video_R, "ap", rows.videos), by),
        Found(F1, Sums(counts_VK[:, :3], cases_V, f1), by),
        Found(BALANCED, Sums(counts_VK, cases_V, balanced), by),
        Found(AUC, Ranking(score_R, speaking_R, video_R, "auc", rows.videos), by),
    ]


def balanced(sums_5: Floats) -> float | None:
    """Return the mean of both classes' recall from hits, false alarms, misses, silent, and silent unlabelled."""
    hits, false, missed, silent, unlabelled = sums_5
    if hits + missed == 0 or silent + false + unlabelled == 0:
        return None
    return float((hits / (hits + missed) + silent / (silent + false + unlabelled)) / 2)
