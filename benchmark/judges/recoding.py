"""The lossy copies that the SyncNet release makes of every picture before its networks see it.

`run_pipeline.py` writes the video as MPEG-4 and its frames as JPEG (both at quality 2, near-lossless), then each face
crop as an XVID film; `SyncNetInstance.py` writes that film's frames as JPEG once more, without a quality. There ffmpeg
takes its encoder's default of 200 kbit/s, and the crops that the network sees are coarse: about 30 dB from what was
given. Published Sync-C and Sync-D come from such pictures, so `compat` makes the same copies, through the same
encoders at the same settings, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

FPS = 25
_LAMBDA = 118
"""FFmpeg's unit of quality (FF_QP2LAMBDA)."""
_QUALITY_2 = {"flags": "+qscale", "global_quality": str(2 * _LAMBDA)}


def as_frames(frames_THWC: Pictures) -> Pictures:
    """Return frames, RGB, as the release's detector and cropper see them: MPEG-4 then JPEG, quality 2."""
    film = _mpeg4(_given(frames_THWC), _QUALITY_2)
    return _pictures(_jpeg(film, _QUALITY_2))[..., ::-1]


def as_crops(crops_THWC: Pictures) -> Pictures:
    """Return crops, BGR, as the release's network sees them: OpenCV's XVID film, then JPEG at 200 kbit/s."""
    height, width = crops_THWC.shape[1:3]
    # OpenCV's writer asks for one bit a pixel, quantisers from 3 and a key frame every 12 frames.
    xvid = {"b": str(FPS * width * height), "qmin": "3", "g": "12"}
    return _pictures(_jpeg(_mpeg4(_given(crops_THWC[..., ::-1]), xvid), {}))


def as_demo(frames_THWC: Pictures) -> Pictures:
    """Return a film of one face, RGB, as `demo_syncnet.py` shows it to the network: BGR, JPEG at 200 kbit/s."""
    return _pictures(_jpeg(_given(frames_THWC), {}))


def _given(frames_THWC: Pictures) -> Iterator[av.VideoFrame]:
    for frame_HWC in frames_THWC:
        yield av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), "rgb24")


def _mpeg4(frames: Iterable[av.VideoFrame], options: dict[str, str]) -> Iterator[av.VideoFrame]:
    decoder: Any = av.CodecContext.create("mpeg4", "r")
    decoder.thread_count = 1
    for packet in _encoded(frames, "mpeg4", "yuv420p", options):
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def _jpeg(frames: Iterable[av.VideoFrame], options: dict[str, str]) -> Iterator[bytes]:
    return (bytes(packet) for packet in _encoded(frames, "mjpeg", "yuvj420p", options))


def _pictures(files: Iterable[bytes]) -> Pictures:
    """Decode JPEG files as `cv2.imread` does, BGR."""
    return np.stack(
        [
            np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), np.uint8)
            for file in files
        ]
    )


def _encoded(
    frames: Iterable[av.VideoFrame],
    codec: Literal["mpeg4", "mjpeg"],
    pixels: Literal["yuv420p", "yuvj420p"],
    options: dict[str, str],
) -> Iterator[Any]:
    encoder: Any = None
    for number, frame in enumerate(frames):
        if encoder is None:
            encoder = _encoder(codec, pixels, frame, options)
        # ffmpeg and OpenCV reformat bicubically, PyAV bilinearly unless told.
        shown = frame.reformat(format=pixels, interpolation=Interpolation.BICUBIC)
        shown.pts, shown.time_base = number, encoder.time_base
        yield from encoder.encode(shown)
    if encoder is not None:
        yield from encoder.encode(None)


def _encoder(codec: str, pixels: str, frame: av.VideoFrame, options: dict[str, str]) -> Any:
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.thread_count = 1  # the rate control of several threads depends on their number
    encoder.options = options
    return encoder
