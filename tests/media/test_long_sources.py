"""What long sources rest on: stretches sought out by time, sound in blocks, and ingest by processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

import mitds.media.resampling as resampling_module
import mitds.media.strip as strip_module
from mitds.annotators.shots.pyscenedetect import PySceneDetect
from mitds.annotators.shots.segment import segment
from mitds.errors import Undecodable
from mitds.manifests.shards import read_shard
from mitds.media import (
    Sound,
    keep_sound,
    mono16k,
    pictures,
    read_sound,
    sound_part,
    write_video,
    write_wav16k,
)
from mitds.media.resampling import Resampler, resample
from mitds.media.stretches import Astray, Stretch, StretchReader, joined, marked_pictures
from mitds.pipeline.ingest import IngestConfig, ingest
from mitds.pipeline.session import ray_session
from mitds.pipeline.stages.split import SplitConfig
from mitds.store import sha256_file

pytestmark = pytest.mark.media

COUNT = 200


def scene(k: int) -> np.ndarray:
    base = np.random.default_rng(k // 60).integers(0, 200, (9, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return np.roll(base, 2 * k, 1) + np.random.default_rng(k).integers(0, 30, base.shape, np.uint8)


def encode(path: Path, codec: str, times: Callable[[int], int], **options: str) -> Path:
    """Write COUNT pictures at times in 1/100 s."""
    muxer = {"avoid_negative_ts": "disabled"} if path.suffix == ".mkv" else {}
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height = 128, 72
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25 if codec == "mpeg2video" else 100)
        for k in range(COUNT):
            frame = av.VideoFrame.from_ndarray(scene(k), "rgb24")
            frame.pts, frame.time_base = times(k), stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def steady(k: int) -> int:
    return 4 * k


def varied(k: int) -> int:
    return 4 * k + k % 3 + 90 * (k > 70) + 2 * max(0, k - 150)


OPEN_GOP = {"x264-params": "open-gop=1:keyint=24:min-keyint=24:bframes=3:b-adapt=0:scenecut=0"}
FILMS: dict[str, tuple[str, Callable[[int], int], dict[str, str]]] = {
    "b-frames.mp4": ("libx264", steady, {"bf": "3", "g": "30"}),
    "varied.mkv": ("libx264", varied, {"bf": "2", "g": "40"}),
    "negative.mkv": ("libx264", lambda k: 4 * k - 50, {"bf": "2", "g": "30"}),
    "open-gop.mp4": ("libx264", steady, OPEN_GOP),
    "open-gop.ts": ("libx264", steady, OPEN_GOP),
    "stream.ts": ("libx264", varied, {"bf": "2", "g": "30"}),
    "bare.h264": ("libx264", steady, {"bf": "0", "g": "30"}),
    "fields.mpg": ("mpeg2video", lambda k: k, {"flags": "+ildct+ilme", "g": "15", "bf": "2"}),
    "stills.avi": ("mjpeg", steady, {}),
}


def read(reader: StretchReader, stretch: Stretch) -> tuple[list[tuple[Fraction, bytes]], int]:
    """Return the first try of a stretch that holds, and which one it was."""
    for number, frames in enumerate(reader.tries(stretch)):
        try:
            return [(stretch.start + t, frame_HWC.tobytes()) for t, frame_HWC in frames], number
        except Astray:
            continue
    raise AssertionError("there is always a last try")


@pytest.mark.parametrize("name", FILMS)
def test_a_stretch_holds_the_pictures_of_decoding_from_the_start(name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / name, *FILMS[name][:2], **FILMS[name][2])
    seen = [(p.pts, p.frame_HWC.tobytes()) for p in pictures(path)]
    marks = [mark for _, mark in marked_pictures(path, max_side=16)]
    assert len(seen) == len(marks) >= COUNT - 2
    assert (seen[0][0] < 0) == name.startswith("negative")

    def stretch(first: int, last: int) -> Stretch:
        return Stretch(seen[first][0], last - first, joined(marks[first:last]))

    for first in (0, 97, 181):
        with StretchReader(path) as reader:
            for a, b in ((first, first + 7), (first + 7, first + 12)):
                assert read(reader, stretch(a, b))[0] == seen[a:b]


def test_a_broken_reference_is_noticed_and_the_decoder_starts_farther_back(tmp_path: Path) -> None:
    """A key frame is marked where there is none: a decoder that starts there makes up what it lacks."""
    path = encode(tmp_path / "film.mp4", "libx264", steady, bf="0", g="250")
    lying = tmp_path / "lying.mkv"
    with av.open(str(path)) as source, av.open(str(lying), "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None:
                packet.stream = track
                packet.is_keyframe = packet.is_keyframe or number % 25 == 0
                target.mux(packet)
    seen = [(p.pts, p.frame_HWC.tobytes(), m) for p, m in marked_pictures(lying)]
    there = Stretch(seen[150][0], 5, joined(m for *_, m in seen[150:155]))
    with StretchReader(lying) as reader:
        found, number = read(reader, there)
    assert found == [(pts, data) for pts, data, _ in seen[150:155]]
    assert number > 0, "the first try must have been thrown away"


def test_a_stretch_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mp4", "libx264", steady, g="30")
    with StretchReader(path) as reader:
        with pytest.raises(Undecodable, match="differently"):
            read(reader, Stretch(Fraction(501, 100), 3, 0))
        with pytest.raises(Undecodable, match="differently"):
            read(reader, Stretch(Fraction(7), 100, 0))


def test_long_shots_are_cut_into_even_pieces_that_no_cut_opens(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mkv", "libx264", varied, g="30")
    whole = segment(path, PySceneDetect(), source_id="ab" * 32)
    pieces = segment(path, PySceneDetect(), source_id="ab" * 32, max_shot_s=1.0)
    cuts = [shot.start for shot in whole.shots]
    assert len(cuts) > 2
    assert [shot.start for shot in pieces.shots if not shot.continues] == cuts
    assert [shot.cut_score for shot in pieces.shots if not shot.continues] == [
        s.cut_score for s in whole.shots
    ]
    times = {p.index: p.pts for p in pictures(path)}
    assert all(times[shot.first_frame] == shot.start for shot in pieces.shots)
    assert sum(shot.frames for shot in pieces.shots) == COUNT
    assert max(shot.end - shot.start for shot in pieces.shots) <= 1 + Fraction(93, 100), "a gap of 0.9 s"
    assert joined(whole.marks) != joined(pieces.marks)


def test_pictures_that_jump_ahead_by_hours_are_refused(tmp_path: Path) -> None:
    """A shot as long as the gap would keep every later stage busy with one picture."""
    path = encode(tmp_path / "film.mkv", "libx264", lambda k: 4 * k + 100 * 7200 * (k > 100), g="30")
    with pytest.raises(Undecodable, match="jump ahead by 7200 s"):
        segment(path, PySceneDetect(), source_id="ab" * 32)


# ---- sound


def heard(path: Path, rate: int, blocks: list[tuple[int, int]], channels: int = 2) -> Path:
    """Write PCM with blocks of noise at (first sample, samples), gaps and overlaps included."""
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        for first, samples in blocks:
            noise = np.random.default_rng(first).integers(-9000, 9000, (1, samples * channels), np.int16)
            frame = av.AudioFrame.from_ndarray(noise, "s16", layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def spoken(path: Path) -> Path:
    """Write a film with AAC: priming, and padding in the last block."""
    noise = np.random.default_rng(4).normal(0, 0.1, (2, 44_100 * 3 + 77)).astype(np.float32)
    frames = ((Fraction(k, 5), np.zeros((16, 16, 3), np.uint8)) for k in range(16))
    write_video(path, frames, sound=Sound(noise, 44_100, Fraction(0)))
    return path


SOUNDS: dict[str, Callable[[Path], Path]] = {
    "plain.mkv": lambda p: heard(p, 48_000, [(k * 4800, 4800) for k in range(20)]),
    "gaps.mkv": lambda p: heard(p, 44_100, [(3000, 4000), (9000, 4000), (100_000, 500), (100_200, 9000)]),
    "fast.wav": lambda p: heard(p, 96_000, [(0, 192_000)], channels=1),
    "spoken.mp4": spoken,
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_in_blocks_is_sound_in_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The FLAC that is written block by block has the bytes of the one that is written at once."""
    path = SOUNDS[name](tmp_path / name)
    whole = read_sound(path)
    assert whole is not None
    pcm = np.clip(np.rint(whole.wave_CS * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(tmp_path / "whole.flac", pcm.T, whole.rate, format="FLAC", subtype="PCM_16")
    monkeypatch.setattr(strip_module, "_BLOCK", 1000)
    monkeypatch.setattr(resampling_module, "_BLOCK_S", 0.05)
    kept = keep_sound(path, tmp_path / "kept.flac")
    assert kept is not None
    assert (tmp_path / "kept.flac").read_bytes() == (tmp_path / "whole.flac").read_bytes()
    assert (kept.start, kept.rate, kept.channels) == (whole.start, whole.rate, whole.wave_CS.shape[0])
    assert kept.duration == Fraction(whole.wave_CS.shape[1], whole.rate)
    stored = read_sound(tmp_path / "kept.flac")
    assert stored is not None
    mono16k(tmp_path / "kept.flac", tmp_path / "blocks.wav")
    write_wav16k(tmp_path / "whole.wav", stored.mono())
    assert (tmp_path / "blocks.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    for start, end in ((Fraction(-1, 3), Fraction(1, 2)), (Fraction(1, 7), Fraction(9, 10)), (3, 4)):
        part = sound_part(tmp_path / "kept.flac", kept, whole.start + start, whole.start + end)
        wanted = Sound(stored.wave_CS, whole.rate, whole.start).part(whole.start + start, whole.start + end)
        assert part.start == wanted.start
        assert np.array_equal(part.wave_CS, wanted.wave_CS)


@pytest.mark.parametrize(
    ("old", "new"), [(48_000, 16_000), (44_100, 16_000), (8000, 16_000), (22_051, 16_000)]
)
def test_resampling_in_blocks_gives_the_same_samples(
    old: int, new: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling_module, "_BLOCK_S", 0.05)
    rng = np.random.default_rng(old)
    for samples in (0, 1, 999, 50_001):
        wave_CS = rng.normal(0, 0.2, (2, samples)).astype(np.float32)
        resampler, parts, at = Resampler(old, new, 2), [], 0
        while at < samples:
            size = int(rng.integers(1, 20_000))
            parts += resampler.add(wave_CS[:, at : at + size])
            at += size
        assert np.array_equal(np.concatenate([*parts, resampler.rest()], axis=1), resample(wave_CS, old, new))


# ---- ingest in processes

CONFIG = IngestConfig(split=SplitConfig(max_shot_s=2.0))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("listed")
    encode(folder / "a.mp4", "libx264", steady, bf="2", g="30")
    spoken(folder / "b.mp4")
    (folder / "list.txt").write_text("a.mp4\nb.mp4\n")
    return folder / "list.txt"


@pytest.fixture(scope="module")
def unbroken(listed: Path) -> list[str]:
    with ray_session(workers=1):
        return [record.sha256 for record in ingest(listed, listed.parent / "one", CONFIG).records]


def test_shots_of_an_ingest_hold_the_pictures_of_the_source(listed: Path, unbroken: list[str]) -> None:
    """Every shot file has as many pictures as the source shows in it, at the same times."""
    times = [p.pts for p in pictures(listed.parent / "a.mp4")]
    found: list[Fraction] = []
    for sample in read_shard(listed.parent / "one" / "shots-000000.tar"):
        if "mp4" in sample.members and len(found) < COUNT:
            path = listed.parent / "shot.mp4"
            path.write_bytes(sample.members["mp4"])
            start = times[len(found)]
            found += [start + p.pts for p in pictures(path)]
    assert found == times


def _mitds(listed: Path, out: Path) -> subprocess.Popen[bytes]:
    settings = [part for text in ("split.max_shot_s=2.0",) for part in ("--set", text)]
    command = [sys.executable, "-m", "mitds", "ingest", str(listed), "--out", str(out), "--quiet"]
    return subprocess.Popen(
        [*command, "--workers", "2", *settings],
        start_new_session=True,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(condition: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.long
def test_two_workers_killed_after_the_first_cuts_and_started_again_give_the_shards_of_one(
    listed: Path, unbroken: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    first = _mitds(listed, out)
    _wait(lambda: list(out.glob(".work/cuts-*/*.done")), first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not list(out.glob("*.tar"))
    done = {path.name for path in out.glob(".work/cuts-*/*.done")}
    assert done
    stamps = {path: path.stat().st_mtime_ns for path in out.glob(".work/cuts-*/*.done")}
    assert _mitds(listed, out).wait(timeout=200) == 0
    assert [sha256_file(path) for path in sorted(out.glob("shots-*.tar"))] == unbroken
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "what was done is not done again"
