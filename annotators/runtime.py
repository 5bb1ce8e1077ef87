"""How networks are run: one place for threads, devices and the refusal to fall back silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mitds.errors import MissingDependency

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}


def onnx_session(path: Path | bytes, *, device: str = "cpu", threads: int = 1) -> Any:
    """Open an ONNX model on the device that was asked for, or fail saying why.

    Args:
        path: Model file, or its bytes.
        device: "cpu", "cuda" or "coreml".
        threads: Threads inside one operator; parallelism comes from workers, not from here.
    """
    import onnxruntime

    wanted = PROVIDERS.get(device)
    if wanted not in onnxruntime.get_available_providers():
        raise MissingDependency(
            f"onnxruntime cannot run on {device!r} here",
            where=str(path) if isinstance(path, Path) else "",
            remedy="Install the onnxruntime build for this device (onnxruntime-gpu for cuda), or use device=cpu.",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = path if isinstance(path, bytes) else str(path)
    return onnxruntime.InferenceSession(model, options, providers=[wanted])


def single_threaded() -> None:
    """Keep OpenCV and torch to one thread in this process, as stages are scaled by workers."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
