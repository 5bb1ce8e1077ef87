"""The Fréchet distance of two sets of features, each taken for a Gaussian: d^2 of FID, FVD and FD.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

Dowson and Landau, "The Fréchet distance between multivariate normal distributions", 1982; Heusel et al. 2017 (FID).
Covariances are over N - 1 and all arithmetic is float64. No root of a near-singular matrix is taken:

* with no more samples than dimensions in either set, tr (S1 S2)^(1/2) is the nuclear norm (sum of singular values) of
  X Y^T, where X and Y are the centred samples over sqrt(N - 1): exact for any rank;
* with more in both, it is the sum of the roots of the eigenvalues of R S2 R, where R is the symmetric root of S1.

The estimate is biased upwards by a lot where samples are few: 400-dimensional Gaussians whose true value is 4 give 822
from 8 samples, 306 from 256 and 43 from 2048.

Linear algebra runs in torch on one thread: with several, its last bits depend on how many there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.runtime import single_threaded
from mitds.errors import UsageError

Features = NDArray[Any]
Doubles = NDArray[np.float64]


def frechet(real_ND: Features, generated_MD: Features) -> float:
    """Return the squared Fréchet distance of two sets of samples; the order of the samples moves no bit of it.

    Raises:
        UsageError: If a set has fewer than two samples, which have no covariance, or the dimensions differ.
    """
    real_ND, generated_MD = _checked(real_ND), _checked(generated_MD)
    samples, dimensions = min(len(real_ND), len(generated_MD)), real_ND.shape[1]
    if generated_MD.shape[1] != dimensions:
        raise UsageError(
            f"features of {dimensions} and of {generated_MD.shape[1]} dimensions have no distance",
            remedy="Compute both sets of features with one judge.",
        )
    if samples > dimensions:
        return frechet_of_moments(*moments(real_ND), *moments(generated_MD))
    real_mean_D, real_ND = _centred(real_ND)
    generated_mean_D, generated_MD = _centred(generated_MD)
    shared = torch.linalg.svdvals(torch.from_numpy(product(real_ND, generated_MD.T))).numpy().sum()
    spread = np.square(real_ND).sum() + np.square(generated_MD).sum()
    return _distance(real_mean_D - generated_mean_D, spread - 2 * shared)


def frechet_of_moments(mean1_D: Doubles, cov1_DD: Doubles, mean2_D: Doubles, cov2_DD: Doubles) -> float:
    """Return the squared Fréchet distance of two Gaussians."""
    single_threaded()
    values_D, vectors_DD = torch.linalg.eigh(torch.from_numpy(cov1_DD))
    # Rounding puts the smallest eigenvalues of a covariance a little below 0, where they have no root.
    root_DD = (vectors_DD * values_D.clamp(min=0).sqrt()) @ vectors_DD.T
    between_D = torch.linalg.eigvalsh(root_DD @ torch.from_numpy(cov2_DD) @ root_DD)
    shared = between_D.clamp(min=0).sqrt().numpy().sum()
    return _distance(mean1_D - mean2_D, np.trace(cov1_DD) + np.trace(cov2_DD) - 2 * shared)


def moments(samples_ND: Features) -> tuple[Doubles, Doubles]:
    """Return mean_D and cov_DD of samples, over N - 1."""
    mean_D, centred_ND = _centred(samples_ND.astype(np.float64))
    return mean_D, product(centred_ND.T, centred_ND)


def product(a_NK: Doubles, b_KM: Doubles) -> Doubles:
    """Return the matrix product, with bits that do not depend on the number of threads."""
    single_threaded()
    result: Doubles = (torch.from_numpy(a_NK) @ torch.from_numpy(b_KM)).numpy()
    return result


def in_order(samples_ND: Features) -> Features:
    """Sort samples by their bytes: sums over them then have one order, and so the same bits, for any list of files."""
    return samples_ND[sorted(range(len(samples_ND)), key=lambda n: samples_ND[n].tobytes())]


def _checked(samples_ND: Features) -> Doubles:
    if samples_ND.ndim != 2 or len(samples_ND) < 2:
        raise UsageError(
            f"features of shape {samples_ND.shape} have no covariance",
            remedy="Give two samples or more, as [samples, dimensions].",
        )
    return in_order(samples_ND.astype(np.float64))


def _centred(samples_ND: Doubles) -> tuple[Doubles, Doubles]:
    mean_D = samples_ND.mean(axis=0)
    return mean_D, (samples_ND - mean_D) / np.sqrt(len(samples_ND) - 1)


def _distance(shift_D: Doubles, rest: Any) -> float:
    """Add the two terms; where they cancel, rounding may leave the sum a little below 0."""
    return max(float(np.square(shift_D).sum() + rest), 0.0)
