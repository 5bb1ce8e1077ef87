"""The stage that scores, frame by frame, which face of a shot speaks."""

from __future__ import annotations

from mitds.annotators.registries import ASD
from mitds.annotators.runtime import single_threaded
from mitds.manifests.codec import scores_to_npz, tracks_from_npz
from mitds.media import grid_frames
from mitds.pipeline.stages.items import Backend, ShotItem, SoundItem, wave_of
from mitds.pipeline.work import Work
from mitds.store import write_bytes


class SpeakingStage:
    """Worker of the stage "speaking"; needs the results of "faces" and "voices"."""

    def __init__(self, backend: Backend, work: Work) -> None:
        single_threaded()
        self._scorer = ASD.get(backend.name)(backend.config)
        self._work = work

    def __call__(self, item: tuple[ShotItem, SoundItem | None]) -> int:
        """Score the faces of one shot; returns the number of tracks. Work folder: "speaking" KEY.npz."""
        shot, sound = item
        tracks = tracks_from_npz(self._work.path("faces", shot.name, ".npz").read_bytes())
        wave_S = wave_of(self._work, sound, shot.grid)
        scores = self._scorer.score(grid_frames(shot.mp4, shot.file_grid), tracks, wave_S) if tracks else []
        write_bytes(self._work.path("speaking", shot.name, ".npz"), scores_to_npz(scores))
        return len(scores)
