"""How well each face goes with the sound when the sound is moved: LR-ASD asked once for every lag.

Faces and sound are embedded once; only the network's last and smallest part runs for every lag.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mitds.annotators.asd.crops import mouth_crop, mouth_squares
from mitds.annotators.asd.lr_asd import LrAsd
from mitds.annotators.asd.rows import heard_rows, visits
from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array, FaceTrack

REACH = 15
"""Frames by which the sound is moved both ways: .6 s."""


class MovedScores(LrAsd):
    """Scores face tracks at every lag of the sound up to `REACH` frames."""

    def at_lags(self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array) -> list[Array]:
        """Return score_LT of each track, the network's own score at 2 REACH + 1 lags.

        Args:
            frames: All frames of the shot's 25 fps grid, from grid frame 0.
            tracks: Face tracks of the shot.
            wave_S: The shot's sound, starting at grid frame 0.

        Returns:
            Row l hears the sound l - REACH frames later; columns are the track's rows that the sound covers.
        """
        if not len(wave_S):
            return [np.zeros((2 * REACH + 1, 0), np.float32) for _ in tracks]
        sound_TD = self.listen(wave_S)
        encoders = [self.face_encoder() for _ in tracks]
        squares = [mouth_squares(track.xyxy_T4) for track in tracks]
        for frame_HWC, number, row in visits(frames, tracks):
            encoders[number].push(mouth_crop(frame_HWC, squares[number][row]))
        return [
            self._lags(encoder.finish()[: heard_rows(track, wave_S)], sound_TD, track.first)
            for track, encoder in zip(tracks, encoders, strict=True)
        ]

    def _lags(self, face_TD: Array, sound_TD: Array, first: int) -> Array:
        if not len(face_TD):
            return np.zeros((2 * REACH + 1, 0), np.float32)
        return np.stack([self._match(face_TD, sound_TD, first + lag) for lag in range(-REACH, REACH + 1)])
