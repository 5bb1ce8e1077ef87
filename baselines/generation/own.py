"""`mitds generate`: a film from one's own reference frame, poses and voices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from mitds.baselines.generation.inputs import Poses, mixed, read_picture, read_voices, wave
from mitds.baselines.generation.model import TrainedModel
from mitds.config import require
from mitds.errors import UsageError
from mitds.manifests.items import Frame, Request
from mitds.manifests.records import Array, Turn
from mitds.manifests.turns import Mask
from mitds.media import Sound, write_video
from mitds.time import AUDIO_HZ, CLIP_FPS

FILM_HZ = 48_000
"""Rate of the film's sound."""
FILM_CRF = 16
SAME_SHAPE = 0.02
"""Relative difference of two pictures' aspects below which one is the other, scaled."""
SILENCE_DB = -60.0
"""No voice is below this, relative to full scale."""
LOUDEST = 95
"""Percentile of a voice's level that counts as its loudest."""
RANGE_DB = 30.0
LONGEST_PAUSE = 8
"""Frames of silence inside a turn."""
SHORTEST_TURN = 3
"""Frames."""


@dataclass(frozen=True, slots=True)
class Film:
    """What was written: T frames of a size, with N people."""

    frames: int
    width: int
    height: int
    persons: int


def generate(
    checkpoint: Path,
    reference: Path,
    poses: Poses,
    voices: Sequence[Path],
    out: Path,
    *,
    reference_frame: int = 0,
    seed: int = 0,
    settings: Sequence[str] = (),
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Film:
    """Write a film with sound.

    Args:
        checkpoint: Folder of a trained model.
        reference: Picture file: how everything looks.
        poses: What moves, and how long the film is.
        voices: One sound file a person, in the order of the poses; silence follows its end.
        out: The film, .mp4.
        reference_frame: Frame of the poses that the reference shows, or comes nearest to.
        seed: Of the noise.
        settings: "sampling.audio_scale=3".
        progress: Called with (what, done, of).

    Raises:
        UsageError: If there are not as many voices as people, a voice outlasts the poses, or the reference is of
            another shape than the picture that poses are measured on.
    """
    sounds = read_voices(voices, poses)
    request = own_request(read_picture(reference), poses, sounds, reference_frame, seed)
    pictures = TrainedModel(checkpoint, settings).generate(request, progress)
    mix_S = mixed(np.stack([wave(sound, request.frames, FILM_HZ) for sound in sounds]))
    count = write_video(
        out,
        ((k / CLIP_FPS, picture) for k, picture in enumerate(pictures)),
        sound=Sound(mix_S[None], FILM_HZ, Fraction(0)),
        crf=FILM_CRF,
    )
    return Film(count, request.width, request.height, len(sounds))


def own_request(
    reference_HWC: Frame, poses: Poses, sounds: Sequence[Sound], reference_frame: int, seed: int
) -> Request:
    """Return one's own inputs as a benchmark would ask.

    Whoever's probability of speaking is unknown speaks where the voice is loud.
    """
    frames = poses.pose_NTK3.shape[1]
    require(0 <= reference_frame < frames, "reference_frame", reference_frame, f"0 to {frames - 1}")
    voices_NS = np.stack([wave(sound, frames, AUDIO_HZ) for sound in sounds])
    spoken = [speaks_T(*row) for row in zip(voices_NS, poses.speaking_NT, strict=True)]
    picture_HWC = _of_size(reference_HWC, poses.size)
    height, width = picture_HWC.shape[:2]
    return Request(
        item="own",
        frames=frames,
        width=width,
        height=height,
        reference_HWC=picture_HWC,
        reference_frame=reference_frame,
        face_xyxy_NT4=poses.face_xyxy_NT4,
        visible_NT=np.asarray(np.isfinite(poses.face_xyxy_NT4).all(axis=2)),
        pose_NTK3=poses.pose_NTK3,
        speaking_NT=poses.speaking_NT,
        turns=tuple(turns_of(spoken_T) for spoken_T in spoken),
        voices_NS=voices_NS,
        mix_S=mixed(voices_NS),
        seed=seed,
    )


def _of_size(picture_HWC: Frame, size: tuple[int, int] | None) -> Frame:
    """Return a picture at the size that poses are measured on."""
    height, width = picture_HWC.shape[:2]
    if size is None or size == (width, height):
        return picture_HWC
    if abs(width * size[1] / (height * size[0]) - 1) > SAME_SHAPE:
        raise UsageError(
            f"the reference is {width}x{height}, and the clip {size[0]}x{size[1]}",
            remedy="Crop the reference to the clip's shape.",
        )
    how = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture_HWC, size, interpolation=how), np.uint8)


def speaks_T(voice_S: Array, speaking_T: Array) -> Mask:
    """Return in which frames a person speaks: by the given probability, or where there is none by the voice's level.

    A voice sounds from `RANGE_DB` below its loudest on; short pauses belong to a turn, and clicks make none.

    Args:
        voice_S: 16 kHz, T frames.
        speaking_T: Probability of speaking; NaN where unknown.
    """
    power_T = (voice_S.reshape(len(speaking_T), -1).astype(np.float64) ** 2).mean(axis=1)
    level_T = 10 * np.log10(power_T + 1e-12)
    sounding_T = level_T > SILENCE_DB
    if sounding_T.any():
        sounding_T &= level_T > np.percentile(level_T[sounding_T], LOUDEST) - RANGE_DB
    for first, end in _runs(~sounding_T):
        if first > 0 and end < len(sounding_T) and end - first <= LONGEST_PAUSE:
            sounding_T[first:end] = True
    for first, end in _runs(sounding_T):
        sounding_T[first:end] = end - first >= SHORTEST_TURN
    return np.where(np.isfinite(speaking_T), speaking_T >= 0.5, sounding_T)


def turns_of(speaks_T: Mask) -> tuple[Turn, ...]:
    """Return runs of frames as turns, seconds."""
    fps = float(CLIP_FPS)
    return tuple(Turn(start_s=first / fps, end_s=end / fps) for first, end in _runs(speaks_T))


def _runs(mask_T: Mask) -> list[tuple[int, int]]:
    """Return first frame and end of each run of True."""
    edges_E = np.flatnonzero(np.diff(np.pad(mask_T.astype(np.int8), 1)))
    return [(int(first), int(end)) for first, end in edges_E.reshape(-1, 2)]
