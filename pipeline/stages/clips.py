"""The stage that encodes one clip: mp4 with sound, and 16 kHz wav."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from mitds.annotators.contracts import Frame
from mitds.annotators.runtime import single_threaded
from mitds.media import Sound, grid_frames, sound_part, video_bytes, wav16k_bytes
from mitds.pipeline.stages.items import ClipItem, check_encoding, wave_of
from mitds.pipeline.work import Work
from mitds.time import CLIP_FPS, Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEncoding:
    """How clips are encoded.

    Attributes:
        crf: x264 quality.
        preset: x264 speed.
    """

    crf: int = 18
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        """Refuse settings that x264 does not know."""
        check_encoding(self.crf, self.preset)


class ClipsStage:
    """Worker of the stage "clips"; its bytes travel back, so that they are written once, into a shard."""

    def __init__(self, config: ClipEncoding, work: Work) -> None:
        single_threaded()
        self._config, self._work = config, work

    def __call__(self, item: ClipItem) -> dict[str, bytes]:
        """Encode one clip; returns the bytes of its "mp4" and, where its source has sound, "wav"."""
        members = {"mp4": self._mp4(item)}
        wave_S = wave_of(self._work, item.sound, Grid(item.clip.start, item.clip.frames))
        if wave_S is not None:
            members["wav"] = wav16k_bytes(wave_S)
        return members

    def _mp4(self, item: ClipItem) -> bytes:
        return video_bytes(
            _timed(grid_frames(item.shot.mp4, item.file_grid)),
            end=item.clip.frames / CLIP_FPS,
            sound=_sound(item),
            crf=self._config.crf,
            preset=self._config.preset,
        )


def _sound(item: ClipItem) -> Sound | None:
    """Cut the clip's sound, at its own rate, on the clip's clock."""
    if item.sound is None:
        return None
    start = item.clip.start
    part = sound_part(item.sound.flac, item.sound.about, start, start + item.clip.frames / CLIP_FPS)
    return replace(part, start=Fraction(0))


def _timed(frames: Iterator[Frame]) -> Iterator[tuple[Fraction, Frame]]:
    for k, frame in enumerate(frames):
        yield k / CLIP_FPS, frame
