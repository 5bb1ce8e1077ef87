"""Sapiens (Khirodkar et al. 2024) and Sapiens2: 308 keypoints a person, mapped to COCO-WholeBody's 133."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.goliath import from_goliath
from mitds.annotators.pose.topdown import estimate_top_down, normalised, padded_region, with_scores
from mitds.errors import MissingDependency
from mitds.manifests.records import Array
from mitds.weights import resolve

SIZE = (768, 1024)
"""Width and height of the input, px."""

MEAN, STD = (123.5, 116.5, 103.5), (58.5, 57.0, 57.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SapiensConfig:
    """Where the network runs and when a point counts.

    Attributes:
        device: A torch device, such as "cuda".
        min_point: Height of a heatmap's peak below which its point is absent.
    """

    device: str = "cpu"
    min_point: float = 0.1


class Sapiens:
    """Sapiens-1B as TorchScript.

    Args:
        config: Settings.
        model: Module from image_1CHW to heatmaps_1GHW; by default the user's copy of the published one.
    """

    name = "sapiens"

    def __init__(
        self, config: SapiensConfig = SapiensConfig(), *, model: torch.nn.Module | None = None
    ) -> None:
        self.config = config
        if model is None:
            model = torch.jit.load(str(resolve("pose.sapiens")), map_location=config.device)  # type: ignore[no-untyped-call]
        self._model = model
        self._model.eval()

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Estimate each person on each frame; see `PoseEstimator`."""
        return estimate_top_down(self._points, frames, face_xyxy_NT4, visible_NT)

    def _points(self, frame_HWC: Frame, box_4: Array) -> Array:
        region = padded_region(box_4, SIZE)
        image = torch.from_numpy(normalised(region.crop(frame_HWC, SIZE), MEAN, STD)).to(self.config.device)
        with torch.inference_mode():
            heatmaps_GHW = self._model(image)[0].float().cpu().numpy()
        points_G2, score_G = peaks(heatmaps_GHW)
        return from_goliath(with_scores(region.to_picture(points_G2, SIZE), score_G, self.config.min_point))


def peaks(heatmaps_GHW: Array) -> tuple[Array, Array]:
    """Return the peaks of heatmaps in input pixels, finer than a cell, and their heights.

    A peak's place within its cell is that of the parabola through the logarithms of the cell and its two
    neighbours, exact for the Gaussians that the network was trained on. The corners of heatmap and input
    coincide (UDP, Huang et al. 2020).
    """
    count, height, width = heatmaps_GHW.shape
    flat_G = heatmaps_GHW.reshape(count, -1).argmax(axis=1)
    y_G, x_G = np.divmod(flat_G, width)
    logs_GHW = np.log(np.maximum(np.pad(heatmaps_GHW, ((0, 0), (1, 1), (1, 1)), mode="edge"), 1e-6))
    g_G = np.arange(count)
    x_fine_G = x_G + _vertex(*(logs_GHW[g_G, y_G + 1, x_G + d] for d in range(3)))
    y_fine_G = y_G + _vertex(*(logs_GHW[g_G, y_G + d, x_G + 1] for d in range(3)))
    scale_2 = (np.array(SIZE) - 1) / (width - 1, height - 1)
    points_G2 = np.stack([x_fine_G, y_fine_G], axis=1) * scale_2 + 0.5
    return points_G2.astype(np.float32), heatmaps_GHW.reshape(count, -1).max(axis=1)


def _vertex(before_G: Array, at_G: Array, after_G: Array) -> Array:
    bend_G = before_G - 2 * at_G + after_G
    return np.where(bend_G < -1e-6, 0.5 * (before_G - after_G) / np.minimum(bend_G, -1e-6), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sapiens2Config:
    """Which network, where it runs, and when a point counts.

    Attributes:
        model: Name on the hub.
        revision: Commit or branch on the hub.
        device: A torch device, such as "cuda".
        min_point: Height of a heatmap's peak below which its point is absent.
    """

    model: str = "facebook/sapiens2-pose-1b"
    revision: str = "main"
    device: str = "cpu"
    min_point: float = 0.1


class Sapiens2:
    """Sapiens2 through transformers.

    Args:
        config: Settings.
        model: A `Sapiens2ForPoseEstimation`; by default the hub's.
        processor: Its image processor; by default the hub's.
    """

    name = "sapiens2"

    def __init__(
        self, config: Sapiens2Config = Sapiens2Config(), *, model: Any = None, processor: Any = None
    ) -> None:
        self.config = config
        if model is None or processor is None:
            model, processor = _from_hub(config)
        self._model, self._processor = model, processor

    def estimate(self, frames: Iterable[Frame], face_xyxy_NT4: Array, visible_NT: NDArray[np.bool_]) -> Array:
        """Estimate each person on each frame; see `PoseEstimator`."""
        return estimate_top_down(self._points, frames, face_xyxy_NT4, visible_NT)

    def _points(self, frame_HWC: Frame, box_4: Array) -> Array:
        boxes = [[[*box_4[:2].tolist(), *(box_4[2:] - box_4[:2]).tolist()]]]  # x, y, width, height
        inputs = self._processor(frame_HWC, boxes=boxes, return_tensors="pt").to(self.config.device)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        person = self._processor.post_process_pose_estimation(outputs, boxes=boxes)[0][0]
        points_G2 = person["keypoints"].float().cpu().numpy() + 0.5  # the processor counts from pixel centres
        return from_goliath(
            with_scores(points_G2, person["scores"].float().cpu().numpy(), self.config.min_point)
        )


def _from_hub(config: Sapiens2Config) -> tuple[Any, Any]:
    try:
        from transformers import AutoImageProcessor, Sapiens2ForPoseEstimation

        processors: Any = AutoImageProcessor
        processor = processors.from_pretrained(config.model, revision=config.revision)
    except ImportError as error:
        raise MissingDependency(
            f"pose backend 'sapiens2' needs transformers with Sapiens2, and torchvision: {error}",
            remedy="Run: pip install 'mitds[pose]', and the torchvision that fits your torch build.",
        ) from error
    model: Any = Sapiens2ForPoseEstimation.from_pretrained(config.model, revision=config.revision)
    return model.to(config.device).eval(), processor
