"""Films to be taken in by runs that are killed, and lists of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from mitds.media import Sound, write_video
from tests.reliability.backends import POISON

WIDTH, HEIGHT, RATE = 160, 120, 25


def scenes(path: Path, seed: int, count: int, frames: int) -> Path:
    """Draw scenes of still noise, by turns dark and bright, with a tone."""
    rng = np.random.default_rng(seed)

    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for scene in range(count):
            noise_HWC = rng.integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8) + np.uint8(180 * (scene % 2))
            for k in range(scene * frames, (scene + 1) * frames):
                yield Fraction(k, RATE), noise_HWC

    t_S = np.arange(count * frames * 16_000 // RATE) / 16_000
    tone = Sound((0.3 * np.sin(2 * np.pi * (200 + seed) * t_S)).astype(np.float32)[None], 16_000, Fraction(0))
    write_video(path, pictures(), sound=tone)
    return path


def film(path: Path, seed: int, seconds: float, *, poison: str = "", sound: bool = True) -> Path:
    """Draw two scenes of still noise, dark then bright, the second from 60 % on, with a tone; or one bad colour."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 60, (2, HEIGHT, WIDTH, 3), np.uint8) + np.array([10, 180], np.uint8).reshape(
        2, 1, 1, 1
    )
    if poison:
        noise[:] = POISON[poison]

    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for k in range(round(seconds * RATE)):
            frame_HWC = noise[int(k >= 0.6 * seconds * RATE)].copy()
            frame_HWC[:8, : 4 + k % 150] = 128
            yield Fraction(k, RATE), frame_HWC

    t_S = np.arange(round(seconds * 16_000)) / 16_000
    tone = Sound(
        (0.3 * np.sin(2 * np.pi * (200 + 60 * seed) * t_S)).astype(np.float32)[None], 16_000, Fraction(0)
    )
    write_video(path, pictures(), sound=tone if sound else None)
    return path


def big_film(path: Path, seed: int, seconds: float) -> Path:
    """Draw one scene of 1280 x 720: a texture that moves, so that its clip takes as much as a real one."""
    coarse = np.random.default_rng(seed).integers(0, 255, (90, 220, 3), np.uint8)
    texture_HWC = coarse.repeat(8, axis=0).repeat(8, axis=1)

    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for k in range(round(seconds * RATE)):
            yield Fraction(k, RATE), texture_HWC[:, 3 * k : 3 * k + 1280].copy()

    tone = np.sin(np.arange(round(seconds * 16_000)) / 10, dtype=np.float32)[None] * np.float32(0.3)
    write_video(path, pictures(), sound=Sound(tone, 16_000, Fraction(0)))
    return path


def films(folder: Path, count: int) -> list[Path]:
    """Draw films of 1.7 to 2.9 s, the third without sound."""
    folder.mkdir(parents=True, exist_ok=True)
    return [film(folder / f"film {n}.mp4", n, 1.7 + n % 4 * 0.4, sound=n != 2) for n in range(count)]


def listing(path: Path, urls: Sequence[Path]) -> Path:
    """Write a list of films, with a line that is there twice, one that is no film, and one that leads nowhere."""
    words = path.with_name("words.mp4")
    words.write_text("this is not a film")
    lines = [*urls, urls[0], words, path.with_name("missing.mp4")]
    path.write_text("".join(json.dumps({"url": str(line), "licence": "CC0"}) + "\n" for line in lines))
    return path
