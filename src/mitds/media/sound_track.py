"""The sound of a clip, as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from mitds.errors import UsageError
from mitds.media.sound import Sound
from mitds.media.soundfiles import AAC_RATES

_AAC_BLOCK = 1024


class SoundTrack:
    """Encodes sound piece by piece, so that it lies beside the pictures it belongs to.

    Raises:
        UsageError: AAC does not know the sound's rate.
    """

    def __init__(self, sound: Sound) -> None:
        if sound.rate not in AAC_RATES:
            raise UsageError(f"AAC has no rate of {sound.rate} Hz", remedy=f"Resample to one of {AAC_RATES}.")
        # Speech sits in the centre of surround sound: never in its first two channels alone.
        several = sound.wave_CS.shape[0] > 2
        wave_CS = sound.wave_CS.mean(axis=0, dtype=np.float32, keepdims=True) if several else sound.wave_CS
        self._sound = Sound(wave_CS, sound.rate, sound.start)
        self._done = 0
        self._due = 0
        self._track: Any = None

    def attach(self, container: Any) -> None:
        """Add the track to a container, before its first packet."""
        self._layout = "mono" if self._sound.wave_CS.shape[0] == 1 else "stereo"
        self._track = container.add_stream(
            "aac", rate=self._sound.rate, layout=self._layout, options={"flags": "+bitexact", "threads": "1"}
        )

    def until(self, time: Fraction) -> Iterator[Any]:
        """Yield the packets of all whole blocks before `time`."""
        self._due = round(time * self._sound.rate)
        while self._due - self._done >= _AAC_BLOCK:
            yield from self._block(_AAC_BLOCK)

    def rest(self) -> Iterator[Any]:
        """Yield what is left, up to the last time asked for."""
        if self._due > self._done:
            yield from self._block(self._due - self._done)
        yield from self._track.encode(None)

    def _block(self, samples: int) -> list[Any]:
        rate = self._sound.rate
        start = Fraction(self._done, rate)
        block_CS = self._sound.part(start, start + Fraction(samples, rate)).wave_CS
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block_CS), format="fltp", layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), self._done
        self._done += samples
        return list(self._track.encode(frame))
