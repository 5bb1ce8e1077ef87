"""What lip-net sees and hears: the shape of the mouth in the head's own axes, and log-mel power.

Landmarks of speech are a few thousandths of a face: the head's motion is removed by its unmoving points, left
and right are averaged, and what differs between faces at rest is left to the median of the track.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import stft

from mitds.annotators.asd.lip_signals import STILL, Signal
from mitds.annotators.contracts import Frame
from mitds.annotators.pose.region import Region
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ

LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
LIPS += [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
"""Mesh points of the lips' outer and inner rims."""
AROUND = [152, 148, 377, 176, 400, 199, 200, 18, 50, 280, 205, 425, 36, 266, 1, 2, 4, 164]
AROUND += [159, 145, 386, 374, 105, 334, 132, 361, 58, 288, 172, 397]
"""Mesh points of the chin, cheeks, nose, eyelids, brows and jaw."""
KEPT = LIPS + STILL + AROUND
"""The mesh points that are kept of a frame."""
_AT = {point: k for k, point in enumerate(KEPT)}

RIGHT, LEFT = [33, 127, 133, 234], [263, 356, 362, 454]
ABOVE, BELOW = [10, 151], [6, 168]
"""Unmoving points that span the head's axes: from right to left, and from the forehead to the nose."""
POSE_SIGMA = 2.0
"""Smoothing of the head's axes and size over time, frames: heads turn more slowly than lips."""

PATCH_HW = (32, 48)
PATCH_SIZE = (1.2, 0.8)
"""Width and height of the patch around the mouth, in face sizes."""
CELLS_HW = (4, 6)
"""Cells of the patch whose brightness is kept; left and right are averaged."""

SHAPE, CELLS, POSE = 28, 12, 4
"""How many values describe the mouth's shape, its brightness, and the head's pose."""

MELS = 40
STEPS = 4
"""Steps of the sound (100 Hz) in one frame."""
WINDOW = 400
HOP = AUDIO_HZ // 100
SPAN_HZ = (60.0, 7600.0)
FLOOR = 1e-9
"""Power below which sound is silence."""


def mouth_patch(frame_HWC: Frame, points_P3: Array) -> NDArray[np.uint8]:
    """Return the grey picture of the mouth, upright, patch_HW; `points_P3` are the kept points, px."""
    if np.isnan(points_P3[0, 0]):
        return np.zeros(PATCH_HW, np.uint8)
    points_P2 = points_P3[:, :2]
    still_P2 = points_P2[[_AT[p] for p in STILL]]
    size = np.sqrt(((still_P2 - still_P2.mean(axis=0)) ** 2).sum(axis=1).mean())
    eyes = points_P2[_AT[263]] - points_P2[_AT[33]]
    x, y = points_P2[: len(LIPS)].mean(axis=0)
    width, height = PATCH_SIZE
    region = Region(
        float(x), float(y), float(size * width), float(size * height), float(np.arctan2(*eyes[::-1]))
    )
    matrix = region.sampling(PATCH_HW[::-1])
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.cvtColor(cv2.warpAffine(frame_HWC, matrix, PATCH_HW[::-1], flags=flags), cv2.COLOR_RGB2GRAY)
    )


def lip_features(points_TP3: Signal, patch_THW: NDArray[np.uint8]) -> Array:
    """Describe a face over at least two frames.

    Args:
        points_TP3: The kept mesh points, px, without gaps.
        patch_THW: The mouth's patches.

    Returns:
        feature_TC: 28 distances in face sizes, 12 brightnesses (deviations from the patch's mean), and the
        head's turn, nod, size (log px) and speed.
    """
    pose_T33, centre_T3, size_T = head_pose(points_TP3)
    own_TP3 = np.einsum("tpi,tji->tpj", points_TP3 - centre_T3[:, None], pose_T33) / size_T[:, None, None]
    speed_T = np.linalg.norm(np.gradient(centre_T3[:, :2], axis=0), axis=1) / size_T
    pose_T4 = np.stack([pose_T33[:, 0, 2], pose_T33[:, 1, 2], np.log(size_T), speed_T], axis=1)
    return np.concatenate([_shape(own_TP3), _brightness(patch_THW), pose_T4], axis=1).astype(np.float32)


def head_pose(points_TP3: Signal) -> tuple[Signal, Signal, Signal]:
    """Return the head's axes (rows x, y, z), its centre, px, and its size, px."""
    mean = {name: points_TP3[:, [_AT[p] for p in group]].mean(axis=1) for name, group in _GROUPS.items()}
    still_TP3 = points_TP3[:, [_AT[p] for p in STILL]]
    centre_T3 = still_TP3.mean(axis=1)
    size_T = np.sqrt(((still_TP3 - centre_T3[:, None]) ** 2).sum(axis=2).mean(axis=1))
    x_T3 = _unit(_smooth(mean["left"] - mean["right"]))
    down_T3 = _smooth(mean["below"] - mean["above"])
    y_T3 = _unit(down_T3 - (down_T3 * x_T3).sum(axis=1, keepdims=True) * x_T3)
    return np.stack([x_T3, y_T3, np.cross(x_T3, y_T3)], axis=1), centre_T3, _smooth(size_T)


_GROUPS = {"right": RIGHT, "left": LEFT, "above": ABOVE, "below": BELOW}


def _smooth(values_TC: Signal) -> Signal:
    return np.asarray(gaussian_filter1d(values_TC, POSE_SIGMA, axis=0, mode="nearest"))


def _unit(vector_T3: Signal) -> Signal:
    return np.asarray(vector_T3 / np.linalg.norm(vector_T3, axis=1, keepdims=True))


def _shape(own_TP3: Signal) -> Signal:
    """Return the distances that tell a mouth's shape, from points in the head's axes."""

    def at(axis: int, *points: int) -> Signal:
        return np.asarray(own_TP3[:, [_AT[p] for p in points], axis].mean(axis=1))

    nose_T = at(1, 1, 2, 4)
    return np.stack(
        [
            *(at(1, *low) - at(1, *high) for high, low in _GAPS),
            at(0, 308) - at(0, 78),
            at(0, 291) - at(0, 61),
            at(1, 61, 291) - at(1, 0, 17),
            at(2, 61, 291) - at(2, 0, 17),
            *(at(1, *points) - nose_T for points in _DROPS),
            *(at(2, *points) for points in ((0,), (17,), (152, 148, 377))),
            at(0, *LIPS),
            at(0, 152, 148, 377, 199, 200),
            at(1, 205, 425) - nose_T,
            at(0, 425) - at(0, 205),
            at(1, 61) - at(1, 291),
            at(1, 145, 374) - at(1, 159, 386),
            at(1, 105, 334),
        ],
        axis=1,
    )


_GAPS: Sequence[tuple[tuple[int, ...], tuple[int, ...]]] = (
    ((13,), (14,)),
    ((82, 312), (87, 317)),
    ((81, 311), (178, 402)),
    ((80, 310), (88, 318)),
    ((0,), (17,)),
    ((37, 267), (84, 314)),
    ((39, 269), (181, 405)),
    ((0,), (13,)),
    ((14,), (17,)),
)
"""Upper and lower points that face each other: inner rims, outer rims, and the two sides of each lip."""
_DROPS = ((0,), (17,), (152, 148, 377, 176, 400), (199, 200), (18,))
"""Points whose height below the nose counts: lips and chin."""


def _brightness(patch_THW: NDArray[np.uint8]) -> Signal:
    grey_THW = patch_THW.astype(np.float64)
    deviation_T11 = grey_THW.std(axis=(1, 2), keepdims=True)
    grey_THW = (grey_THW - grey_THW.mean(axis=(1, 2), keepdims=True)) / (deviation_T11 + 4)
    rows, columns = CELLS_HW
    cell_TRC = grey_THW.reshape(len(grey_THW), rows, PATCH_HW[0] // rows, columns, -1).mean(axis=(2, 4))
    half = columns // 2
    return np.asarray(
        (cell_TRC[:, :, :half] + cell_TRC[:, :, : half - 1 : -1]).reshape(len(cell_TRC), -1) / 2
    )


def mel_power(wave_S: Array, frames: int) -> Array:
    """Return power_FM, F = 4 * frames steps of 10 ms; beyond the wave's end there is silence."""
    samples = frames * STEPS * HOP
    half = WINDOW // 2
    padded_S = np.zeros(samples + WINDOW, np.float32)
    heard_S = wave_S[: samples + half]
    padded_S[half : half + len(heard_S)] = heard_S
    _, _, wave_KF = stft(
        padded_S, nperseg=WINDOW, noverlap=WINDOW - HOP, nfft=512, boundary=None, padded=False
    )
    power_FK = (wave_KF.real**2 + wave_KF.imag**2).T[: frames * STEPS]
    return np.asarray(power_FK @ _mel_bank(), np.float32)


def log_mel(power_FM: Array) -> Array:
    """Return loudness_FM, about -8..1: the log of power against the sound's own loud passages, in nepers."""
    level_F = np.log(power_FM.sum(axis=1) + FLOOR)
    loud = max(float(np.quantile(level_F, 0.95)), np.log(FLOOR) + 8)
    return np.asarray(np.clip((np.log(power_FM + FLOOR / MELS) - loud) / 2 + 1, -4, 2), np.float32)


@cache
def _mel_bank() -> Array:
    """Return bank_KM, triangles evenly spaced on the mel scale (O'Shaughnessy 1987)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in SPAN_HZ)
    edge_hz = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    hz_K1 = np.linspace(0, AUDIO_HZ / 2, 257)[:, None]
    rising = (hz_K1 - edge_hz[:-2]) / (edge_hz[1:-1] - edge_hz[:-2])
    falling = (edge_hz[2:] - hz_K1) / (edge_hz[2:] - edge_hz[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)
