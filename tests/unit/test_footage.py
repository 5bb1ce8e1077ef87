"""Decoding for metrics: exact, strict, the same in any container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mitds.benchmark.footage import Footage, Shape, WrongShape, read_footage
from mitds.errors import NotVideo, Undecodable
from mitds.media import write_video


def clip(path: Path, frames: int = 10, width: int = 64, height: int = 48, fps: int = 25) -> Path:
    generator = np.random.default_rng(0)
    base_HWC = generator.integers(0, 255, (height, width, 3), dtype=np.uint8)
    pictures = ((Fraction(k, fps), np.roll(base_HWC, k, axis=1)) for k in range(frames))
    write_video(path, pictures, crf=10)
    return path


def remuxed(path: Path, target: Path) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    return target


def test_a_lossless_remux_is_the_same_footage(tmp_path: Path):
    path = clip(tmp_path / "a.mp4")
    first = read_footage(path, Shape(10, 64, 48))
    for suffix in (".mkv", ".mov"):
        other = read_footage(remuxed(path, tmp_path / f"b{suffix}"), Shape(10, 64, 48))
        assert other.digest == first.digest
    assert read_footage(path.read_bytes()).digest == first.digest


def test_the_digest_sees_one_changed_pixel_and_another_shape():
    frames_THWC = np.zeros((2, 4, 4, 3), np.uint8)
    changed_THWC = frames_THWC.copy()
    changed_THWC[1, 3, 3, 2] = 1
    digests = {Footage(f).digest for f in (frames_THWC, changed_THWC, frames_THWC.reshape(4, 2, 4, 3))}
    assert len(digests) == 3


@pytest.mark.parametrize("shape", [Shape(9, 64, 48), Shape(11, 64, 48), Shape(10, 62, 48), Shape(10, 64, 50)])
def test_another_shape_than_asked_for_is_refused(tmp_path: Path, shape: Shape):
    with pytest.raises(WrongShape, match=r"asked for|expected"):
        read_footage(clip(tmp_path / "a.mp4"), shape)


def test_an_odd_size_is_met_by_the_even_one_the_encoder_needs(tmp_path: Path):
    path = clip(tmp_path / "a.mp4", width=63, height=47)
    assert read_footage(path, Shape(10, 63, 47)).shape == Shape(10, 63, 47)


def test_another_frame_rate_is_refused(tmp_path: Path):
    with pytest.raises(WrongShape, match="25 frames a second"):
        read_footage(clip(tmp_path / "a.mp4", fps=30), Shape(10, 64, 48))


def test_what_is_longer_than_asked_for_is_not_decoded_to_its_end(tmp_path: Path):
    with pytest.raises(WrongShape, match="more or larger"):
        read_footage(clip(tmp_path / "a.mp4", frames=60), Shape(10, 64, 48))


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "v=0\nm=video 5004 RTP/AVP 96\n",
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "",
    ],
    ids=["playlist", "concat", "sdp", "subtitles", "empty"],
)
def test_nothing_that_opens_other_files_is_taken_for_a_video(tmp_path: Path, text: str):
    path = tmp_path / "a.mp4"
    path.write_text(text)
    with pytest.raises(NotVideo, match="no mp4"):
        read_footage(path)


def test_a_torn_file_is_undecodable(tmp_path: Path):
    path = clip(tmp_path / "a.mp4", frames=40)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises((Undecodable, NotVideo)) as caught:
        read_footage(path)
    assert "a.mp4" in str(caught.value)


def test_frames_cannot_be_changed_by_a_metric(tmp_path: Path):
    footage = read_footage(clip(tmp_path / "a.mp4"))
    with pytest.raises(ValueError, match="read-only"):
        footage.frames_THWC[0, 0, 0, 0] = 1
