"""What is heard of each person of a clip: the mix, where the person speaks."""

from __future__ import annotations

import numpy as np

from mitds.manifests.records import Array, Clip
from mitds.time import AUDIO_HZ

FADE_S = 0.01
"""Length of the raised-cosine flanks of a gated voice, inside the turn."""


def voices(clip: Clip, wave_S: Array) -> Array:
    """Return voices_NS: the mix, gated by each person's turns with flanks of 10 ms inside the turn.

    The mix is all there is of footage: where turns overlap, both people's channels hold both voices.
    """
    gate_NS = np.zeros((len(clip.persons), len(wave_S)), np.float32)
    for n, person in enumerate(clip.persons):
        for turn in person.turns:
            first, last = round(turn.start_s * AUDIO_HZ), min(round(turn.end_s * AUDIO_HZ), len(wave_S))
            span = slice(first, max(first, last))
            gate_NS[n, span] = np.maximum(gate_NS[n, span], _flanked(span.stop - span.start))
    return gate_NS * wave_S


def _flanked(samples: int) -> Array:
    """Return a gate that opens and closes as a raised cosine."""
    edge_S = np.minimum(np.arange(samples), np.arange(samples)[::-1]) + 0.5
    rise_S = np.clip(edge_S / (FADE_S * AUDIO_HZ), 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * rise_S), np.float32)
