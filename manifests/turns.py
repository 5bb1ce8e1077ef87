"""Who speaks when, frame by frame, by the labels alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Clip, SpeechTurn, Turn
from mitds.time import CLIP_FPS

Mask = NDArray[np.bool_]


def spoken_T(turns: Iterable[Turn | SpeechTurn], frames: int) -> Mask:
    """Return True for the frames whose middle lies in a turn."""
    middle_T = (np.arange(frames) + 0.5) / float(CLIP_FPS)
    inside_T = np.zeros(frames, np.bool_)
    for turn in turns:
        inside_T |= (turn.start_s <= middle_T) & (middle_T < turn.end_s)
    return inside_T


def spoken_NT(clip: Clip) -> Mask:
    """Return when each person speaks."""
    rows = [spoken_T(person.turns, clip.frames) for person in clip.persons]
    return np.array(rows, np.bool_).reshape(len(rows), clip.frames)
