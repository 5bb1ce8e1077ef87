"""The stage that finds a source's shots, and keeps its whole sound as FLAC."""

from __future__ import annotations

from mitds.annotators.registries import SHOTS
from mitds.annotators.runtime import single_threaded
from mitds.annotators.shots.segment import segment
from mitds.media import DecodeLog, audible_track, keep_sound
from mitds.pipeline.stages.split import CutsItem, CutsResult, SplitConfig
from mitds.pipeline.work import Work


class CutsStage:
    """Worker of the stage "cuts".

    Args:
        config: How sources become shots.
        work: Where the sound goes: "cuts" SOURCE16.flac.
    """

    def __init__(self, config: SplitConfig, work: Work) -> None:
        single_threaded()
        self._config, self._work = config, work
        self._detector = SHOTS.get(config.detector)()

    def __call__(self, item: CutsItem) -> CutsResult:
        """Cut one source; raises NotVideo or Undecodable where it is no usable video."""
        heard = DecodeLog()
        track = audible_track(item.path) if item.audio_tracks > 1 else 0
        flac = self._work.path("cuts", item.source_id[:16], ".flac")
        sound = keep_sound(item.path, flac, track=track, max_rate=self._config.sound_rate, log=heard)
        found = segment(
            item.path, self._detector, source_id=item.source_id, max_shot_s=self._config.max_shot_s
        )
        notes = (
            *_choice(item.audio_tracks, track),
            *_tone(found.log),
            *_damage("picture", found.log),
            *_damage("sound", heard),
        )
        return CutsResult(found.shots, found.marks, sound, notes)


def _choice(tracks: int, track: int) -> tuple[str, ...]:
    """Say which sound track was taken where there are several."""
    if tracks < 2:
        return ()
    why = "the first that is not silent" if track else "the first"
    return (f"sound track {track + 1} of {tracks} used: {why}",)


def _tone(log: DecodeLog) -> tuple[str, ...]:
    """Say where pictures of high dynamic range are shown as they are stored."""
    words = f"high dynamic range ({log.tone}): tones are kept as stored, so that pictures look flat"
    return (words,) if log.tone else ()


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
