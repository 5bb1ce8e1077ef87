"""Furnishes shots: who is placed where, at which size, and how the camera moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.pipeline.compose.backdrop import Backdrop
from mitds.pipeline.compose.config import PictureConfig
from mitds.pipeline.compose.performance import Performance
from mitds.pipeline.compose.placing import (
    Camera,
    Matrix,
    View,
    draw_camera,
    draw_wish,
    panel_views,
    panels,
    room_matrix,
)
from mitds.pipeline.compose.script import Script, Shot
from mitds.pipeline.compose.turns import uniform

WIDEST = 0.5
"""Height of a face in a room over the width that falls to each person, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One person in one shot: who performs, from where it is seen, and how each stretch is mapped."""

    performance: Performance
    camera: Camera
    views: Mapping[int, View]
    matrices: Mapping[int, Matrix]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A shot, furnished: `backdrop` in a room, None for panels."""

    shot: Shot
    last: int
    people: tuple[Placed, ...]
    backdrop: Backdrop | None
    camera: Camera


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Draws how the shots of a scene of a given size, px, look."""

    script: Script
    performances: Mapping[str, Performance]
    config: PictureConfig
    size: tuple[int, int]
    rng: np.random.Generator

    def settings(self) -> list[Setting]:
        """Furnish all shots; each is on view from its first frame until the next has faded in wholly."""
        backdrop = Backdrop.draw(self.size, self.rng)
        shots = self.script.shots
        ends = [later.first + later.fade for later in shots[1:]] + [self.script.frames]
        return [self._furnish(s, end, backdrop) for s, end in zip(shots, ends, strict=True)]

    def _furnish(self, shot: Shot, last: int, backdrop: Backdrop) -> Setting:
        frames = last - shot.first
        camera = draw_camera(frames, self.config.camera, self.rng)
        people = [self.performances[name] for name in shot.people]
        room = shot.layout == "room"
        placed = self._in_room(people, shot, last, camera) if room else self._in_panels(people, shot, last)
        return Setting(
            shot=shot, last=last, people=placed, backdrop=backdrop if room else None, camera=camera
        )

    def _in_room(
        self, people: Sequence[Performance], shot: Shot, last: int, camera: Camera
    ) -> tuple[Placed, ...]:
        """Place people side by side behind the desk, about equally large; bodies may overlap, faces not."""
        widest = WIDEST * self.size[0] / self.size[1] / len(people)
        share = min(uniform(self.rng, self.config.face), widest)
        placed = []
        for n, performance in enumerate(people):
            x = (n + uniform(self.rng, (0.42, 0.58))) / len(people)
            place = (x, share * uniform(self.rng, (0.93, 1.07)))
            stretches = performance.person.stretches
            matrices = {
                s: room_matrix(stretches[s], source_T, place, self.size)
                for s, source_T in frames_shown(performance, shot.first, last).items()
            }
            placed.append(Placed(performance=performance, camera=camera, views={}, matrices=matrices))
        return tuple(placed)

    def _in_panels(self, people: Sequence[Performance], shot: Shot, last: int) -> tuple[Placed, ...]:
        placed = []
        for performance, area in zip(people, panels(len(people), *self.size), strict=True):
            wish = draw_wish(self.config, self.rng)
            shown = frames_shown(performance, shot.first, last)
            views = panel_views(performance.person.stretches, shown, area, wish)
            camera = draw_camera(last - shot.first, self.config.camera, self.rng)
            placed.append(Placed(performance=performance, camera=camera, views=views, matrices={}))
        return tuple(placed)


def frames_shown(performance: Performance, first: int, end: int) -> dict[int, NDArray[np.int64]]:
    """Return the frames by stretch that are seen over [first, end), those seen through others included."""
    span = slice(first, end)
    also_T = performance.other_T[span] > 0
    stretch_T = np.concatenate([performance.stretch_T[span], performance.other_stretch_T[span][also_T]])
    source_T = np.concatenate([performance.source_T[span], performance.other_source_T[span][also_T]])
    return {int(s): source_T[stretch_T == s] for s in np.unique(stretch_T)}
