"""Films longer than a model's window: windows that overlap, and how much each counts in each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mitds.manifests.records import Array


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A run of frames that are denoised together.

    Attributes:
        place: First of its frames on the film.
        told: First of the frames whose conditions it is given; that of its place, but for the published defect.
        weight_T: How much its answer counts in each of its frames; over all windows they sum to 1.
    """

    place: int
    told: int
    weight_T: Array

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.weight_T)


def plan(frames: int, window: int, overlap: int, *, keep_first: bool = False) -> tuple[Window, ...]:
    """Cover a film with windows of equal length.

    The last window is moved back until it ends with the film. In what windows share, one fades into the next.

    Args:
        frames: T of the film, at least 1.
        window: Frames of a window; a shorter film is one window.
        overlap: Frames that neighbours share at least; less than `window`.
        keep_first: Published behaviour: windows keep their first frames. The last one reads its conditions from
            where it was moved to, but its frames stay where it was: the film's last frames are never made, and
            earlier ones stand in their place. Its windows may reach beyond the film's end.
    """
    length = min(window, frames)
    advance = length if length == frames else window - overlap
    last = frames - length
    places = [*range(0, last, advance), last]
    if keep_first:
        places[-1] = advance * (len(places) - 1)
        return _keeping_first(places, length, last)
    ramp_T = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float64)
    total_T = np.zeros(frames)
    for place in places:
        total_T[place : place + length] += ramp_T
    return tuple(Window(p, p, (ramp_T / total_T[p : p + length]).astype(np.float32)) for p in places)


def _keeping_first(places: list[int], length: int, last: int) -> tuple[Window, ...]:
    ends = [*places[1:], places[-1] + length]
    return tuple(
        Window(place, min(place, last), (np.arange(place, place + length) < end).astype(np.float32))
        for place, end in zip(places, ends, strict=True)
    )
