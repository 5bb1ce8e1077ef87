"""One face while it is followed: its detections, where it is expected next, and its identity so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.faces.boxes import Floats
from mitds.annotators.identity.samples import IdentitySamples
from mitds.manifests.records import Array, FaceTrack

SMOOTHING = 0.5
"""Share of the newest displacement in the velocity; one frame's displacement is mostly detector jitter."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A detection that was given to a trajectory, on its grid frame."""

    frame: int
    xyxy_4: Array
    landmarks_52: Array
    score: float


@dataclass(slots=True)
class Trajectory:
    """Sightings of one face in order of frames; frames without one are gaps until the track is finished."""

    samples: IdentitySamples
    sightings: list[Sighting] = field(default_factory=list)
    _velocity_2: Floats = field(default_factory=lambda: np.zeros(2))
    _moved: int = -1

    @property
    def last(self) -> Sighting:
        """The newest sighting."""
        return self.sightings[-1]

    def see(self, sighting: Sighting) -> None:
        """Add a detection made on a new picture."""
        if self.sightings:
            step_2 = (_centre(sighting.xyxy_4) - _centre(self.last.xyxy_4)) / (sighting.frame - self._moved)
            self._velocity_2 = (1 - SMOOTHING) * self._velocity_2 + SMOOTHING * step_2
        self.sightings.append(sighting)
        self._moved = sighting.frame

    def repeat(self, frame: int) -> None:
        """Add the newest sighting again: the grid shows the same picture once more, and nothing moved."""
        last = self.last
        self.sightings.append(Sighting(frame, last.xyxy_4, last.landmarks_52, last.score))

    def expected(self, frame: int) -> Floats:
        """Return the box xyxy_4 at a later frame, at constant velocity and size."""
        shift_2 = self._velocity_2 * (frame - self._moved)
        xyxy_4: Floats = self.last.xyxy_4 + np.concatenate([shift_2, shift_2])
        return xyxy_4

    def finished(self, number: int) -> FaceTrack:
        """Return the track: detector boxes as they were, short gaps bridged by straight lines."""
        seen_N = np.array([s.frame for s in self.sightings])
        frame_T = np.arange(seen_N[0], seen_N[-1] + 1)
        detected_T = np.isin(frame_T, seen_N)
        score_T = np.zeros(len(frame_T), np.float32)
        score_T[detected_T] = [s.score for s in self.sightings]
        return FaceTrack(
            track=number,
            first=int(seen_N[0]),
            xyxy_T4=_bridge(frame_T, seen_N, np.stack([s.xyxy_4 for s in self.sightings])),
            score_T=score_T,
            landmarks_T52=_bridge(frame_T, seen_N, np.stack([s.landmarks_52 for s in self.sightings])),
            detected_T=detected_T,
            embedding_D=self.samples.embedding(),
        )


def _centre(xyxy_4: Floats) -> Floats:
    return (xyxy_4[:2] + xyxy_4[2:]) / 2


def _bridge(frame_T: NDArray[np.int_], seen_N: NDArray[np.int_], values_N: Array) -> Array:
    """Interpolate values of any shape linearly from the frames seen to all frames."""
    flat_NC = values_N.reshape(len(seen_N), -1)
    flat_TC = np.stack([np.interp(frame_T, seen_N, column_N) for column_N in flat_NC.T], axis=1)
    return flat_TC.astype(np.float32).reshape(len(frame_T), *values_N.shape[1:])
