"""What stages are handed: records and places in shards, never frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mitds.config import digest, require
from mitds.manifests.records import Array, Clip, Shot, Source, SourceSound
from mitds.media import mono16k, read_padded
from mitds.pipeline.work import Member, Work
from mitds.time import AUDIO_HZ, Grid


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend to build inside a worker: its family's registry name, its own name, its configuration."""

    name: str
    config: Any


@dataclass(frozen=True, slots=True)
class ShotItem:
    """One shot of a shard.

    Attributes:
        shot: The record.
        mp4: Its pictures and sound, on a clock that starts at 0.
        made_by: Digest of what ingest made its files with; empty where the shards do not say.
    """

    shot: Shot
    mp4: Member
    made_by: str = ""

    @property
    def name(self) -> str:
        """What results of the shot are called in the work folder."""
        return _named(self.shot.key, self.made_by)

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
class SoundItem:
    """The whole sound of a source.

    Attributes:
        about: The record.
        flac: The file, on a clock that starts at 0.
        name: What results of the source are called in the work folder.
    """

    about: SourceSound
    flac: Member
    name: str


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One source of the shards, with its sound and its shots in order; `made_by` as in `ShotItem`."""

    source: Source
    sound: SoundItem | None
    shots: tuple[ShotItem, ...]
    made_by: str = ""

    @property
    def key(self) -> str:
        """Short id, the key of the source's shard samples."""
        return (self.source.id or "")[:16]

    @property
    def name(self) -> str:
        """What results of the source are called in the work folder."""
        return _named(self.key, self.made_by)

    @property
    def unit(self) -> str:
        """What is called after the source, its record and these shots together."""
        return f"{self.key}-{digest(self.source, self.made_by, [shot.name for shot in self.shots])}"


@dataclass(frozen=True, slots=True)
class ClipItem:
    """One planned clip.

    Attributes:
        clip: Its record.
        shot: The shot it is cut from.
        first: Its first frame on the shot's grid.
        sound: The sound of its source.
        unit: What its results are called in the work folder: digest of its span, its people and all that is known
            of them, so that a clip that comes out of other rules unchanged is not measured again.
        looks: The same for what depends on the span and the face boxes alone.
    """

    clip: Clip
    shot: ShotItem
    first: int
    sound: SoundItem | None
    unit: str
    looks: str

    @property
    def media(self) -> str:
        """Digest of what the clip's pictures and sound are made of, but for their encoding."""
        return digest(self.shot.name, self.first, self.clip.frames, self.sound is not None)

    @property
    def file_grid(self) -> Grid:
        """The clip's grid on the clock of the shot's own file."""
        return self.shot.file_grid.part(self.first, self.clip.frames)


def _named(key: str, made_by: str) -> str:
    return f"{key}-{made_by}" if made_by else key


PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""x264's, fastest first."""


def check_encoding(crf: int, preset: str) -> None:
    """Refuse x264 settings that do not exist."""
    require(0 <= crf <= 51, "crf", crf, "0 to 51")
    require(preset in PRESETS, "preset", preset, f"one of {', '.join(PRESETS)}")


def wave16k(work: Work, sound: SoundItem) -> Path:
    """Return a source's whole sound as a 16 kHz mono file, laid out by whoever needs it first. Work folder: "sound"."""
    path = work.path("sound", sound.name, ".wav")
    if not path.exists():
        mono16k(sound.flac, path)
    return path


def wave_of(work: Work, sound: SoundItem | None, grid: Grid) -> Array | None:
    """Return the 16 kHz mono sound under a grid, zero where the source has none; None without sound.

    Sample 0 of the result is heard at `grid.start`.
    """
    if sound is None:
        return None
    first = round((grid.start - sound.about.start) * AUDIO_HZ)
    count = round(grid.count / grid.fps * AUDIO_HZ)
    wave_S: Array = read_padded(wave16k(work, sound), first, count)[0]
    return wave_S
