"""The stage that writes one clip's files: mp4 with sound, 16 kHz wav, json and npz."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.runtime import single_threaded
from mitds.manifests.codec import clip_arrays_to_npz, to_json, unpack_arrays
from mitds.manifests.records import ClipArrays
from mitds.media import Sound, grid_frames, write_video, write_wav16k
from mitds.pipeline.stages.items import ClipItem, check_encoding, read_padded, wave_of
from mitds.pipeline.work import Work, extracted
from mitds.store import write_bytes
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
    """Worker of the stage "clips"; needs the results of "people" and "poses"."""

    def __init__(self, config: ClipEncoding, work: Work) -> None:
        single_threaded()
        self._config, self._work = config, work

    def __call__(self, item: ClipItem) -> dict[str, Path]:
        """Write one clip; returns its files by extension. Work folder: "clips" KEY.*."""
        files = {
            ext: self._work.path("clips", item.clip.key, f".{ext}") for ext in ("mp4", "wav", "json", "npz")
        }
        self._write_mp4(files["mp4"], item)
        grid = Grid(item.clip.start, item.clip.frames)
        wave_S = wave_of(self._work, item.clip.source_id[:16], item.sound, grid)
        if wave_S is None:
            del files["wav"]
        else:
            write_wav16k(files["wav"], wave_S)
        write_bytes(files["json"], to_json(item.clip).encode())
        write_bytes(files["npz"], clip_arrays_to_npz(self._arrays(item)))
        return files

    def _write_mp4(self, target: Path, item: ClipItem) -> None:
        with extracted(self._work, item.shot.mp4, ".mp4") as path:
            write_video(
                target,
                _timed(grid_frames(path, item.file_grid)),
                end=item.clip.frames / CLIP_FPS,
                sound=self._sound(item),
                crf=self._config.crf,
                preset=self._config.preset,
            )

    def _sound(self, item: ClipItem) -> Sound | None:
        """Cut the clip's sound, at its own rate, on the clip's clock; the FLAC's own clock starts at 0."""
        if item.sound is None:
            return None
        path = self._work.path("sound", item.clip.source_id[:16], ".flac")
        rate = item.sound.rate
        first = round((item.clip.start - item.sound.start) * rate)
        wave_CS = read_padded(path, first, round(item.clip.frames / CLIP_FPS * rate))
        return Sound(wave_CS, rate, Fraction(0))

    def _arrays(self, item: ClipItem) -> ClipArrays:
        people = unpack_arrays(self._work.path("people", item.clip.key, ".npz").read_bytes())
        poses = unpack_arrays(self._work.path("poses", item.clip.key, ".npz").read_bytes())
        return ClipArrays(
            face_xyxy_NT4=people["face_xyxy_NT4"],
            face_score_NT=people["face_score_NT"],
            speaking_NT=people["speaking_NT"],
            pose_NTK3=poses["pose_NTK3"],
            visible_NT=people["visible_NT"],
            pts_T=np.arange(item.clip.frames) / float(CLIP_FPS),
        )


def _timed(frames: Iterator[Frame]) -> Iterator[tuple[Fraction, Frame]]:
    for k, frame in enumerate(frames):
        yield k / CLIP_FPS, frame
