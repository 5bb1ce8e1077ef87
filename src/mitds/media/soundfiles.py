"""Sound in files of our own: FLAC for keeping, 16 kHz WAV for analysis; written and read in flat memory."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import SourceSound
from mitds.media.resampling import Resampler, Wave
from mitds.media.sound import Sound, at_rate, sound_blocks
from mitds.media.tracks import DecodeLog, Footage
from mitds.store import atomic_path
from mitds.time import AUDIO_HZ

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""What clips can hold, Hz."""

_FLAC_CHANNELS = 8
_BLOCK = 1 << 18


def write_flac(path: Path, sound: Sound | Iterable[Sound]) -> SourceSound:
    """Write sound, whole or in blocks that follow each other, as 16-bit FLAC, and return what it is.

    The file holds no start time: `read_sound` gives it back with start 0. More than eight channels become their mean.
    """
    import soundfile

    blocks = iter([sound] if isinstance(sound, Sound) else sound)
    first, samples = next(blocks), 0
    channels = first.wave_CS.shape[0] if first.wave_CS.shape[0] <= _FLAC_CHANNELS else 1
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(temporary, "w", first.rate, channels, "PCM_16", format="FLAC") as file,
    ):
        for block in chain([first], blocks):
            file.write(_pcm16(_mixed(block.wave_CS, channels)).T)
            samples += block.wave_CS.shape[1]
    return SourceSound(
        start=first.start, rate=first.rate, channels=channels, duration=Fraction(samples, first.rate)
    )


def keep_sound(
    footage: Footage, flac: Path, *, track: int = 0, max_rate: int = 48_000, log: DecodeLog | None = None
) -> SourceSound | None:
    """Decode one sound track into a FLAC file, in flat memory; None where there is no sound track.

    A rate that AAC does not know becomes the next one that it does. For the rest see `sound_blocks`.
    """
    blocks = at_rate(sound_blocks(footage, track=track, max_rate=max_rate, log=log), aac_rate)
    first = next(blocks, None)
    return None if first is None else write_flac(flac, chain([first], blocks))


def aac_rate(rate: int) -> int:
    """Return the lowest rate of AAC that is not below another one; the highest where all are."""
    return min((known for known in AAC_RATES if known >= rate), default=AAC_RATES[-1])


def sound_part(flac: Footage, sound: SourceSound, start: Fraction, end: Fraction) -> Sound:
    """Read the sound of [start, end) out of a source's FLAC; see `Sound.part`."""
    first = round((start - sound.start) * sound.rate)
    count = max(0, round((end - start) * sound.rate))
    wave_CS = read_padded(flac, first, count)
    return Sound(wave_CS, sound.rate, sound.start + Fraction(first, sound.rate))


def read_padded(file: Footage, first: int, count: int) -> Wave:
    """Return wave_CS: `count` samples of a sound file from sample `first`, zero where the file has none.

    Only these are read, so that a clip late in a long source costs no more than an early one.
    """
    import soundfile

    with file.open("rb") as opened, soundfile.SoundFile(opened) as sound:
        wave_CS = np.zeros((sound.channels, count), np.float32)
        low, high = max(first, 0), min(first + count, sound.frames)
        if low < high:
            sound.seek(low)
            part_SC = sound.read(high - low, dtype="float32", always_2d=True)
            wave_CS[:, low - first : high - first] = part_SC.T
    return wave_CS


def write_wav16k(path: Path, wave_S: Wave | Iterable[Wave]) -> None:
    """Write a 16 kHz mono wave, whole or in blocks, as 16-bit WAV; the same samples always give the same bytes."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _wav16k(file, wave_S)


def wav16k_bytes(wave_S: Wave) -> bytes:
    """Return the bytes that `write_wav16k` would write."""
    file = io.BytesIO()
    _wav16k(file, wave_S)
    return file.getvalue()


def _wav16k(opened: IO[bytes], wave_S: Wave | Iterable[Wave]) -> None:
    with wave.open(opened, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(AUDIO_HZ)
        for block_S in [wave_S] if isinstance(wave_S, np.ndarray) else wave_S:
            file.writeframesraw(_pcm16(block_S).astype("<i2").tobytes())


def mono16k(flac: Footage, wav: Path) -> None:
    """Write the mean of a FLAC's channels as 16 kHz WAV, in flat memory.

    The samples are those of `read_sound(flac).mono()`, bit for bit, where the FLAC has at most 48 kHz.
    """
    write_wav16k(wav, _mono_blocks(flac))


def _mono_blocks(flac: Footage) -> Iterator[Wave]:
    import soundfile

    with flac.open("rb") as opened, soundfile.SoundFile(opened) as sound:
        resampler = Resampler(sound.samplerate, AUDIO_HZ, 1)
        for block_SC in sound.blocks(_BLOCK, dtype="float32", always_2d=True):
            mean_1S = np.ascontiguousarray(block_SC.T).mean(axis=0, dtype=np.float32, keepdims=True)
            yield from (wave_1S[0] for wave_1S in resampler.add(mean_1S))
        yield resampler.rest()[0]


def _mixed(wave_CS: Wave, channels: int) -> Wave:
    if wave_CS.shape[0] == channels:
        return wave_CS
    mean_1S: Wave = wave_CS.mean(axis=0, dtype=np.float32, keepdims=True)
    return mean_1S


def _pcm16(wave_CS: Wave) -> NDArray[np.int16]:
    return np.asarray(np.clip(np.rint(wave_CS * 32768.0), -32768, 32767), np.int16)
