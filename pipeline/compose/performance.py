"""Which frame of which stretch each person shows at every moment: speaking turns, and listening between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array
from mitds.pipeline.compose.casting import Person
from mitds.pipeline.compose.config import ScriptConfig
from mitds.pipeline.compose.turns import FPS, Turn, draw_piece, uniform

FADE = 5
"""Frames over which one piece of footage fades into the next, so that nobody jumps."""

CANDIDATES = 12
TURN_BACK = 1 / 75
"""Chance a frame that quiet footage is played the other way from there on."""

PASS_FRAMES, SLOWEST = 50, 0.2
"""Frames that one pass through a run takes at least, and the least speed."""

REST_S = (2.5, 7.0)
"""How long one run of quiet footage is stayed in, where there are several, seconds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Footage shown from scene frame `start` on: places source_T in one stretch, between its frames too."""

    start: int
    stretch: int
    source_T: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """One person over all T frames of a scene.

    Attributes:
        stretch_T: Number of the stretch shown.
        source_T: Frame of that stretch.
        other_stretch_T: Stretch that is seen through it: the one before, fading, or the same.
        other_source_T: Frame of it.
        other_T: Weight of that, 0..1.
        lips_T: The lips move, or were not measured closed, though the person does not speak.
    """

    person: Person
    stretch_T: NDArray[np.int64]
    source_T: NDArray[np.int64]
    other_stretch_T: NDArray[np.int64]
    other_source_T: NDArray[np.int64]
    other_T: Array
    lips_T: NDArray[np.bool_]

    def shown(self, k: int) -> list[tuple[int, int, float]]:
        """Return (stretch, frame, weight) of what is in the picture at scene frame k; weights sum to 1."""
        weight = float(self.other_T[k])
        now = (int(self.stretch_T[k]), int(self.source_T[k]), 1 - weight)
        if not weight:
            return [now]
        return [now, (int(self.other_stretch_T[k]), int(self.other_source_T[k]), weight)]


def perform(
    person: Person,
    turns: Sequence[Turn],
    speaking_T: NDArray[np.bool_],
    config: ScriptConfig,
    rng: np.random.Generator,
) -> Performance:
    """Fill a scene with a person's footage: the turns' own, and in between what the settings ask for.

    Args:
        person: Who is shown.
        turns: Of everybody.
        speaking_T: The frames of the scene in which this person is heard: turns hold breaths and pauses, too.
        config: How often silent lips move.
        rng: Draws the footage between turns.
    """
    own = sorted((t for t in turns if t.person == person.name), key=lambda t: t.start)
    pieces: list[Piece] = []
    at = 0
    for turn in own:
        pieces += _listening(person, at, turn.start, pieces, config, rng)
        pieces.append(Piece(turn.start, turn.stretch, _forward(turn.source, turn.frames)))
        at = turn.end
    pieces += _listening(person, at, len(speaking_T), pieces, config, rng)
    return _performance(person, pieces, speaking_T, config)


def _listening(
    person: Person,
    start: int,
    end: int,
    before: Sequence[Piece],
    config: ScriptConfig,
    rng: np.random.Generator,
) -> Iterator[Piece]:
    if end <= start:
        return
    chance = float(rng.random())
    muted = config.frozen <= chance < config.frozen + config.muted
    if muted or not person.listens:
        yield from _restless(person, start, end, rng)
    elif chance < config.frozen:
        number, first, last = _run(person, before, rng)
        yield Piece(start, number, np.full(end - start, float((first + last) // 2)))
    else:
        yield from _resting(person, start, end, before, rng)


def _run(person: Person, before: Sequence[Piece], rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw a run of quiet footage, longer ones more often, from the stretch shown before if it has any."""
    same = [run for run in person.quiet if before and run[0] == before[-1].stretch]
    pool = same if same and rng.random() < 0.8 else list(person.quiet)
    length = np.array([end - first for _, first, end in pool], np.float64)
    return pool[int(rng.choice(len(pool), p=length / length.sum()))]


def _resting(
    person: Person, start: int, end: int, before: Sequence[Piece], rng: np.random.Generator
) -> Iterator[Piece]:
    """Yield quiet footage to and fro, turning now and then, moving on to another run after some seconds."""
    shown = list(before)
    while start < end:
        number, first, last = _run(person, shown, rng)
        stay = end if len(person.quiet) == 1 else min(end, start + round(uniform(rng, REST_S) * FPS))
        stay = end if end - stay < FPS else stay
        begin = _nearest(person, (number, first, last), shown, rng)
        piece = Piece(start, number, wander(begin, first, last, stay - start, rng))
        shown.append(piece)
        yield piece
        start = stay


def _forward(first: int, count: int) -> NDArray[np.float64]:
    return first + np.arange(count, dtype=np.float64)


def _nearest(
    person: Person, run: tuple[int, int, int], shown: Sequence[Piece], rng: np.random.Generator
) -> int:
    """Draw the frame of a run to begin with: of several, the one whose face lies nearest to where it was."""
    number, first, last = run
    drawn = rng.integers(first, last, CANDIDATES)
    if not shown or shown[-1].stretch != number:
        return int(drawn[0])
    boxes_T4 = person.stretches[number].xyxy_T4
    away_C = np.abs(boxes_T4[drawn] - boxes_T4[int(shown[-1].source_T[-1])]).sum(axis=1)
    return int(drawn[int(away_C.argmin())])


def wander(begin: int, first: int, end: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return `count` places that walk through frames [first, end) from `begin`, turning at its ends and at random.

    Short runs are walked slowly, places between frames included: nobody is to nod three times a second.
    """
    source_T = np.empty(count, np.float64)
    speed = min(1.0, max((end - first) / PASS_FRAMES, SLOWEST)) * float(rng.choice([-1, 1]))
    at = float(begin)
    turns_T = rng.random(count) < TURN_BACK
    for k in range(count):
        source_T[k] = at
        speed = -speed if turns_T[k] or not first <= at + speed <= end - 1 else speed
        at = min(max(at + speed, float(first)), float(end - 1))
    return np.asarray(np.round(4 * source_T) / 4)


def _restless(person: Person, start: int, end: int, rng: np.random.Generator) -> Iterator[Piece]:
    """Yield footage in which the lips move: of speech, or of silent people any."""
    while start < end:
        piece = draw_piece(person, end - start, rng) if person.speaks else None
        number, first, last = piece or _any(person, end - start, rng)
        count = min(last - first, end - start)
        yield Piece(start, number, _forward(first, count))
        start += count


def _any(person: Person, frames: int, rng: np.random.Generator) -> tuple[int, int, int]:
    number = int(rng.integers(len(person.stretches)))
    total = person.stretches[number].frames
    first = int(rng.integers(0, max(1, total - frames + 1)))
    return number, first, min(total, first + frames)


def _performance(
    person: Person, pieces: Sequence[Piece], speaking_T: NDArray[np.bool_], config: ScriptConfig
) -> Performance:
    frames = len(speaking_T)
    rows_4T = np.zeros((4, frames), np.int64)
    other_T = np.zeros(frames, np.float32)
    last: Piece | None = None
    for piece in pieces:
        span = slice(piece.start, piece.start + len(piece.source_T))
        whole_T = np.floor(piece.source_T)
        rows_4T[0, span], rows_4T[1, span] = piece.stretch, whole_T
        rows_4T[2, span], rows_4T[3, span] = piece.stretch, np.ceil(piece.source_T)
        other_T[span] = piece.source_T - whole_T
        if last is not None:
            fading = slice(piece.start, min(piece.start + FADE, span.stop))
            rows_4T[2, fading], rows_4T[3, fading] = last.stretch, int(last.source_T[-1])
            other_T[fading] = 1 - (np.arange(fading.stop - fading.start) + 1) / (FADE + 1)
        last = piece
    closed_T = _closed(person, rows_4T[0], rows_4T[1], config)
    closed_T &= (other_T == 0) | _closed(person, rows_4T[2], rows_4T[3], config)
    return Performance(
        person=person, stretch_T=rows_4T[0], source_T=rows_4T[1], other_stretch_T=rows_4T[2],
        other_source_T=rows_4T[3], other_T=other_T, lips_T=~speaking_T & ~closed_T,
    )  # fmt: skip


def _closed(
    person: Person, stretch_T: NDArray[np.int64], source_T: NDArray[np.int64], config: ScriptConfig
) -> NDArray[np.bool_]:
    closed_T = np.zeros(len(stretch_T), np.bool_)
    for number, stretch in enumerate(person.stretches):
        here_T = stretch_T == number
        moving_T, opening_T = stretch.moving_T[source_T[here_T]], stretch.opening_T[source_T[here_T]]
        closed_T[here_T] = (moving_T <= config.lips_moving) & (opening_T <= config.lips_apart)
    return closed_T
