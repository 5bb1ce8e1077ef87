"""The promise of every pose backend, held on toy networks that see one thing: the brightest pixel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from mitds.annotators.contracts import PoseEstimator
from mitds.annotators.pose.fake import FakePose
from mitds.annotators.pose.goliath import FROM_GOLIATH
from mitds.annotators.pose.mmpose import MMPose
from mitds.annotators.pose.sapiens import Sapiens, Sapiens2
from mitds.annotators.pose.simcc import DwPose, Rtmw
from mitds.errors import MissingDependency, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

HEIGHT, WIDTH = 360, 480
FACE = (200.0, 60.0, 240.0, 110.0)
SPOT = (221.5, 91.5)
OTHER_FACE = (380.0, 60.0, 420.0, 110.0)


def brightest_simcc() -> bytes:
    """Input (1, 3, 384, 288); all 133 keypoints lie at the brightest pixel, two bins a pixel."""
    nodes = []
    for axis, keep in (("x", [1, 2]), ("y", [1, 3])):
        nodes += [
            helper.make_node("ReduceMax", ["image"], [f"{axis}1"], axes=keep, keepdims=0),
            helper.make_node("Reshape", [f"{axis}1", f"{axis}_column"], [f"{axis}2"]),
            helper.make_node("Expand", [f"{axis}2", f"{axis}_pair"], [f"{axis}3"]),
            helper.make_node("Reshape", [f"{axis}3", f"{axis}_row"], [f"{axis}4"]),
            helper.make_node("Expand", [f"{axis}4", f"{axis}_all"], [f"simcc_{axis}"]),
        ]
    shapes = {
        f"{axis}_{name}": shape
        for axis, size in (("x", 288), ("y", 384))
        for name, shape in {
            "column": (1, 1, size, 1),
            "pair": (1, 1, size, 2),
            "row": (1, 1, 2 * size),
            "all": (1, 133, 2 * size),
        }.items()
    }
    graph = helper.make_graph(
        nodes,
        "brightest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 384, 288))],
        [
            helper.make_tensor_value_info("simcc_x", TensorProto.FLOAT, (1, 133, 576)),
            helper.make_tensor_value_info("simcc_y", TensorProto.FLOAT, (1, 133, 768)),
        ],
        [helper.make_tensor(n, TensorProto.INT64, (len(s),), s) for n, s in shapes.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


class BrightestHeatmaps(torch.nn.Module):
    """Heatmaps of 308 keypoints at a quarter of the input, high where the picture is bright."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = torch.nn.functional.interpolate(
            image.amax(dim=1, keepdim=True), size=(256, 192), mode="bilinear", align_corners=True
        )
        return bright.clamp(min=0.0).expand(-1, 308, -1, -1)


def brightest_in(frame_HWC: np.ndarray, box_4: np.ndarray) -> tuple[np.ndarray, float]:
    x1, y1 = np.floor(box_4[:2]).astype(int)
    x2, y2 = np.ceil(box_4[2:]).astype(int)
    grey = frame_HWC[y1:y2, x1:x2].max(axis=2)
    y, x = np.unravel_index(int(grey.argmax()), grey.shape)
    return np.array([x + x1, y + y1], np.float32), float(grey.max() > 100)


class ToyProcessor:
    """The calls of a transformers image processor."""

    def __call__(self, frame_HWC: np.ndarray, boxes: Any, return_tensors: str) -> Any:
        self.frame_HWC = frame_HWC
        return SimpleNamespace(to=lambda device: {"pixel_values": torch.zeros(1)})

    def post_process_pose_estimation(self, outputs: Any, boxes: Any) -> Any:
        x, y, width, height = boxes[0][0]
        place, score = brightest_in(self.frame_HWC, np.array([x, y, x + width, y + height]))
        return [[{"keypoints": torch.from_numpy(place).expand(308, 2), "scores": torch.full((308,), score)}]]


def toy_inference_topdown(
    model: Any, image_bgr: np.ndarray, bboxes: np.ndarray, bbox_format: str
) -> list[Any]:
    assert bbox_format == "xyxy"
    place, score = brightest_in(image_bgr, bboxes[0])
    found = SimpleNamespace(keypoints=np.tile(place, (1, 133, 1)), keypoint_scores=np.full((1, 133), score))
    return [SimpleNamespace(pred_instances=found)]


BACKENDS: dict[str, Callable[[], PoseEstimator]] = {
    "rtmw": lambda: Rtmw(model=brightest_simcc()),
    "dwpose": lambda: DwPose(model=brightest_simcc()),
    "sapiens": lambda: Sapiens(model=torch.jit.script(BrightestHeatmaps())),
    "sapiens2": lambda: Sapiens2(model=lambda pixel_values: None, processor=ToyProcessor()),
    "mmpose": lambda: MMPose(model=object(), infer=toy_inference_topdown),
    "fake": FakePose,
}
NETWORKS = [name for name in BACKENDS if name != "fake"]


def picture(spot: tuple[float, float] = SPOT) -> np.ndarray:
    """A black picture with one bright spot, its middle at `spot`."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    glow = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 18)
    return np.repeat(glow.astype(np.uint8)[..., None], 3, axis=2)


def faces(*boxes: tuple[float, ...], steps: int = 1) -> np.ndarray:
    return np.repeat(np.array(boxes, np.float32)[:, None], steps, axis=1)


def assert_absent(points: np.ndarray) -> None:
    assert np.isnan(points[..., :2]).all()
    assert (points[..., 2] == 0).all()


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> PoseEstimator:
    return BACKENDS[request.param]()


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> PoseEstimator:
    return BACKENDS[request.param]()


def test_shape_range_and_absence(backend: PoseEstimator) -> None:
    boxes = faces(FACE, OTHER_FACE, steps=3)
    boxes[0, 1] = np.nan
    visible = np.array([[True, True, True], [False, False, False]])
    pose = backend.estimate([picture()] * 3, boxes, visible)
    assert pose.shape == (2, 3, 133, 3)
    assert pose.dtype == np.float32
    assert_absent(pose[1])
    assert_absent(pose[0, 1])
    present = pose[0, [0, 2]]
    assert ((present[..., 2] >= 0) & (present[..., 2] <= 1)).all()
    assert (present[..., 2] > 0).any(axis=1).all()
    assert (np.isfinite(present[..., 0]) == (present[..., 2] > 0)).all()


def test_steps_without_frame_are_an_error(backend: PoseEstimator) -> None:
    with pytest.raises(UsageError, match="1 frames for 2 steps"):
        backend.estimate([picture()], faces(FACE, steps=2), np.ones((1, 2), bool))
    with pytest.raises(UsageError, match="more frames for 1 steps"):
        backend.estimate([picture()] * 2, faces(FACE), np.ones((1, 1), bool))


def test_nobody_in_view_runs_no_network(backend: PoseEstimator) -> None:
    assert_absent(backend.estimate([picture()], faces(FACE), np.zeros((1, 1), bool)))


def test_reused_frame_buffers_are_not_taken_for_repeats(network: PoseEstimator) -> None:
    buffer = picture()

    def frames() -> Any:
        yield buffer
        buffer[:] = picture((SPOT[0] + 6, SPOT[1]))
        yield buffer

    pose = network.estimate(frames(), faces(FACE, steps=2), np.ones((1, 2), bool))
    assert pose[0, 1, 0, 0] - pose[0, 0, 0, 0] == pytest.approx(6, abs=1.5)


@pytest.mark.parametrize("spot", [SPOT, (204.5, 64.5), (236.5, 107.5)])
def test_points_come_back_in_picture_pixels(network: PoseEstimator, spot: tuple[float, float]) -> None:
    pose = network.estimate([picture(spot)], faces(FACE), np.ones((1, 1), bool))[0, 0]
    found = pose[pose[:, 2] > 0]
    assert len(found) == (133 if network.name not in ("sapiens", "sapiens2") else len(FROM_GOLIATH))
    assert np.abs(found[:, :2] - spot).max() < 1.0


def test_a_body_whose_head_is_elsewhere_is_absent(network: PoseEstimator) -> None:
    below = (220.5, 250.5)  # in the person's box, outside the face's
    assert_absent(network.estimate([picture(below)], faces(FACE), np.ones((1, 1), bool)))


def test_a_neighbour_is_never_taken(network: PoseEstimator) -> None:
    near = (FACE[0] + 50, FACE[1], FACE[2] + 50, FACE[3])
    pose = network.estimate([picture()], faces(FACE, near), np.ones((2, 1), bool))
    assert np.abs(pose[0, 0, 0, :2] - SPOT).max() < 1.0
    assert_absent(pose[1])


def test_repeated_frames_repeat_their_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def counted(*args: Any, **kwargs: Any) -> list[Any]:
        runs.append(1)
        return toy_inference_topdown(*args, **kwargs)

    def looks(frames: list[np.ndarray]) -> int:
        runs.clear()
        boxes = faces(FACE, steps=len(frames))
        pose = MMPose(model=object(), infer=counted).estimate(frames, boxes, np.ones((1, len(frames)), bool))
        assert (pose[0, :, 0, 2] > 0).all()
        return len(runs)

    moved = picture((SPOT[0] + 2, SPOT[1]))
    first = looks([picture()])
    assert looks([picture(), picture(), picture()]) == first
    assert looks([picture(), moved]) == first + 1


def test_mmpose_refuses_networks_of_other_skeletons() -> None:
    found = SimpleNamespace(keypoints=np.zeros((1, 17, 2)), keypoint_scores=np.ones((1, 17)))
    backend = MMPose(model=object(), infer=lambda *a, **k: [SimpleNamespace(pred_instances=found)])
    with pytest.raises(UsageError, match="17 keypoints"):
        backend.estimate([picture()], faces(FACE), np.ones((1, 1), bool))


def test_networks_see_rgb() -> None:
    seen = []

    class Recorder(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image)
            return torch.zeros(1, 308, 256, 192)

    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 0] = 255
    Sapiens(model=Recorder()).estimate([red], faces(FACE), np.ones((1, 1), bool))
    middle = seen[0][0, :, 512, 384]
    assert middle[0] > 0 > middle[2]


def test_toy_onnx_model_is_valid() -> None:
    onnx.checker.check_model(onnx.load_from_string(brightest_simcc()))
    assert cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[91, 221] > 250


@pytest.mark.parametrize(
    ("package", "make", "remedy"),
    [("transformers", Sapiens2, "mitds[pose]"), ("mmpose.apis", MMPose, "docs/full-strength.md")],
)
def test_a_missing_package_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, package: str, make: Callable[[], PoseEstimator], remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency) as caught:
        make()
    assert package.split(".")[0] in caught.value.what
    assert remedy in caught.value.remedy
