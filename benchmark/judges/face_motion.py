"""The parameterisation "mesh": head pose and expression as named numbers, from face-mesh points by geometry alone.

A person's own mean face over the real footage is the canonical face, so no data file and no training is needed.
Each mesh is laid over it by the similarity (scale, rotation, shift) that fits best the points which speech hardly
moves (Procrustes; Umeyama 1991): the similarity is the pose, and what is left over is the expression.

The face's own axes: x from the person's right eye to the left one, y down to the chin, z into the head; the unit is
the distance of the outer corners of the eyes, the origin their middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.pose.face_points import IBUG68

Signal = NDArray[np.float64]
Kind = Literal["expression", "pose"]

RIGID = [
    *(33, 133, 263, 362),
    *(168, 6, 197, 195),
    *(8, 9, 151, 10, 109, 338, 67, 297, 103, 332, 54, 284),
    *(21, 251, 162, 389, 127, 356),
]
"""Points that speech hardly moves: eye corners, bridge of the nose, forehead, temples."""
EYES = [*IBUG68[36:48], *IBUG68[17:27]]
"""The 12 points of the eyes and 10 of the brows that Interactivity follows."""
CANVAS = 256
"""Longer side of the mean face on the canvas of Interactivity, px."""
POSE = ("yaw", "pitch", "roll", "x", "y", "log_scale")
"""Radians, radians, radians, face units, face units, nepers."""

_OUTER_EYES, _CHIN, _BRIDGE = [33, 263], 152, 168
_OPENINGS = {"lips": ((13, 14),), "right_eye": ((159, 145), (158, 153)), "left_eye": ((386, 374), (385, 380))}
_RAISES = {
    "upper_lip": (0,),
    "right_corner": (61,),
    "left_corner": (291,),
    "chin": (152,),
    "right_inner_brow": (55, 107),
    "right_outer_brow": (70, 46),
    "left_inner_brow": (285, 336),
    "left_outer_brow": (300, 276),
}
_SIDESTEPS = {"mouth": (61, 291), "chin": (152,)}

EXPRESSION = (
    *(f"{name}_opening" for name in _OPENINGS),
    "lips_width",
    *(f"{name}_raise" for name in _RAISES),
    *(f"{name}_aside" for name in _SIDESTEPS),
)
"""The 14 numbers of an expression, in face units, relative to the mean face."""
PARAMETERS: dict[Kind, tuple[str, ...]] = {"expression": EXPRESSION, "pose": POSE}


@dataclass(frozen=True, slots=True)
class MeanFace:
    """A person's canonical face.

    Attributes:
        points_P3: Mean mesh on the face's own axes.
        pose_6: Mean pose, as `POSE` but x and y in px and log_scale the log of px per face unit.
    """

    points_P3: Signal
    pose_6: Signal

    @property
    def canvas(self) -> float:
        """Pixels of Interactivity's canvas per face unit."""
        return CANVAS / float(np.ptp(self.points_P3[:, :2], axis=0).max())


@dataclass(frozen=True, slots=True)
class Motion:
    """What a face does; NaN rows where there is no mesh.

    Attributes:
        pose_T6: `POSE`, relative to the mean pose of the real footage.
        expression_TE: `EXPRESSION`, relative to the mean face of the real footage.
        eyes_TK2: The points `EYES` after alignment, px of the canvas.
    """

    pose_T6: Signal
    expression_TE: Signal
    eyes_TK2: Signal

    @property
    def known_T(self) -> NDArray[np.bool_]:
        """True where there is a mesh."""
        return np.isfinite(self.pose_T6[:, 0])

    def of(self, kind: Kind) -> Signal:
        """Return expression_TE or pose_T6."""
        return self.expression_TE if kind == "expression" else self.pose_T6


def mean_face(mesh_TP3: NDArray[np.floating]) -> MeanFace | None:
    """Return the canonical face of real footage (generalised Procrustes, two rounds); None without any mesh."""
    known_TP3 = mesh_TP3[np.isfinite(mesh_TP3[:, 0, 0])].astype(np.float64)
    if not len(known_TP3):
        return None
    mean_P3 = _on_own_axes(known_TP3[len(known_TP3) // 2])
    for _ in range(2):
        mean_P3 = _on_own_axes(_aligned(known_TP3, *similarity(known_TP3, mean_P3)).mean(axis=0))
    return MeanFace(mean_P3, _pose(*similarity(known_TP3, mean_P3)).mean(axis=0))


def motion(mesh_TP3: NDArray[np.floating], mean: MeanFace | None) -> Motion:
    """Return what a face does, real or generated, relative to the real mean face; all NaN where there is none."""
    known_T = np.isfinite(mesh_TP3[:, 0, 0]) & (mean is not None)
    if mean is None or not known_T.any():
        sizes = ((len(POSE),), (len(EXPRESSION),), (len(EYES), 2))
        return Motion(*(np.full((len(known_T), *size), np.nan) for size in sizes))
    known_TP3 = mesh_TP3[known_T].astype(np.float64)
    fit = similarity(known_TP3, mean.points_P3)
    own_TP3 = _aligned(known_TP3, *fit)
    return Motion(
        _spread(known_T, _relative(_pose(*fit), mean.pose_6)),
        _spread(known_T, _expression(own_TP3) - _expression(mean.points_P3[None])),
        _spread(known_T, own_TP3[:, EYES, :2] * mean.canvas),
    )


def similarity(mesh_TP3: Signal, mean_P3: Signal) -> tuple[Signal, Signal, Signal]:
    """Return scale_T, rotation_T33 and shift_T3 that lay the mean face over each mesh (least squares, `RIGID`)."""
    mean_R3, mesh_TR3 = mean_P3[RIGID], mesh_TP3[:, RIGID]
    mean_middle_3, middle_T3 = mean_R3.mean(axis=0), mesh_TR3.mean(axis=1)
    own_R3, seen_TR3 = mean_R3 - mean_middle_3, mesh_TR3 - middle_T3[:, None]
    left_T33, stretch_T3, right_T33 = np.linalg.svd(np.swapaxes(seen_TR3, 1, 2) @ own_R3)
    sign_T3 = np.ones_like(stretch_T3)
    sign_T3[:, 2] = np.sign(np.linalg.det(left_T33 @ right_T33))
    rotation_T33 = (left_T33 * sign_T3[:, None]) @ right_T33
    scale_T = (stretch_T3 * sign_T3).sum(axis=1) / (own_R3**2).sum()
    return scale_T, rotation_T33, middle_T3 - scale_T[:, None] * (rotation_T33 @ mean_middle_3)


def _aligned(mesh_TP3: Signal, scale_T: Signal, rotation_T33: Signal, shift_T3: Signal) -> Signal:
    return np.asarray((mesh_TP3 - shift_T3[:, None]) @ rotation_T33 / scale_T[:, None, None])


def _on_own_axes(face_P3: Signal) -> Signal:
    right_3, left_3 = face_P3[_OUTER_EYES]
    x_3 = (left_3 - right_3) / np.linalg.norm(left_3 - right_3)
    down_3 = face_P3[_CHIN] - face_P3[_BRIDGE]
    down_3 = down_3 - (down_3 @ x_3) * x_3
    y_3 = down_3 / np.linalg.norm(down_3)
    axes_33 = np.stack([x_3, y_3, np.cross(x_3, y_3)], axis=1)
    own_P3: Signal = (face_P3 - (right_3 + left_3) / 2) @ axes_33 / np.linalg.norm(left_3 - right_3)
    return own_P3


def _pose(scale_T: Signal, rotation_T33: Signal, shift_T3: Signal) -> Signal:
    """Return yaw, pitch, roll (the rotation is Rz(roll) Ry(yaw) Rx(pitch)), x, y px and log scale."""
    yaw_T = -np.arcsin(np.clip(rotation_T33[:, 2, 0], -1, 1))
    pitch_T = np.arctan2(rotation_T33[:, 2, 1], rotation_T33[:, 2, 2])
    roll_T = np.arctan2(rotation_T33[:, 1, 0], rotation_T33[:, 0, 0])
    return np.stack([yaw_T, pitch_T, roll_T, shift_T3[:, 0], shift_T3[:, 1], np.log(scale_T)], axis=1)


def _relative(pose_T6: Signal, mean_6: Signal) -> Signal:
    relative_T6 = pose_T6 - mean_6
    relative_T6[:, :3] = (relative_T6[:, :3] + np.pi) % (2 * np.pi) - np.pi
    relative_T6[:, 3:5] /= np.exp(mean_6[5])
    return relative_T6


def _expression(own_TP3: Signal) -> Signal:
    def apart(*pairs: tuple[int, int]) -> Signal:
        gaps_TK = [np.linalg.norm(own_TP3[:, a] - own_TP3[:, b], axis=1) for a, b in pairs]
        return np.asarray(np.mean(gaps_TK, axis=0))

    return np.stack(
        [
            *(apart(*pairs) for pairs in _OPENINGS.values()),
            apart((61, 291)),
            *(-own_TP3[:, list(points), 1].mean(axis=1) for points in _RAISES.values()),
            *(own_TP3[:, list(points), 0].mean(axis=1) for points in _SIDESTEPS.values()),
        ],
        axis=1,
    )


def _spread(known_T: NDArray[np.bool_], rows: Signal) -> Signal:
    """Put rows back on the clock, NaN between them."""
    spread_T = np.full((len(known_T), *rows.shape[1:]), np.nan)
    spread_T[known_T] = rows
    return spread_T
