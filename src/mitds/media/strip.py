"""Decoded blocks of sound laid on one line of samples, where their times say."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from mitds.errors import Undecodable
from mitds.media.resampling import Wave, resample
from mitds.media.tracks import unit_of

Placed = tuple[Fraction, Wave]
"""Seconds of the first sample, and wave_CS."""

_JITTER_S = Fraction(5, 1000)
"""Times that are off by less are rounding of the container's clock; nothing is filled or cut."""

_LONGEST_GAP_S = 1800
_BLOCK = 1 << 18
"""About how many samples a block holds: some seconds."""


class Strip:
    """Lays decoded blocks where their times say, and gives them on in larger ones.

    As many samples as the longest block has are held back: the last of them may be an encoder's padding.

    Args:
        where: The file, for messages.

    Attributes:
        rate: The track's, Hz; 0 before the first frame.
        count: Samples so far.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._held: list[Wave] = []
        self._channels = 0
        self._start = Fraction(0)
        self._padding = self._longest = self._given = 0
        self.rate = self.count = 0

    def add(self, frame: Any) -> Iterator[Placed]:
        """Take a decoded frame; yield what is certain now."""
        block_CS, unit = samples_of(frame), unit_of(frame)
        if not self.rate:
            self.rate, self._channels = frame.sample_rate, block_CS.shape[0]
            self._start = Fraction(0) if frame.pts is None else frame.pts * unit
        block_CS = resample(_with_channels(block_CS, self._channels), frame.sample_rate, self.rate)
        gap = 0 if frame.pts is None else self._gap(frame.pts * unit)
        for done in range(0, gap, _BLOCK):
            yield from self._append(np.zeros((self._channels, min(_BLOCK, gap - done)), np.float32))
        self._longest = max(self._longest, frame.samples)
        self._padding = _padding(frame, unit)
        yield from self._append(block_CS[:, max(0, -gap) :])

    def _gap(self, pts: Fraction) -> int:
        """Return how many samples of silence belong before a block at `pts`; negative for an overlap."""
        gap = round((pts - self._start) * self.rate) - self.count
        if gap > _LONGEST_GAP_S * self.rate:
            raise Undecodable(
                f"the sound jumps ahead by {gap // self.rate} s",
                where=self._where,
                remedy="Re-encode the file.",
            )
        return 0 if abs(gap) <= _JITTER_S * self.rate else gap

    def _append(self, block_CS: Wave) -> Iterator[Placed]:
        self._held.append(block_CS)
        self.count += block_CS.shape[1]
        certain = self.count - self._given - self._longest
        if certain >= _BLOCK:
            held_CS = np.concatenate(self._held, axis=1)
            self._held = [held_CS[:, certain:].copy()]
            yield self._placed(held_CS[:, :certain])

    def _placed(self, wave_CS: Wave) -> Placed:
        start = self._start + Fraction(self._given, self.rate)
        self._given += wave_CS.shape[1]
        return start, wave_CS

    def rest(self) -> Placed:
        """Return what follows, without the padding, once all frames were added."""
        held_CS = np.concatenate(self._held, axis=1)
        return self._placed(held_CS[:, : max(0, held_CS.shape[1] - self._padding)])


def samples_of(frame: Any) -> Wave:
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
