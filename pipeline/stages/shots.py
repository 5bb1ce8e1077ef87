"""The stage that encodes shots, a group of them at a time, wherever in the source they lie."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from mitds.errors import Undecodable, UsageError
from mitds.manifests.records import Shot, SourceSound
from mitds.media import Sound, sound_part, write_video
from mitds.media.stretches import Astray, Stretch, StretchReader
from mitds.pipeline.stages.split import ShotGroup, ShotsResult, SplitConfig
from mitds.pipeline.work import Work


class ShotsStage:
    """Worker of the stage "shots".

    Args:
        config: How sources become shots.
        work: Where the source's sound lies ("cuts" SOURCE16.flac) and the files go ("shots" KEY.mp4).
    """

    def __init__(self, config: SplitConfig, work: Work) -> None:
        self._config, self._work = config, work

    def __call__(self, group: ShotGroup) -> ShotsResult:
        """Encode the shots of a group: the pictures that decoding the source from its start gives, whole."""
        with StretchReader(group.path) as reader:
            for shot, mark in zip(group.shots, group.marks, strict=True):
                try:
                    self._encode(reader, shot, mark, self._sound(group.sound, shot))
                except (
                    UsageError
                ) as error:  # what cannot be written here is the source's fault, not the user's
                    raise Undecodable(
                        error.what, where=f"{group.path}: {shot.key}", remedy="Re-encode it."
                    ) from error
        return ShotsResult(len(group.shots))

    def _encode(self, reader: StretchReader, shot: Shot, mark: int, sound: Sound | None) -> None:
        for frames in reader.tries(Stretch(shot.start, shot.frames, mark)):
            with suppress(Astray):
                write_video(
                    self._work.path("shots", shot.key, ".mp4"),
                    frames,
                    end=shot.end - shot.start,
                    sound=sound,
                    crf=self._config.crf,
                    preset=self._config.preset,
                )
                return

    def _sound(self, sound: SourceSound | None, shot: Shot) -> Sound | None:
        """Read one shot's sound, on the shot's own clock."""
        if sound is None:
            return None
        flac = self._work.path("cuts", shot.source_id[:16], ".flac")
        return replace(sound_part(flac, sound, shot.start, shot.end), start=Fraction(0))
