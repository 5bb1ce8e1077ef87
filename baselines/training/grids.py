"""Sample grids: what a model in training is given, what it makes of it, and what really was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mitds.baselines.conditions.placement import Placement
from mitds.baselines.conditions.skeleton import draw
from mitds.baselines.contracts import Example, Told
from mitds.manifests.items import Frame
from mitds.store import atomic_path

if TYPE_CHECKING:
    from mitds.baselines.checkpoint import Checkpoint
    from mitds.baselines.recipe import Recipe
    from mitds.baselines.training.windows import Windows

COLUMNS = ("reference", "skeleton", "real", "generated")
_EXAMPLES = 2
_MOMENTS = 3
"""Frames of each example that are shown: its first, its last, and those evenly between."""
_LEAST_WIDTH = 320
"""Px a cell at least: smaller pictures are enlarged by a whole number."""
_GAP, _CAPTION = 4, 22
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def write_grid(path: Path, model: Checkpoint, windows: Windows, recipe: Recipe, step: int) -> None:
    """Let a model draw examples of the training, always the same ones, and write them beside the real frames.

    Args:
        path: PNG to write.
        model: As it is by now.
        windows: Where the examples come from.
        recipe: What the model is.
        step: Steps done; for the captions alone.

    Raises:
        StorageFault: If the picture cannot be written.
    """
    stage, config = (2, recipe.stage2) if recipe.stage2.steps else (1, recipe.stage1)
    shown = [windows.example(stage, 0, slot) for slot in range(min(_EXAMPLES, config.batch))]
    rows = [row for example in shown for row in _rows(example, model, (recipe.height, recipe.width))]
    captions = (*COLUMNS[:-1], f"{COLUMNS[-1]}, step {step}")
    write_png(path, compose(rows, captions))


def _rows(example: Example, model: Checkpoint, size_HW: tuple[int, int]) -> list[list[Frame]]:
    """Return a row of COLUMNS for each moment of an example."""
    from mitds.baselines.generation.sampler import Sampler

    real = example.frames_THWC
    if real is None:
        raise ValueError("an example without its real frames has nothing to be shown beside")
    asked = replace(example, frames_THWC=None, flip=False, zoom=1.0)
    generated = list(Sampler(model).frames(asked, seed=0))
    told = example.told
    placement = Placement.fit(told.width, told.height, size_HW)
    return [
        [
            placement.picture(example.reference_HWC),
            skeletons(told, t, placement),
            placement.picture(real[t]),
            placement.picture(generated[t]),
        ]
        for t in moments(told.frames)
    ]


def moments(frames: int) -> list[int]:
    """Return which of T frames are shown, without repeats."""
    return sorted(set(np.linspace(0, frames - 1, _MOMENTS).round().astype(int).tolist()))


def skeletons(told: Told, t: int, placement: Placement) -> Frame:
    """Return everybody's skeleton of frame t on one picture, where persons overlap the brighter."""
    canvas_HWC = np.zeros((*placement.size_HW, 3), np.uint8)
    for pose_K3 in told.pose_NTK3[:, t]:
        placed_K3 = np.concatenate([placement.points(pose_K3[:, :2]), pose_K3[:, 2:]], axis=1)
        canvas_HWC = np.maximum(canvas_HWC, draw(placed_K3, placement.size_HW))
    return canvas_HWC


def compose(rows: Sequence[Sequence[Frame]], captions: Sequence[str]) -> Frame:
    """Return pictures in rows and columns on white, with a caption over each column.

    Args:
        rows: Pictures, frame_HWC uint8 RGB, all of one size; small ones are enlarged.
        captions: One a column.
    """
    height, width = rows[0][0].shape[:2]
    times = max(1, -(-_LEAST_WIDTH // width))
    height, width = height * times, width * times
    across, down = len(captions) * (width + _GAP) + _GAP, len(rows) * (height + _GAP) + _CAPTION + _GAP
    sheet_HWC = np.full((down, across, 3), _PAPER, np.uint8)
    for column, caption in enumerate(captions):
        left = _GAP + column * (width + _GAP)
        _write(sheet_HWC, caption, left)
        for row, pictures in enumerate(rows):
            top = _CAPTION + row * (height + _GAP)
            enlarged_HWC = cv2.resize(pictures[column], (width, height), interpolation=cv2.INTER_CUBIC)
            sheet_HWC[top : top + height, left : left + width] = enlarged_HWC
    return sheet_HWC


def _write(sheet_HWC: Frame, caption: str, left: int) -> None:
    place = (left + 2, _CAPTION - 7)
    cv2.putText(sheet_HWC, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, _INK, 1, cv2.LINE_AA)


def write_png(path: Path, frame_HWC: Frame) -> None:
    """Write a picture, uint8 RGB; the file is complete or absent.

    Raises:
        StorageFault: If it cannot be written.
    """
    _, data_S = cv2.imencode(".png", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data_S.tobytes())
