"""What a curator asks of a clip's sound, and of how voices fit faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.binding.evidence import on_grid
from mitds.annotators.quality.dubbing import measure_dubbing, measure_synchrony
from mitds.annotators.quality.registry import SCORES
from mitds.annotators.quality.sound import SoundMeter
from mitds.annotators.quality.synchrony import MovedScores
from mitds.manifests.codec import unpack_arrays, voices_from_npz
from mitds.manifests.records import Array, Clip, FaceTrack
from mitds.media import grid_frames
from mitds.pipeline.stages.items import ClipItem
from mitds.pipeline.work import Work
from mitds.runs import runs_of
from mitds.time import CLIP_FPS, Grid


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is heard on a clip's grid: probability of each voice of the source, and of anybody; names of the voices."""

    activity_TV: Array
    speech_T: Array
    voices: tuple[str, ...]


class Hearing:
    """Measures the sound of clips; needs the results of "people" and "voices".

    Args:
        measures: Of "sound", "dubbing" and "synchrony", those that are wanted.
        work: Where the results lie.
    """

    def __init__(self, measures: Sequence[str], work: Work) -> None:
        self._work = work
        self._sound = SoundMeter() if "sound" in measures else None
        self._dubbing = "dubbing" in measures
        self._moved = MovedScores() if "synchrony" in measures else None

    def measure(self, item: ClipItem, wave_S: Array) -> dict[str, float]:
        """Return a clip's scores by name."""
        heard = self._heard(item)
        scores: dict[str, float] = {}
        if self._sound is not None:
            found = self._sound.measure(wave_S, heard.speech_T, 1 / float(CLIP_FPS))
            scores |= {name: value for name, value in found.items() if name in SCORES["sound"]}
        if self._dubbing or self._moved is not None:
            people = unpack_arrays(self._work.path("people", item.unit, ".npz").read_bytes())
            face_NT4, speaking_NT = people["face_xyxy_NT4"], people["speaking_NT"]
            if self._dubbing:
                foreign_TV = _foreign(item.clip, heard.voices)
                scores |= measure_dubbing(
                    speaking_NT, heard.activity_TV, heard.speech_T, foreign_TV=foreign_TV
                )
            if self._moved is not None:
                scores |= self._synchrony(item, wave_S, face_NT4, speaking_NT)
        return scores

    def _heard(self, item: ClipItem) -> Heard:
        if item.sound is None:
            raise ValueError("a clip with a wave and without a sound")
        path = self._work.path("voices", item.sound.name, ".npz")
        voices = voices_from_npz(path.read_bytes())
        grid = Grid(item.clip.start, item.clip.frames)
        offset_s = float(grid.start - item.sound.about.start)
        activity_TV = on_grid(voices.activity_FV, voices.hop_s, offset_s, grid)
        speech_T = on_grid(voices.speech_F[:, None], voices.hop_s, offset_s, grid)[:, 0]
        return Heard(activity_TV, speech_T, voices.voices)

    def _synchrony(
        self, item: ClipItem, wave_S: Array, face_NT4: Array, speaking_NT: Array
    ) -> dict[str, float]:
        """Return the scores of the person whose lips follow the sound least, while said to speak."""
        if self._moved is None:
            return {}
        tracks = list(longest_tracks(face_NT4))
        lags = self._moved.at_lags(grid_frames(item.shot.mp4, item.file_grid), tracks, wave_S)
        found = []
        for track, score_LT in zip(tracks, lags, strict=True):
            rows = slice(track.first, track.first + score_LT.shape[1])
            speaks_T = np.nan_to_num(speaking_NT[track.track, rows])
            found.append(measure_synchrony(score_LT, speaks_T))
        return min((f for f in found if f), key=lambda f: f["sync_steadiness"], default={})


def longest_tracks(face_NT4: Array) -> Iterator[FaceTrack]:
    """Yield each person's longest stretch in view, numbered by the person's row; nobody who is never in view."""
    for n, box_T4 in enumerate(face_NT4):
        runs = runs_of(np.isfinite(box_T4).all(axis=1))
        if runs:
            first, end = max(runs, key=lambda run: run[1] - run[0])
            count = end - first
            yield FaceTrack(
                track=n,
                first=first,
                xyxy_T4=box_T4[first:end],
                score_T=np.ones(count, np.float32),
                landmarks_T52=np.full((count, 5, 2), np.nan, np.float32),
                detected_T=np.ones(count, bool),
                embedding_D=None,
            )


def _foreign(clip: Clip, voices: Sequence[str]) -> NDArray[np.bool_]:
    """Return foreign_TV: where each voice is known to belong to nobody in view."""
    foreign_TV = np.zeros((clip.frames, len(voices)), np.bool_)
    for turn in clip.offscreen:
        if turn.voice in voices:
            first, end = (round(time_s * float(CLIP_FPS)) for time_s in (turn.start_s, turn.end_s))
            foreign_TV[first:end, voices.index(turn.voice)] = True
    return foreign_TV
