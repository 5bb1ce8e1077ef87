"""The stage that turns one source file into its shots: probe, cuts, one mp4 a shot, the whole sound as FLAC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

from mitds.annotators.contracts import Frame
from mitds.annotators.registries import SHOTS
from mitds.annotators.runtime import single_threaded
from mitds.annotators.shots.segment import detect_shots
from mitds.manifests.records import Probe, Shot, Source, SourceSound
from mitds.media import (
    DecodeLog,
    Picture,
    Sound,
    audible_track,
    pictures,
    probe,
    read_sound,
    write_flac,
    write_video,
)
from mitds.pipeline.stages.items import SplitResult, check_encoding
from mitds.pipeline.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """How sources become shots.

    Attributes:
        detector: Name of the shot detector.
        crf: x264 quality of the shot files; 16 is close to transparent.
        preset: x264 speed.
        sound_rate: Sounds are kept at their own rate up to this, Hz.
    """

    detector: str = "pyscenedetect"
    crf: int = 16
    preset: str = "veryfast"
    sound_rate: int = 48_000

    def __post_init__(self) -> None:
        """Refuse settings that x264 does not know."""
        check_encoding(self.crf, self.preset)


class Splitter:
    """Worker of the stage "split".

    Args:
        config: How sources become shots.
        work: Where the files go: "shots" KEY.mp4 and "sound" SOURCE16.flac.
    """

    def __init__(self, config: SplitConfig, work: Work) -> None:
        single_threaded()
        self._config, self._work = config, work
        self._detector = SHOTS.get(config.detector)()

    def __call__(self, item: tuple[Source, Path]) -> SplitResult:
        """Split one source; raises NotVideo or Undecodable where it is no usable video."""
        source, path = item
        if source.id is None:
            raise ValueError("only fetched sources can be split")
        seen, heard = DecodeLog(), DecodeLog()
        found = probe(path)
        track = audible_track(path) if found.audio_tracks > 1 else 0
        sound = read_sound(path, track=track, max_rate=self._config.sound_rate, log=heard)
        shots = detect_shots(path, self._detector, source_id=source.id)
        feed = pictures(path, log=seen)
        for shot in shots:
            target = self._work.path("shots", shot.key, ".mp4")
            write_video(
                target,
                _shot_frames(feed, shot),
                end=shot.end - shot.start,
                sound=_shot_sound(sound, shot),
                crf=self._config.crf,
                preset=self._config.preset,
            )
        notes = (*source.notes, *_choice(found, track), *_damage("picture", seen), *_damage("sound", heard))
        source = replace(source, probe=found, notes=notes)
        return SplitResult(source, tuple(shots), self._keep_sound(shots[0].source_id[:16], sound))

    def _keep_sound(self, key: str, sound: Sound | None) -> SourceSound | None:
        if sound is None:
            return None
        write_flac(self._work.path("sound", key, ".flac"), sound)
        channels, samples = sound.wave_CS.shape
        return SourceSound(
            start=sound.start, rate=sound.rate, channels=channels, duration=Fraction(samples, sound.rate)
        )


def _choice(found: Probe, track: int) -> tuple[str, ...]:
    """Say which sound track was taken where there are several."""
    if found.audio_tracks < 2:
        return ()
    why = "the first that is not silent" if track else "the first"
    return (f"sound track {track + 1} of {found.audio_tracks} used: {why}",)


def _damage(track: str, log: DecodeLog) -> tuple[str, ...]:
    """Say what was wrong with a track that decoded all the same; nothing where nothing was."""
    found = {
        "broken packets skipped": log.broken,
        "pictures patched up by the decoder": log.concealed,
        "times repaired": log.repaired_pts,
        "pictures out of order dropped": log.dropped,
    }
    words = [f"{count} {what}" for what, count in found.items() if count]
    words += ["cut short"] if log.truncated else []
    return (f"damaged {track} track: {', '.join(words)}",) if words else ()


def _shot_sound(sound: Sound | None, shot: Shot) -> Sound | None:
    """Cut one shot's sound, on the shot's own clock."""
    return replace(sound.part(shot.start, shot.end), start=Fraction(0)) if sound else None


def _shot_frames(feed: Iterator[Picture], shot: Shot) -> Iterator[tuple[Fraction, Frame]]:
    """Take one shot's pictures from the running decode, on the shot's own clock."""
    for picture in islice(feed, shot.frames):
        yield picture.pts - shot.start, picture.frame_HWC
