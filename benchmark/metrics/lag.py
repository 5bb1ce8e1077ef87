"""Lag: how far from the natural moment does a mouth begin to move when its voice begins, and end when it ends?

A mouth's activity is its opening beyond its own rest, and how fast that changes. Its beginning is the step of that
activity: the frame at which the mean over the 0.3 s after it exceeds most the mean over the 0.3 s before it, from
half a second before the voice to one second after. Pictures alone decide; the sound is not looked at.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from mitds.annotators.asd.lip_signals import fill_gaps, known_runs
from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.speaking import legible_N, lips
from mitds.benchmark.metrics.talk import FPS, Reals, onsets, undefined
from mitds.manifests.records import ClipArrays
from mitds.manifests.turns import Mask, spoken_NT

FRAME_MS = 1000 / FPS
Reach = tuple[int, int]
FORWARDS: Reach = (13, 25)
BACKWARDS: Reach = (25, 13)
"""Frames before and after a switch in which the mouth's is looked for, 0.5 s and 1 s; and in reversed time."""
HALF = 8
"""Frames averaged on either side of a step."""
LEAD = 3
"""Frames by which mouths move before the voice begins, and after it ends, in real footage: 120 ms, the median of
the steps at 50 onsets and 35 offsets of five-second windows."""
WORST_MS = 1000.0
"""What a switch costs that the mouth does not show."""
REST = 25
"""Percentile of the opening that counts as the mouth at rest."""
SPEED = 2.0
"""Weight of the opening's change a frame beside the opening itself."""
NOISE = 0.004
"""Activity, in face sizes, that is measurement noise."""
LEAST = 0.5
"""Nepers that a step must have to be one."""
MAX_GAP = 5
"""Longest run of frames without a mesh that is interpolated."""
SIZE_SIGMA = 10.0
"""Smoothing of the face's size, frames."""


def activity(lips_T2: Reals) -> Reals:
    """Return the power of a mouth's activity, squared face sizes; NaN where the lips are not seen.

    Args:
        lips_T2: Opening and size of the face, px; NaN where unknown.
    """
    filled_T2 = fill_gaps(lips_T2, MAX_GAP)
    opening_T, speed_T = np.full((2, len(filled_T2)), np.nan)
    for run in known_runs(filled_T2):
        size_T = gaussian_filter1d(filled_T2[run, 1], SIZE_SIGMA)
        opening_T[run] = filled_T2[run, 0] / size_T
        speed_T[run] = np.gradient(opening_T[run])
    if np.isnan(opening_T).all():
        return opening_T
    parted_T = np.maximum(opening_T - np.nanpercentile(opening_T, REST), 0)
    return np.asarray(parted_T**2 + (SPEED * speed_T) ** 2)


def steps(power_T: Reals) -> Reals:
    """Return the step of activity at the beginning of each frame, nepers; positive where a mouth begins."""
    padded = np.pad(power_T, HALF, mode="edge")
    mean = sliding_window_view(padded, HALF).mean(axis=1)
    before_T, after_T = mean[: len(power_T)], mean[HALF : HALF + len(power_T)]
    return np.asarray(0.5 * np.log((after_T + NOISE**2) / (before_T + NOISE**2)))


def searched(onset: int, reach: Reach) -> slice:
    """Return the frames in which the mouth's onset is looked for."""
    before, after = reach
    return slice(max(onset - before, 0), onset + after + 1)


def raw_lag(step_T: Reals, onset: int, reach: Reach = FORWARDS) -> float | None:
    """Return by how many ms the mouth begins after the voice; None where it does not.

    Args:
        step_T: Steps of its activity; NaN where the face is not seen.
        onset: Frame of the voice's onset.
        reach: Frames before and after it that are searched.
    """
    span = searched(onset, reach)
    window = step_T[span]
    if not np.isfinite(window).all() or window.max() < LEAST:
        return None
    return float((span.start + int(window.argmax()) - onset) * FRAME_MS)


def penalty(raw_ms: float | None) -> float:
    """Return a switch's distance from the natural moment, 0..1000 ms; 1000 where the mouth does not show it."""
    return WORST_MS if raw_ms is None else min(WORST_MS, abs(raw_ms + LEAD * FRAME_MS))


class LagOnset:
    """Distance of a mouth's first movement from the natural moment before its voice begins."""

    card: ClassVar[Card] = Card(
        id="lag-onset.lips@1",
        title="Onset lag",
        says="Mean distance, over a person's turns that begin after half a second of silence, of the mouth's first "
        "movement from 120 ms before the voice, where it lies in real footage; 1000 ms where there is none.",
        unit="ms",
        better="lower",
        needs="scene",
        bounds=(0.0, WORST_MS),
        floor="wrong-voice",
        tolerance=40.0,
        weights=("faces.yunet", "pose.face_mesh"),
        source="mitds; lips: Grishchenko et al., Attention Mesh",
    )
    reach: ClassVar[Reach] = FORWARDS

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score for each person; undefined for those who have no such turn.

        A turn is asked only where the real footage shows the lips throughout the search; where the output does
        not, the turn costs 1000 ms.
        """
        if scene.clip is None or scene.arrays is None or not scene.clip.persons:
            return [undefined("no labels")]
        speaks_NT, real_NT = self._directed(spoken_NT(scene.clip)), self._steps(scene.arrays, scene.real)
        legible = legible_N(scene.arrays)
        asked = [
            self._asked(*rows) if legible[n] else []
            for n, rows in enumerate(zip(speaks_NT, real_NT, strict=True))
        ]
        step_NT = self._steps(scene.arrays, generated) if any(asked) else real_NT
        return [self._score(step_NT[n], switches, n) for n, switches in enumerate(asked)]

    def _directed(self, rows_NT: NDArray[Any]) -> NDArray[Any]:
        """Return rows in the direction of time in which switches are onsets."""
        return rows_NT if self.reach == FORWARDS else rows_NT[:, ::-1]

    def _steps(self, arrays: ClipArrays, footage: Footage) -> Reals:
        power_NT = np.stack([activity(lips_T2) for lips_T2 in lips(arrays, footage)])
        return np.stack([steps(power_T) for power_T in self._directed(power_NT)])

    def _asked(self, speaks_T: Mask, real_T: Reals) -> list[int]:
        return [k for k in onsets(speaks_T) if np.isfinite(real_T[searched(k, self.reach)]).all()]

    def _score(self, step_T: Reals, switches: list[int], n: int) -> Score:
        if not switches:
            return undefined("no switch with the lips in view", n)
        if np.isnan(step_T).all():
            return Score(value=None, status="no_face", person=n)
        raw = [raw_lag(step_T, onset, self.reach) for onset in switches]
        found = [lag if self.reach == FORWARDS else -lag for lag in raw if lag is not None]
        detail = {
            "found": len(found),
            "censored": len(raw) - len(found),
            "median_signed_ms": float(np.median(found)) if found else None,
        }
        value = float(np.mean([penalty(lag) for lag in raw]))
        return Score(value=value, person=n, n=len(raw), detail=detail)


class LagOffset(LagOnset):
    """Distance of a mouth's last movement from the natural moment after its voice ends: onsets, backwards."""

    card: ClassVar[Card] = Card(
        id="lag-offset.lips@1",
        title="Offset lag",
        says="Mean distance, over a person's turns that end in half a second of silence, of the mouth's last "
        "movement from 120 ms after the voice, where it lies in real footage; 1000 ms where there is none.",
        unit="ms",
        better="lower",
        needs="scene",
        bounds=(0.0, WORST_MS),
        floor="wrong-voice",
        tolerance=40.0,
        weights=("faces.yunet", "pose.face_mesh"),
        source="mitds; lips: Grishchenko et al., Attention Mesh",
    )
    reach: ClassVar[Reach] = BACKWARDS
