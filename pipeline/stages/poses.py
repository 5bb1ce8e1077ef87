"""The stage that estimates the whole-body pose of every person of a clip on every frame, and what it hides."""

from __future__ import annotations

from mitds.annotators.pose.skeleton import NAMES
from mitds.annotators.quality.occlusion import OcclusionConfig, occlusion
from mitds.annotators.registries import POSE
from mitds.annotators.runtime import single_threaded
from mitds.manifests.codec import pack_arrays, unpack_arrays
from mitds.media import grid_frames
from mitds.pipeline.stages.items import Backend, ClipItem
from mitds.pipeline.work import Work
from mitds.store import write_bytes


class PosesStage:
    """Worker of the stage "poses"; needs the result of "people"."""

    def __init__(self, backend: Backend, work: Work, occlusion: OcclusionConfig) -> None:
        single_threaded()
        self._estimator = POSE.get(backend.name)(backend.config)
        self._work, self._occlusion = work, occlusion

    def __call__(self, item: ClipItem) -> dict[str, float]:
        """Estimate one clip's poses; returns the scores of occlusion. Work folder: "poses" KEY.npz."""
        faces = unpack_arrays(self._work.path("people", item.unit, ".npz").read_bytes())
        pose_NTK3 = self._estimator.estimate(
            grid_frames(item.shot.mp4, item.file_grid), faces["face_xyxy_NT4"], faces["visible_NT"]
        )
        expected = (len(item.clip.persons), item.clip.frames, len(NAMES), 3)
        if pose_NTK3.shape != expected:
            raise ValueError(f"the pose backend returned {pose_NTK3.shape}, not {expected}")
        write_bytes(self._work.path("poses", item.looks, ".npz"), pack_arrays({"pose_NTK3": pose_NTK3}))
        size = item.clip.width, item.clip.height
        return occlusion(faces["face_xyxy_NT4"], faces["face_score_NT"], pose_NTK3, size, self._occlusion)
