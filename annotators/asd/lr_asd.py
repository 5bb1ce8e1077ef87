"""LR-ASD: faces and sound to the odds of speaking, with the weights trained on AVA-ActiveSpeaker.

The published network tells moving lips from still ones better than matching from foreign sound. What it knows
of the latter is drawn out by asking it again with the sound moved by 160 to 400 ms: a score that does not
fall owed nothing to synchrony.

Frames stream past once. A track's crops are embedded chunk by chunk and dropped; the chunks overlap by the
reach of the encoder's convolutions, so that the seams are exact. Only the embeddings (512 bytes a frame) are
kept, for the recurrent layers see the whole track at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from mitds.annotators.asd.crops import mouth_crop, mouth_squares
from mitds.annotators.asd.mfcc import COEFFICIENTS, mfcc
from mitds.annotators.asd.rows import (
    SAMPLES_PER_FRAME,
    Calibration,
    Watch,
    abstention,
    heard_rows,
    scores_of,
    watched,
)
from mitds.annotators.contracts import Frame
from mitds.annotators.runtime import onnx_session
from mitds.manifests.records import Array, FaceTrack, SpeakingScores
from mitds.store import sha256_file
from mitds.weights import derived, resolve

AnyArray = NDArray[Any]

STEPS_PER_FRAME = 4
"""Audio steps (100 Hz) in one picture frame (25 fps)."""
REACH = 9
"""Frames to either side that an embedding depends on: three blocks, each with kernels of five and three."""
PARTS = ("visual", "audio", "backend")
EXPORT = 1
"""Raise when the exported graphs change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LrAsdConfig:
    """How LR-ASD is run and read.

    Attributes:
        device: "cpu", "cuda" or "coreml".
        chunk: Frames that are embedded at once; at least 9; bounds memory at about 4 MB a frame.
        sync_weight: Weight of the synchrony term: how much higher a face scores with its own sound than with
            the same sound moved by fractions of a second. It tells the speaker from someone who moves the
            lips meanwhile. 0 leaves the network's own score.
        sync_shifts: By how many frames the sound is moved, both ways.
        sync_sigma: Standard deviation of the Gaussian that averages the synchrony term over time, frames.
        calibration: From score to probability.
    """

    device: str = "cpu"
    chunk: int = 110
    sync_weight: float = 1.5
    sync_shifts: tuple[int, ...] = (4, 6, 8, 10)
    sync_sigma: float = 12.0
    calibration: Calibration = field(default_factory=lambda: Calibration(scale=0.72, offset=-0.5))


class LrAsd:
    """Scores face tracks with LR-ASD.

    Args:
        config: How it is run and read.
    """

    name = "lr-asd"

    def __init__(self, config: LrAsdConfig = LrAsdConfig()) -> None:
        self.config = config
        self._nets = {part: onnx_session(exported(part), device=config.device) for part in PARTS}

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Score each track; NaN where there is no sound (see `SpeakerScorer`)."""
        return watched(self, frames, tracks, wave_S)

    def watch(self, tracks: Sequence[FaceTrack], wave_S: Array) -> Watch:
        """Begin to score the tracks of one shot."""
        return _LrAsdWatch(self, tracks, wave_S)

    def listen(self, wave_S: Array) -> Array:
        """Embed the shot's sound, embedding_TD, one row a grid frame."""
        frames = -(-len(wave_S) // SAMPLES_PER_FRAME)
        encoder = ChunkedEncoder(self._embed_sound, self.config.chunk)
        for step_4C in mfcc(wave_S, STEPS_PER_FRAME * frames).reshape(frames, STEPS_PER_FRAME, COEFFICIENTS):
            encoder.push(step_4C)
        return encoder.finish()

    def face_encoder(self) -> ChunkedEncoder:
        """Return an encoder of one track's crops."""
        return ChunkedEncoder(self._embed_face, self.config.chunk)

    def _embed_face(self, crops_THW: AnyArray) -> Array:
        return self._run("visual", crops_THW.astype(np.float32))

    def _embed_sound(self, mfcc_T4C: Array) -> Array:
        return self._run("audio", mfcc_T4C.reshape(-1, COEFFICIENTS))

    def _run(self, part: str, *inputs: Array) -> Array:
        feed = {f"x{k}": value[None] for k, value in enumerate(inputs)}
        output: Array = self._nets[part].run(None, feed)[0][0]
        return output

    def judge(self, track: FaceTrack, face_TD: Array, sound_TD: Array) -> SpeakingScores:
        """Score a track by the embeddings of its first rows and of the shot's sound."""
        if not len(face_TD):
            return abstention(track, self.name)
        logit_T = self._match(face_TD, sound_TD, track.first)
        if self.config.sync_weight:
            shifts = [sign * shift for shift in self.config.sync_shifts for sign in (-1, 1)]
            moved = [self._match(face_TD, sound_TD, track.first + shift) for shift in shifts]
            fall_T = gaussian_filter1d(
                logit_T - np.mean(moved, axis=0), self.config.sync_sigma, mode="nearest"
            )
            logit_T = logit_T + self.config.sync_weight * fall_T
        return scores_of(track, logit_T, self.config.calibration, self.name)

    def _match(self, face_TD: Array, sound_TD: Array, first: int) -> Array:
        """Score a face with the sound from grid frame `first` on; beyond its ends the sound's rim repeats."""
        heard_T = np.clip(first + np.arange(len(face_TD)), 0, len(sound_TD) - 1)
        return self._run("backend", sound_TD[heard_T], face_TD)


class _LrAsdWatch:
    def __init__(self, scorer: LrAsd, tracks: Sequence[FaceTrack], wave_S: Array) -> None:
        self._scorer, self._tracks = scorer, tracks
        self._heard = [heard_rows(track, wave_S) for track in tracks]
        self._squares = [mouth_squares(track.xyxy_T4) for track in tracks]
        self._encoders = [scorer.face_encoder() for _ in tracks]
        self._sound_TD = scorer.listen(wave_S)

    def see(self, frame_HWC: Frame, number: int, row: int) -> None:
        self._encoders[number].push(mouth_crop(frame_HWC, self._squares[number][row]))

    def scores(self) -> list[SpeakingScores]:
        return [
            self._scorer.judge(track, encoder.finish()[:heard], self._sound_TD)
            for track, encoder, heard in zip(self._tracks, self._encoders, self._heard, strict=True)
        ]


class ChunkedEncoder:
    """Embeds a stream of frames in overlapping chunks, exactly as if it were embedded at once.

    Args:
        embed: From n rows to n embeddings, each of which depends on at most `REACH` rows to either side.
        chunk: Rows that are embedded at once, without the overlap; at least `REACH`.
    """

    def __init__(self, embed: Callable[[AnyArray], Array], chunk: int) -> None:
        self._embed = embed
        self._chunk = chunk
        self._rows: list[AnyArray] = []
        self._done = 0
        self._embedded: list[Array] = []

    def push(self, row: AnyArray) -> None:
        """Take the next row."""
        self._rows.append(row)
        if len(self._rows) == self._done + self._chunk + REACH:
            self._flush(self._done + self._chunk)
            self._rows = self._rows[-2 * REACH :]
            self._done = REACH

    def finish(self) -> Array:
        """Return the embeddings of all rows, embedding_TD; no rows give an empty array."""
        if len(self._rows) > self._done:
            self._flush(len(self._rows))
        return np.concatenate(self._embedded) if self._embedded else np.zeros((0, 0), np.float32)

    def _flush(self, end: int) -> None:
        self._embedded.append(self._embed(np.stack(self._rows))[self._done : end])


def exported(part: str) -> Path:
    """Return the ONNX graph of a part of LR-ASD, exporting it into the cache on first use."""
    weights = resolve("asd.lr_asd")
    return derived(f"lr-asd-{part}", sha256_file(weights), EXPORT, lambda path: _export(weights, part, path))


def _export(weights: Path, part: str, path: Path) -> None:
    from mitds.annotators.asd import lr_asd_net  # torch is needed only here: once a machine

    lr_asd_net.export(path, lr_asd_net.load(weights), part)
