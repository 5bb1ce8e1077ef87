"""Annotators for runs that are to be killed: no networks, quick to start, and a face tracker that films can hurt."""

from __future__ import annotations

import ctypes
import os
import random
import re
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mitds.annotators.asd.fake import FakeScorer, FakeScorerConfig
from mitds.annotators.contracts import Cut, Frame
from mitds.annotators.faces.fake import FakeFaceTracker, FakeFaceTrackerConfig
from mitds.annotators.pose.fake import FakePose, FakePoseConfig
from mitds.manifests.records import Array, FaceTrack, SpeakingScores, SpeechTurn, Voices
from mitds.media import Picture
from mitds.time import AUDIO_HZ

BOXES = ((10.0, 20.0, 50.0, 60.0), (100.0, 20.0, 140.0, 60.0))
SPEAKING = {0: ((5, 40),), 1: ((45, 200),)}
POISON = {
    "segfault": (200, 0, 0),
    "sleep": (0, 200, 0),
    "memory": (0, 0, 200),
    "spin": (200, 0, 200),
    "swell": (0, 200, 200),
}
"""The colour of a film that does this to whoever looks for faces in it."""
HOP_S = 320


def nap() -> None:
    """Take a moment, drawn from MITDS_TEST_NAPS and the process: jobs end in another order with every seed."""
    if seed := os.environ.get("MITDS_TEST_NAPS"):
        time.sleep(random.Random(f"{seed} {os.getpid()} {time.perf_counter_ns()}").random() * 0.3)  # noqa: S311


class Faces(FakeFaceTracker):
    """Two faces that stand still; a film of one strong colour does to the process what POISON says."""

    name = "fragile"

    def __init__(self, config: FakeFaceTrackerConfig = FakeFaceTrackerConfig(boxes=BOXES)) -> None:
        super().__init__(config)

    def track(self, frames: Iterable[Frame]) -> list[FaceTrack]:
        nap()
        return super().track(map(_suffer, frames))


def _suffer(frame_HWC: Frame) -> Frame:
    mean_3 = frame_HWC.reshape(-1, 3).mean(0)
    for name, colour in POISON.items():
        if np.abs(mean_3 - colour).max() < 30:
            HARM[name]()
    return frame_HWC


def _memory() -> None:
    """Take memory without bound, where the machine sets one."""
    resource.setrlimit(resource.RLIMIT_AS, (_virtual() + (512 << 20),) * 2)
    swell()


def swell() -> None:
    """Take memory without bound."""
    held = []
    while True:
        held.append(np.ones(16 << 20, np.uint8))


def _virtual() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


HARM: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "sleep": lambda: time.sleep(3600),
    "memory": _memory,
    "spin": lambda: re.match("(a+)+$", "a" * 60 + "b"),
    "swell": swell,
}


class Pose(FakePose):
    """The fake."""

    def __init__(self, config: FakePoseConfig = FakePoseConfig()) -> None:
        super().__init__(config)


class Scorer(FakeScorer):
    """The fake, with two who speak by turns."""

    def __init__(self, config: FakeScorerConfig = FakeScorerConfig(speaking=SPEAKING)) -> None:
        super().__init__(config)

    def score(
        self, frames: Iterable[Frame], tracks: list[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        nap()
        return super().score(frames, tracks, wave_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiarizerConfig:
    """When the two voices are heard, s."""

    first: tuple[float, float] = (0.2, 1.6)
    second: tuple[float, float] = (1.8, 8.0)


class Diarizer:
    """Two voices, one after the other; made without torch, which takes long to import."""

    name = "quick"

    def __init__(self, config: DiarizerConfig = DiarizerConfig()) -> None:
        self.config = config

    def diarize(self, wave_S: Array) -> Voices:
        nap()
        end = len(wave_S) / AUDIO_HZ
        spans = [span for span in (self.config.first, self.config.second) if span[0] < end]
        activity_FV = np.zeros((-(-len(wave_S) // HOP_S), len(spans)), np.float32)
        for voice, (start, stop) in enumerate(spans):
            activity_FV[round(start * AUDIO_HZ / HOP_S) : round(stop * AUDIO_HZ / HOP_S), voice] = 1
        return Voices(
            voices=tuple(f"V{v}" for v in range(len(spans))),
            turns=tuple(
                SpeechTurn(voice=f"V{v}", start_s=s, end_s=min(e, end)) for v, (s, e) in enumerate(spans)
            ),
            activity_FV=activity_FV,
            speech_F=activity_FV.max(axis=1, initial=0),
            hop_s=HOP_S / AUDIO_HZ,
            embedding_VD=np.eye(len(spans), 192, dtype=np.float32),
            model=self.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CutterConfig:
    """Nothing to set."""


class Cutter:
    """Finds a cut where the brightness jumps."""

    name = "jumps"
    max_side = 160

    def __init__(self, config: CutterConfig = CutterConfig()) -> None:
        self.config = config

    def detect(self, pictures: Iterable[Picture]) -> list[Cut]:
        nap()
        return list(_jumps(pictures))


def _jumps(pictures: Iterable[Picture]) -> Iterator[Cut]:
    before: float | None = None
    for picture in pictures:
        level = float(picture.frame_HWC.mean())
        if before is not None and abs(level - before) > 60:
            yield Cut(picture.pts, picture.index, 1.0)
        before = level
