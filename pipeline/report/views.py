"""One clip as the page shows it: sample frames with boxes and skeletons, and who speaks when."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.pose.skeleton import draw_pose
from mitds.manifests.dataset import LoadedClip
from mitds.manifests.records import Array, Clip, ClipArrays, Person, SpeechTurn
from mitds.runs import runs_of

FRAME_WIDTH = 480
JPEG_QUALITY = 82
MIN_POSE_CONFIDENCE = 0.3
CURVE_POINTS = 300
SPEAKING = 0.5
BLANK = 48
"""Dark grey that stands for the picture where no face may be shown; limbs are drawn in light colours."""

_SAMPLES = (1 / 6, 1 / 2, 5 / 6)
Frame = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a timeline, per cent of the clip's length."""

    left: float
    width: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face in a sample frame, px of the shrunken picture; `speaks` is None where the scorer abstains."""

    person: int
    identity: str
    x: float
    y: float
    width: float
    height: float
    speaks: bool | None


@dataclass(frozen=True, slots=True)
class FrameView:
    """A sample frame as a JPEG data URI."""

    time_s: float
    width: int
    height: int
    uri: str
    faces: list[FaceBox]

    @property
    def alt(self) -> str:
        """Say what the picture shows."""
        said = {True: "speaks", False: "is silent", None: "cannot be judged"}
        people = ", ".join(f"{f.identity} {said[f.speaks]}" for f in self.faces) or "no face"
        return f"Frame at {self.time_s:.2f} s: {people}"


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person's row: turns, probability of speaking (polylines, 0..100 by 0..1), and absences."""

    person: Person
    turns: list[Bar]
    curves: list[str]
    absences: list[Bar]
    speaking_s: float

    @property
    def voice(self) -> str:
        """Say which voice belongs to the person, or why none does."""
        p = self.person
        if p.voice is not None and p.voice_status == "bound":
            sure = "" if p.voice_probability is None else f", probability {p.voice_probability:.2f}"
            return f"voice {p.voice}{sure}"
        if p.voice_status == "abstained":
            return "no voice bound: the evidence is too thin or contradicts itself"
        return "no voice: never seen speaking"


@dataclass(frozen=True, slots=True)
class VoiceView:
    """A voice that is not bound to anybody in view: whose it is thought to be, and when it speaks."""

    voice: str
    owner: str
    bars: list[Bar]
    seconds: float


@dataclass(frozen=True, slots=True)
class ClipView:
    """One clip."""

    clip: Clip
    shard: str
    seconds: float
    frames: list[FrameView]
    people: list[PersonView]
    other_voices: list[VoiceView]
    ticks: list[tuple[float, str]]


def clip_view(loaded: LoadedClip, shard: str, *, anonymous: bool = False) -> ClipView:
    """Prepare one clip; decodes no further than the last sample frame.

    Args:
        loaded: The clip.
        shard: Name of its shard.
        anonymous: Draw boxes and skeletons on a blank ground instead of the picture.
    """
    clip, arrays = loaded.clip, loaded.arrays
    seconds = clip.seconds
    return ClipView(
        clip=clip,
        shard=shard,
        seconds=seconds,
        frames=list(_frames(loaded, anonymous)),
        people=[_person(clip, arrays, n) for n in range(len(clip.persons))],
        other_voices=[
            *_voices(clip.offscreen, "off-screen", seconds),
            *_voices(clip.unassigned, "owner left open", seconds),
        ],
        ticks=_ticks(seconds),
    )


def _frames(loaded: LoadedClip, anonymous: bool) -> Iterator[FrameView]:
    wanted = sorted({int(share * loaded.clip.frames) for share in _SAMPLES})
    for index, frame_HWC in enumerate(loaded.frames()):
        if index in wanted:
            yield _frame(loaded, index, np.full_like(frame_HWC, BLANK) if anonymous else frame_HWC)
        if index >= wanted[-1]:
            return


def _frame(loaded: LoadedClip, index: int, frame_HWC: Frame) -> FrameView:
    scale = min(1.0, FRAME_WIDTH / frame_HWC.shape[1])
    size = (round(frame_HWC.shape[1] * scale), round(frame_HWC.shape[0] * scale))
    picture: Frame = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    for pose_K3 in loaded.arrays.pose_NTK3[:, index]:
        scaled_K3 = pose_K3 * np.array([scale, scale, 1], np.float32)
        picture = draw_pose(picture, scaled_K3, MIN_POSE_CONFIDENCE)
    faces = [_face(loaded, n, index, scale) for n in range(len(loaded.clip.persons))]
    return FrameView(index / 25, *size, jpeg_uri(picture), [face for face in faces if face is not None])


def _face(loaded: LoadedClip, n: int, index: int, scale: float) -> FaceBox | None:
    x1, y1, x2, y2 = (float(v) * scale for v in loaded.arrays.face_xyxy_NT4[n, index])
    if math.isnan(x1 + y1 + x2 + y2):
        return None
    probability = float(loaded.arrays.speaking_NT[n, index])
    speaks = None if math.isnan(probability) else probability >= SPEAKING
    return FaceBox(n, loaded.clip.persons[n].identity, x1, y1, x2 - x1, y2 - y1, speaks)


def jpeg_uri(picture_HWC: Frame) -> str:
    """Encode an RGB picture as a JPEG data URI."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR), quality)
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _person(clip: Clip, arrays: ClipArrays, n: int) -> PersonView:
    person, seconds = clip.persons[n], clip.seconds
    return PersonView(
        person=person,
        turns=[_bar(t.start_s, t.end_s, seconds) for t in person.turns],
        curves=curves(arrays.speaking_NT[n]),
        absences=[_bar(a / 25, b / 25, seconds) for a, b in runs_of(~arrays.visible_NT[n])],
        speaking_s=sum(t.end_s - t.start_s for t in person.turns),
    )


def _voices(turns: Sequence[SpeechTurn], owner: str, seconds: float) -> list[VoiceView]:
    views = []
    for voice in sorted({turn.voice for turn in turns}):
        own = [t for t in turns if t.voice == voice]
        bars = [_bar(t.start_s, t.end_s, seconds) for t in own]
        views.append(VoiceView(voice, owner, bars, sum(t.end_s - t.start_s for t in own)))
    return views


def _bar(start_s: float, end_s: float, seconds: float) -> Bar:
    return Bar(100 * start_s / seconds, 100 * (end_s - start_s) / seconds, f"{start_s:.2f} to {end_s:.2f} s")


def curves(probability_T: Array) -> list[str]:
    """Return the probability as polylines, x 0..100, y 1..0 downwards, broken where the scorer abstains."""
    frames = len(probability_T)
    edges = np.linspace(0, frames, min(CURVE_POINTS, frames) + 1).round().astype(int)
    known = [b[~np.isnan(b)] for b in np.split(probability_T, edges[1:-1])]
    value_B = np.array([b.mean() if len(b) else np.nan for b in known])
    x_B = (edges[:-1] + edges[1:]) * 50 / frames
    return [_polyline(x_B[a:b], value_B[a:b]) for a, b in runs_of(~np.isnan(value_B))]


def _polyline(x: Sequence[float] | NDArray[np.float64], p: Sequence[float] | NDArray[np.float64]) -> str:
    return " ".join(f"{a:.2f},{1 - b:.3f}" for a, b in zip(x, p, strict=True))


def _ticks(seconds: float) -> list[tuple[float, str]]:
    step = next(s for s in (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, math.inf) if seconds / s <= 8)
    count = int(seconds / step) if step < math.inf else 0
    return [(100 * k * step / seconds, f"{k * step:g}") for k in range(count + 1)]
