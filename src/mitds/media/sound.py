"""Sound with a clock: samples whose first one has a known time, on the same clock as the pictures."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.errors import Undecodable, UsageError
from mitds.media.tracks import DecodeLog, decoded, opened, unit_of, with_threads
from mitds.store import atomic_path
from mitds.time import AUDIO_HZ

Wave = NDArray[np.float32]

_JITTER_S = Fraction(5, 1000)
"""Times that are off by less are rounding of the container's clock; nothing is filled or cut."""

_LONGEST_GAP_S = 1800
_HALF_TAPS = 50


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


def resample(wave_CS: Wave, old: int, new: int) -> Wave:
    """Resample with a polyphase filter; sample 0 keeps its time; round(S * new / old) samples.

    The filter passes 90 % of the smaller band and rejects what would alias by 80 dB.
    """
    if old == new:
        return wave_CS
    from scipy.signal import firwin, resample_poly

    count = round(wave_CS.shape[1] * new / old)
    if not count:
        return np.zeros((wave_CS.shape[0], 0), np.float32)
    up, down = new // gcd(old, new), old // gcd(old, new)
    widest = max(up, down)
    taps = firwin(2 * _HALF_TAPS * widest + 1, 0.95 / widest, window=("kaiser", 8.0)).astype(np.float32)
    out_CS = resample_poly(wave_CS, up, down, axis=1, window=taps)
    short = max(0, count - out_CS.shape[1])
    return np.asarray(np.pad(out_CS, ((0, 0), (0, short)))[:, :count], np.float32)


def read_sound(
    path: Path, *, track: int = 0, max_rate: int = 48_000, log: DecodeLog | None = None
) -> Sound | None:
    """Decode one sound track whole.

    Presentation times are the truth: gaps become silence, overlaps are cut, encoder priming that the
    container declares is left out. Broken packets are skipped and counted, and leave a gap.

    Args:
        path: A video or sound file.
        track: Which sound track, from 0; no other is ever taken instead.
        max_rate: A track of a higher rate is resampled to this.
        log: Where counts of damage go, if they are wanted.

    Returns:
        The sound, or None where the file has no sound track at all.

    Raises:
        UsageError: There are sound tracks, but not this one.
        Undecodable: Nothing of the track decodes.
    """
    log = log if log is not None else DecodeLog()
    with opened(path) as container:
        tracks = container.streams.audio
        if not tracks:
            return None
        if not 0 <= track < len(tracks):
            raise UsageError(
                f"there is no sound track {track}", where=str(path), remedy=f"Use 0..{len(tracks) - 1}."
            )
        strip = _Strip(path)
        if tracks[track].codec_context is not None:
            for frame in decoded(container, with_threads(tracks[track]), log):
                log.decoded += 1
                strip.add(frame)
        if not strip.count:
            others = f"choose another of the {len(tracks)} tracks, or " if len(tracks) > 1 else ""
            raise Undecodable(
                f"sound track {track} is there, but none of it decodes ({log.broken} broken packets)",
                where=str(path),
                remedy=f"{others}fetch it again.".capitalize(),
            )
        return strip.sound(max_rate)


def audible_track(path: Path, *, floor_db: float = -60.0) -> int:
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


def _audible(path: Path, track: int, floor: float) -> bool:
    with opened(path) as container:  # anew for each track: not every container can be wound back
        stream = container.streams.audio[track]
        if stream.codec_context is None:
            return False
        blocks = decoded(container, with_threads(stream), DecodeLog())
        return any(np.abs(_samples(block)).max(initial=0) > floor for block in blocks)


class _Strip:
    """Lays decoded blocks where their times say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: list[Wave] = []
        self._rate = 0
        self._channels = 0
        self._start = Fraction(0)
        self._padding = 0
        self.count = 0

    def add(self, frame: Any) -> None:
        block_CS, unit = _samples(frame), unit_of(frame)
        if not self._rate:
            self._rate, self._channels = frame.sample_rate, block_CS.shape[0]
            self._start = Fraction(0) if frame.pts is None else frame.pts * unit
        block_CS = resample(_with_channels(block_CS, self._channels), frame.sample_rate, self._rate)
        if frame.pts is not None:
            block_CS = self._placed(block_CS, frame.pts * unit)
        self._blocks.append(block_CS)
        self.count += block_CS.shape[1]
        self._padding = _padding(frame, unit)

    def _placed(self, block_CS: Wave, pts: Fraction) -> Wave:
        """Prepend silence, or cut the front, so that the block starts at `pts`."""
        gap = round((pts - self._start) * self._rate) - self.count
        if abs(gap) <= _JITTER_S * self._rate:
            return block_CS
        if gap > _LONGEST_GAP_S * self._rate:
            raise Undecodable(
                f"the sound jumps ahead by {gap // self._rate} s",
                where=str(self._path),
                remedy="Re-encode the file.",
            )
        return np.pad(block_CS, ((0, 0), (gap, 0))) if gap > 0 else block_CS[:, -gap:]

    def sound(self, max_rate: int) -> Sound:
        wave_CS, rate = np.concatenate(self._blocks, axis=1), min(self._rate, max_rate)
        wave_CS = wave_CS[:, : wave_CS.shape[1] - self._padding]
        return Sound(resample(wave_CS, self._rate, rate), rate, self._start)


def _samples(frame: Any) -> Wave:
    """Return a decoded block as float32 channel rows, -1..1."""
    values = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if values.shape[0] != channels:
        values = values.reshape(-1, channels).T
    if values.dtype == np.uint8:
        return np.asarray((values.astype(np.float32) - 128) / 128, np.float32)
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(values.astype(np.float32) / -float(np.iinfo(values.dtype).min), np.float32)
    # A damaged float codec may emit NaN, which no later stage could average away.
    return np.asarray(np.nan_to_num(values, posinf=0.0, neginf=0.0), np.float32)


def _padding(frame: Any, unit: Fraction) -> int:
    """Return how many samples the container says an encoder added to fill its last block."""
    if not frame.duration or unit * frame.sample_rate > 1:
        return 0  # a clock coarser than samples cannot say
    held: int = frame.samples - round(frame.duration * unit * frame.sample_rate)
    return max(0, held)


def _with_channels(block_CS: Wave, channels: int) -> Wave:
    """Give a block of another layout the track's number of channels, through its mean."""
    if block_CS.shape[0] == channels:
        return block_CS
    return np.repeat(block_CS.mean(axis=0, dtype=np.float32, keepdims=True), channels, axis=0)


def write_flac(path: Path, sound: Sound) -> None:
    """Write sound as 16-bit FLAC. The file holds no start time: `read_sound` gives it back with start 0."""
    import soundfile

    with atomic_path(path) as temporary:
        soundfile.write(temporary, _pcm16(sound.wave_CS).T, sound.rate, format="FLAC", subtype="PCM_16")


def write_wav16k(path: Path, wave_S: Wave) -> None:
    """Write a 16 kHz mono wave as 16-bit WAV; the same samples always give the same bytes."""
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(AUDIO_HZ)
        file.writeframes(_pcm16(wave_S).astype("<i2").tobytes())


def _pcm16(wave_CS: Wave) -> NDArray[np.int16]:
    return np.asarray(np.clip(np.rint(wave_CS * 32768.0), -32768, 32767), np.int16)
