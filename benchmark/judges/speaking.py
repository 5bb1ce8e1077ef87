"""Who seems to speak in a video: lips from pictures alone, and active-speaker scores under the item's sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.asd.lip_motion import LipMotion, Sound
from mitds.annotators.asd.lip_signals import SHORTEST, Signal, fill_gaps, known_runs, steady
from mitds.annotators.asd.lr_asd import LrAsd
from mitds.annotators.asd.rows import heard_rows, visits
from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Arrays, Scene
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.cache import content, judge_id, judged
from mitds.benchmark.judges.faces import Faces, faces
from mitds.errors import UsageError
from mitds.manifests.records import Array, ClipArrays, FaceTrack, SpeakingScores
from mitds.weights import digests

Scorer = Literal["lip-motion", "lr-asd"]
WEIGHTS: dict[Scorer, tuple[str, ...]] = {
    "lip-motion": ("pose.face_mesh", "speech.segmentation"),
    "lr-asd": ("asd.lr_asd",),
}

MAX_GAP = 12
"""Longest run of frames without a face that is bridged, half a second, as the face tracker bridges it."""


LEGIBLE_PX = 48.0
"""Side of a face below which its lips tell nothing: of thirteen mouths that were made to talk, those on faces of 26 and
40 px went unseen (.00 and .01), the eleven from 51 px on scored .40 to .87 (LR-ASD: 0, then .77 and more)."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """What a scorer says of each person and frame; NaN where the face was not found or its lips not seen.

    Attributes:
        logit_NT: Raw score.
        probability_NT: Calibrated probability of speaking, 0..1.
    """

    logit_NT: Array
    probability_NT: Array


def lips(arrays: ClipArrays, footage: Footage) -> Signal:
    """Measure each person's lips, from pictures alone, once per video.

    Returns:
        lips_NT2: how far the inner lips are apart and the size of the face, px; NaN where no mesh fits.
    """
    seen = faces(arrays, footage)
    judge = judge_id("lips", 1, "pose.face_mesh")
    return judged(footage, judge, content(seen.face_xyxy_NT4), lambda: _lips(footage, seen))["lips_NT2"]


def legible_N(arrays: ClipArrays) -> NDArray[np.bool_]:
    """Return whose lips can be read in the real footage: mean side of the face at least `LEGIBLE_PX`."""
    width_NT = arrays.face_xyxy_NT4[..., 2] - arrays.face_xyxy_NT4[..., 0]
    height_NT = arrays.face_xyxy_NT4[..., 3] - arrays.face_xyxy_NT4[..., 1]
    side_NT = np.sqrt(np.maximum(width_NT * height_NT, 0).astype(np.float64))
    there_NT = np.isfinite(side_NT)
    total_N = np.where(there_NT, side_NT, 0).sum(axis=1)
    legible_N: NDArray[np.bool_] = total_N >= LEGIBLE_PX * np.maximum(there_NT.sum(axis=1), 1)
    return legible_N


def judgeable_NT(scene: Scene, real_NT: Array, scorer: Scorer) -> NDArray[np.bool_]:
    """Return on which frames a person can be judged at all: the real footage alone decides.

    Args:
        scene: The item.
        real_NT: What the scorer says of the real footage; NaN where it abstains.
        scorer: Lip motion needs faces that are large enough.
    """
    asked_NT: NDArray[np.bool_] = np.isfinite(real_NT)
    if scene.arrays is None or scorer != "lip-motion":
        return asked_NT
    return asked_NT & legible_N(scene.arrays)[:, None]


def audible(scene: Scene) -> bool:
    """Tell whether an item can be judged at all: it has labels and sound."""
    return scene.arrays is not None and scene.real.wave_S is not None and len(scene.real.wave_S) > 0


def speaking(scene: Scene, footage: Footage, scorer: Scorer) -> Speaking:
    """Score each person of an item in a video of it, under the item's own sound.

    Raises:
        UsageError: If the item is not `audible`.
    """
    arrays, wave_S = scene.arrays, scene.real.wave_S
    if arrays is None or wave_S is None or not len(wave_S):
        raise UsageError(
            "there are no labels or no sound to judge speaking by",
            where=scene.id,
            remedy="Ask `audible` first.",
        )
    seen = faces(arrays, footage)

    def score() -> Arrays:
        if scorer == "lr-asd":
            return _by_lr_asd(footage, seen, wave_S)
        sound = _heard(scene.real, wave_S, footage.shape.frames)
        return _by_lips(lips(arrays, footage), seen, sound, wave_S)

    inputs = {"faces": content(seen.face_xyxy_NT4), "sound": content(wave_S), "by": digests(WEIGHTS[scorer])}
    found = judged(footage, judge_id(scorer, 1, WEIGHTS[scorer][0]), inputs, score)
    return Speaking(found["logit_NT"], found["probability_NT"])


def tracks_of(seen: Faces) -> list[FaceTrack]:
    """Return the runs of each person's faces as face tracks; `track` is the person's row.

    Gaps of half a second are bridged by interpolation; runs of less than half a second show no speech.
    """
    tracks = []
    for n, found_T in enumerate(seen.found_NT):
        rows_TC = np.concatenate([seen.face_xyxy_NT4[n], seen.landmarks_NT52[n].reshape(-1, 10)], axis=1)
        whole_TC = fill_gaps(rows_TC.astype(np.float64), MAX_GAP)
        filled_TC = whole_TC.astype(np.float32)
        for run in known_runs(whole_TC):
            tracks.append(
                FaceTrack(
                    track=n,
                    first=run.start,
                    xyxy_T4=filled_TC[run, :4],
                    score_T=found_T[run].astype(np.float32),
                    landmarks_T52=filled_TC[run, 4:].reshape(-1, 5, 2),
                    detected_T=found_T[run],
                    embedding_D=None,
                )
            )
    return tracks


def _lips(footage: Footage, seen: Faces) -> Arrays:
    tracks = tracks_of(seen)
    boxes = [steady(track.xyxy_T4) for track in tracks]
    marks = [steady(track.landmarks_T52) for track in tracks]
    lips_NT2 = np.full((*seen.found_NT.shape, 2), np.nan)
    for frame_HWC, number, row in visits(footage.frames_THWC, tracks):
        n, t = tracks[number].track, tracks[number].first + row
        lips_NT2[n, t] = _lip_motion().lips(frame_HWC, boxes[number][row], marks[number][row])
    return {"lips_NT2": lips_NT2}


def _by_lips(lips_NT2: Signal, seen: Faces, sound: Sound, wave_S: Array) -> Arrays:
    said = []
    for track in tracks_of(seen):
        rows = slice(track.first, track.first + heard_rows(track, wave_S))
        said.append((track, _lip_motion().judge(track, lips_NT2[track.track, rows], sound)))
    return _spread(seen, said)


def _by_lr_asd(footage: Footage, seen: Faces, wave_S: Array) -> Arrays:
    tracks = tracks_of(seen)
    scores = _lr_asd().score(footage.frames_THWC, tracks, wave_S)
    return _spread(seen, list(zip(tracks, scores, strict=True)))


def _spread(seen: Faces, said: list[tuple[FaceTrack, SpeakingScores]]) -> Arrays:
    """Lay the scores of tracks out over persons and frames; bridged frames show no face and get no score."""
    logit_NT, probability_NT = np.full((2, *seen.found_NT.shape), np.nan, np.float32)
    for track, scores in said:
        at = track.track, track.first + np.flatnonzero(track.detected_T)
        logit_NT[at] = scores.logit_T[track.detected_T]
        probability_NT[at] = scores.probability_T[track.detected_T]
    return {"logit_NT": logit_NT, "probability_NT": probability_NT}


def _heard(real: Footage, wave_S: Array, frames: int) -> Sound:
    """Hear the item's sound: kept with the real footage, as it is the same under every output."""
    judge = judge_id("speech", 1, "speech.segmentation")

    def hear() -> Arrays:
        sound = _lip_motion().listen(wave_S, max(SHORTEST, frames))
        return {"speech_T": sound.speech_T, "loudness_T": sound.loudness_T}

    heard = judged(real, judge, {"sound": content(wave_S), "frames": frames}, hear)
    return Sound(heard["speech_T"], heard["loudness_T"])


@cache
def _lip_motion() -> LipMotion:
    single_threaded()
    return LipMotion()


@cache
def _lr_asd() -> LrAsd:
    single_threaded()
    return LrAsd()
