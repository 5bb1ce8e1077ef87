"""Time is a rational number of seconds on the source's own clock; frame numbers are derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

CLIP_FPS = Fraction(25)
"""Rate of every clip and of every per-frame label; LR-ASD and the MIT release use the same."""

AUDIO_HZ = 16_000
"""Rate of every analysed waveform, mono."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Equally spaced instants that labels and clip frames share.

    Attributes:
        start: Seconds of frame 0 on the source's clock.
        count: Number of frames.
        fps: Frames a second.
    """

    start: Fraction
    count: int
    fps: Fraction = CLIP_FPS

    @classmethod
    def over(cls, start: Fraction, end: Fraction, fps: Fraction = CLIP_FPS) -> Grid:
        """Lay a grid over [start, end): as many frames as fit, at least one."""
        return cls(start, max(1, round((end - start) * fps)), fps)

    @property
    def end(self) -> Fraction:
        """Seconds at which the last frame stops being shown."""
        return self.start + self.count / self.fps

    def at(self, frame: int) -> Fraction:
        """Return the source time of a frame."""
        return self.start + frame / self.fps

    def frame(self, time: Fraction) -> int:
        """Return the frame nearest to a source time, not clipped to the grid."""
        return round((time - self.start) * self.fps)

    def part(self, first: int, count: int) -> Grid:
        """Return the sub-grid of `count` frames from frame `first`."""
        return Grid(self.at(first), count, self.fps)
