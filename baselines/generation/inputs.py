"""One's own inputs, read and checked: poses, voices, and a reference frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from mitds.errors import BadShard, UsageError
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.codec import Arrays, unpack_arrays
from mitds.manifests.items import Frame
from mitds.manifests.records import Array
from mitds.media import Sound, read_sound
from mitds.registry import unknown
from mitds.time import CLIP_FPS

KEYPOINTS = 133


@dataclass(frozen=True, slots=True)
class Poses:
    """Where people are, and how they stand and look, in every frame.

    Attributes:
        face_xyxy_NT4: Face boxes, px; NaN where absent.
        pose_NTK3: COCO-WholeBody 133: x px, y px, confidence.
        speaking_NT: Probability that each speaks; NaN where unknown.
        size: Width and height of the picture they are measured on; None: of the reference frame.
    """

    face_xyxy_NT4: Array
    pose_NTK3: Array
    speaking_NT: Array
    size: tuple[int, int] | None = None


def read_poses(path: Path) -> Poses:
    """Read face_xyxy_NT4, pose_NTK3 and, where it is there, speaking_NT from an npz file.

    Raises:
        UsageError: If the file cannot be read, or an array is missing, or of another shape than its name says.
        BadShard: If the file is damaged.
    """
    try:
        arrays = unpack_arrays(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"poses cannot be read: {error.strerror}", where=str(path), remedy="Give a npz file that exists."
        ) from error
    except BadShard as error:
        raise error.at(str(path)) from error
    faces_NT4 = _taken(arrays, "face_xyxy_NT4", (None, None, 4), path)
    persons, frames = faces_NT4.shape[:2]
    poses_NTK3 = _taken(arrays, "pose_NTK3", (persons, frames, KEYPOINTS, 3), path)
    arrays.setdefault("speaking_NT", np.full((persons, frames), np.nan, np.float32))
    return Poses(faces_NT4, poses_NTK3, _taken(arrays, "speaking_NT", (persons, frames), path))


def poses_of_clip(place: str) -> Poses:
    """Return the poses of an annotated clip; who spoke in it is left behind with its voices.

    Args:
        place: "SHARDS::KEY": where the shards are, and which clip.

    Raises:
        UsageError: If the place is written otherwise, or there are no such shards.
        UnknownName: If they hold no such clip.
    """
    shards, sep, key = place.rpartition("::")
    if not sep:
        raise UsageError(f"{place!r} names no clip", remedy="Write it as 'out/clips-*.tar::KEY'.")
    index = ClipIndex(shards)
    if key not in index.keys:
        raise unknown("clip", key, list(index.keys))
    loaded = index.load(index.keys.index(key))
    arrays, clip = loaded.arrays, loaded.clip
    nobody_knows_NT = np.full(arrays.speaking_NT.shape, np.nan, np.float32)
    return Poses(arrays.face_xyxy_NT4, arrays.pose_NTK3, nobody_knows_NT, (clip.width, clip.height))


def read_voices(paths: Sequence[Path], poses: Poses) -> list[Sound]:
    """Read one voice a person; after its end there is silence.

    Raises:
        UsageError: If they are not as many as people, one holds no sound, or one outlasts the poses.
    """
    persons, frames = poses.pose_NTK3.shape[:2]
    if len(paths) != persons or not persons:
        raise UsageError(
            f"there are {len(paths)} voices, and poses of {persons} people",
            remedy="Give one --voices a person, left to right as the poses list them; a silent file for the silent.",
        )
    sounds = []
    for path in paths:
        sound = read_sound(path)
        if sound is None:
            raise UsageError("there is no sound in it", where=str(path), remedy="Give a file with one voice.")
        if sound.end > (frames + 1) / CLIP_FPS:
            raise UsageError(
                f"the voice lasts {float(sound.end):.2f} s, and the poses {frames / float(CLIP_FPS):.2f} s",
                where=str(path),
                remedy="Cut the voice, or give longer poses.",
            )
        sounds.append(sound)
    return sounds


def read_picture(path: Path) -> Frame:
    """Read a picture file, frame_HWC uint8 RGB.

    Raises:
        UsageError: If it is none.
    """
    data = np.frombuffer(path.read_bytes() if path.is_file() else b"", np.uint8)
    frame_HWC = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if frame_HWC is None:
        raise UsageError("not a picture that can be read", where=str(path), remedy="Give a PNG or JPEG.")
    return np.asarray(cv2.cvtColor(frame_HWC, cv2.COLOR_BGR2RGB), np.uint8)


def wave(sound: Sound, frames: int, rate: int) -> Array:
    """Return wave_S of exactly `frames` frames at a rate, mono; silence where there is no sound."""
    mono = Sound(sound.mono(rate)[None], rate, sound.start)
    cut_S: Array = mono.part(Fraction(0), frames / CLIP_FPS).wave_CS[0]
    return cut_S


def mixed(voices_NS: Array) -> Array:
    """Return the sum of all voices; quieter as a whole where it would clip."""
    sum_S = voices_NS.sum(axis=0)
    return np.asarray(sum_S / max(1.0, float(np.abs(sum_S).max(initial=0))), np.float32)


def _taken(arrays: Arrays, name: str, shape: tuple[int | None, ...], path: Path) -> Array:
    array = arrays.get(name)
    fits = array is not None and array.ndim == len(shape) and array.dtype.kind == "f"
    if array is None or not fits or any(w not in (None, n) for w, n in zip(shape, array.shape, strict=True)):
        found = "missing" if array is None else f"{array.dtype}{list(array.shape)}"
        wanted = ", ".join("any" if w is None else str(w) for w in shape)
        raise UsageError(
            f"the array {name} is {found}, and must be float32[{wanted}]", where=str(path),
            remedy="Write the arrays as KEY.npz of an annotated clip holds them.",
        )  # fmt: skip
    return np.asarray(array, np.float32)
