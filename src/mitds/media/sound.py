"""Sound with a clock: samples whose first one has a known time, on the same clock as the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import numpy as np

from mitds.errors import Undecodable, UsageError
from mitds.media.resampling import Resampler, Wave, resample
from mitds.media.strip import Strip, samples_of
from mitds.media.tracks import DecodeLog, Footage, decoded, opened, with_threads
from mitds.time import AUDIO_HZ

__all__ = ["Sound", "Wave", "at_rate", "audible_track", "read_sound", "resample", "sound_blocks"]


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of sound.

    Attributes:
        wave_CS: Samples, -1..1, one row a channel.
        rate: Samples a second.
        start: Seconds of the first sample on the source's clock (PTS).
    """

    wave_CS: Wave
    rate: int
    start: Fraction

    @property
    def end(self) -> Fraction:
        """Seconds at which the last sample ends."""
        return self.start + Fraction(self.wave_CS.shape[1], self.rate)

    def part(self, start: Fraction, end: Fraction) -> Sound:
        """Return the sound of [start, end), silence where there is none.

        The part begins with the sample nearest to `start` (whose time becomes its own start, at most half
        a sample off) and has round((end - start) * rate) samples, whatever the start.
        """
        first = round((start - self.start) * self.rate)
        last = first + max(0, round((end - start) * self.rate))
        part_CS = np.zeros((self.wave_CS.shape[0], last - first), np.float32)
        lo, hi = max(first, 0), min(last, self.wave_CS.shape[1])
        if lo < hi:
            part_CS[:, lo - first : hi - first] = self.wave_CS[:, lo:hi]
        return Sound(part_CS, self.rate, self.start + Fraction(first, self.rate))

    def mono(self, rate: int = AUDIO_HZ) -> Wave:
        """Return wave_S: the mean of the channels at `rate`, round(S * rate / self.rate) samples."""
        mean_1S = self.wave_CS.mean(axis=0, dtype=np.float32, keepdims=True)
        wave_S: Wave = resample(mean_1S, self.rate, rate)[0]
        return wave_S


def read_sound(
    path: Footage, *, track: int = 0, max_rate: int = 48_000, log: DecodeLog | None = None
) -> Sound | None:
    """Decode one sound track whole: the blocks of `sound_blocks` in one.

    Returns:
        The sound, or None where the file has no sound track at all.
    """
    blocks = list(sound_blocks(path, track=track, max_rate=max_rate, log=log))
    if not blocks:
        return None
    wave_CS = np.concatenate([block.wave_CS for block in blocks], axis=1)
    return Sound(wave_CS, blocks[0].rate, blocks[0].start)


def sound_blocks(
    path: Footage, *, track: int = 0, max_rate: int = 48_000, log: DecodeLog | None = None
) -> Iterator[Sound]:
    """Decode one sound track block by block, however long it is, in flat memory.

    Presentation times are the truth: gaps become silence, overlaps are cut, encoder priming that the
    container declares is left out. Broken packets are skipped and counted, and leave a gap.

    Args:
        path: A video or sound file.
        track: Which sound track, from 0; no other is ever taken instead.
        max_rate: A track of a higher rate is resampled to this.
        log: Where counts of damage go, if they are wanted.

    Yields:
        Blocks of some seconds that follow each other without a gap, the last possibly empty; nothing where
        the file has no sound track at all.

    Raises:
        UsageError: There are sound tracks, but not this one.
        Undecodable: Nothing of the track decodes.
    """
    log = log if log is not None else DecodeLog()
    return at_rate(_laid(path, track, log), lambda rate: min(rate, max_rate))


def at_rate(blocks: Iterable[Sound], choose: Callable[[int], int]) -> Iterator[Sound]:
    """Resample blocks that follow each other to the rate that `choose` gives for theirs."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return
    rate, given = choose(first.rate), 0
    resampler = Resampler(first.rate, rate, first.wave_CS.shape[0])
    for block in chain([first], blocks):
        for wave_CS in resampler.add(block.wave_CS):
            yield Sound(wave_CS, rate, first.start + Fraction(given, rate))
            given += wave_CS.shape[1]
    yield Sound(resampler.rest(), rate, first.start + Fraction(given, rate))


def _laid(path: Footage, track: int, log: DecodeLog) -> Iterator[Sound]:
    """Decode a track at its own rate, every block in its place."""
    with opened(path) as container:
        tracks = container.streams.audio
        if not tracks:
            return
        if not 0 <= track < len(tracks):
            raise UsageError(
                f"there is no sound track {track}", where=str(path), remedy=f"Use 0..{len(tracks) - 1}."
            )
        strip = Strip(str(path))
        if tracks[track].codec_context is not None:
            for frame in decoded(container, with_threads(tracks[track]), log):
                log.decoded += 1
                yield from (Sound(wave_CS, strip.rate, start) for start, wave_CS in strip.add(frame))
        if not strip.count:
            others = f"choose another of the {len(tracks)} tracks, or " if len(tracks) > 1 else ""
            raise Undecodable(
                f"sound track {track} is there, but none of it decodes ({log.broken} broken packets)",
                where=str(path),
                remedy=f"{others}fetch it again.".capitalize(),
            )
        start, wave_CS = strip.rest()
        yield Sound(wave_CS, strip.rate, start)


def audible_track(path: Footage, *, floor_db: float = -60.0) -> int:
    """Return the number of the first sound track with any sample above a floor.

    A track is decoded only up to its first such sample; one that does not decode counts as silent.

    Args:
        path: A video or sound file.
        floor_db: Peak level, dB below full scale, up to which a sample is silence.

    Returns:
        The track, from 0; 0 also where all are silent, or there are fewer than two to choose from.
    """
    with opened(path) as container:
        count = len(container.streams.audio)
    if count < 2:
        return 0
    floor = 10 ** (floor_db / 20)
    return next((track for track in range(count) if _audible(path, track, floor)), 0)


def _audible(path: Footage, track: int, floor: float) -> bool:
    with opened(path) as container:  # anew for each track: not every container can be wound back
        stream = container.streams.audio[track]
        if stream.codec_context is None:
            return False
        blocks = decoded(container, with_threads(stream), DecodeLog())
        return any(np.abs(samples_of(block)).max(initial=0) > floor for block in blocks)
