"""What is told of a clip's frames, of a benchmark's request, of some frames of either, and on a model's picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mitds.baselines.conditions.placement import Placement
from mitds.baselines.conditions.skeleton import mirrored
from mitds.baselines.contracts import Told
from mitds.manifests.items import Request
from mitds.manifests.records import Array, Clip, ClipArrays
from mitds.manifests.turns import spoken_NT, spoken_T


def gate(speaking_NT: Array, spoken_NT: NDArray[np.bool_]) -> Array:
    """Return how surely each person speaks, 0..1.

    Args:
        speaking_NT: The scorer's probability; NaN where it abstains.
        spoken_NT: Where the person's own turns are; exactly 0 outside of them, and 1 where the scorer abstains
            inside.
    """
    sure_NT = np.nan_to_num(speaking_NT, nan=1.0)
    return np.where(spoken_NT, sure_NT, 0).astype(np.float32)


def told_of_clip(clip: Clip, arrays: ClipArrays, sound_NTCD: Array, mix_TCD: Array) -> Told:
    """Return what is told of all frames of a clip.

    Args:
        clip: The record.
        arrays: Its arrays.
        sound_NTCD: Features of each person's own voice, over the clip's T frames.
        mix_TCD: Features of all sound, likewise.
    """
    return Told(
        width=clip.width,
        height=clip.height,
        face_xyxy_NT4=arrays.face_xyxy_NT4,
        pose_NTK3=arrays.pose_NTK3,
        gate_NT=gate(arrays.speaking_NT, spoken_NT(clip)),
        sound_NTCD=sound_NTCD,
        mix_TCD=mix_TCD,
    )


def told_of_request(request: Request, sound_NTCD: Array, mix_TCD: Array) -> Told:
    """Return what is told of all frames that a benchmark asks for; see `told_of_clip`."""
    rows = [spoken_T(turns, request.frames) for turns in request.turns]
    return Told(
        width=request.width,
        height=request.height,
        face_xyxy_NT4=request.face_xyxy_NT4,
        pose_NTK3=request.pose_NTK3,
        gate_NT=gate(request.speaking_NT, np.array(rows, np.bool_).reshape(len(rows), request.frames)),
        sound_NTCD=sound_NTCD,
        mix_TCD=mix_TCD,
    )


def select(told: Told, frames: Sequence[int], *, from_head: bool = False) -> Told:
    """Return what is told of some frames: the same index for every array, so none can drift from another.

    Args:
        told: Of all frames.
        frames: Which ones, in any order, 0..T-1.
        from_head: The published defect `masks_from_clip_head`: faces, gates and voices are those of the first
            frames (the index counts from `frames[0]`), only the poses those that were asked for.

    Raises:
        IndexError: If a frame lies beyond the ends.
    """
    index_T = np.asarray(frames, int)
    if ((index_T < 0) | (index_T >= told.frames)).any():
        raise IndexError(f"frames {min(frames)} to {max(frames)} of {told.frames}")
    others_T = index_T - index_T[0] if from_head else index_T
    return replace(
        told,
        face_xyxy_NT4=told.face_xyxy_NT4[:, others_T],
        pose_NTK3=told.pose_NTK3[:, index_T],
        gate_NT=told.gate_NT[:, others_T],
        sound_NTCD=told.sound_NTCD[:, others_T],
        mix_TCD=told.mix_TCD[others_T],
    )


def placed(told: Told, placement: Placement) -> Told:
    """Return the same on a model's picture: boxes and points in its px, left and right as they then look."""
    points_NTK2 = placement.points(told.pose_NTK3[..., :2])
    pose_NTK3 = np.concatenate([points_NTK2, told.pose_NTK3[..., 2:]], axis=-1)
    height, width = placement.size_HW
    return replace(
        told,
        width=width,
        height=height,
        face_xyxy_NT4=placement.boxes(told.face_xyxy_NT4),
        pose_NTK3=mirrored(pose_NTK3) if placement.flip else pose_NTK3,
    )
