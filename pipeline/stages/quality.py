"""The stage that measures what a curator asks of a clip: its picture and its sound, decoded once and sparsely."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.quality.contracts import Sample
from mitds.annotators.quality.fingerprints import (
    PICTURE_HZ,
    SIDE,
    Fingerprint,
    picture_hashes,
    sound_hashes,
)
from mitds.annotators.quality.registry import DEFAULT, PICTURE, SCORES, WEIGHTS
from mitds.annotators.runtime import single_threaded
from mitds.config import require
from mitds.manifests.codec import unpack_arrays
from mitds.media import grid_frames
from mitds.pipeline.near_duplicates import write_fingerprint
from mitds.pipeline.stages.hearing import Hearing
from mitds.pipeline.stages.items import ClipItem, wave_of
from mitds.pipeline.work import Work
from mitds.registry import unknown
from mitds.time import CLIP_FPS, Grid

EVERY = round(float(CLIP_FPS)) // PICTURE_HZ
"""Every so many of a clip's frames are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityConfig:
    """What is measured, and on which pictures.

    Attributes:
        measures: Names of measures (docs/curation.md); without any, the stage is left out.
        max_side: Pictures are scaled down to it, px.
    """

    measures: tuple[str, ...] = DEFAULT
    max_side: int = 1280

    def __post_init__(self) -> None:
        """Refuse measures that nobody knows."""
        require(self.max_side >= 64, "quality.max_side", self.max_side, "64 or more")
        for name in self.measures:
            if name not in SCORES:
                raise unknown("measure", name, list(SCORES))

    def weights(self) -> frozenset[str]:
        """Return the names of the catalogued weights the measures need."""
        return frozenset(weight for name in self.measures for weight in WEIGHTS.get(name, ()))

    def scores(self) -> frozenset[str]:
        """Return the names of the scores the measures give."""
        return frozenset(score for name in self.measures for score in SCORES[name])


class QualityStage:
    """Worker of the stage "quality"; needs the result of "people", and the "voices" of the source."""

    def __init__(self, config: QualityConfig, work: Work) -> None:
        single_threaded()
        self._config, self._work = config, work
        self._meters = [PICTURE.get(name)() for name in config.measures if name in PICTURE.names()]
        self._hearing = Hearing(config.measures, work)
        self._prints = "duplicates" in config.measures

    def __call__(self, item: ClipItem) -> dict[str, float]:
        """Measure one clip; returns its scores by name. Work folder: "fingerprints" KEY.npz."""
        grid = Grid(item.clip.start, item.clip.frames)
        wave_S = wave_of(self._work, item.sound, grid)
        scores, smalls = self._picture(item)
        if self._prints:
            heard = {} if wave_S is None else {"sound_F": sound_hashes(wave_S)}
            write_fingerprint(self._work, item.unit, Fingerprint(picture_hashes(smalls), **heard))
        return scores if wave_S is None else scores | self._hearing.measure(item, wave_S)

    def _picture(self, item: ClipItem) -> tuple[dict[str, float], list[Frame]]:
        """Return the scores of the picture, and the small pictures that the fingerprint is made of."""
        smalls = []
        for meter in self._meters:
            meter.begin()
        for sample in self._samples(item) if self._meters or self._prints else ():
            for meter in self._meters:
                meter.see(sample)
            smalls.append(cv2.resize(sample.frame_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        scores = {name: value for meter in self._meters for name, value in meter.scores().items()}
        return scores, [np.asarray(small, np.uint8) for small in smalls]

    def _samples(self, item: ClipItem) -> Iterator[Sample]:
        faces = unpack_arrays(self._work.path("people", item.unit, ".npz").read_bytes())
        face_NT4 = faces["face_xyxy_NT4"][:, ::EVERY]
        grid = Grid(item.file_grid.start, face_NT4.shape[1], CLIP_FPS / EVERY)
        for k, frame_HWC in enumerate(grid_frames(item.shot.mp4, grid, max_side=self._config.max_side)):
            scale = np.float32(frame_HWC.shape[1] / item.clip.width)
            yield Sample(k / PICTURE_HZ, frame_HWC, face_NT4[:, k] * scale)
