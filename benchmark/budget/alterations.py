"""The same real footage and output, decoded, converted, encoded or placed otherwise."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.budget.steps import BASE, RAW, REAL_12
from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Footage, Frames, read_footage
from mitds.media import pictures, write_video
from mitds.time import CLIP_FPS

Plane = NDArray[np.float64]
Chroma = Literal["held", "linear"]

THREADS = 4
"""Of the decoder, in the step that gives it several."""
_ITU709 = 1
_UNSPECIFIED = (2, 3)
_WEIGHTS = {"709": (0.2126, 0.0722), "601": (0.299, 0.114)}
"""Share of red and of blue in luma."""


@dataclass(frozen=True, slots=True)
class Case:
    """An item with an output to it, and the files both come from.

    Attributes:
        scene: The truth.
        output: The output, decoded as `mitds eval` does.
        real_file: The real footage as a file.
        output_file: The output as a file.
        raw: Makes the output's pictures as they were before any codec.
        control: What made the output.
    """

    scene: Scene
    output: Footage
    real_file: Path
    output_file: Path
    raw: Callable[[], Frames]
    control: str = ""


Judged = tuple[Scene, Footage]


@dataclass(frozen=True, slots=True)
class Alteration:
    """One step done otherwise.

    Attributes:
        change: Makes what metrics see of a case.
        only: What a metric must need to be touched at all; "" for any.
    """

    change: Callable[[Case], Judged]
    only: str = ""


def _both(read: Callable[[Path, Scene], Frames], case: Case) -> Judged:
    """Read real footage and output alike."""
    scene = case.scene
    real = Footage(read(case.real_file, scene), scene.real.wave_S)
    return replace(scene, real=real), _output(case, read(case.output_file, scene))


def _output(case: Case, frames_THWC: Frames) -> Footage:
    return Footage(frames_THWC, case.scene.real.wave_S)


def _as_it_is(case: Case) -> Judged:
    return case.scene, case.output


def _raw(case: Case) -> Judged:
    return case.scene, _output(case, case.raw())


def _coded(crf: int, case: Case) -> Judged:
    return case.scene, _output(case, recoded(case.raw(), crf))


def _perfect(crf: int, case: Case) -> Judged:
    return case.scene, _output(case, recoded(case.scene.real.frames_THWC, crf))


def _moved(move: Callable[[Frames], Frames], case: Case) -> Judged:
    return case.scene, _output(case, move(case.output.frames_THWC))


def _boxes(case: Case) -> Judged:
    return jittered(case.scene), case.output


def remuxed(file: Path, container: str) -> bytes:
    """Put a file's pictures, as they are coded, into another container."""
    buffer = io.BytesIO()
    with av.open(str(file)) as source, av.open(buffer, "w", format=container) as target:
        track = source.streams.video[0]
        copy = target.add_stream_from_template(track)
        for packet in source.demux(track):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return buffer.getvalue()


def _through(container: str, file: Path, scene: Scene) -> Frames:
    return read_footage(remuxed(file, container), scene.real.shape).frames_THWC


def _threaded(file: Path, scene: Scene) -> Frames:
    return _cut([picture.frame_HWC for picture in pictures(file, threads=THREADS)], scene)


def _cut(frames: list[Frames], scene: Scene) -> Frames:
    """Cut off the column or row that encoders add to odd sides."""
    shape = scene.real.shape
    return np.stack(frames)[:, : shape.height, : shape.width]


def _converted(chroma: Chroma, file: Path, scene: Scene) -> Frames:
    with av.open(str(file)) as container:
        found = [rgb(*_planes(frame), _matrix(frame), chroma) for frame in container.decode(video=0)]
    return _cut(found, scene)


def _planes(frame: Any) -> tuple[Plane, Plane, Plane]:
    height, width = frame.height, frame.width
    packed = frame.to_ndarray(format="yuv420p").astype(np.float64).reshape(-1)
    luma, u, v = np.split(packed, [height * width, height * width * 5 // 4])
    half = height // 2, width // 2
    return luma.reshape(height, width), u.reshape(half), v.reshape(half)


def _matrix(frame: Any) -> str:
    if frame.colorspace in _UNSPECIFIED:
        return "709" if frame.height >= 720 or frame.width >= 1280 else "601"
    return "709" if frame.colorspace == _ITU709 else "601"


def rgb(y_HW: Plane, u: Plane, v: Plane, matrix: str, chroma: Chroma) -> NDArray[np.uint8]:
    """Convert a picture of YUV 4:2:0 in limited range to RGB, in float64.

    Args:
        y_HW: Luma, 16..235; even sides.
        u: Blue difference, 16..240, half the sides.
        v: Red difference likewise.
        matrix: "709" or "601".
        chroma: How a chroma sample becomes four: repeated, or interpolated between the samples' places (to the left
            between two rows, as in MPEG-2).

    Returns:
        frame_HWC, rounded to uint8.
    """
    red_share, blue_share = _WEIGHTS[matrix]
    light = (y_HW - 16) / 219
    blue = light + 2 * (1 - blue_share) * (_doubled(u, chroma) - 128) / 224
    red = light + 2 * (1 - red_share) * (_doubled(v, chroma) - 128) / 224
    green = (light - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    frame_HWC = np.stack([red, green, blue], axis=-1) * 255
    return np.clip(np.rint(frame_HWC), 0, 255).astype(np.uint8)


def _doubled(plane: Plane, chroma: Chroma) -> Plane:
    if chroma == "held":
        return plane.repeat(2, axis=0).repeat(2, axis=1)
    height, width = plane.shape
    rows = _between(plane, (np.arange(2 * height) - 0.5) / 2)
    return _between(rows.T, np.arange(2 * width) / 2).T


def _between(plane: Plane, at_K: Plane) -> Plane:
    """Interpolate along the first axis; beyond the ends they repeat."""
    at_K = np.clip(at_K, 0, len(plane) - 1)
    before_K = at_K.astype(np.intp)
    after_K = np.minimum(before_K + 1, len(plane) - 1)
    share_K1 = (at_K - before_K)[:, None]
    return np.asarray(plane[before_K] * (1 - share_K1) + plane[after_K] * share_K1)


def recoded(frames_THWC: Frames, crf: int) -> Frames:
    """Encode pictures as `mitds eval` does, at another quality, and decode them."""
    with tempfile.TemporaryDirectory(prefix="mitds-budget-") as folder:
        path = Path(folder) / "coded.mp4"
        write_video(path, ((k / CLIP_FPS, frame) for k, frame in enumerate(frames_THWC)), crf=crf)
        return read_footage(path, Footage(frames_THWC).shape).frames_THWC


def one_pixel(frames_THWC: Frames) -> Frames:
    """Move pictures to the right by a pixel; the first column repeats."""
    return np.concatenate([frames_THWC[:, :, :1], frames_THWC[:, :, :-1]], axis=2)


def one_frame(frames_THWC: Frames) -> Frames:
    """Show every picture a frame later; the first one repeats."""
    return np.concatenate([frames_THWC[:1], frames_THWC[:-1]])


def jittered(scene: Scene) -> Scene:
    """Move every side of every reference box by a pixel, in or out at random but fixed."""
    if scene.arrays is None:
        return scene
    boxes_NT4 = scene.arrays.face_xyxy_NT4
    signs_NT4 = np.random.default_rng(0).integers(0, 2, boxes_NT4.shape) * 2 - 1
    moved_NT4 = (boxes_NT4 + signs_NT4).astype(boxes_NT4.dtype)
    return replace(scene, arrays=replace(scene.arrays, face_xyxy_NT4=moved_NT4))


ALTERATIONS: dict[str, Alteration] = {
    BASE: Alteration(_as_it_is),
    "mkv": Alteration(partial(_both, partial(_through, "matroska"))),
    "mov": Alteration(partial(_both, partial(_through, "mov"))),
    "decoder": Alteration(partial(_both, _threaded)),
    "held": Alteration(partial(_both, partial(_converted, "held"))),
    "linear": Alteration(partial(_both, partial(_converted, "linear"))),
    RAW: Alteration(_raw),
    "crf18": Alteration(partial(_coded, 18)),
    "crf23": Alteration(partial(_coded, 23)),
    "crf28": Alteration(partial(_coded, 28)),
    REAL_12: Alteration(partial(_perfect, 12)),
    "real23": Alteration(partial(_perfect, 23)),
    "pixel": Alteration(partial(_moved, one_pixel)),
    "frame": Alteration(partial(_moved, one_frame)),
    "boxes": Alteration(_boxes, only="scene"),
}
"""All that one process can do; `STEPS` says what each is compared with."""
