"""lip-net: who speaks, by a small network of our own on landmarks and sound; package-index weights alone.

It needs no https weight: MediaPipe's mesh gives the lips, segmentation-3.0 hears speech, and the network, whose
weights lie beside this file, tells whether these lips utter this sound. See lip_net.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.asd.lip_net_features import (
    KEPT,
    PATCH_HW,
    STEPS,
    lip_features,
    log_mel,
    mel_power,
    mouth_patch,
)
from mitds.annotators.asd.lip_net_model import load
from mitds.annotators.asd.lip_signals import fill_gaps, known_runs, on_frames, steady
from mitds.annotators.asd.rows import Calibration, Watch, heard_rows, scores_of, watched
from mitds.annotators.contracts import Frame
from mitds.annotators.pose.face_mesh import FaceMesh
from mitds.annotators.speech.segmentation import Segmenter
from mitds.manifests.records import Array, FaceTrack, SpeakingScores

WEIGHTS = Path(__file__).with_name("lip_net.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class LipNetConfig:
    """How lip-net is run and read.

    Attributes:
        weights: File of `mitds fit lip-net`; None for the one that comes with mitds.
        max_gap: Longest run of frames without a mesh that is interpolated; longer ones abstain.
        segmentation_stride_s: Seconds between windows of the speech detector.
        device: Of the speech detector: "cpu", "cuda" or "coreml". The network itself runs on the CPU.
        calibration: From score to probability; None for the one fitted with the weights.
    """

    weights: Path | None = None
    max_gap: int = 5
    segmentation_stride_s: float = 5.0
    device: str = "cpu"
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """What is heard in each of the shot's frames: `log_mel`, and the probability of speech."""

    mel_FM: Array
    speech_T: Array


class LipNet:
    """Scores face tracks by how lips and sound move together.

    Args:
        config: How it is run and read.
    """

    name = "lip-net"

    def __init__(self, config: LipNetConfig = LipNetConfig()) -> None:
        self.config = config
        self._mesh = FaceMesh()
        self._segmenter = Segmenter(stride_s=config.segmentation_stride_s, device=config.device)
        self._panel = load(config.weights or WEIGHTS)
        scale, offset = self._panel.platt_2.tolist()
        self.calibration = config.calibration or Calibration(scale=scale, offset=offset)

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Score each track; NaN without sound, and where the face is turned too far to see the lips."""
        return watched(self, frames, tracks, wave_S)

    def watch(self, tracks: Sequence[FaceTrack], wave_S: Array) -> Watch:
        """Begin to score the tracks of one shot."""
        return _LipNetWatch(self, tracks, wave_S)

    def listen(self, wave_S: Array, frames: int) -> Sound:
        """Hear the shot's sound in each of its first `frames` grid frames."""
        speech_T = speech_of(self._segmenter, wave_S, frames)
        return Sound(log_mel(mel_power(wave_S, frames)), speech_T)

    def look(self, frame_HWC: Frame, xyxy_4: Array, landmarks_52: Array) -> tuple[Array, NDArray[np.uint8]]:
        """Return the kept mesh points of a face, points_P3 px, NaN where no mesh fits, and its mouth's patch."""
        return look(self._mesh, frame_HWC, xyxy_4, landmarks_52)

    def judge(
        self, track: FaceTrack, points_TP3: Array, patch_THW: NDArray[np.uint8], sound: Sound
    ) -> SpeakingScores:
        """Score a track by the faces of its first rows and the shot's sound."""
        logit_T = np.full(len(points_TP3), np.nan, np.float32)
        for run, lip_TC in mouth_runs(points_TP3, patch_THW, self.config.max_gap):
            heard = slice(track.first + run.start, track.first + run.stop)
            logit_T[run] = self._ask(lip_TC, sound, heard)
        return scores_of(track, logit_T, self.calibration, self.name)

    def _ask(self, lip_TC: Array, sound: Sound, heard: slice) -> Array:
        mel_FM = sound.mel_FM[heard.start * STEPS : heard.stop * STEPS]
        inputs = (torch.from_numpy(values)[None] for values in (lip_TC, mel_FM, sound.speech_T[heard]))
        with torch.inference_mode():
            logit_T: Array = self._panel(*inputs)[0].numpy()
        return logit_T


class _LipNetWatch:
    def __init__(self, scorer: LipNet, tracks: Sequence[FaceTrack], wave_S: Array) -> None:
        self._scorer, self._tracks = scorer, tracks
        self._heard = [heard_rows(track, wave_S) for track in tracks]
        self._boxes = [steady(track.xyxy_T4) for track in tracks]
        self._marks = [steady(track.landmarks_T52) for track in tracks]
        self._points = [np.full((len(t.score_T), len(KEPT), 3), np.nan, np.float32) for t in tracks]
        self._patches = [np.zeros((len(t.score_T), *PATCH_HW), np.uint8) for t in tracks]
        self._sound = scorer.listen(wave_S, max(track.last for track in tracks) + 1)

    def see(self, frame_HWC: Frame, number: int, row: int) -> None:
        box_4, marks_52 = self._boxes[number][row], self._marks[number][row]
        self._points[number][row], self._patches[number][row] = self._scorer.look(frame_HWC, box_4, marks_52)

    def scores(self) -> list[SpeakingScores]:
        seen = zip(self._tracks, self._points, self._patches, self._heard, strict=True)
        return [
            self._scorer.judge(track, points_TP3[:heard], patch_THW[:heard], self._sound)
            for track, points_TP3, patch_THW, heard in seen
        ]


def look(
    mesh: FaceMesh, frame_HWC: Frame, xyxy_4: Array, landmarks_52: Array
) -> tuple[Array, NDArray[np.uint8]]:
    """Return the kept mesh points of a face, points_P3 px, NaN where no mesh fits, and its mouth's patch."""
    mesh_P3, _ = mesh.points(frame_HWC, xyxy_4, landmarks_52)
    points_P3 = mesh_P3[KEPT]
    return points_P3, mouth_patch(frame_HWC, points_P3)


def speech_of(segmenter: Segmenter, wave_S: Array, frames: int) -> Array:
    """Return the probability that anybody is heard in each of a shot's first `frames` grid frames."""
    return np.asarray(on_frames(segmenter.segment(wave_S).any_F, frames), np.float32)


def mouth_runs(
    points_TP3: Array, patch_THW: NDArray[np.uint8], max_gap: int
) -> Iterator[tuple[slice, Array]]:
    """Yield the runs of rows whose mouth is known, each with its `lip_features`."""
    flat_TC = fill_gaps(points_TP3.reshape(len(points_TP3), -1).astype(np.float64), max_gap)
    for run in known_runs(flat_TC):
        yield run, lip_features(flat_TC[run].reshape(-1, len(KEPT), 3), patch_THW[run])
