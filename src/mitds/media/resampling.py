"""Sound at another rate, whole or in blocks: both give the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

_HALF_TAPS = 50
_BLOCK_S = 10.0


def resample(wave_CS: Wave, old: int, new: int) -> Wave:
    """Resample with a polyphase filter; sample 0 keeps its time; round(S * new / old) samples.

    The filter passes 90 % of the smaller band and rejects what would alias by 80 dB.
    """
    if old == new:
        return wave_CS
    count = _length(wave_CS.shape[1], old, new)
    return _cropped(_filtered(wave_CS, *_ratio(old, new)), 0, count)


class Resampler:
    """`resample` for sound that comes in blocks, in flat memory: the same samples to the last bit.

    Args:
        old: Rate of the blocks, Hz.
        new: Rate wanted, Hz.
        channels: Rows of a block.
    """

    def __init__(self, old: int, new: int, channels: int) -> None:
        self._old, self._new = old, new
        self._up, self._down = _ratio(old, new)
        reach = -(-_HALF_TAPS * max(self._up, self._down) // self._up)
        # A piece that begins at a multiple of `down` meets the filter in the same phase as the whole would.
        self._margin = self._down * -(-reach // self._down)
        self._step = self._down * max(1, int(_BLOCK_S * old) // self._down)
        self._parts = [np.zeros((channels, 0), np.float32)]
        self._first = self._given = self._end = 0

    def add(self, block_CS: Wave) -> Iterator[Wave]:
        """Take a block; yield what is certain now."""
        if self._old == self._new:
            yield block_CS
            return
        self._parts.append(block_CS)
        self._end += block_CS.shape[1]
        while self._end >= self._given + self._step + self._margin:
            until = self._given + self._step
            held_CS = self._held()
            out_CS = _filtered(held_CS[:, : until + self._margin - self._first], self._up, self._down)
            yield _cropped(out_CS, self._out(self._given - self._first), self._out(until - self._first))
            keep = max(self._first, until - self._margin)
            self._parts = [held_CS[:, keep - self._first :].copy()]
            self._first, self._given = keep, until

    def rest(self) -> Wave:
        """Return what follows, once all blocks were added."""
        held_CS = self._held()
        if self._old == self._new or not self._end:
            return held_CS
        last = _length(self._end, self._old, self._new) - self._out(self._first)
        return _cropped(_filtered(held_CS, self._up, self._down), self._out(self._given - self._first), last)

    def _held(self) -> Wave:
        self._parts = [np.concatenate(self._parts, axis=1)]
        return self._parts[0]

    def _out(self, samples: int) -> int:
        return samples // self._down * self._up


def _ratio(old: int, new: int) -> tuple[int, int]:
    return new // gcd(old, new), old // gcd(old, new)


def _length(samples: int, old: int, new: int) -> int:
    return round(samples * new / old)


@lru_cache(maxsize=2)
def _taps(widest: int) -> Wave:
    from scipy.signal import firwin

    taps = firwin(2 * _HALF_TAPS * widest + 1, 0.95 / widest, window=("kaiser", 8.0))
    return np.asarray(taps, np.float32)


def _filtered(wave_CS: Wave, up: int, down: int) -> Wave:
    """Return all samples that the filter gives, up to one more than are wanted."""
    from scipy.signal import resample_poly

    if not wave_CS.shape[1]:
        return wave_CS
    return np.asarray(resample_poly(wave_CS, up, down, axis=1, window=_taps(max(up, down))), np.float32)


def _cropped(wave_CS: Wave, first: int, last: int) -> Wave:
    short = max(0, last - wave_CS.shape[1])
    return np.asarray(np.pad(wave_CS, ((0, 0), (0, short)))[:, first:last], np.float32)
