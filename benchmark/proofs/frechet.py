"""Proof rows of the Fréchet distance and the MMD: closed forms, properties, and scipy and torchmetrics."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.metrics.frechet import frechet, frechet_of_moments, moments
from mitds.benchmark.metrics.mmd import mmd2
from mitds.benchmark.proofs import Proof
from mitds.errors import MissingDependency

Samples = NDArray[np.float64]

_frechet = functools.partial(Proof, metric="frechet")
_mmd = functools.partial(Proof, metric="mmd")

BIAS = {8: 822.539823, 64: 553.362291, 256: 306.237378, 2048: 43.216966}
"""Estimates from n samples where the true squared distance is 4."""


def proofs() -> Iterator[Proof]:
    """Yield the rows of "frechet" and "mmd"."""
    yield from _closed_forms()
    yield from _same_twice()
    yield from _invariances()
    yield from _few_samples()
    yield from _scipy()
    yield from _discrepancy()


def apart(n: int) -> tuple[Samples, Samples]:
    """Draw n samples each of two 400-dimensional normal distributions whose squared distance is 4."""
    random = np.random.default_rng(0)
    return random.standard_normal((n, 400)), random.standard_normal((n, 400)) + np.sqrt(4 / 400)


def _closed_forms() -> Iterator[Proof]:
    yield _frechet(
        check="covariances diag(1, 4, 9) and diag(4, 1, 16), means 0 and 1",
        expected=6.0,
        measured=frechet_of_moments(np.zeros(3), np.diag([1.0, 4, 9]), np.ones(3), np.diag([4.0, 1, 16])),
        tolerance=1e-12,
        source="closed form",
    )
    yield _frechet(
        check="2 x 2 covariances that do not commute",
        expected=10.929311854967775,
        measured=frechet_of_moments(
            np.array([1.0, 2]),
            np.array([[2, 0.5], [0.5, 1]]),
            np.array([0.0, -1]),
            np.array([[1, -0.3], [-0.3, 3]]),
        ),
        tolerance=1e-12,
        source="closed form: tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))",
    )


def _same_twice() -> Iterator[Proof]:
    for n in (8, 500):
        x_ND, _ = apart(n)
        yield _frechet(
            check=f"same features twice, n={n}, d=400",
            expected=0.0,
            measured=frechet(x_ND, x_ND.copy()),
            tolerance=1e-6 * float(x_ND.var(axis=0, ddof=1).sum()),
            source="property",
        )


def _invariances() -> Iterator[Proof]:
    for n in (40, 500):
        x_ND, y_ND = apart(n)
        rotation_DD, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((400, 400)))
        changes = {
            "rotation": (x_ND @ rotation_DD, y_ND @ rotation_DD),
            "translation": (x_ND + 7.5, y_ND + 7.5),
        }
        for name, (x_changed_ND, y_changed_ND) in changes.items():
            yield _frechet(
                check=f"a common {name} changes nothing, n={n}, d=400",
                expected=frechet(x_ND, y_ND),
                measured=frechet(x_changed_ND, y_changed_ND),
                tolerance=1e-8,
                source="property",
            )


def _few_samples() -> Iterator[Proof]:
    for n, expected in BIAS.items():
        yield _frechet(
            check=f"bias: n={n}, d=400, true value 4",
            expected=expected,
            measured=frechet(*apart(n)),
            tolerance=1e-5,
            source="nuclear norm in float64, NumPy's default_rng(0)",
        )
    x_ND, y_ND = apart(8)
    yield _frechet(
        check="n=8, d=400: the nuclear norm and the roots of eigenvalues agree",
        expected=frechet_of_moments(*moments(x_ND), *moments(y_ND)),
        measured=frechet(x_ND, y_ND),
        tolerance=1e-3,
        source="two numerical ways to one number",
    )
    yield _frechet(
        check="n=8, d=400: covariance over N instead of N - 1 is another number",
        expected=733.124206,
        measured=frechet(x_ND, y_ND),
        tolerance=50.0,
        source="stylegan-v, cd-fvd divide by N",
        differs=True,
    )


def _scipy() -> Iterator[Proof]:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(2)
    for n, dimensions in ((600, 30), (400, 400)):
        x_ND = random.standard_normal((n, dimensions))
        y_ND = random.standard_normal((n, dimensions)) @ (np.eye(dimensions) + 0.1) + 0.3
        (mean1_D, cov1_DD), (mean2_D, cov2_DD) = ((z_ND.mean(0), np.cov(z_ND.T)) for z_ND in (x_ND, y_ND))
        regular_DD = 1e-3 * np.eye(dimensions) if n <= dimensions else 0.0
        cov1_DD, cov2_DD = cov1_DD + regular_DD, cov2_DD + regular_DD
        root_DD = np.real(sqrtm(cov1_DD @ cov2_DD))
        expected = np.square(mean1_D - mean2_D).sum() + np.trace(cov1_DD + cov2_DD - 2 * root_DD)
        measured = (
            frechet_of_moments(mean1_D, cov1_DD, mean2_D, cov2_DD) if n <= dimensions else frechet(x_ND, y_ND)
        )
        yield _frechet(
            check=f"scipy.linalg.sqrtm of the product of covariances, n={n}, d={dimensions}",
            expected=float(expected),
            measured=measured,
            tolerance=1e-8 * float(np.trace(cov1_DD + cov2_DD)),
            source="scipy",
        )


def _discrepancy() -> Iterator[Proof]:
    yield _mmd(
        check="equal sets of 24 samples, d=400: mean over 400 draws is 0 (tolerance: 4 standard errors)",
        expected=0.0,
        measured=(draws := _equal_sets()).mean(),
        tolerance=4 * float(draws.std(ddof=1)) / np.sqrt(len(draws)),
        source="unbiased",
    )
    x_ND, y_ND = (z_ND[:60] for z_ND in apart(64))
    measured = mmd2(list(x_ND[:, None]), list(y_ND[:, None]), paired=False)
    yield _mmd(
        check="a double loop over all pairs, n=60, d=400",
        expected=_loop(x_ND, y_ND),
        measured=measured,
        tolerance=1e-12,
        source="the definition",
    )
    yield _mmd(
        check="polynomial MMD of KID, n=60, d=400",
        expected=_torchmetrics(x_ND, y_ND),
        measured=measured,
        tolerance=1e-10,
        source="torchmetrics.image.kid.poly_mmd",
    )
    yield _mmd(
        check="a copy of every item scores 0 where sets are paired",
        expected=0.0,
        measured=mmd2(list(x_ND[:, None]), list(x_ND[:, None]), paired=True),
        tolerance=0.0,
        source="property",
    )


def _equal_sets() -> Samples:
    random = np.random.default_rng(3)
    draws = [random.standard_normal((2, 24, 1, 400)) for _ in range(400)]
    return np.array([mmd2(list(x_GND), list(y_GND), paired=False) for x_GND, y_GND in draws])


def _loop(x_ND: Samples, y_ND: Samples) -> float:
    def mean(a_ND: Samples, b_ND: Samples, same: bool) -> float:
        kernel = [
            (float(a_D @ b_D) / len(a_D) + 1) ** 3
            for i, a_D in enumerate(a_ND)
            for j, b_D in enumerate(b_ND)
            if not (same and i == j)
        ]
        return float(np.mean(kernel))

    return mean(x_ND, x_ND, True) + mean(y_ND, y_ND, True) - 2 * mean(x_ND, y_ND, False)


def _torchmetrics(x_ND: Samples, y_ND: Samples) -> float:
    try:
        import torch
        from torchmetrics.image.kid import poly_mmd
    except ImportError as error:
        raise MissingDependency(
            "torchmetrics is not installed", remedy="Run: pip install 'mitds[dev]'"
        ) from error
    value: Any = poly_mmd(torch.from_numpy(x_ND), torch.from_numpy(y_ND))
    return float(value)
