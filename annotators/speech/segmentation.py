"""Local speaker activity by pyannote segmentation-3.0 over sliding windows.

The network hears ten seconds and says, every 270 samples, which of at most three local speakers talk
(Plaquet and Bredin, "Powerset multi-class cross entropy loss", Interspeech 2023). Local speaker 1 of one
window is not local speaker 1 of the next, so windows are only averaged in what needs no names: how many talk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

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

REACH = 9
"""Steps to either side over which a change of speaker is looked for (0.15 s)."""

MEMBERS_CK = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.bool_)
"""Which local speakers talk in each of the seven classes."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the network said of a whole wave of F steps.

    Attributes:
        any_F: Probability that somebody talks, mean over the windows that hear the step.
        two_F: Probability that two people talk at once.
        handover_F: Share of windows that hear one person before the step and another after it, of those that
            hear a lone voice on both sides.
        first_W: Step at which each window starts.
        class_WF: Most probable class of each window's steps; 0 (nobody) past the wave's end.
    """

    any_F: Array
    two_F: Array
    handover_F: Array
    first_W: NDArray[np.int64]
    class_WF: NDArray[np.uint8]

    def around(self, step: int) -> tuple[int, NDArray[np.bool_]]:
        """Return start and local activity, active_FK, of the window whose middle is nearest to a step."""
        w = int(np.abs(self.first_W + WINDOW_F // 2 - step).argmin())
        first = int(self.first_W[w])
        return first, MEMBERS_CK[self.class_WF[w, : len(self.any_F) - first]]

    def busiest_two(self, first: int, end: int) -> tuple[int, NDArray[np.bool_]]:
        """Return start and active_F2 of the window around [first, end): its two busiest local speakers."""
        start, active_FK = self.around((first + end) // 2)
        spoken_K = active_FK[max(0, first - start) : end - start].sum(0)
        return start, active_FK[:, np.argsort(-spoken_K, kind="stable")[:2]]


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
        steps = step_count(len(wave_S))
        first_W = window_starts(steps, self.stride)
        class_WF = np.zeros((len(first_W), WINDOW_F), np.uint8)
        any_F, two_F, other_F, lone_F, weight_F = (np.zeros(steps, np.float32) for _ in range(5))
        for w, first in enumerate(first_W):
            log_FC = self._session.run(None, {"input": cut(wave_S, int(first))[None, None]})[0][0]
            log_FC = log_FC[: steps - first]
            span, rim_F = slice(first, first + len(log_FC)), taper(len(log_FC))
            class_WF[w, : len(log_FC)] = log_FC.argmax(1)
            any_F[span] += rim_F * (1 - np.exp(log_FC[:, 0]))
            two_F[span] += rim_F * np.exp(log_FC[:, 4:]).sum(1)
            both_lone_F, differ_F = handovers(class_WF[w, : len(log_FC)])
            other_F[span] += rim_F * differ_F
            lone_F[span] += rim_F * both_lone_F
            weight_F[span] += rim_F
        handover_F = other_F / np.maximum(lone_F, weight_F / np.float32(4))
        return Segmentation(any_F / weight_F, two_F / weight_F, handover_F, first_W, class_WF)


def handovers(class_F: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where one person talks alone REACH steps before and after, and where these are two people."""
    both_lone_F, differ_F = np.zeros((2, len(class_F)), np.bool_)
    before_F, after_F = class_F[: -2 * REACH], class_F[2 * REACH :]
    lone_F = (before_F > 0) & (before_F < 4) & (after_F > 0) & (after_F < 4)
    both_lone_F[REACH : REACH + len(lone_F)] = lone_F
    differ_F[REACH : REACH + len(lone_F)] = lone_F & (before_F != after_F)
    return both_lone_F, differ_F


def step_count(samples: int) -> int:
    """Return the steps that cover a wave."""
    return -(-samples // STEP_S)


def loudness(wave_S: Array, steps: int) -> Array:
    """Return level_F, dB: the mean square of each step, averaged over 0.1 s."""
    whole = len(wave_S) // STEP_S * STEP_S
    step_FS, rest_S = wave_S[:whole].reshape(-1, STEP_S), wave_S[whole:]
    power_F = np.zeros(steps, np.float32)
    power_F[: len(step_FS)] = np.einsum("fs,fs->f", step_FS, step_FS) / STEP_S
    if len(rest_S):
        power_F[-1] = rest_S @ rest_S / STEP_S
    level_F: Array = 10 * np.log10(uniform_filter1d(power_F, 5, mode="constant") + 1e-12)
    return level_F


def hush(segmentation: Segmentation, level_F: Array, depth: float) -> Segmentation:
    """Return the segmentation with nobody talking where it is far more quiet than the speech around.

    The network tends to fill pauses of a few tenths of a second. A step is silent if its level is `depth` dB
    below the loudest speech within five seconds.
    """
    speech_F = np.where(segmentation.any_F > 0.5, level_F, -np.inf)
    loudest_F = maximum_filter1d(speech_F, WINDOW_F, mode="nearest")
    heard_F = level_F > loudest_F - depth
    return replace(segmentation, any_F=segmentation.any_F * heard_F, two_F=segmentation.two_F * heard_F)


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
