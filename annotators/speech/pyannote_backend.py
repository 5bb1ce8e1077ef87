"""The diarizer of the full profile: pyannote's community-1 pipeline, from the hub."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from mitds.errors import MissingDependency, MissingWeights
from mitds.manifests.records import Array, SpeechTurn, Voices
from mitds.time import AUDIO_HZ

STEP_S = 320
"""Samples of a step of the arrays: 20 ms. The pipeline gives turns, so this only rounds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PyannoteConfig:
    """Settings of `PyannoteCommunity`.

    Attributes:
        pipeline: Hub name or local folder of the pipeline.
        device: Torch device ("cuda", "cuda:1", "mps", "cpu").
        fewest: Least number of voices; None leaves it to the pipeline.
        most: Greatest number of voices; None leaves it to the pipeline.
    """

    pipeline: str = "pyannote/speaker-diarization-community-1"
    device: str = "cuda"
    fewest: int | None = None
    most: int | None = None


class PyannoteCommunity:
    """Tells voices apart with `pyannote.audio` 4; telemetry is switched off before it is imported."""

    name = "pyannote"

    def __init__(self, config: PyannoteConfig = PyannoteConfig()) -> None:
        self.config = config

    @cached_property
    def _pipeline(self) -> Any:
        if self.config.device.startswith("cuda") and not torch.cuda.is_available():
            raise MissingDependency(
                f"torch cannot run on {self.config.device!r} here",
                where=self.config.pipeline,
                remedy="Install a CUDA build of torch, or set device=cpu.",
            )
        pipeline = load_pipeline(self.config.pipeline)
        return pipeline.to(torch.device(self.config.device))

    def diarize(self, wave_S: Array) -> Voices:
        """Return who speaks when, overlap included.

        Args:
            wave_S: float32 mono at 16 kHz; may be empty.

        Raises:
            MissingDependency: pyannote.audio is not installed or cannot load, or there is no such device.
            MissingWeights: The pipeline's files cannot be had.
        """
        if not wave_S.any():
            return to_voices([], None, len(wave_S), self.name)
        audio = {"waveform": torch.tensor(wave_S)[None], "sample_rate": AUDIO_HZ}
        output = self._pipeline(audio, min_speakers=self.config.fewest, max_speakers=self.config.most)
        annotation = output.speaker_diarization
        turns = [(str(label), s.start, s.end) for s, _, label in annotation.itertracks(yield_label=True)]
        embeddings = _by_label(annotation.labels(), output.speaker_embeddings)
        return to_voices(turns, embeddings, len(wave_S), self.name)


def load_pipeline(name: str) -> Any:
    """Import pyannote.audio without telemetry and load a pipeline, or say what to do."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    try:
        package = importlib.import_module("pyannote.audio")
    except (ImportError, OSError) as error:
        raise MissingDependency(
            f"pyannote.audio cannot be imported: {error}",
            where="mitds.annotators.speech.pyannote_backend",
            remedy="Run pip install 'mitds[diar]'. If it names torchaudio or a library that could"
            " not load, install the torchaudio build that fits your torch: same version and index.",
        ) from error
    try:
        pipeline = package.Pipeline.from_pretrained(name)
    except OSError as error:
        raise _no_weights(name, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if pipeline is None:
        raise _no_weights(name, "the hub gave nothing")
    return pipeline


def _no_weights(name: str, why: str) -> MissingWeights:
    return MissingWeights(
        f"the pipeline {name} cannot be had: {why}",
        where="huggingface.co",
        remedy=f"It is gated: accept its conditions at https://hf.co/{name}, make a read token at"
        " https://hf.co/settings/tokens and set HF_TOKEN; or choose the diarizer segmentation-ecapa.",
    )


def _by_label(labels: list[str], embedding_VD: Array | None) -> dict[str, Array] | None:
    if embedding_VD is None:
        return None
    return {str(label): row for label, row in zip(labels, embedding_VD, strict=False)}


def to_voices(
    turns: list[tuple[str, float, float]], embeddings: dict[str, Array] | None, samples: int, model: str
) -> Voices:
    """Turn labelled turns into Voices.

    Args:
        turns: Label, start and end in seconds, in any order; turns of one label may touch or overlap.
        embeddings: Embedding of each label; None where the pipeline gives none. A label without a usable one
            gets a row of NaN; without any, rows have no columns.
        samples: Length of the wave.
        model: Name of the backend.
    """
    turns = sorted(turns, key=lambda turn: (turn[1], turn[2]))
    labels = list(dict.fromkeys(label for label, _, _ in turns))
    activity_FV = np.zeros((-(-samples // STEP_S), len(labels)), np.float32)
    for label, start, end in turns:
        first, last = (round(t * AUDIO_HZ / STEP_S) for t in (start, end))
        activity_FV[max(0, first) : last, labels.index(label)] = 1
    return Voices(
        voices=tuple(f"V{v}" for v in range(len(labels))),
        turns=tuple(
            SpeechTurn(
                voice=f"V{labels.index(label)}", start_s=max(0.0, start), end_s=min(end, samples / AUDIO_HZ)
            )
            for label, start, end in turns
        ),
        activity_FV=activity_FV,
        speech_F=activity_FV.max(axis=1, initial=0),
        hop_s=STEP_S / AUDIO_HZ,
        embedding_VD=_unit_rows(labels, embeddings or {}),
        model=model,
    )


def _unit_rows(labels: list[str], embeddings: dict[str, Array]) -> Array:
    width = len(next(iter(embeddings.values()))) if embeddings else 0
    embedding_VD = np.full((len(labels), width), np.nan, np.float32)
    for v, label in enumerate(labels):
        length = np.linalg.norm(embeddings[label]) if label in embeddings else 0.0
        if length > 0:
            embedding_VD[v] = embeddings[label] / length
    return embedding_VD
