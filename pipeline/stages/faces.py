"""The stage that finds and follows the faces of one shot."""

from __future__ import annotations

from dataclasses import dataclass

from mitds.annotators.registries import FACES
from mitds.annotators.runtime import single_threaded
from mitds.manifests.codec import tracks_to_npz
from mitds.media import grid_frames
from mitds.pipeline.stages.items import Backend, ShotItem
from mitds.pipeline.work import Work
from mitds.store import write_bytes


@dataclass(frozen=True, slots=True)
class FacesResult:
    """How many face tracks a shot has; the tracks lie in the work folder, "faces" KEY.npz."""

    tracks: int


class FacesStage:
    """Worker of the stage "faces"."""

    def __init__(self, backend: Backend, work: Work) -> None:
        single_threaded()
        self._tracker = FACES.get(backend.name)(backend.config)
        self._work = work

    def __call__(self, item: ShotItem) -> FacesResult:
        """Track the faces of one shot."""
        tracks = self._tracker.track(grid_frames(item.mp4, item.file_grid))
        write_bytes(self._work.path("faces", item.name, ".npz"), tracks_to_npz(tracks))
        return FacesResult(len(tracks))
