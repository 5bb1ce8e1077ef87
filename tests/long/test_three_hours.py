"""Long and large sources in bounded memory: three hours, and pictures of 8K, in at most 1.5 GB a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

LIMIT_MB = 1500
HOURS = 3

WORKER = r"""
import json, re, sys
from pathlib import Path
from mitds.manifests.codec import from_json
from mitds.media import mono16k
from mitds.pipeline.stages import cuts, probing, shots, split
from mitds.pipeline.work import Work
from mitds.store import write_json

step, source, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
config, work, note = split.SplitConfig(), Work(folder), folder / "cuts.json"
about = {}
if step == "cuts":
    found = probing.ProbeStage()(source)
    write_json(note, cuts.CutsStage(config, work)(split.CutsItem("ab" * 32, source, found.audio_tracks)))
    about["seconds"] = float(found.duration)
else:
    dealt = split.groups(from_json(split.CutsResult, note.read_bytes()), source)
    about["groups"] = len(dealt)
    if step == "shots":
        for group in (dealt[0], dealt[len(dealt) // 2], dealt[-1]):
            shots.ShotsStage(config, work)(group)
    else:
        mono16k(work.path("cuts", "ab" * 8, ".flac"), folder / "whole.wav")
# Not getrusage: its peak counts the process that started this one, too.
about["mb"] = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps(about))
"""


def worker(step: str, source: Path, folder: Path) -> dict[str, float]:
    """Run one step in a process of its own, and return what it says."""
    command = [sys.executable, "-c", WORKER, step, str(source), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    about: dict[str, float] = json.loads(done.stdout)
    print(step, about)  # noqa: T201  shown with -s: docs/reliability.md quotes it
    return about


def looped(path: Path, seconds: int, turns: int) -> Path:
    """Write a long file fast: `seconds` are encoded once, and their packets are written `turns` times."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=5, options={"preset": "ultrafast", "crf": "35"})
        video.width, video.height, video.pix_fmt = 160, 90, "yuv420p"
        sound = container.add_stream("flac", rate=48_000, layout="stereo")
        pictures, waves = [*_pictures(video, seconds)], [*_waves(sound, seconds)]
        for turn in range(turns):
            for packet, (pts, dts) in sorted(pictures + waves, key=lambda p: p[0].time_base * p[1][1]):
                packet.pts, packet.dts = (
                    t + round(turn * seconds / Fraction(packet.time_base)) for t in (pts, dts)
                )
                container.mux(_copy(packet))
    return path


def _copy(packet: Any) -> Any:
    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = (
        packet.pts,
        packet.dts,
        packet.duration,
        packet.time_base,
    )
    copy.stream, copy.is_keyframe = packet.stream, packet.is_keyframe
    return copy


def _pictures(video: Any, seconds: int) -> Iterator[tuple[Any, tuple[int, int]]]:
    rng = np.random.default_rng(0)
    scenes = (
        rng.integers(0, 60, (2, 90, 160, 3), np.uint8) + np.array([10, 180], np.uint8)[:, None, None, None]
    )

    def frames() -> Iterator[Any]:
        for k in range(seconds * 5):
            frame = av.VideoFrame.from_ndarray(np.roll(scenes[int(2 * k >= seconds * 5)], k, 1), "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 5)
            yield frame

    yield from _packets(video, frames())


def _waves(sound: Any, seconds: int) -> Iterator[tuple[Any, tuple[int, int]]]:
    rng = np.random.default_rng(1)

    def frames() -> Iterator[Any]:
        for at in range(0, seconds * 48_000, 4800):
            block = rng.integers(-800, 800, (1, 2 * 4800), np.int16)
            frame = av.AudioFrame.from_ndarray(block, "s16", "stereo")
            frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), at
            yield frame

    yield from _packets(sound, frames())


def _packets(stream: Any, frames: Iterable[Any]) -> Iterator[tuple[Any, tuple[int, int]]]:
    for frame in [*frames, None]:
        for packet in stream.encode(frame):
            yield packet, (packet.pts, packet.dts)


def test_three_hours_fit_into_a_worker(tmp_path: Path) -> None:
    """Whole, the sound alone would take 4 GB."""
    source = looped(tmp_path / "long.mkv", 40, HOURS * 90)
    found = {step: worker(step, source, tmp_path / "work") for step in ("cuts", "shots", "wav")}
    assert found["cuts"]["seconds"] == pytest.approx(HOURS * 3600, abs=1)
    assert found["shots"]["groups"] == HOURS * 12
    assert (tmp_path / "work" / "whole.wav").stat().st_size == 44 + HOURS * 3600 * 16_000 * 2
    for step, about in found.items():
        assert about["mb"] < LIMIT_MB, step


def test_a_second_of_8k_fits_into_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    squares = np.random.default_rng(0).integers(0, 255, (270, 480), np.uint8).repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "refs": "2"})
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuv420p"
        for k in range(10):
            frame = av.VideoFrame(7680, 4320, "yuv420p")
            frame.planes[0].update(np.roll(squares, 8 * k, 1).tobytes())
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for step in ("cuts", "shots"):
        assert worker(step, path, tmp_path / "work")["mb"] < LIMIT_MB, step
