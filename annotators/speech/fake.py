"""A diarizer without weights, for tests of what comes after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mitds.annotators.speech.pyannote_backend import to_voices
from mitds.manifests.records import Array, Voices


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeDiarizerConfig:
    """What the fake says.

    Attributes:
        turns: Label, start and end in seconds of each turn.
    """

    turns: tuple[tuple[str, float, float], ...] = (("A", 0.0, 1.0),)


class FakeDiarizer:
    """Says what it was told to, cut to the wave's length; a silent wave gives no voices.

    Args:
        config: What it says.
    """

    name = "fake"

    def __init__(self, config: FakeDiarizerConfig = FakeDiarizerConfig()) -> None:
        self.config = config

    def diarize(self, wave_S: Array) -> Voices:
        """Return the turns that begin before the wave ends; voice v has the v-th unit vector as embedding."""
        turns = self.config.turns
        heard = [turn for turn in turns if wave_S.any() and turn[1] * 16_000 < len(wave_S)]
        labels = list(dict.fromkeys(label for label, _, _ in heard))
        embeddings = dict(zip(labels, np.eye(192, dtype=np.float32), strict=False))
        return to_voices(heard, embeddings, len(wave_S), self.name)
