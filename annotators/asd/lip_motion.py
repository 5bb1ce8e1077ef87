"""Lip motion and speech activity: who speaks, from package-index weights alone.

A face speaks where its lips move at the rate of syllables while somebody is heard, the more so where they
move with the loudness. Each is measured on its own and a logistic formula of four coefficients joins them,
so that a frozen face, or a moving face in silence, scores low. It is no trained speaker detector: chewing,
laughing or nodding while another person talks is told apart by synchrony alone, which is weak.

Lips: MediaPipe's attention mesh. Speech activity: pyannote segmentation-3.0, which hears speech, not sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mitds.annotators.asd.lip_signals import (
    SHORTEST,
    Signal,
    fill_gaps,
    known_runs,
    lip_opening,
    loudness,
    motion,
    on_frames,
    relative_opening,
    steady,
    synchrony,
)
from mitds.annotators.asd.rows import Calibration, Watch, heard_rows, scores_of, watched
from mitds.annotators.contracts import Frame
from mitds.annotators.pose.face_mesh import FaceMesh
from mitds.annotators.speech.segmentation import Segmenter
from mitds.manifests.records import Array, FaceTrack, SpeakingScores

FAINT_SPEECH = 0.05
"""Added to the probability of speech, so that certain silence does not outweigh everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LipWeights:
    """The formula: score = motion * log(movement) + speech * log(P + .05) + synchrony * correlation + bias.

    Fitted by logistic regression on 5 485 face frames of two composites of real faces and voices: one with
    frozen listeners, one with listeners whose lips keep moving.
    """

    motion: float = 1.4
    speech: float = 1.5
    synchrony: float = 1.1
    bias: float = 3.7


@dataclass(frozen=True, slots=True, kw_only=True)
class LipMotionConfig:
    """How lip motion is measured and weighed.

    Attributes:
        weights: The formula's coefficients.
        motion_sigma: Gaussian window of the movement, frames (8: about .8 s at half height).
        sync_sigma: Gaussian window of the correlation, frames.
        max_gap: Longest run of frames without a mesh that is interpolated; longer ones abstain.
        segmentation_stride_s: Seconds between windows of the speech detector.
        device: Of the speech detector: "cpu", "cuda" or "coreml".
        calibration: From score to probability.
    """

    weights: LipWeights = field(default_factory=LipWeights)
    motion_sigma: float = 8.0
    sync_sigma: float = 20.0
    max_gap: int = 5
    segmentation_stride_s: float = 5.0
    device: str = "cpu"
    calibration: Calibration = field(default_factory=lambda: Calibration(scale=2.24, offset=1.81))


@dataclass(frozen=True, slots=True)
class Sound:
    """What is heard in each frame of the shot: the probability of speech, and the movement of the level."""

    speech_T: Signal
    loudness_T: Signal


class LipMotion:
    """Scores face tracks by lip motion, speech activity and their synchrony.

    Args:
        config: How they are measured and weighed.
    """

    name = "lip-motion"

    def __init__(self, config: LipMotionConfig = LipMotionConfig()) -> None:
        self.config = config
        self._mesh = FaceMesh()
        self._segmenter = Segmenter(stride_s=config.segmentation_stride_s, device=config.device)

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Score each track; NaN without sound, and where the face is turned too far to see the lips."""
        return watched(self, frames, tracks, wave_S)

    def watch(self, tracks: Sequence[FaceTrack], wave_S: Array) -> Watch:
        """Begin to score the tracks of one shot."""
        return _LipWatch(self, tracks, wave_S)

    def listen(self, wave_S: Array, frames: int) -> Sound:
        """Hear the shot's sound in each of its first `frames` grid frames."""
        speech_T = on_frames(self._segmenter.segment(wave_S).any_F, frames)
        return Sound(speech_T.astype(np.float64), loudness(wave_S, frames))

    def lips(self, frame_HWC: Frame, xyxy_4: Array, landmarks_52: Array) -> tuple[float, float]:
        """Return the lips' opening and the size of a face, px; NaN where no mesh fits."""
        mesh_P3, _ = self._mesh.points(frame_HWC, xyxy_4, landmarks_52)
        return lip_opening(mesh_P3)

    def judge(self, track: FaceTrack, lips_T2: Signal, sound: Sound) -> SpeakingScores:
        """Score a track by the lips of its first rows and the shot's sound."""
        logit_T = np.full(len(lips_T2), np.nan, np.float32)
        lips_T2 = fill_gaps(lips_T2, self.config.max_gap)
        for run in known_runs(lips_T2):
            heard = slice(track.first + run.start, track.first + run.stop)
            logit_T[run] = self._weigh(lips_T2[run], sound.speech_T[heard], sound.loudness_T[heard])
        return scores_of(track, logit_T, self.config.calibration, self.name)

    def _weigh(self, lips_T2: Signal, speech_T: Signal, loudness_T: Signal) -> Signal:
        config, weights = self.config, self.config.weights
        opening_T = relative_opening(lips_T2)
        return np.asarray(
            weights.motion * motion(opening_T, config.motion_sigma)
            + weights.speech * np.log(speech_T + FAINT_SPEECH)
            + weights.synchrony * synchrony(opening_T, loudness_T, config.sync_sigma)
            + weights.bias
        )


class _LipWatch:
    def __init__(self, scorer: LipMotion, tracks: Sequence[FaceTrack], wave_S: Array) -> None:
        self._scorer, self._tracks = scorer, tracks
        self._heard = [heard_rows(track, wave_S) for track in tracks]
        self._boxes = [steady(t.xyxy_T4) for t in tracks]
        self._marks = [steady(t.landmarks_T52) for t in tracks]
        self._lips = [np.full((len(track.score_T), 2), np.nan) for track in tracks]
        self._sound = scorer.listen(wave_S, max(SHORTEST, max(track.last for track in tracks) + 1))

    def see(self, frame_HWC: Frame, number: int, row: int) -> None:
        box_4, marks_52 = self._boxes[number][row], self._marks[number][row]
        self._lips[number][row] = self._scorer.lips(frame_HWC, box_4, marks_52)

    def scores(self) -> list[SpeakingScores]:
        return [
            self._scorer.judge(track, lips_T2[:heard], self._sound)
            for track, lips_T2, heard in zip(self._tracks, self._lips, self._heard, strict=True)
        ]
