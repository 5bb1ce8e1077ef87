"""Where each person's picture lies in each shot, and how the camera moves over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array
from mitds.pipeline.compose.config import PictureConfig
from mitds.pipeline.compose.parts import Stretch
from mitds.pipeline.compose.turns import FPS, uniform

Motion = Literal["still", "pan", "zoom", "hand"]
Matrix = NDArray[np.float64]

DESK = 0.84
"""Height of the desk's edge in a room, over the picture's height: bodies end behind it."""

HIGHEST = 0.36
"""Middle of the highest face in a room, over the picture's height: who stands is seen from the chest up."""

LOOSE = 0.85
"""Where a face is to be smaller than a source's framing allows by more than this, the source is shown inset."""


LEAST_INSET = 0.7
"""An inset fills at least so much of its panel's width or height."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle of the picture: left, top, width, height, px."""

    x: int
    y: int
    width: int
    height: int


def panels(count: int, width: int, height: int) -> list[Panel]:
    """Divide a picture among 1 to 4 people: whole, halves, thirds, quarters."""
    if count == 4:
        half_w, half_h = width // 2, height // 2
        corners = [(0, 0), (half_w, 0), (0, half_h), (half_w, half_h)]
        return [
            Panel(x, y, half_w if not x else width - half_w, half_h if not y else height - half_h)
            for x, y in corners
        ]
    edges = [round(width * k / count) for k in range(count + 1)]
    return [Panel(a, 0, b - a, height) for a, b in pairwise(edges)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera's way over T frames: zoom_T (1 or more) and shift_T2 (shares of the height it looks at)."""

    motion: Motion
    zoom_T: NDArray[np.float64]
    shift_T2: NDArray[np.float64]


def draw_camera(frames: int, moves: float, rng: np.random.Generator) -> Camera:
    """Draw a camera: still, or with the chance `moves` panning, zooming or held by hand."""
    motion: Motion = "still"
    if rng.random() < moves:
        motion = ("pan", "zoom", "hand")[int(rng.integers(3))]
    share_T = np.linspace(0.0, 1.0, frames)
    zoom_T, shift_T2 = np.ones(frames), np.zeros((frames, 2))
    if motion == "pan":
        zoom_T += 0.15
        shift_T2[:, 0] = float(rng.choice([-1, 1])) * uniform(rng, (0.05, 0.12)) * (share_T - 0.5)
    elif motion == "zoom":
        far = uniform(rng, (0.1, 0.35))
        zoom_T += far * (share_T if rng.random() < 0.5 else 1 - share_T)
    elif motion == "hand":
        zoom_T += 0.06
        shift_T2 += _tremor(frames, uniform(rng, (0.004, 0.012)), rng)
    return Camera(motion=motion, zoom_T=zoom_T, shift_T2=shift_T2)


def _tremor(frames: int, size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the slow wandering of a hand: a few sines of .2 to 2 Hz on either axis."""
    hertz_R2 = rng.uniform(0.2, 2.0, (6, 2))
    phase_R2 = rng.uniform(0, 2 * np.pi, (6, 2))
    time_T11 = np.arange(frames)[:, None, None] / FPS
    waves_TR2 = np.sin(2 * np.pi * hertz_R2 * time_T11 + phase_R2) / (0.5 + hertz_R2)
    return np.asarray(size * waves_TR2.sum(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How large and where a face is to be: its height, and its centre, as shares of the panel's sides."""

    share: float
    x: float
    y: float


def draw_wish(config: PictureConfig, rng: np.random.Generator) -> Wish:
    """Draw the framing of one person in one shot."""
    return Wish(share=uniform(rng, config.face), x=uniform(rng, (0.44, 0.56)), y=uniform(rng, (0.36, 0.46)))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a stretch is shown in a panel: the visible rectangle, and the scale and centre of its window."""

    panel: Panel
    inset: bool
    scale: float
    centre_2: NDArray[np.float64]
    wish: Wish
    size_2: NDArray[np.float64]

    def matrix(self, camera: Camera, k: int) -> Matrix:
        """Return the 2x3 map from px of the stretch to px of the panel at the camera's frame k."""
        panel_2 = np.array([self.panel.width, self.panel.height], np.float64)
        scale = self.scale * float(camera.zoom_T[k])
        at_2 = panel_2 * (self.wish.x, self.wish.y)
        centre_2 = self.centre_2 + camera.shift_T2[k] * panel_2[1] / scale
        # The window stays within the source: left edge at 0 or later, right edge at its width or earlier.
        low_2, high_2 = at_2 / scale, self.size_2 - (panel_2 - at_2) / scale
        centre_2 = np.where(low_2 < high_2, np.clip(centre_2, low_2, high_2), (low_2 + high_2) / 2)
        return np.column_stack([np.eye(2) * scale, at_2 - scale * centre_2])


def panel_views(
    stretches: Sequence[Stretch], shown: Mapping[int, NDArray[np.int64]], panel: Panel, wish: Wish
) -> dict[int, View]:
    """Frame a person's stretches in a panel, by their median faces over the frames shown.

    A source that is framed too closely for the wish is shown inset in the panel. All stretches get one window
    and one height of the face: how somebody is framed must not tell whether they speak.
    """
    boxes = {s: np.median(stretches[s].xyxy_T4[t], axis=0).astype(np.float64) for s, t in shown.items()}
    tall = {s: float(box_4[3] - box_4[1]) for s, box_4 in boxes.items()}
    size = {s: np.array([stretches[s].width, stretches[s].height], np.float64) for s in shown}
    height = wish.share * panel.height
    loosest = {s: _cover(panel, size[s]) * tall[s] for s in shown}
    closest = max(shown, key=lambda s: loosest[s])
    inset = height < LOOSE * loosest[closest]
    if inset:
        panel = _inset(panel, size[closest], height / tall[closest])
    height = max(height, *(_cover(panel, size[s]) * tall[s] for s in shown))
    return {
        s: View(
            panel=panel,
            inset=inset,
            scale=height / tall[s],
            centre_2=(boxes[s][:2] + boxes[s][2:]) / 2,
            wish=wish,
            size_2=size[s],
        )
        for s in shown
    }


def _cover(panel: Panel, size_2: NDArray[np.float64]) -> float:
    """Return the least scale at which a source fills a panel."""
    return float((np.array([panel.width, panel.height]) / size_2).max())


def _inset(panel: Panel, size_2: NDArray[np.float64], scale: float) -> Panel:
    """Return the part of a panel that a whole source takes at a scale, in the middle, no less than LEAST_INSET."""
    whole_2 = np.array([panel.width, panel.height])
    scale = max(scale, LEAST_INSET * float((whole_2 / size_2).min()))
    width, height = (int(v) for v in np.minimum(np.round(scale * size_2), whole_2))
    return Panel(panel.x + (panel.width - width) // 2, panel.y + (panel.height - height) // 2, width, height)


def room_matrix(
    stretch: Stretch, source_T: NDArray[np.int64], place: tuple[float, float], size: tuple[int, int]
) -> Matrix:
    """Return the 2x3 map from px of the stretch to the room: its lower edge lies behind the desk, or lower.

    Args:
        stretch: What is shown.
        source_T: Frames shown; their median face counts.
        place: Middle of the face over the picture's width, and height of the face over its height.
        size: The picture's width and height, px.
    """
    box_4 = np.median(stretch.xyxy_T4[source_T], axis=0).astype(np.float64)
    scale = place[1] * size[1] / (box_4[3] - box_4[1])
    x = place[0] * size[0] - scale * (box_4[0] + box_4[2]) / 2
    behind = (DESK + 0.02) * size[1] - scale * stretch.height
    y = max(behind, HIGHEST * size[1] - scale * (box_4[1] + box_4[3]) / 2)
    return np.array([[scale, 0.0, x], [0.0, scale, y]])


def moved(matrix: Matrix, camera: Camera, k: int, size: tuple[int, int]) -> Matrix:
    """Return a map to the room as the camera sees it: zoomed around the picture's middle, and shifted."""
    zoom = float(camera.zoom_T[k])
    middle_2 = np.array(size, np.float64) / 2
    shifted = zoom * matrix
    shifted[:, 2] += middle_2 * (1 - zoom) - camera.shift_T2[k] * size[1] * zoom
    return shifted


def carried(xyxy_4: Array, matrix: Matrix, panel: Panel) -> Array | None:
    """Return a face box in px of the picture, cut at its panel's edges; None where less than half is in view."""
    corners_22 = xyxy_4.reshape(2, 2) * np.diag(matrix[:, :2]) + matrix[:, 2]
    inside_22 = np.clip(corners_22, 0, (panel.width, panel.height))
    whole, seen = np.prod(corners_22[1] - corners_22[0]), np.prod(inside_22[1] - inside_22[0])
    if seen < 0.5 * whole:
        return None
    return np.asarray((inside_22 + np.array([panel.x, panel.y])).ravel(), np.float32)
