"""Which windows of a clip become items, and the clip narrowed to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from mitds.annotators.asd.rows import SAMPLES_PER_FRAME
from mitds.manifests.records import Array, Clip, ClipArrays, SpeechTurn, Turn
from mitds.manifests.turns import Mask, spoken_NT
from mitds.time import CLIP_FPS

FPS = float(CLIP_FPS)
STEP = 5
"""Frames between the starts that are tried."""
MIN_SPEECH_S = 0.5
"""Speech of people in view that a window needs."""
SHORTEST_TURN_S = 0.01
"""What a cut leaves of a turn is dropped below this."""
OVERLAP_SHARE = 0.05
UPPER_LIP, LOWER_LIP = [84, 85, 86], [90, 89, 88]
"""The inner rims of the lips in the 133 keypoints, facing each other."""
OPEN_MOUTH = 5.0
"""Weight of the lips' opening (in face heights) against the probability of speaking."""

Choice = tuple[float, tuple[int, ...]]
"""Total worth of some windows, and which starts they are."""
AnyTurn = TypeVar("AnyTurn", Turn, SpeechTurn)


def switches(speaks_NT: Mask) -> int:
    """Count the times that one begins to speak after another did."""
    onset_NT = speaks_NT & ~np.pad(speaks_NT, ((0, 0), (1, 0)))[:, :-1]
    person_E = np.nonzero(onset_NT.T)[1]
    return int((np.diff(person_E) != 0).sum())


def presentable(arrays: ClipArrays) -> Mask:
    """Return presentable_T: True where every face is in view and was detected, not interpolated."""
    seen_NT = arrays.visible_NT & np.isfinite(arrays.face_xyxy_NT4).all(axis=2) & (arrays.face_score_NT > 0)
    return np.asarray(seen_NT.all(axis=0))


def worth(speaks_NT: Mask, arrays: ClipArrays, window: slice) -> float:
    """Return how good an item a window makes, > 0; 0 where it makes none.

    A window needs a frame that shows every face, and speech of somebody in view. Best are windows in which
    everybody stays in view, that hold a change of speaker and overlapping speech.
    """
    talk_NT = speaks_NT[:, window]
    if not presentable(arrays)[window].any() or talk_NT.any(axis=0).sum() < MIN_SPEECH_S * FPS:
        return 0.0
    in_view = float(arrays.visible_NT[:, window].all(axis=0).mean())
    overlaps = (talk_NT.sum(axis=0) > 1).mean() >= OVERLAP_SHARE
    shared = min(switches(talk_NT), 2) + float(overlaps)
    return 4 * in_view + float(talk_NT.any(axis=0).mean()) + 0.5 * shared


def choose(clip: Clip, arrays: ClipArrays, frames: int, count: int) -> tuple[int, ...]:
    """Return the first frames of up to `count` windows that do not overlap, of the greatest total worth."""
    speaks_NT = spoken_NT(clip)
    starts = range(0, clip.frames - frames + 1, STEP)
    worths = [worth(speaks_NT, arrays, slice(s, s + frames)) for s in starts]
    best: list[Choice] = [(0.0, ())] * (len(worths) + 1)
    for _ in range(count):
        best = _one_more(worths, best, -(-frames // STEP))
    return tuple(starts[i] for i in best[0][1])


def _one_more(worths: Sequence[float], fewer: Sequence[Choice], length: int) -> list[Choice]:
    """Return the best choice from each start on, of one window more than `fewer` holds."""
    best: list[Choice] = [(0.0, ())] * (len(worths) + 1)
    for i in reversed(range(len(worths))):
        total, rest = fewer[min(i + length, len(worths))]
        # Windows of equal worth: the earlier one.
        taken = (worths[i] + total, (i, *rest)) if worths[i] else best[i + 1]
        best[i] = taken if taken[0] >= best[i + 1][0] else best[i + 1]
    return best


def reference_frame(arrays: ClipArrays) -> int:
    """Return the earliest of the frames with every face in view in which mouths are about the stillest.

    Systems start from it: an open mouth in it would have to be closed first.
    """
    quiet_NT = np.nan_to_num(arrays.speaking_NT, nan=0.5) + OPEN_MOUTH * _opening(arrays)
    cost_T = np.where(presentable(arrays), np.round(quiet_NT.max(axis=0), 1), np.inf)
    return int(cost_T.argmin())


def _opening(arrays: ClipArrays) -> Array:
    """Return how far the inner lips are apart, in heights of the face box; 0 where no pose says so."""
    gap_NTL2 = arrays.pose_NTK3[:, :, LOWER_LIP, :2] - arrays.pose_NTK3[:, :, UPPER_LIP, :2]
    height_NT = arrays.face_xyxy_NT4[..., 3] - arrays.face_xyxy_NT4[..., 1]
    return np.asarray(np.nan_to_num(np.linalg.norm(gap_NTL2, axis=3).mean(axis=2) / height_NT), np.float32)


def scaled_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return the item's width and height, px: even, the longer one at most `max_side`, never enlarged."""
    factor = min(1.0, max_side / max(width, height))
    return max(2, 2 * round(width * factor / 2)), max(2, 2 * round(height * factor / 2))


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a clip and the size it is scaled to.

    Attributes:
        first: First frame, counted in the clip.
        frames: T.
    """

    first: int
    frames: int
    width: int
    height: int

    @property
    def span(self) -> slice:
        """The window's frames in the clip."""
        return slice(self.first, self.first + self.frames)

    @property
    def samples(self) -> slice:
        """The window's 16 kHz samples in the clip."""
        return slice(self.first * SAMPLES_PER_FRAME, (self.first + self.frames) * SAMPLES_PER_FRAME)


def narrow(clip: Clip, window: Window, key: str) -> Clip:
    """Return the record of a window: spans on the source's clock, turns on the window's own, no scores."""
    start = clip.start + window.first / CLIP_FPS
    return replace(
        clip,
        key=key,
        start=start,
        end=start + window.frames / CLIP_FPS,
        frames=window.frames,
        width=window.width,
        height=window.height,
        seals={},
        persons=tuple(replace(p, turns=_shifted(p.turns, window)) for p in clip.persons),
        offscreen=_shifted(clip.offscreen, window),
        unassigned=_shifted(clip.unassigned, window),
        scores={},
    )


def _shifted(turns: Sequence[AnyTurn], window: Window) -> tuple[AnyTurn, ...]:
    origin, length = window.first / FPS, window.frames / FPS
    cut = [
        replace(t, start_s=max(t.start_s - origin, 0.0), end_s=min(t.end_s - origin, length)) for t in turns
    ]
    return tuple(t for t in cut if t.end_s - t.start_s >= SHORTEST_TURN_S)


def narrow_arrays(arrays: ClipArrays, window: Window, size: tuple[int, int]) -> ClipArrays:
    """Return the arrays of a window, boxes and poses in its own px.

    Args:
        arrays: Of the clip.
        window: Where to cut, and the new size.
        size: Width and height of the clip, px.
    """
    scale_2 = np.array([window.width / size[0], window.height / size[1]], np.float32)
    scale_3 = np.append(scale_2, np.float32(1))
    return ClipArrays(
        face_xyxy_NT4=arrays.face_xyxy_NT4[:, window.span] * np.tile(scale_2, 2),
        face_score_NT=arrays.face_score_NT[:, window.span],
        speaking_NT=arrays.speaking_NT[:, window.span],
        pose_NTK3=arrays.pose_NTK3[:, window.span] * scale_3,
        visible_NT=arrays.visible_NT[:, window.span],
        pts_T=np.arange(window.frames) / FPS,
    )
