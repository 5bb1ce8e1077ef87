"""What stages are handed: records and places in shards, never frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mitds.config import require
from mitds.manifests.records import Array, Clip, Shot, Source, SourceSound
from mitds.pipeline.work import Member, Work
from mitds.time import AUDIO_HZ, Grid


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend to build inside a worker: its family's registry name, its own name, its configuration."""

    name: str
    config: Any


@dataclass(frozen=True, slots=True)
class ShotItem:
    """One shot of a shard."""

    shot: Shot
    mp4: Member

    @property
    def seconds(self) -> float:
        """Length of the shot."""
        return float(self.shot.end - self.shot.start)

    @property
    def grid(self) -> Grid:
        """The shot's 25 fps grid on the source's clock."""
        return Grid.over(self.shot.start, self.shot.end)

    @property
    def file_grid(self) -> Grid:
        """The same grid on the clock of the shot's own file, which starts at 0."""
        return Grid(Fraction(0), self.grid.count)


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One source of the shards, with its sound and its shots in order."""

    source: Source
    sound: SourceSound | None
    flac: Member | None
    shots: tuple[ShotItem, ...]

    @property
    def key(self) -> str:
        """Short id, the key of the source's shard samples."""
        return (self.source.id or "")[:16]


@dataclass(frozen=True, slots=True)
class ClipItem:
    """One planned clip: its record, the shot it is cut from, its first grid frame, and its source's sound."""

    clip: Clip
    shot: ShotItem
    first: int
    sound: SourceSound | None

    @property
    def file_grid(self) -> Grid:
        """The clip's grid on the clock of the shot's own file."""
        return self.shot.file_grid.part(self.first, self.clip.frames)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """A source with its probe, its shots, and its sound where it has one; the files lie in the work folder."""

    source: Source
    shots: tuple[Shot, ...]
    sound: SourceSound | None


PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""x264's, fastest first."""


def check_encoding(crf: int, preset: str) -> None:
    """Refuse x264 settings that do not exist."""
    require(0 <= crf <= 51, "crf", crf, "0 to 51")
    require(preset in PRESETS, "preset", preset, f"one of {', '.join(PRESETS)}")


def wave_of(work: Work, source_key: str, sound: SourceSound | None, grid: Grid) -> Array | None:
    """Return the 16 kHz mono sound under a grid, zero where the source has none; None without sound.

    Sample 0 of the result is heard at `grid.start`.
    """
    if sound is None:
        return None
    first = round((grid.start - sound.start) * AUDIO_HZ)
    count = round(grid.count / grid.fps * AUDIO_HZ)
    wave_S: Array = read_padded(work.path("sound", source_key, ".wav"), first, count)[0]
    return wave_S


def read_padded(path: Path, first: int, count: int) -> Array:
    """Return wave_CS: `count` samples of a sound file from sample `first`, zero where the file has none.

    Only these are read, so that a clip late in a long source costs no more than an early one.
    """
    with soundfile.SoundFile(path) as file:
        wave_CS = np.zeros((file.channels, count), np.float32)
        low, high = max(first, 0), min(first + count, file.frames)
        if low < high:
            file.seek(low)
            part_SC = file.read(high - low, dtype="float32", always_2d=True)
            wave_CS[:, low - first : high - first] = part_SC.T
    return wave_CS
