"""A two-person scene with known truth, set side by side from two real single-speaker clips.

Each person speaks in one stretch and listens in all others. While listening they show footage in which they
really are silent, played to and fro. What each one says, and so who speaks when, is known exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import FaceDetector, Frame
from mitds.manifests.records import Array
from mitds.media import Sound, grid_frames, read_sound, write_video
from mitds.runs import bridge, runs_of
from mitds.time import CLIP_FPS, Grid

PANEL_HW = (540, 480)
FACE_SHARE = 0.32
"""Side of the median face box over the panel height: both people appear equally large."""

SOUND_HZ = 48_000
LOUD_DB = 30.0
"""A stretch counts as speech where the person's own sound is at most this far below its loudest tenth."""

PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One person's part in the scene, seconds.

    Attributes:
        media: Catalog name of the clip.
        speaks: From where to where in the clip the person speaks.
        listens: From where to where the person is silent.
        begins: When in the scene the speech begins.
    """

    media: str
    speaks: tuple[Fraction, Fraction]
    listens: tuple[Fraction, Fraction]
    begins: Fraction


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the scene: speaking_NT for the people from left to right, over T frames at 25 fps."""

    speaking_NT: NDArray[np.bool_]


def compose(
    parts: list[Part], clips: list[Path], detector: FaceDetector, seconds: Fraction, target: Path
) -> Truth:
    """Write the scene as an mp4 and return its truth.

    Args:
        parts: The people from left to right.
        clips: Their clips.
        detector: Finds the faces that the panels are centred on.
        seconds: Length of the scene.
        target: The mp4 to write.
    """
    grid = Grid.over(Fraction(0), seconds)
    panels = [_panel(part, clip, detector) for part, clip in zip(parts, clips, strict=True)]
    voices = [_voice(part, clip, seconds) for part, clip in zip(parts, clips, strict=True)]
    sound = Sound(np.stack(voices).sum(axis=0, keepdims=True).clip(-1, 1), SOUND_HZ, Fraction(0))
    write_video(target, _frames(parts, panels, grid), end=seconds, sound=sound)
    return Truth(np.stack([_speech(voice, grid) for voice in voices]))


@dataclass(frozen=True, slots=True)
class _Panel:
    speaks: list[Frame]
    listens: list[Frame]


def _panel(part: Part, clip: Path, detector: FaceDetector) -> _Panel:
    """Cut the person's frames to the panel, by one fixed window around the median face."""
    speaks = list(grid_frames(clip, Grid.over(*part.speaks)))
    listens = list(grid_frames(clip, Grid.over(*part.listens)))
    boxes = [found.xyxy_N4[0] for f in speaks[::5] if len((found := detector.detect(f)).xyxy_N4)]
    box: Array = np.median(np.stack(boxes), axis=0).astype(np.float32)
    return _Panel([_cut(f, box) for f in speaks], [_cut(f, box) for f in listens])


def _cut(frame_HWC: Frame, box_4: Array) -> Frame:
    """Scale and move the frame so that the face has its size and place; beyond its edges they are repeated."""
    height, width = PANEL_HW
    scale = FACE_SHARE * height / float(np.sqrt((box_4[2] - box_4[0]) * (box_4[3] - box_4[1])))
    centre_x, centre_y = float(box_4[0] + box_4[2]) / 2, float(box_4[1] + box_4[3]) / 2
    matrix = np.array(
        [[scale, 0, width / 2 - scale * centre_x], [0, scale, 0.4 * height - scale * centre_y]], np.float32
    )
    return np.asarray(
        cv2.warpAffine(
            frame_HWC, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


def _frames(parts: list[Part], panels: list[_Panel], grid: Grid) -> Iterator[tuple[Fraction, Frame]]:
    for k in range(grid.count):
        pictures = [_shown(part, panel, k) for part, panel in zip(parts, panels, strict=True)]
        yield k / CLIP_FPS, np.hstack(pictures)


def _shown(part: Part, panel: _Panel, frame: int) -> Frame:
    spoken = frame - round(part.begins * CLIP_FPS)
    if 0 <= spoken < len(panel.speaks):
        return panel.speaks[spoken]
    there_and_back = [*panel.listens, *panel.listens[-2:0:-1]]
    return there_and_back[frame % len(there_and_back)]


def _voice(part: Part, clip: Path, seconds: Fraction) -> Array:
    """Return the person's own sound over the whole scene, voice_S."""
    sound = read_sound(clip)
    if sound is None:
        raise ValueError(f"{part.media} has no sound")
    spoken_S = sound.part(*part.speaks).mono(SOUND_HZ)
    voice_S = np.zeros(round(seconds * SOUND_HZ), np.float32)
    first = round(part.begins * SOUND_HZ)
    last = min(first + len(spoken_S), len(voice_S))
    voice_S[first:last] = spoken_S[: last - first]
    return voice_S


def _speech(voice_S: Array, grid: Grid) -> NDArray[np.bool_]:
    """Return the frames in which the person's own sound is loud, with short pauses bridged."""
    per_frame = round(SOUND_HZ / CLIP_FPS)
    power_T = (voice_S[: grid.count * per_frame].reshape(grid.count, per_frame) ** 2).mean(axis=1)
    loud_T = 10 * np.log10(power_T + 1e-10)
    speech_T = loud_T > np.quantile(loud_T, 0.9) - LOUD_DB
    for first, end in bridge(runs_of(speech_T), PAUSE_S * float(CLIP_FPS) - 1):
        speech_T[first:end] = True
    return np.asarray(speech_T, bool)
