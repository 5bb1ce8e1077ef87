"""TransNet V2: a network that also sees gradual transitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, repeat

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.contracts import Cut, Frame
from mitds.annotators.shots.cuts import spaced
from mitds.annotators.shots.transnet_net import TransNet
from mitds.media import Picture
from mitds.weights import resolve

_WIDTH, _HEIGHT = 48, 27
_WINDOW, _STEP = 100, 50
_MARGIN = (_WINDOW - _STEP) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TransNetV2Config:
    """Settings.

    Attributes:
        threshold: Probability from which a frame belongs to a transition; .5 is the authors'.
        min_shot_s: Least length of a shot, s.
        max_side: Longer side of the pictures before they are reduced to 48x27, px.
    """

    threshold: float = 0.5
    min_shot_s: float = 0.6
    max_side: int = 320


class TransNetV2:
    """Hard and gradual transitions by a 3-D convolutional network (Soucek and Lokoc, 2020)."""

    name = "transnetv2"

    def __init__(self, config: TransNetV2Config = TransNetV2Config()) -> None:
        self.config = config
        self.max_side = config.max_side
        self._net = TransNet()
        weights = torch.load(resolve("shots.transnetv2"), weights_only=True, map_location="cpu")
        self._net.load_state_dict(weights)
        self._net.eval()

    def detect(self, pictures: Iterable[Picture]) -> list[Cut]:
        """Return the cuts: the first frame after each run of transition frames; scores 0..1."""
        times: list[Fraction] = []
        scores = list(self._probabilities(_small(pictures, times)))
        cuts = (Cut(times[first], first, score) for first, score in self._after_runs(scores))
        return list(spaced(cuts, times[0], self.config.min_shot_s)) if times else []

    def _after_runs(self, scores: list[float]) -> Iterator[tuple[int, float]]:
        """Yield the first frame after each run at or over the threshold, with the run's highest score."""
        highest = 0.0
        for number, score in enumerate(scores):
            if score >= self.config.threshold:
                highest = max(highest, score)
            elif highest:
                yield number, highest
                highest = 0.0

    def _probabilities(self, frames: Iterator[Frame]) -> Iterator[float]:
        """Yield each frame's probability; a window's margins only lend context to its middle."""
        for window_THWC, wanted in _windows(frames):
            with torch.inference_mode():
                logit_BT = self._net(torch.from_numpy(window_THWC)[None])
            yield from torch.sigmoid(logit_BT[0, _MARGIN : _MARGIN + wanted]).tolist()


def _small(pictures: Iterable[Picture], times: list[Fraction]) -> Iterator[Frame]:
    """Yield 48x27 frames, and note their times as they pass."""
    for picture in pictures:
        times.append(picture.pts)
        yield cv2.resize(picture.frame_HWC, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)  # type: ignore[misc]


def _windows(frames: Iterator[Frame]) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield windows of 100 frames in steps of 50 with the number of their middle frames that are real.

    The first and the last frame repeat where a window reaches over the ends.
    """
    first = next(frames, None)
    if first is None:
        return
    held = [first] * _MARGIN
    frames = chain([first], frames)
    while True:
        held += islice(frames, _WINDOW - len(held))
        wanted = min(_STEP, len(held) - _MARGIN)
        if wanted <= 0:
            return
        filled = held + list(repeat(held[-1], _WINDOW - len(held)))
        yield np.stack(filled), wanted
        held = held[_STEP:]
