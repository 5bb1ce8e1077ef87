"""Draws who says what and when: pieces of people's own speech, one after the other or over each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mitds.pipeline.compose.casting import SPEECH_MOVES, Person
from mitds.pipeline.compose.config import Range, ScriptConfig
from mitds.time import CLIP_FPS

FPS = int(CLIP_FPS)
TRIES = 24
SHORT_S = 1.0
"""Longest remark that falls into somebody else's turn, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A person utters a piece of a stretch, sound and picture together; all in frames.

    Attributes:
        stretch: Number of the person's stretch.
        source: First frame within it.
        start: First frame within the scene.
        frames: Length.
    """

    person: str
    stretch: int
    source: int
    start: int
    frames: int

    @property
    def end(self) -> int:
        """First frame of the scene after the turn."""
        return self.start + self.frames


def uniform(rng: np.random.Generator, span: Range) -> float:
    """Draw from a range."""
    return float(rng.uniform(*span))


@dataclass(slots=True)
class TurnDrawer:
    """Draws turns one after the other; what was said before is avoided for as long as there is more to say."""

    cast: tuple[Person, ...]
    voices: tuple[Person, ...]
    frames: int
    config: ScriptConfig
    rng: np.random.Generator
    turns: list[Turn] = field(default_factory=list)
    said: dict[tuple[str, int], NDArray[np.int64]] = field(default_factory=dict)

    def draw(self) -> list[Turn]:
        """Return the turns of the scene by their start; fewer where nothing fits."""
        at = round(uniform(self.rng, self.config.gap_s) * FPS)
        misses = 0
        while at < self.frames - FPS and misses < TRIES:
            person = self._speaker()
            seconds = float(np.exp(self.rng.uniform(*np.log(self.config.turn_s))))
            turn = self._turn(person, seconds, self._begin(at, person))
            if turn is None:
                misses += 1
                continue
            self._keep(turn)
            if turn.frames > 2.5 * FPS and self.rng.random() < self.config.backchannel:
                self._remark(turn)
            at = turn.end + self._gap()
        return sorted(self.turns, key=lambda t: (t.start, t.person))

    def _speaker(self) -> Person:
        seen = [p for p in self.cast if p.speaks]
        last = self.turns[-1].person if self.turns else None
        if self.voices and self.rng.random() < self.config.offscreen:
            return self.voices[int(self.rng.integers(len(self.voices)))]
        others = [p for p in seen if p.name != last]
        pool = others if others and self.rng.random() < 0.8 else seen
        return pool[int(self.rng.integers(len(pool)))]

    def _gap(self) -> int:
        span = (2.0, 4.0) if self.rng.random() < self.config.long_gap else self.config.gap_s
        return round(uniform(self.rng, span) * FPS)

    def _begin(self, at: int, person: Person) -> int:
        """Let a turn begin before the end of the last one, now and then; never within the person's own."""
        if self.turns and self.rng.random() < self.config.overlap:
            last = max(self.turns, key=lambda t: t.end)
            if last.person != person.name:
                at = last.end - round(min(uniform(self.rng, (0.3, 1.5)) * FPS, 0.6 * last.frames))
        own_end = max((t.end for t in self.turns if t.person == person.name), default=-FPS)
        return max(at, own_end + 6, 0)

    def _remark(self, into: Turn) -> None:
        pool = [p for p in self.cast if p.speaks and p.name != into.person]
        if not pool:
            return
        person = pool[int(self.rng.integers(len(pool)))]
        start = into.start + round(float(self.rng.uniform(0.3, 0.6)) * into.frames)
        own_end = max((t.end for t in self.turns if t.person == person.name), default=-FPS)
        remark = self._turn(person, uniform(self.rng, (0.4, SHORT_S)), max(start, own_end + 6))
        if remark is not None and remark.end < into.end and remark.frames <= SHORT_S * FPS + 10:
            self._keep(remark)

    def _keep(self, turn: Turn) -> None:
        self.turns.append(turn)
        self._used(turn.person, turn.stretch, turn.source + turn.frames)[
            turn.source : turn.source + turn.frames
        ] += 1

    def _used(self, name: str, stretch: int, least: int) -> NDArray[np.int64]:
        known = self.said.get((name, stretch), np.zeros(0, np.int64))
        if len(known) < least:
            known = np.concatenate([known, np.zeros(least - len(known), np.int64)])
            self.said[name, stretch] = known
        return known

    def _turn(self, person: Person, seconds: float, start: int) -> Turn | None:
        """Find a piece of about this length, the least used of several; None where none fits."""
        best: tuple[float, Turn] | None = None
        for _ in range(TRIES):
            piece = draw_piece(person, round(seconds * FPS), self.rng)
            if piece is None or start + piece[2] - piece[1] > self.frames - 2:
                continue
            stretch, first, end = piece
            cost = float(self._used(person.name, stretch, end)[first:end].mean())
            cost += 0.2 * abs(np.log((end - first) / (seconds * FPS)))
            if best is None or cost < best[0]:
                frames = end - first
                best = (
                    cost,
                    Turn(person=person.name, stretch=stretch, source=first, start=start, frames=frames),
                )
        return best[1] if best is not None else None


def draw_piece(person: Person, frames: int, rng: np.random.Generator) -> tuple[int, int, int] | None:
    """Draw a piece of a person's speech: stretch, first frame, end; None where this try finds none."""
    stretches = [n for n, begin in enumerate(person.openings) if begin]
    lengths = np.array([len(person.openings[n]) for n in stretches], np.float64)
    number = int(rng.choice(stretches, p=lengths / lengths.sum()))
    first = int(rng.choice(person.openings[number]))
    ends = [e for e in person.closings[number] if 0.5 * frames <= e - first <= 1.6 * frames + 5]
    if not ends:
        return None
    end = min(ends, key=lambda e: abs(e - first - frames))
    return (number, first, end) if _sound(person, number, first, end) else None


def _sound(person: Person, number: int, first: int, end: int) -> bool:
    """Tell whether a piece is mostly speech of one voice, and lips move with it."""
    stretch = person.stretches[number]
    start_s, end_s = first / FPS, end / FPS
    spoken = sum(max(0.0, min(b, end_s) - max(a, start_s)) for a, b in stretch.speech)
    crowded = any(a < end_s and start_s < b for a, b in stretch.noisy)
    moving_T = stretch.moving_T[first:end]
    measured = np.isfinite(moving_T)
    still = bool(measured.any()) and float(np.median(moving_T[measured])) < SPEECH_MOVES
    return spoken >= 0.5 * (end_s - start_s) and not crowded and not still
