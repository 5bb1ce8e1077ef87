"""Draws a scene: who is cast, who says what and when, and which of them each shot shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitds.errors import UsageError
from mitds.pipeline.compose.casting import Person
from mitds.pipeline.compose.config import ComposeConfig, ScriptConfig
from mitds.pipeline.compose.turns import FPS, Turn, TurnDrawer, uniform

Layout = Literal["panels", "room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What is in view over [first, end), frames; people from left to right, top to bottom.

    Attributes:
        fade: Frames over which the shot before it dissolves into this one, from `first`; 0 for a hard cut.
    """

    first: int
    end: int
    layout: Layout
    people: tuple[str, ...]
    fade: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A scene before it is made: its length, the people in view and those only heard, turns and shots."""

    frames: int
    cast: tuple[Person, ...]
    voices: tuple[Person, ...]
    turns: tuple[Turn, ...]
    shots: tuple[Shot, ...]

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frames of the shots that are cut to."""
        return tuple(shot.first for shot in self.shots[1:] if not shot.fade)

    @property
    def soft(self) -> tuple[tuple[int, int], ...]:
        """First and last frame of every dissolve: those that show both shots."""
        return tuple((shot.first, shot.first + shot.fade - 1) for shot in self.shots[1:] if shot.fade)


def draw_script(people: Sequence[Person], config: ComposeConfig, rng: np.random.Generator) -> Script:
    """Draw a scene.

    Raises:
        UsageError: There are too few people for it.
    """
    frames = round(config.seconds * FPS)
    cast, voices = _draw_cast(people, config, rng)
    shots = _draw_shots([p.name for p in cast], frames, config.script, rng)
    turns = TurnDrawer(cast, voices, frames, config.script, rng).draw()
    return Script(frames=frames, cast=cast, voices=voices, turns=tuple(turns), shots=tuple(shots))


def _draw_cast(
    people: Sequence[Person], config: ComposeConfig, rng: np.random.Generator
) -> tuple[tuple[Person, ...], tuple[Person, ...]]:
    """Draw who is in view, at least one of them with a voice, and up to two others who are only heard."""
    low, high = config.people
    fit = _fit(people, low, config.script.muted, rng)
    speakers = [p for p in fit if p.speaks]
    if len(fit) < low or not speakers:
        raise UsageError(
            f"of {len(people)} people, {len(fit)} can be shown listening, {len(speakers)} of them speak",
            remedy=f"Give clips of {low} people with pauses and speech, or allow fewer with --people.",
        )
    count = int(rng.integers(low, min(high, len(fit)) + 1))
    wanted = min(len(speakers), max(1, count - int(rng.random() < 0.3)))
    chosen = [speakers[k] for k in rng.permutation(len(speakers))[:wanted]]
    rest = [p for p in fit if p not in chosen]
    chosen += [rest[k] for k in rng.permutation(len(rest))[: count - wanted]]
    cast = tuple(chosen[k] for k in rng.permutation(len(chosen)))
    unseen = [p for p in people if p.speaks and p not in cast]
    voices = tuple(unseen[k] for k in rng.permutation(len(unseen))[:2]) if config.script.offscreen else ()
    return cast, voices


def _fit(people: Sequence[Person], least: int, muted: float, rng: np.random.Generator) -> list[Person]:
    """Return who can be in view: who can listen, and as often as lips may move in silence, who cannot."""
    fit = [p for p in people if p.listens or (p.speaks and rng.random() < muted)]
    if muted and (len(fit) < least or not any(p.speaks for p in fit)):
        return [p for p in people if p.listens or p.speaks]
    return fit


def _draw_shots(names: list[str], frames: int, config: ScriptConfig, rng: np.random.Generator) -> list[Shot]:
    """Draw shots that each show another group than the one before; one person alone is one shot.

    A cut from somebody to the same person in the same running footage would be listed, and not be seen.
    """
    shots: list[Shot] = []
    layout: Layout = "room" if rng.random() < config.room else "panels"
    first, least = 0, round(config.shot_s[0] * FPS)
    while first < frames:
        end = first + round(uniform(rng, config.shot_s) * FPS)
        end = frames if len(names) == 1 or frames - end < least else end
        fade = int(rng.integers(8, 21)) if shots and rng.random() < config.soft else 0
        shown = _draw_view(names, shots[-1].people if shots else (), rng)
        shots.append(Shot(first=first, end=end, layout=layout, people=shown, fade=fade))
        first = end
    return shots


def _draw_view(names: list[str], before: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """Draw who is in view: another group than before, wherever there is one."""
    if len(names) == 1:
        return tuple(names)
    shown = before
    while shown == before:
        count = int(rng.choice(np.arange(1, len(names) + 1), p=_weights(len(names))))
        shown = tuple(names[k] for k in sorted(rng.permutation(len(names))[:count]))
    return shown


def _weights(count: int) -> NDArray[np.float64]:
    weights = np.array([0.6, 1.5, 1.2, 1.2][:count])
    return np.asarray(weights / weights.sum())
