"""Examples for lip-net, put together from takes: a face under its own voice, a foreign one, both, or neither.

Nothing is rendered: lips are curves and sound is mel power, so faces and voices are recombined, moved in time,
mixed and spoilt as arrays. What a listener, a muted talker or a dubbed face looks like follows exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import uniform_filter1d

from mitds.annotators.asd.lip_net_features import MELS, STEPS, log_mel
from mitds.annotators.asd.teach.spoiling import spoil_lips, spoil_sound, stretched
from mitds.annotators.asd.teach.takes import Take
from mitds.manifests.records import Array

NEAR = 10
"""Frames; own sound moved by less, the take going round at its ends, is neither own nor foreign, and is not
shown. A take too short to be moved further is shown under a foreign voice."""
KINDS = ("own", "overlap", "turns", "foreign", "shifted", "nothing")
LESSON = (0.42, 0.15, 0.15, 0.18, 0.06, 0.04)
"""Shares of the kinds in teaching: what is hard to tell comes often."""
LIFE = (0.6, 0.08, 0.12, 0.2, 0.0, 0.0)
"""Shares of the kinds in judging: people speak, listen and take turns; nobody is dubbed."""


@dataclass(frozen=True, slots=True)
class Example:
    """One face and one sound; T frames, F = 4 T steps.

    Attributes:
        lip_TC: As `LipNetwork` takes it.
        mel_FM: As `LipNetwork` takes it.
        speech_T: Probability that anybody is heard.
        speaks_T: Whether the face utters what is heard; NaN where unknown.
        lips_T: Whether the lips speak, whoever is heard; NaN where unknown.
    """

    lip_TC: Array
    mel_FM: Array
    speech_T: Array
    speaks_T: Array
    lips_T: Array


@dataclass(frozen=True, slots=True)
class _Sound:
    power_FM: Array
    speech_T: Array


class Scenes:
    """Draws examples from takes; the same random numbers give the same examples.

    Args:
        takes: The footage.
        frames: Length of an example.
        natural: Draw what life shows, in good picture and sound, instead of what teaches most; and only faces
            whose labels are exact.
    """

    def __init__(self, takes: Sequence[Take], frames: int, *, natural: bool = False) -> None:
        self.frames = frames
        self._natural = natural
        long = [take for take in takes if take.frames >= frames // 2]
        self.takes = [take for take in long if take.exact or not natural]
        self._voices = [take for take in takes if take.voiced]
        by_clip = {take.clip: 0 for take in self.takes}
        for take in self.takes:
            by_clip[take.clip] += take.frames
        share_N = np.array([take.frames / np.sqrt(by_clip[take.clip]) for take in self.takes])
        self._share_N = share_N / share_N.sum()

    def draw(self, random: Generator) -> Example:
        """Draw one example."""
        take = self.takes[random.choice(len(self.takes), p=self._share_N)]
        rate = random.uniform(0.85, 1.15)
        wanted = min(take.frames, round(self.frames * rate))
        first = int(random.integers(take.frames - wanted + 1))
        span = slice(first, first + wanted)
        lip_TC, own_T = take.lip_TC[span], take.own_T[span]
        kind = random.choice(KINDS, p=LIFE if self._natural else LESSON)
        if kind in ("own", "overlap", "turns") and np.isnan(own_T).mean() > 0.7:
            kind = "foreign"
        sound, speaks_T = self._sound(kind, take, span, own_T, random)
        if kind in ("foreign", "turns") and random.random() < (0.7 if self._natural else 0.25):
            lip_TC, own_T = _stilled(lip_TC, own_T, speaks_T, random)
        return self._finished(lip_TC, sound, speaks_T, own_T, random)

    def _sound(
        self, kind: str, take: Take, span: slice, own_T: Array, random: Generator
    ) -> tuple[_Sound, Array]:
        own, zeros_T = _cut(take, span.start, span.stop), np.zeros_like(own_T)
        if kind == "own":
            return own, own_T
        if kind == "nothing":
            hiss = np.full_like(own.power_FM, 1e-7) * random.gamma(2.0, 0.5, own.power_FM.shape)
            return _Sound(hiss.astype(np.float32), zeros_T), zeros_T
        furthest = min(take.frames - NEAR, NEAR + len(own_T) - 1)
        if kind == "shifted" and furthest >= NEAR:
            shift = int(random.integers(NEAR, furthest + 1)) * int(random.choice([-1, 1]))
            return _cut(take, span.start + shift, span.stop + shift), zeros_T
        foreign = self._foreign(take, len(own_T), random)
        if kind in ("foreign", "shifted"):
            return foreign, zeros_T
        gate_T = _gate(len(own_T), random)
        if kind == "overlap":
            return _mix(own, foreign, np.ones_like(gate_T), gate_T * 10 ** random.uniform(-1.2, 0.6)), own_T
        return _mix(own, foreign, 1 - gate_T, gate_T), np.where(gate_T > 0.5, 0, own_T).astype(np.float32)

    def _foreign(self, take: Take, frames: int, random: Generator) -> _Sound:
        """Return another clip's voice, as loud as the own one."""
        others = [voice for voice in self._voices if voice.clip != take.clip]
        voice = others[random.integers(len(others))]
        first = int(random.integers(max(1, voice.frames - frames + 1)))
        sound = _cut(voice, first, first + frames)
        level = float(take.power_FM.mean()) if take.voiced else 1e-4
        return _Sound(sound.power_FM * (level / (float(voice.power_FM.mean()) + 1e-12)), sound.speech_T)

    def _finished(
        self, lip_TC: Array, sound: _Sound, speaks_T: Array, own_T: Array, random: Generator
    ) -> Example:
        babble_FM = self._voices[random.integers(len(self._voices))].power_FM
        lip_TC = stretched(lip_TC, self.frames)
        power_FM = stretched(sound.power_FM, self.frames * STEPS)
        if not self._natural or random.random() < 0.3:
            power_FM = spoil_sound(power_FM, babble_FM, random)
            lip_TC = spoil_lips(lip_TC, random)
        speech_T = stretched(sound.speech_T[:, None], self.frames)[:, 0]
        speech_T = np.clip(speech_T + random.normal(0, 0.05), 0.001, 0.999)
        labels_T2 = np.stack([speaks_T, own_T], axis=1)
        at_T = np.linspace(0, len(labels_T2) - 1, self.frames).round().astype(int)
        return Example(
            lip_TC,
            log_mel(power_FM),
            speech_T.astype(np.float32),
            labels_T2[at_T, 0],
            labels_T2[at_T, 1],
        )


def _cut(take: Take, first: int, end: int) -> _Sound:
    """Return a span of a take's sound, going round at the ends."""
    frame_T = np.arange(first, end) % take.frames
    step_F = (frame_T[:, None] * STEPS + np.arange(STEPS)).ravel()
    return _Sound(take.power_FM[step_F], take.speech_T[frame_T])


def _gate(frames: int, random: Generator) -> Array:
    """Return gate_T, 1 in random spans of .4 to 3 s."""
    gate_T = np.zeros(frames, np.float32)
    at, on = 0, bool(random.random() < 0.5)
    while at < frames:
        length = int(random.integers(10, 75))
        gate_T[at : at + length] = on
        at, on = at + length, not on
    return gate_T


def _mix(own: _Sound, other: _Sound, own_T: Array, other_T: Array) -> _Sound:
    """Add two sounds, each weighed by frame."""
    weights = np.repeat(own_T, STEPS)[:, None], np.repeat(other_T, STEPS)[:, None]
    power_FM = own.power_FM * weights[0] + other.power_FM * weights[1]
    silent_T = (1 - own.speech_T * (own_T > 0.01)) * (1 - other.speech_T * (other_T > 0.01))
    return _Sound(power_FM.reshape(-1, MELS).astype(np.float32), 1 - silent_T)


def _stilled(lip_TC: Array, own_T: Array, speaks_T: Array, random: Generator) -> tuple[Array, Array]:
    """Return a face that all but stops moving its lips where it does not speak."""
    silent_T = np.nan_to_num(speaks_T, nan=1.0) < 0.5
    still_T = silent_T * uniform_filter1d(silent_T.astype(np.float32), 9, mode="nearest")
    rest_C = np.median(lip_TC[:, :-4], axis=0)
    keep_T1 = (1 - still_T * random.uniform(0.8, 1.0))[:, None]
    calm_TC = lip_TC.copy()
    calm_TC[:, :-4] = rest_C + (lip_TC[:, :-4] - rest_C) * keep_T1
    return calm_TC, np.where(silent_T, 0, own_T).astype(np.float32)
