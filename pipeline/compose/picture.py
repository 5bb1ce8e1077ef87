"""Paints a scene's frames, and says where every face lies in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array
from mitds.pipeline.compose.backdrop import Backdrop
from mitds.pipeline.compose.config import PictureConfig
from mitds.pipeline.compose.footage import Footage
from mitds.pipeline.compose.matte import Matter
from mitds.pipeline.compose.performance import Performance
from mitds.pipeline.compose.placing import Matrix, Panel, carried, moved, panels
from mitds.pipeline.compose.script import Script
from mitds.pipeline.compose.staging import Placed, Setting, Stage, frames_shown

Faces = dict[str, Array]
"""Face box by person, px of the picture."""


@dataclass(slots=True)
class Painter:
    """Paints one scene.

    Args:
        script: The scene.
        performances: What each person of its cast shows, by name.
        config: How it looks.
        rng: Draws size, framing, cameras and rooms.
    """

    script: Script
    performances: Mapping[str, Performance]
    config: PictureConfig
    rng: np.random.Generator
    size: tuple[int, int] = field(init=False)
    settings: list[Setting] = field(init=False)
    _footage: dict[tuple[str, int], Footage] = field(init=False, default_factory=dict)
    _matter: Matter | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        sizes = self.config.sizes
        self.size = sizes[int(self.rng.integers(len(sizes)))]
        stage = Stage(
            script=self.script,
            performances=self.performances,
            config=self.config,
            size=self.size,
            rng=self.rng,
        )
        self.settings = stage.settings()

    def load(self) -> None:
        """Decode the footage that will be seen, each stretch in the size it is shown at."""
        needed: dict[tuple[str, int], set[int]] = {}
        scales: dict[tuple[str, int], float] = {}
        for setting in self.settings:
            for placed in setting.people:
                name = placed.performance.person.name
                for stretch, source_T in frames_shown(
                    placed.performance, setting.shot.first, setting.last
                ).items():
                    needed.setdefault((name, stretch), set()).update(source_T.tolist())
                    zoom = float(placed.camera.zoom_T.max())
                    scale = placed.views[stretch].scale if placed.views else placed.matrices[stretch][0, 0]
                    scales[name, stretch] = max(scales.get((name, stretch), 0.0), zoom * float(scale))
        for (name, number), frames in needed.items():
            stretch_ = self.performances[name].person.stretches[number]
            self._footage[name, number] = Footage(stretch_, frames, scales[name, number])

    def frames(self) -> Iterator[tuple[Frame, Faces]]:
        """Yield every frame of the scene with the faces in it; in a dissolve, those of the stronger shot."""
        for k in range(self.script.frames):
            on_view = [s for s in self.settings if s.shot.first <= k < s.last]
            frame_HWC, faces = self._paint(on_view[0], k)
            for setting in on_view[1:]:
                weight = (k - setting.shot.first + 1) / (setting.shot.fade + 1)
                over_HWC, own = self._paint(setting, k)
                mixed_HWC = cv2.addWeighted(frame_HWC, 1 - weight, over_HWC, weight, 0)
                frame_HWC = np.asarray(mixed_HWC, np.uint8)
                faces = own if weight > 0.5 else faces
            yield frame_HWC, faces

    def _paint(self, setting: Setting, k: int) -> tuple[Frame, Faces]:
        if setting.backdrop is not None:
            return self._room(setting, setting.backdrop, k)
        return self._panels(setting, k)

    def _panels(self, setting: Setting, k: int) -> tuple[Frame, Faces]:
        width, height = self.size
        frame_HWC = np.zeros((height, width, 3), np.uint8)
        areas = panels(len(setting.people), width, height)
        faces: Faces = {}
        at = k - setting.shot.first
        for placed, area in zip(setting.people, areas, strict=True):
            performance = placed.performance
            layers = [
                (self._in_panel(placed, stretch, source, area, at), weight)
                for stretch, source, weight in performance.shown(k)
            ]
            frame_HWC[area.y : area.y + area.height, area.x : area.x + area.width] = _blend(layers)
            stretch, source, _ = max(performance.shown(k), key=lambda s: s[2])
            view = placed.views[stretch]
            box_4 = carried(
                performance.person.stretches[stretch].xyxy_T4[source],
                view.matrix(placed.camera, at),
                view.panel,
            )
            if box_4 is not None:
                faces[performance.person.name] = box_4
        return frame_HWC, faces

    def _in_panel(self, placed: Placed, stretch: int, source: int, area: Panel, at: int) -> Frame:
        footage = self._footage[placed.performance.person.name, stretch]
        view = placed.views[stretch]
        picture_HWC = footage.frame(source)
        shown_HWC = _warp(
            picture_HWC, view.matrix(placed.camera, at), footage.scale, (view.panel.width, view.panel.height)
        )
        if not view.inset:
            return shown_HWC
        canvas_HWC = _blurred(picture_HWC, area.width, area.height)
        y, x = view.panel.y - area.y, view.panel.x - area.x
        canvas_HWC[y : y + view.panel.height, x : x + view.panel.width] = shown_HWC
        return canvas_HWC

    def _room(self, setting: Setting, backdrop: Backdrop, k: int) -> tuple[Frame, Faces]:
        at, whole = k - setting.shot.first, Panel(0, 0, *self.size)
        frame = backdrop.wall(setting.camera, at).astype(np.float32)
        faces: Faces = {}
        for placed in setting.people:
            shown = placed.performance.shown(k)
            layers = [
                self._cut_out(placed, stretch, source, at) * weight for stretch, source, weight in shown
            ]
            cut_HWC = np.sum(layers, axis=0)
            frame = frame * (1 - cut_HWC[..., 3:]) + cut_HWC[..., :3]
            stretch, source, _ = max(shown, key=lambda s: s[2])
            person = placed.performance.person
            matrix = moved(placed.matrices[stretch], placed.camera, at, self.size)
            seen = carried(person.stretches[stretch].xyxy_T4[source], matrix, whole)
            if seen is not None:
                faces[person.name] = seen
        painted_HWC = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
        return backdrop.desk(painted_HWC, setting.camera, at), faces

    def _cut_out(self, placed: Placed, stretch: int, source: int, at: int) -> Array:
        """Return a person laid over nothing: colours times opacity, and opacity, cut_HWC with four channels."""
        self._matter = self._matter or Matter()
        person = placed.performance.person
        footage = self._footage[person.name, stretch]
        picture_HWC = footage.frame(source)
        alpha_HW = self._matter.alpha(picture_HWC, person.stretches[stretch].xyxy_T4[source] * footage.scale)
        cut_HWC = np.dstack([picture_HWC.astype(np.float32) * alpha_HW[..., None], alpha_HW])
        matrix = moved(placed.matrices[stretch], placed.camera, at, self.size)
        return np.asarray(_warp(cut_HWC, matrix, footage.scale, self.size, cv2.BORDER_CONSTANT), np.float32)


def _warp(
    picture: NDArray[Any],
    matrix: Matrix,
    scale: float,
    size: tuple[int, int],
    border: int = cv2.BORDER_REPLICATE,
) -> NDArray[Any]:
    """Map a picture that was decoded at `scale` times the stretch's size."""
    own = matrix.copy()
    own[:, :2] /= scale
    # Coordinates are continuous, pixel i covers i..i+1; OpenCV's name the pixels' middles.
    own[:, 2] += own[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(picture, own, size, flags=cv2.INTER_LINEAR, borderMode=border)


def _blend(layers: Sequence[tuple[Frame, float]]) -> Frame:
    if len(layers) == 1:
        return layers[0][0]
    (now, weight), (before, rest) = layers
    return np.asarray(cv2.addWeighted(now, weight, before, rest, 0), np.uint8)


def _blurred(picture_HWC: Frame, width: int, height: int) -> Frame:
    """Return the picture filling a panel, out of focus and darker, as broadcasters pad narrow footage."""
    small_HWC = cv2.resize(picture_HWC, (24, 24), interpolation=cv2.INTER_AREA)
    soft_HWC = cv2.GaussianBlur(small_HWC, (0, 0), 2.0)
    wide_HWC = cv2.resize(soft_HWC, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide_HWC * 0.6, np.uint8)
