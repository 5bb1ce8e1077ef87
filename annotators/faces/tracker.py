"""YuNet faces followed through one shot, with SFace identities; one pass, no frame is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from mitds.annotators.contracts import FaceDetections, FaceDetector, FaceEmbedder, Frame
from mitds.annotators.faces.association import AssociationConfig, Similarity, associate
from mitds.annotators.faces.boxes import distinct
from mitds.annotators.faces.trajectory import Sighting, Trajectory
from mitds.annotators.faces.yunet import YuNet, YuNetConfig
from mitds.annotators.identity.samples import FaceCrop, IdentitySamples, cut_face
from mitds.annotators.identity.sface import SFace
from mitds.manifests.records import Array, FaceTrack
from mitds.time import CLIP_FPS


@dataclass(frozen=True, slots=True, kw_only=True)
class YuNetTrackerConfig:
    """How faces are followed.

    Attributes:
        detector: Of the face detector; its min_score is the faintest score that may continue a track.
        start_score: Score a detection needs to start a track, 0..1.
        duplicate: Share of the smaller box above which two detections are one face.
        association: Of the assignment.
        max_gap_s: Longest gap that is bridged, seconds.
        sure_score: Mean score from which a track stays, however briefly the face was seen, 0..1.
        min_track_s: Length that other tracks need, seconds.
        min_start_s: Time that other tracks need at start_score or better, seconds.
        embeds_per_s: Faces of a track that are embedded, a second.
        min_embed_px: Smallest side of a face box that is embedded, px.
    """

    detector: YuNetConfig = field(default_factory=YuNetConfig)
    start_score: float = 0.7
    duplicate: float = 0.6
    association: AssociationConfig = field(default_factory=AssociationConfig)
    max_gap_s: float = 0.5
    sure_score: float = 0.8
    min_track_s: float = 0.4
    min_start_s: float = 0.2
    embeds_per_s: float = 4.0
    min_embed_px: float = 24.0


class YuNetTracker:
    """Finds, follows and identifies the faces of one shot.

    Args:
        config: How faces are followed.
        detector: Replaces YuNet.
        embedder: Replaces SFace.
    """

    name = "yunet"

    def __init__(
        self,
        config: YuNetTrackerConfig = YuNetTrackerConfig(),
        *,
        detector: FaceDetector | None = None,
        embedder: FaceEmbedder | None = None,
    ) -> None:
        self.config = config
        self._detector = detector or YuNet(config.detector)
        self._embedder = embedder or SFace()

    def track(self, frames: Iterable[Frame]) -> list[FaceTrack]:
        """Return the face tracks of one shot's 25 fps grid, with embeddings and without identities."""
        live: list[Trajectory] = []
        ended: list[Trajectory] = []
        before_HWC: Frame | None = None
        for number, frame_HWC in enumerate(frames):
            ended += [t for t in live if self._lost(t, number)]
            live = [t for t in live if not self._lost(t, number)]
            probe_HWC = frame_HWC[::4, ::4]
            if before_HWC is not None and np.array_equal(probe_HWC, before_HWC):
                _repeat(live, number)
                continue
            before_HWC = probe_HWC.copy()
            live += self._step(live, number, frame_HWC)
        kept = [t for t in ended + live if self._credible(t)]
        kept.sort(key=lambda t: (t.sightings[0].frame, float(t.sightings[0].xyxy_4[0])))
        return [t.finished(n) for n, t in enumerate(kept)]

    def _step(self, live: list[Trajectory], number: int, frame_HWC: Frame) -> list[Trajectory]:
        """Continue the live trajectories on a new picture; return those that start on it."""
        found = self._detect(frame_HWC)
        strong_N = found.score_N >= self.config.start_score

        @cache
        def crop(n: int) -> FaceCrop | None:
            return self._crop(frame_HWC, found, n)

        similarity = self._similarity(live, crop)
        pairs = associate(live, found.xyxy_N4, strong_N, number, similarity, self.config.association)
        owner = {n: live[t] for t, n in pairs}
        new = {int(n): Trajectory(self._samples()) for n in np.flatnonzero(strong_N) if n not in owner}
        for n, trajectory in (owner | new).items():
            trajectory.see(
                Sighting(number, found.xyxy_N4[n], found.landmarks_N52[n], float(found.score_N[n]))
            )
            face = crop(n)
            if face is not None:
                trajectory.samples.offer(number, face)
        return list(new.values())

    def _detect(self, frame_HWC: Frame) -> FaceDetections:
        found = self._detector.detect(frame_HWC)
        kept = distinct(found.xyxy_N4, self.config.duplicate)
        return FaceDetections(found.xyxy_N4[kept], found.landmarks_N52[kept], found.score_N[kept])

    def _crop(self, frame_HWC: Frame, found: FaceDetections, n: int) -> FaceCrop | None:
        xyxy_4 = found.xyxy_N4[n]
        if float((xyxy_4[2:] - xyxy_4[:2]).min()) < self.config.min_embed_px:
            return None
        return cut_face(frame_HWC, xyxy_4, found.landmarks_N52[n], float(found.score_N[n]))

    def _similarity(self, live: list[Trajectory], crop: Callable[[int], FaceCrop | None]) -> Similarity:
        """Return the cosine of trajectory t and detection n; each detection is embedded at most once."""

        @cache
        def embedding_D(n: int) -> Array | None:
            face = crop(n)
            return None if face is None else face.embed(self._embedder)

        def similarity(t: int, n: int) -> float:
            known_D, seen_D = live[t].samples.embedding(), embedding_D(n)
            return math.nan if known_D is None or seen_D is None else float(known_D @ seen_D)

        return similarity

    def _samples(self) -> IdentitySamples:
        return IdentitySamples(self._embedder, max(1, round(CLIP_FPS / self.config.embeds_per_s)))

    def _lost(self, trajectory: Trajectory, number: int) -> bool:
        return number - trajectory.last.frame - 1 > self.config.max_gap_s * CLIP_FPS

    def _credible(self, trajectory: Trajectory) -> bool:
        score_N = np.array([s.score for s in trajectory.sightings])
        length = trajectory.last.frame - trajectory.sightings[0].frame + 1
        lasting = length >= self.config.min_track_s * CLIP_FPS
        strong = (score_N >= self.config.start_score).sum() >= self.config.min_start_s * CLIP_FPS
        return bool(score_N.mean() >= self.config.sure_score or (lasting and strong))


def _repeat(live: list[Trajectory], number: int) -> None:
    for trajectory in live:
        if trajectory.last.frame == number - 1:
            trajectory.repeat(number)
