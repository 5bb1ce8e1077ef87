"""Judge: the 478 points of each person's face on each frame of a footage.

People are looked for at their places: where the scene's boxes say that the real person's face is. Once found, a face
is followed through the footage by its own points, so that the crop moves with the picture at hand and with nothing
else: what is still in the output stays still, whatever the real person does.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mitds.annotators.contracts import Frame
from mitds.annotators.pose.face_mesh import POINTS, FaceMesh
from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.cache import judge_id, judged
from mitds.benchmark.judges.faces import places
from mitds.config import digest
from mitds.manifests.records import Array

RIGHT_EYE, LEFT_EYE = [33, 133], [263, 362]
"""Corners of the eyes, whose line gives a face's roll."""
REACH = 1.0
"""Sides of the real face box by which a face may be off its place and still be that person's."""
HOLD = 0.08
"""Sides, or e-folds of size, by which a face may leave the middle of its crop before the crop follows."""
HOLD_TURN = 0.1
"""Radians of roll likewise."""


@cache
def _network() -> FaceMesh:
    single_threaded()
    return FaceMesh()


def meshes(scene: Scene, footage: Footage) -> Array:
    """Return mesh_NTP3, P = 478: x, y, z px; NaN where a person has no place, or no face at it.

    Args:
        scene: Whose arrays say where people are and when they are in view.
        footage: Looked at; as many frames as the scene's.

    Raises:
        ValueError: If the scene has no arrays.
    """
    if scene.arrays is None:
        raise ValueError("faces are looked for at their places: the scene must have arrays")
    place_NT4 = places(scene.arrays)
    judge = judge_id("face-mesh", 1, "pose.face_mesh")
    inputs = digest(place_NT4.shape, place_NT4.tobytes().hex())
    return judged(footage, judge, inputs, lambda: {"mesh_NTP3": _look(footage, place_NT4)})["mesh_NTP3"]


def _look(footage: Footage, place_NT4: Array) -> Array:
    mesh_NTP3 = np.full((*place_NT4.shape[:2], POINTS, 3), np.nan, np.float32)
    crop_N: list[Array | None] = [None] * len(place_NT4)
    for t, frame_HWC in enumerate(footage.frames_THWC):
        for n in np.flatnonzero(np.isfinite(place_NT4[:, t]).all(axis=1)):
            mesh_NTP3[n, t], crop_N[n] = _find(frame_HWC, place_NT4[:, t], int(n), crop_N[n])
    return mesh_NTP3


def _find(frame_HWC: Frame, place_N4: Array, n: int, crop_72: Array | None) -> tuple[Array, Array | None]:
    """Look where the face was on the frame before, then at its place; return the mesh and the next crop."""
    for follows in (True, False):
        crop = crop_72 if follows else _crop_at_place(frame_HWC, place_N4[n])
        if crop is not None:
            mesh_P3, _ = _network().points(frame_HWC, crop[:2].reshape(4), crop[2:])
            if _is_at_place(mesh_P3, place_N4, n):
                return mesh_P3, _held(crop, mesh_P3)
    return np.full((POINTS, 3), np.nan, np.float32), None


def _crop_at_place(frame_HWC: Frame, place_4: Array) -> Array | None:
    """Take a first look: the place tells neither the roll of the output's own face nor where it is exactly."""
    mesh_P3, _ = _network().points(frame_HWC, place_4, None)
    return _crop(mesh_P3) if np.isfinite(mesh_P3[0, 0]) else None


def _is_at_place(mesh_P3: Array, place_N4: Array, n: int) -> bool:
    """Tell whether a mesh is within reach of person n's place, and nearer to it than to anybody else's."""
    middle_N2 = (place_N4[:, :2] + place_N4[:, 2:]) / 2
    low_2, high_2 = mesh_P3[:, :2].min(axis=0), mesh_P3[:, :2].max(axis=0)
    off_N = np.linalg.norm(middle_N2 - (low_2 + high_2) / 2, axis=1)
    side = (place_N4[n, 2:] - place_N4[n, :2]).max()
    return bool(off_N[n] <= REACH * side and off_N[n] <= np.nanmin(off_N))


def _crop(mesh_P3: Array) -> Array:
    """Return a face's own box and five landmarks, as rows of (x, y); only the eyes' are known."""
    points_P2 = mesh_P3[:, :2]
    eyes_22 = np.stack([points_P2[RIGHT_EYE].mean(axis=0), points_P2[LEFT_EYE].mean(axis=0)])
    return np.concatenate([[points_P2.min(axis=0), points_P2.max(axis=0)], eyes_22, np.full((3, 2), np.nan)])


def _held(crop_72: Array, mesh_P3: Array) -> Array:
    """Keep the crop while the face stays near its middle: each new crop moves all points a little."""
    new_72 = _crop(mesh_P3)
    return new_72 if _left(crop_72, new_72) else crop_72


def _left(old_72: Array, new_72: Array) -> bool:
    old_side, new_side = (float((c[1] - c[0]).max()) for c in (old_72, new_72))
    off_2 = np.abs(new_72[:2].mean(axis=0) - old_72[:2].mean(axis=0)) / old_side
    turn = _roll(new_72) - _roll(old_72)
    return bool(
        off_2.max() > HOLD or abs(np.log(new_side / old_side)) > HOLD or abs(np.sin(turn / 2)) * 2 > HOLD_TURN
    )


def _roll(crop_72: Array) -> float:
    across = crop_72[3] - crop_72[2]
    return float(np.arctan2(across[1], across[0]))
