"""Submissions on real footage: what counts as a copy of it, what counts as its sound, and attacks on decoders."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mitds.benchmark.footage import read_footage
from mitds.benchmark.isolation import run_isolated
from mitds.benchmark.submission import check
from mitds.benchmark.submission.likeness import FOLLOWS, MIN_CORRELATION, sound_agreement, unfollowed
from mitds.benchmark.submission.media import LIMITS
from mitds.benchmark.submission.media_job import check_tracks
from mitds.errors import InputFault
from mitds.media import grid_frames, read_sound
from mitds.time import Grid
from mitds.weights import resolve
from tests import submissions as make

pytestmark = pytest.mark.media

FRAMES, SIDE = 100, 256


def _filmed(start: int) -> make.Take:
    """Read 4 s of a demo clip: square pictures, and the sound."""
    path = resolve("media.interview")
    grid = Grid(Fraction(start), FRAMES)
    frames = [_square(frame_HWC) for frame_HWC in grid_frames(path, grid)]
    sound = read_sound(path)
    assert sound is not None
    return frames, sound.part(grid.start, grid.end).mono()


def _square(frame_HWC: np.ndarray) -> np.ndarray:
    height, width = frame_HWC.shape[:2]
    side = min(height, width)
    x, y = (width - side) // 2, (height - side) // 2
    return cv2.resize(frame_HWC[y : y + side, x : x + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def takes() -> list[make.Take]:
    """Two takes of one person."""
    return [_filmed(30), _filmed(36)]


@pytest.fixture(scope="module")
def release(takes: list[make.Take], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.make_release(tmp_path_factory.mktemp("release"), 2, takes)


def _each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda real_THWC: np.stack([change(frame) for frame in real_THWC])


def _recoded(real_THWC: np.ndarray, tmp_path: Path, crf: int) -> np.ndarray:
    return read_footage(make.write_mp4(tmp_path / "copy.mp4", real_THWC, crf=crf)).frames_THWC


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "blurred": _each(lambda f: cv2.GaussianBlur(f, (0, 0), 1.5)),
    "cropped by a pixel": _each(lambda f: cv2.resize(f[1:-1, 1:-1], f.shape[1::-1])),
    "mirrored": lambda real: real[:, :, ::-1],
    "a frame late": lambda real: np.concatenate([real[:1], real[:-1]]),
    "brightened": lambda real: np.clip(real * 1.1 + 8, 0, 255).astype(np.uint8),
    "noisy": lambda real: np.clip(real + np.random.default_rng(0).normal(0, 10, real.shape), 0, 255).astype(np.uint8),
    "behind a ramp": lambda real: np.clip(real + np.linspace(-50, 50, SIDE)[:, None], 0, 255).astype(np.uint8),
    "five frames late": lambda real: np.concatenate([real[:1].repeat(5, 0), real[:-5]]),
    "swaying by 3 px": lambda real: np.stack([_moved(f, k) for k, f in enumerate(real)]),
    "zoomed by 6 %": lambda real: np.stack([_zoomed(f, 1 + 0.06 * k / FRAMES) for k, f in enumerate(real)]),
    "bent by 2 px": _each(lambda f: _bent(f, 2)),
    "a still after 45 %": lambda real: np.concatenate([real[:45], real[:1].repeat(55, 0)]),
}  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_the_real_footage_are_told(name: str, takes: list[make.Take]) -> None:
    real = np.stack(takes[0][0])
    wrong = unfollowed(real, COPIES[name](real), 0)
    assert wrong is not None
    assert wrong < FOLLOWS


def test_copies_encoded_anew_are_told_and_worse_ones_are_further(
    takes: list[make.Take], tmp_path: Path
) -> None:
    real = np.stack(takes[0][0])
    wrong = [unfollowed(real, _recoded(real, tmp_path, crf), 0) for crf in (12, 23, 30)]
    assert all(value is not None and value < FOLLOWS for value in wrong)
    assert wrong == sorted(wrong)  # type: ignore[type-var]


def test_generations_are_not_taken_for_copies(takes: list[make.Take]) -> None:
    real, other = (np.stack(frames) for frames, _ in takes)
    answers = {
        "still": np.stack([real[0]] * FRAMES),
        "another take": other,
        "wobble": np.stack([_moved(real[0], k) for k in range(FRAMES)]),
        "bent still": np.stack([_bent(real[0], 3 * np.sin(k / 9)) for k in range(FRAMES)]),
        "grey": np.full_like(real, 128),
    }
    wrong = {name: unfollowed(real, answer, 0) for name, answer in answers.items()}
    assert all(value is not None and value > 2 * FOLLOWS for value in wrong.values()), wrong


def _zoomed(frame_HWC: np.ndarray, by: float) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), 0, by)
    return cv2.warpAffine(frame_HWC, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def _bent(frame_HWC: np.ndarray, by: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    at = (x + by * np.sin(y * np.pi / 30), y + by * np.sin(x * np.pi / 30))
    return cv2.remap(
        frame_HWC, *(k.astype(np.float32) for k in at), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def _moved(frame_HWC: np.ndarray, k: int) -> np.ndarray:
    shift = np.array([[1, 0, 3 * np.sin(k / 9)], [0, 1, 2 * np.cos(k / 7)]], np.float32)
    return cv2.warpAffine(frame_HWC, shift, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def test_a_submission_of_copies_is_refused_and_one_of_generations_passes(
    takes: list[make.Take], release: Path, tmp_path: Path
) -> None:
    (tmp_path / "answers").mkdir()
    for number, (frames, wave_S) in enumerate(takes):
        answer = [_moved(frames[0], k) for k in range(FRAMES)]
        make.write_mp4(tmp_path / "answers" / f"{make.item_id(number)}-0.mp4", answer, wave_S)
    tar = make.make_bundle(tmp_path, release)
    assert check(tar, release, today=datetime.date(2026, 1, 2)) == []
    folder = make.unpacked(tar, tmp_path / "bundle")
    make.put_video(folder, 0, make.write_mp4(tmp_path / "a.mp4", takes[0][0], takes[0][1], crf=28))
    make.put_video(folder, 1, make.write_mp4(tmp_path / "b.mp4", takes[1][0], takes[0][1], crf=28))
    told = [(p.code, p.row) for p in check(folder, release, today=datetime.date(2026, 1, 2))]
    assert told == [("I-REFERENCE", 1), ("M-SOUND", 2), ("I-REFERENCE", 2)]


@pytest.mark.parametrize(
    ("codec", "rate", "bits"), [("aac", 16000, 48000), ("aac", 48000, 64000), ("libopus", 48000, 24000)]
)
def test_sound_survives_what_encoders_do_to_it(
    codec: str, rate: int, bits: int, takes: list[make.Take], tmp_path: Path
) -> None:
    wave_S = takes[0][1]
    found_S = _through(codec, rate, bits, wave_S, tmp_path / "a.mp4")
    assert sound_agreement(wave_S, found_S)[0] > MIN_CORRELATION
    assert sound_agreement(takes[1][1], found_S)[0] < 0.2


def _through(codec: str, rate: int, bits: int, wave_S: np.ndarray, path: Path) -> np.ndarray:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout, stream.bit_rate = "mono", bits
        block = av.AudioFrame.from_ndarray(
            (wave_S * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        block.sample_rate = 16000
        context = stream.codec_context
        size = context.frame_size or 960
        resampler = av.AudioResampler(format=context.format, layout="mono", rate=rate, frame_size=size)
        for part in (*resampler.resample(block), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    sound = read_sound(path)
    assert sound is not None
    return sound.part(Fraction(0), Fraction(len(wave_S), 16000)).mono()


# ---- files that attack


def _encode(path: Path, frames: int, width: int, height: int) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        options = {"preset": "ultrafast", "threads": "1", "crf": "51"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 40, np.uint8), "rgb24")
        for k in range(frames):
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_few_kilobytes_that_unpack_to_gigabytes_are_left_early(release: Path, tmp_path: Path) -> None:
    bomb = _encode(tmp_path / "bomb.mp4", 12, 7680, 4320)
    assert bomb.stat().st_size < 4 << 20
    job = {
        "release": str(release),
        "item": make.item_id(0),
        "path": str(bomb),
        "offset": 0,
        "size": bomb.stat().st_size,
        "scratch": str(tmp_path / "scratch.mp4"),
    }
    outcome = run_isolated("mitds.benchmark.submission.media_job:inspect", job, LIMITS)
    assert (outcome.status, outcome.code) == ("error", "wrong_shape")
    assert not (tmp_path / "scratch.mp4").exists()


def test_pictures_that_lie_in_another_file_are_not_fetched(tmp_path: Path) -> None:
    secret = _encode(tmp_path / "secret.mp4", 25, 64, 64)
    attack = tmp_path / "attack.mp4"
    attack.write_bytes(_pointing_at(secret))
    assert _opens_with(attack, {"enable_drefs": "1", "use_absolute_path": "1"})  # the attack itself works
    check_tracks(attack)
    with pytest.raises(InputFault):
        read_footage(attack)


def _opens_with(path: Path, options: dict[str, str]) -> bool:
    with av.open(str(path), container_options=options) as container:
        return sum(1 for _ in container.decode(video=0)) > 0


def _pointing_at(path: Path) -> bytes:
    """Return an mp4 without pictures whose track names an absolute path as the place where they are."""
    data = bytearray(path.read_bytes())
    pictures = data.index(b"mdat") + 4
    data[pictures : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - pictures)
    own = struct.pack(">I4sI", 12, b"url ", 1)
    at = data.index(own)
    alias = _alias(str(path).encode())
    data[at : at + len(own)] = alias
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        size = data.rindex(box, 0, at) - 4
        struct.pack_into(">I", data, size, struct.unpack_from(">I", data, size)[0] + len(alias) - len(own))
    return bytes(data)


def _alias(path: bytes) -> bytes:
    """A Macintosh alias record that holds nothing but an absolute path."""
    name = path.rpartition(b"/")[2]
    body = bytes(4 + 10) + bytes(28) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    body += bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    body += struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">hH", -1, 0)
    return struct.pack(">I4s", len(body) + 8, b"alis") + body
