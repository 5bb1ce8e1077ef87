"""Any whole-body network of MMPose, for those who have MMPose; RTMW and DWPose run without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.per_person import KEYPOINTS
from mitds.annotators.pose.topdown import estimate_top_down, with_scores
from mitds.errors import MissingDependency, UsageError
from mitds.manifests.records import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class MMPoseConfig:
    """Which network, where it runs, and when a point counts.

    Attributes:
        config_file: MMPose's configuration of a COCO-WholeBody network.
        checkpoint: Its weights, file or URL.
        device: A torch device, such as "cuda:0".
        min_point: Score below which a point is absent.
    """

    config_file: str = ""
    checkpoint: str = ""
    device: str = "cpu"
    min_point: float = 0.1


Infer = Callable[..., list[Any]]
"""MMPose's `inference_topdown(model, image, bboxes, bbox_format)`."""


class MMPose:
    """A COCO-WholeBody network run by MMPose.

    Args:
        config: Settings.
        model: What `init_model` gave; by default built from the settings.
        infer: `mmpose.apis.inference_topdown`.
    """

    name = "mmpose"

    def __init__(
        self, config: MMPoseConfig = MMPoseConfig(), *, model: Any = None, infer: Infer | None = None
    ) -> None:
        self.config = config
        if model is None or infer is None:
            model, infer = _from_mmpose(config)
        self._model, self._infer = model, infer

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Estimate each person on each frame; see `PoseEstimator`."""
        return estimate_top_down(self._points, frames, face_xyxy_NT4, visible_NT)

    def _points(self, frame_HWC: Frame, box_4: Array) -> Array:
        image_bgr_HWC = np.ascontiguousarray(frame_HWC[..., ::-1])
        boxes_14 = np.asarray(box_4, np.float32)[None]
        (sample,) = self._infer(self._model, image_bgr_HWC, boxes_14, bbox_format="xyxy")
        found = sample.pred_instances
        points_K2 = np.asarray(found.keypoints, np.float32)[0] + 0.5  # MMPose counts from pixel centres
        if len(points_K2) != KEYPOINTS:
            raise UsageError(
                f"the MMPose network gives {len(points_K2)} keypoints, not the {KEYPOINTS} of COCO-WholeBody",
                where=self.config.config_file,
                remedy="Configure a COCO-WholeBody network.",
            )
        return with_scores(points_K2, np.asarray(found.keypoint_scores)[0], self.config.min_point)


def _from_mmpose(config: MMPoseConfig) -> tuple[Any, Infer]:
    try:
        from mmpose.apis import inference_topdown, init_model
    except ImportError as error:
        raise MissingDependency(
            f"pose backend 'mmpose' needs MMPose, which cannot be imported: {error}",
            remedy="Follow docs/full-strength.md (plain pip fails), or use rtmw or dwpose instead.",
        ) from error
    if not (config.config_file and config.checkpoint):
        raise UsageError(
            "pose backend 'mmpose' has no network", remedy="Set config_file and checkpoint in its settings."
        )
    return init_model(config.config_file, config.checkpoint, device=config.device), inference_topdown
