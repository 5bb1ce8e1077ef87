"""Looks at and listens to a single-speaker clip once: where one face is alone, what it says, when its mouth rests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, takewhile

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from mitds.annotators.asd.lip_signals import Signal, fill_gaps, known_runs, lip_opening
from mitds.annotators.faces.tracker import YuNetTracker, YuNetTrackerConfig
from mitds.annotators.faces.yunet import YuNetConfig
from mitds.annotators.pose.face_mesh import FaceMesh
from mitds.annotators.shots.pyscenedetect import PySceneDetect
from mitds.config import digest, require
from mitds.errors import UsageError
from mitds.manifests.records import Array, FaceTrack
from mitds.media import grid_frames, pictures, probe
from mitds.pipeline.compose.hearing import Heard, Hearing, agreement, hear
from mitds.pipeline.compose.parts import Clip, Stretch
from mitds.runs import Run, runs_of
from mitds.store import write_json
from mitds.time import CLIP_FPS, Grid
from mitds.weights import cache_root

MAX_SIDE = 1280
"""Longer side of the frames that are looked at and shown, px: larger ones gain nothing in a panel."""

DETECTOR_SIDE = 480
"""Longer side at which faces are looked for, px: somebody alone in view is large."""

BYSTANDER = 0.04
"""Area of a second face, of the first one's, from which a person is not alone: a fifth of its height."""

VERSION = "7"
"""Part of the cache's key; changed with whatever changes the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisConfig:
    """How clips are taken apart.

    Attributes:
        longest_s: Only so much of every clip is used, seconds.
        shortest_s: Shorter stretches are left out, seconds.
        least_fps: Clips with fewer pictures a second are refused.
        least_face_px: Stretches whose faces are smaller are left out.
        box_sigma: Smoothing of the face boxes, frames.
        movement_window: Time over which the movement of the lips is taken, frames.
        hearing: How speech is found.
    """

    longest_s: float = 60.0
    shortest_s: float = 1.5
    least_fps: float = 18.0
    least_face_px: float = 40.0
    box_sigma: float = 2.0
    movement_window: int = 7
    hearing: Hearing = field(default_factory=Hearing)

    def __post_init__(self) -> None:
        require(self.longest_s >= self.shortest_s > 0.5, "shortest_s", self.shortest_s, "0.5..longest_s")


class Analyst:
    """Takes clips apart; the networks are loaded once, what was found is kept in the cache."""

    def __init__(self, config: AnalysisConfig = AnalysisConfig()) -> None:
        self.config = config

    @cached_property
    def _tracker(self) -> YuNetTracker:
        return YuNetTracker(YuNetTrackerConfig(detector=YuNetConfig(side=DETECTOR_SIDE)))

    @cached_property
    def _mesh(self) -> FaceMesh:
        return FaceMesh()

    def stretches(self, clip: Clip) -> list[Stretch]:
        """Return what of a clip can be used; none where nobody is alone in view for long enough.

        Raises:
            UsageError: The clip has too few pictures a second.
            InputFault: It cannot be decoded.
        """
        key = digest(clip.sha256, self.config, VERSION, MAX_SIDE)
        kept = cache_root() / "compose" / f"{clip.sha256[:16]}-{key}.json"
        if not kept.is_file():
            write_json(kept, [stretch.plain() for stretch in self._analyse(clip)])
        return [Stretch.of(clip, known) for known in json.loads(kept.read_text())]

    def _analyse(self, clip: Clip) -> Iterator[Stretch]:
        fps = probe(clip.path).fps
        if fps < self.config.least_fps:
            raise UsageError(
                f"the clip has {float(fps):.1f} pictures a second",
                where=clip.name,
                remedy=f"Give clips of at least {self.config.least_fps:g}, or lower analysis.least_fps.",
            )
        heard = hear(clip.path, self.config.longest_s, self.config.hearing)
        for grid in self._shots(clip):
            tracks = self._tracker.track(grid_frames(clip.path, grid, max_side=MAX_SIDE))
            for track, (first, end) in self._alone(tracks, grid.count):
                yield self._stretch(clip, grid.part(first, end - first), track, first, heard)

    def _shots(self, clip: Clip) -> Iterator[Grid]:
        """Yield a grid for every shot, a frame away from its cuts."""
        end = Fraction(self.config.longest_s).limit_denominator(1000)
        seen: list[Fraction] = []

        def looked() -> Iterator[object]:
            shown = pictures(clip.path, max_side=320)
            for picture in takewhile(lambda p: p.pts < end, shown):
                seen.append(picture.pts)
                yield picture

        cuts = [cut.pts for cut in PySceneDetect().detect(looked())]  # type: ignore[arg-type]
        for start, stop in pairwise([seen[0], *cuts, seen[-1]]):
            if stop - start >= self.config.shortest_s:
                yield Grid.over(start + 1 / CLIP_FPS, stop - 1 / CLIP_FPS)

    def _alone(self, tracks: list[FaceTrack], frames: int) -> Iterator[tuple[FaceTrack, Run]]:
        """Yield the runs of frames in which a face is large enough, and no other one much of its size."""
        for track in tracks:
            alone_T = np.zeros(frames, np.bool_)
            side_T = (track.xyxy_T4[:, 2:] - track.xyxy_T4[:, :2]).min(axis=1)
            alone_T[track.first : track.last + 1] = side_T >= self.config.least_face_px
            for other in tracks:
                if other is not track and _area(other) >= BYSTANDER * _area(track):
                    alone_T[other.first : other.last + 1] = False
            for run in runs_of(alone_T):
                if run[1] - run[0] >= self.config.shortest_s * CLIP_FPS:
                    yield track, run

    def _stretch(self, clip: Clip, grid: Grid, track: FaceTrack, first: int, heard: Heard) -> Stretch:
        rows = slice(first - track.first, first - track.first + grid.count)
        xyxy_T4 = track.xyxy_T4[rows]
        opening_T, width, height = self._lips(clip, grid, xyxy_T4, track.landmarks_T52[rows])
        speech, noisy = heard.within(grid.start, grid.end)
        return Stretch(
            clip=clip,
            start=grid.start,
            width=width,
            height=height,
            xyxy_T4=gaussian_filter1d(xyxy_T4, self.config.box_sigma, axis=0, mode="nearest"),
            opening_T=opening_T,
            moving_T=movement(opening_T, self.config.movement_window),
            speech=speech,
            noisy=noisy,
            level_T=heard.levels(grid),
            agreement=agreement(opening_T, heard.wave(grid)),
            embedding_D=track.embedding_D,
        )

    def _lips(self, clip: Clip, grid: Grid, xyxy_T4: Array, points_T52: Array) -> tuple[Array, int, int]:
        """Return the relative opening of the lips on every frame, and the frames' width and height."""
        gap_face_T2 = np.full((grid.count, 2), np.nan)
        height = width = 0
        for k, frame_HWC in enumerate(grid_frames(clip.path, grid, max_side=MAX_SIDE)):
            height, width = frame_HWC.shape[:2]
            mesh_P3, _ = self._mesh.points(frame_HWC, xyxy_T4[k], points_T52[k])
            gap_face_T2[k] = lip_opening(mesh_P3)
        return _relative(fill_gaps(gap_face_T2, 3)), width, height


def _area(track: FaceTrack) -> float:
    return float(np.median(np.prod(track.xyxy_T4[:, 2:] - track.xyxy_T4[:, :2], axis=1)))


def _relative(gap_face_T2: Signal) -> Array:
    opening_T = np.full(len(gap_face_T2), np.nan, np.float32)
    for run in known_runs(gap_face_T2):
        opening_T[run] = gap_face_T2[run, 0] / gaussian_filter1d(gap_face_T2[run, 1], 10)
    return opening_T


def movement(opening_T: Array, window: int) -> Array:
    """Return how much the opening moves around each frame, its deviation over `window` frames; NaN if not measured.

    No filter rings here: half a window after the last syllable a closed mouth is still.
    """
    moving_T = np.full(len(opening_T), np.nan, np.float32)
    for run in known_runs(opening_T[:, None].astype(np.float64)):
        own_T = opening_T[run].astype(np.float64)
        mean_T = uniform_filter1d(own_T, window, mode="nearest")
        moving_T[run] = np.sqrt(np.maximum(uniform_filter1d(own_T**2, window, mode="nearest") - mean_T**2, 0))
    return moving_T
