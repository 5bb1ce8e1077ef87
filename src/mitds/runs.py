"""Stretches of frames or steps, each [first, end)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, int]


def runs_of(flags_T: NDArray[np.bool_]) -> list[Run]:
    """Return the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags_T, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def bridge(runs: Iterable[Run], pause: float) -> list[Run]:
    """Join runs, given in order, with at most `pause` frames or steps between them."""
    joined: list[Run] = []
    for first, end in runs:
        if joined and first - joined[-1][1] <= pause:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined
