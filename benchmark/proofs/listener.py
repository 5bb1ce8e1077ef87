"""Listener motion against closed forms, NumPy and SciPy, on synthetic faces and signals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.linalg import hadamard
from scipy.stats import entropy, pearsonr

from mitds.benchmark.judges.face_motion import EYES, POSE, RIGID, Motion, Signal, mean_face, motion
from mitds.benchmark.metrics.listener import disparity, interactivity, pcc, step_variance, variance
from mitds.benchmark.metrics.listener_sets import FdPose, clusters, nearest, shannon
from mitds.benchmark.proofs import Proof

CLOSED = "closed form"
FRAMES = 60


def proofs() -> Iterator[Proof]:
    """Yield the rows."""
    yield from _alignment()
    yield from _interactivity()
    yield from _correlation()
    yield from _variances()
    yield from _richness()
    yield _distribution()


def face() -> Signal:
    """Return a face of 478 points scattered at random, on its own axes: eyes at (-.5, 0, 0) and (.5, 0, 0)."""
    face_P3 = np.random.default_rng(0).normal(0, 0.4, (478, 3))
    face_P3[[33, 263, 168, 152]] = [(-0.5, 0, 0), (0.5, 0, 0), (0, 0, 0), (0, 1, 0)]
    return face_P3


def turned(face_TP3: Signal, yaw_T: Signal, pitch_T: Signal, roll_T: Signal) -> Signal:
    """Return faces turned by Rz(roll) Ry(yaw) Rx(pitch), 80 px to the unit and moved about the picture."""
    (cy, cp, cr), (sy, sp, sr) = ((f(yaw_T), f(pitch_T), f(roll_T)) for f in (np.cos, np.sin))
    nil, one = np.zeros_like(cy), np.ones_like(cy)
    z_T33 = _matrices([cr, -sr, nil, sr, cr, nil, nil, nil, one])
    y_T33 = _matrices([cy, nil, sy, nil, one, nil, -sy, nil, cy])
    x_T33 = _matrices([one, nil, nil, nil, cp, -sp, nil, sp, cp])
    moved_TP3 = 80 * face_TP3 @ np.swapaxes(z_T33 @ y_T33 @ x_T33, 1, 2)
    return np.asarray(moved_TP3 + np.stack([300 + 5 * roll_T, 200 - 9 * yaw_T, 40 * one], axis=1)[:, None])


def _matrices(entries: list[Signal]) -> Signal:
    return np.stack(entries, axis=1).reshape(-1, 3, 3)


def nodding() -> tuple[Signal, Signal, Signal]:
    """Return yaw_T, pitch_T and roll_T of a head that moves about, rad."""
    angle_T = np.arange(FRAMES) * 2 * np.pi / FRAMES
    return 0.4 * np.sin(angle_T), 0.2 * np.cos(2 * angle_T), 0.1 * np.sin(3 * angle_T)


def _watched(mesh_TP3: Signal) -> Motion:
    return motion(mesh_TP3, mean_face(mesh_TP3))


def _alignment() -> Iterator[Proof]:
    angles = nodding()
    seen = _watched(turned(np.repeat(face()[None], FRAMES, axis=0), *angles))
    always_T = np.ones(FRAMES, np.bool_)
    zeros = {
        "largest expression of a rigid face that turns and moves": np.abs(seen.expression_TE).max(),
        "interactivity of that face, px": interactivity(seen.eyes_TK2, always_T),
        "largest error of its scale, nepers": np.abs(seen.pose_T6[:, 5]).max(),
    }
    for name, angle_T in zip(POSE, angles, strict=False):
        zeros[f"largest error of its {name}, rad"] = np.abs(
            seen.of("pose")[:, POSE.index(name)] - (angle_T - angle_T.mean())
        ).max()
    for check, measured in zeros.items():
        yield Proof(
            metric="var-exp.mesh@1",
            check=check,
            expected=0.0,
            measured=float(measured),
            tolerance=1e-9,
            source=CLOSED,
        )


def _interactivity() -> Iterator[Proof]:
    """Move the points of eyes and brows that no alignment rests on, to and fro, under a turning head."""
    free = sorted(set(EYES) - set(RIGID))
    face_TP3 = np.repeat(face()[None], FRAMES, axis=0)
    canvas = 256 / np.ptp(face()[:, :2], axis=0).max()
    face_TP3[::2, free, :2] += np.array([1.5, -1.0]) / canvas / 2
    face_TP3[1::2, free, :2] -= np.array([1.5, -1.0]) / canvas / 2
    for check, angles in {
        "a still head": [np.zeros(FRAMES)] * 3,
        "a turning head": nodding(),
    }.items():
        yield Proof(
            metric="interactivity.mesh-eyes@1",
            check=f"{len(free)} of 22 points move by 1.5 and 1 px of the canvas each frame, on {check}",
            expected=2.5 * len(free) / 22,
            measured=interactivity(_watched(turned(face_TP3, *angles)).eyes_TK2, np.ones(FRAMES, np.bool_)),
            tolerance=1e-9,
            source=CLOSED,
        )


def _correlation() -> Iterator[Proof]:
    angle_T = np.arange(100) * 2 * np.pi / 25
    random_TD = np.random.default_rng(1).normal(0, 1, (2, 80, 1))
    still_TD = np.full((100, 1), 0.3)
    sine_TD = np.sin(angle_T)[:, None]
    for check, left, right, expected, source in (
        (
            "sine against itself a sixth of a period later",
            sine_TD,
            np.sin(angle_T + np.pi / 3)[:, None],
            0.5,
            CLOSED,
        ),
        ("sine against its negative", sine_TD, -sine_TD, -1.0, CLOSED),
        ("sine against a still signal", sine_TD, still_TD, 0.0, "by definition"),
        ("normal noise", *random_TD, pearsonr(*random_TD[..., 0]).statistic, "scipy.stats.pearsonr"),
    ):
        yield Proof(
            metric="rpcc-exp.mesh@1",
            check=f"correlation: {check}",
            expected=float(expected),
            measured=float(pcc(left, right)[0]),
            tolerance=1e-5,
            source=source,
        )


def _variances() -> Iterator[Proof]:
    values_TD = np.random.default_rng(2).normal(0, 0.1, (50, 14))
    steps_TD, all_T = np.diff(values_TD, axis=0), np.ones(50, np.bool_)
    wave_T1 = np.sin(np.arange(100) * 2 * np.pi / 25)[:, None]
    for check, expected, measured, source in (
        (
            "variance over time, mean over parameters",
            values_TD.var(axis=0).mean(),
            variance(values_TD, all_T),
            "numpy.var",
        ),
        ("mean square step", (steps_TD**2).mean(), step_variance(values_TD, all_T), "numpy.diff"),
        ("variance of a sine", 0.5, variance(wave_T1, np.ones(100, np.bool_)), CLOSED),
        ("disparity of half the motion, variances 1/4", 0.75, disparity(0.25, 1.0), CLOSED),
        ("disparity of equal variances", 0.0, disparity(0.3, 0.3), CLOSED),
    ):
        yield Proof(
            metric="var-exp.mesh@1",
            check=check,
            expected=float(expected),
            measured=float(measured),
            tolerance=1e-5,
            source=source,
        )


def _richness() -> Iterator[Proof]:
    labels_R = np.random.default_rng(3).integers(0, 9, 200)
    blobs_RD = np.random.default_rng(4).normal(0, 1, (300, 6)) + 5 * np.arange(3).repeat(100)[:, None]
    centres_KD = clusters(blobs_RD, 3)
    by_scipy_KD, _ = kmeans2(blobs_RD, blobs_RD[[0, 100, 200]], minit="matrix", iter=100)
    error = np.abs(centres_KD[np.argsort(centres_KD[:, 0])] - by_scipy_KD).max()
    for check, expected, measured, tolerance, source in (
        ("15 states equally often: log 15", np.log(15), shannon(np.arange(150) % 15), 1e-12, CLOSED),
        ("one state only", 0.0, shannon(np.full(30, 7)), 0.0, CLOSED),
        ("random states", entropy(np.bincount(labels_R)), shannon(labels_R), 1e-12, "scipy.stats.entropy"),
        ("k-means on three blobs, largest error of a centre", 0.0, error, 1e-12, "scipy.cluster.vq.kmeans2"),
        ("and their index: log 3", np.log(3), shannon(nearest(blobs_RD, centres_KD)), 1e-2, CLOSED),
    ):
        yield Proof(
            metric="sid-exp.mesh@1",
            check=check,
            expected=float(expected),
            measured=float(measured),
            tolerance=tolerance,
            source=source,
        )


def _distribution() -> Proof:
    """Rows of a Hadamard matrix have mean 0, variance 1 and no covariance exactly, whatever columns are taken."""
    real_RD = hadamard(64).astype(np.float64)[:, 1:7]
    generated_RD = real_RD * (0.5, 1, 2, 1, 1, 3) + (0, 1, 0, -2, 0, 0)
    sides = [{"rows_RD": rows_RD, "person_R": np.zeros(64, np.int16)} for rows_RD in (real_RD, generated_RD)]
    measured = FdPose().reduce([sides[0]], [sides[1]]).value
    return Proof(
        metric="fd-pose.mesh@1",
        check="independent parameters: shifts 1 and -2, deviations 1/2, 2 and 3",
        expected=1 + 4 + (0.25 + 1 + 4) * 64 / 63,
        measured=np.nan if measured is None else measured,
        tolerance=1e-9,
        source="closed form; covariance over N - 1",
    )
