"""Local speaker activity by pyannote segmentation-3.0 over sliding windows.

The network hears ten seconds and says, every 270 samples, which of at most three local speakers talk
(Plaquet and Bredin, "Powerset multi-class cross entropy loss", Interspeech 2023). Local speaker 1 of one window
is not local speaker 1 of the next, so what is averaged over windows is what needs no names: how many talk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.runtime import onnx_session
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ
from mitds.weights import resolve

STEP_S = 270
"""Samples between two outputs of the network; the step of every array in this package."""

FIELD_S = 991
"""Samples one output sees."""

HOP_S = STEP_S / AUDIO_HZ
WINDOW_S = 10 * AUDIO_HZ
WINDOW_F = (WINDOW_S - FIELD_S) // STEP_S + 1
LEAD_S = (FIELD_S - STEP_S) // 2
"""Silence put before the wave so that output f is centred on step f."""

MEMBERS_CK = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.bool_)
"""Which local speakers talk in each of the seven classes."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the network said of a whole wave of F steps.

    Attributes:
        any_F: Probability that somebody talks, mean over the windows that hear the step.
        two_F: Probability that two people talk at once.
        first_W: Step at which each window starts.
        class_WF: Most probable class of each window's steps; 0 (nobody) past the wave's end.
    """

    any_F: Array
    two_F: Array
    first_W: NDArray[np.int64]
    class_WF: NDArray[np.uint8]

    def around(self, step: int) -> tuple[int, NDArray[np.bool_]]:
        """Return the start and the local activity, active_FK, of the window whose middle is nearest to a step."""
        w = int(np.abs(self.first_W + WINDOW_F // 2 - step).argmin())
        first = int(self.first_W[w])
        return first, MEMBERS_CK[self.class_WF[w, : len(self.any_F) - first]]


class Segmenter:
    """Runs segmentation-3.0; the weights load on first use.

    Args:
        stride_s: Seconds between windows.
        device: "cpu", "cuda" or "coreml".
    """

    def __init__(self, *, stride_s: float, device: str) -> None:
        self.stride = max(1, round(stride_s / HOP_S))
        self.device = device

    @cached_property
    def _session(self) -> Any:
        return onnx_session(resolve("speech.segmentation"), device=self.device)

    def segment(self, wave_S: Array) -> Segmentation:
        """Segment a wave of at least one sample; memory beyond the result is one window."""
        steps = -(-len(wave_S) // STEP_S)
        first_W = window_starts(steps, self.stride)
        class_WF = np.zeros((len(first_W), WINDOW_F), np.uint8)
        any_F, two_F, weight_F = (np.zeros(steps, np.float32) for _ in range(3))
        for w, first in enumerate(first_W):
            log_FC = self._session.run(None, {"input": cut(wave_S, int(first))[None, None]})[0][0]
            log_FC = log_FC[: steps - first]
            span, rim_F = slice(first, first + len(log_FC)), taper(len(log_FC))
            class_WF[w, : len(log_FC)] = log_FC.argmax(1)
            any_F[span] += rim_F * (1 - np.exp(log_FC[:, 0]))
            two_F[span] += rim_F * np.exp(log_FC[:, 4:]).sum(1)
            weight_F[span] += rim_F
        return Segmentation(any_F / weight_F, two_F / weight_F, first_W, class_WF)


def window_starts(steps: int, stride: int) -> NDArray[np.int64]:
    """Return first steps of windows that cover all steps; the last one ends with the wave where it can."""
    last = max(0, steps - WINDOW_F)
    return np.unique(np.append(np.arange(0, last, stride), last))


def cut(wave_S: Array, first: int) -> Array:
    """Return the window of samples whose outputs start at step `first`, zeros outside the wave."""
    begin = first * STEP_S - LEAD_S
    window_S = np.zeros(WINDOW_S, np.float32)
    inside_S = wave_S[max(begin, 0) : begin + WINDOW_S]
    at = max(-begin, 0)
    window_S[at : at + len(inside_S)] = inside_S
    return window_S


def taper(length: int) -> Array:
    """Return weights of a window's steps: its middle knows both past and future, its rims do not."""
    ramp_F = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(1, ramp_F / (WINDOW_F / 4)).astype(np.float32)
