"""Pauses that the picture shows and the ear fills: turns of a bound voice end where its face has stopped speaking.

Segmentation hears on through pauses of some tenths of a second, and through a breath before and after a turn. Where
the voice's owner is in view, the same decision that makes the owner's turns makes the voice's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mitds.manifests.records import Array, SpeechTurn, Voices
from mitds.runs import runs_of
from mitds.time import CLIP_FPS

FPS = float(CLIP_FPS)
Span = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimConfig:
    """When a turn is cut.

    Attributes:
        sure: Probability from which a voice counts as a face's.
        silent: Probability of speaking below which a face is silent.
        pause_s: Shorter silences are left as heard.
        longest_s: Longer stretches of a turn are left as heard: they are somebody's speech, whoever's.
        shortest_turn_s: Shorter remains are dropped.
    """

    sure: float = 0.8
    silent: float = 0.5
    pause_s: float = 0.2
    longest_s: float = 1.0
    shortest_turn_s: float = 0.1


def silences(speaking_T: Array, start_s: float, config: TrimConfig) -> Iterator[Span]:
    """Yield where a face in view is silent, seconds; the first frame of `speaking_T` begins at `start_s`."""
    for first, end in runs_of(np.isfinite(speaking_T) & (np.nan_to_num(speaking_T) < config.silent)):
        if end - first >= config.pause_s * FPS:
            yield start_s + first / FPS, start_s + end / FPS


def trim(voices: Voices, silent_V: Sequence[Sequence[Span]], config: TrimConfig) -> Voices:
    """Cut the silences of each voice's owner out of its turns; `silent_V` is empty for voices without one."""
    spans = dict(zip(voices.voices, silent_V, strict=True))
    turns = [part for turn in voices.turns for part in _parts(turn, spans[turn.voice], config)]
    return replace(voices, turns=tuple(sorted(turns, key=lambda t: (t.start_s, t.end_s, t.voice))))


def _parts(turn: SpeechTurn, silent: Sequence[Span], config: TrimConfig) -> Iterator[SpeechTurn]:
    """Yield what silences leave of a turn; the whole turn where they leave all of it."""
    cut = [(max(a, turn.start_s), min(b, turn.end_s)) for a, b in silent]
    cut = sorted((a, b) for a, b in cut if 0 < b - a <= config.longest_s)
    if not cut:
        yield turn
        return
    edges = [turn.start_s, *(edge for span in cut for edge in span), turn.end_s]
    for start_s, end_s in zip(edges[::2], edges[1::2], strict=True):
        if end_s - start_s >= config.shortest_turn_s:
            yield replace(turn, start_s=start_s, end_s=end_s)
