"""The unbiased squared maximum mean discrepancy of two sets of features, with the cubic kernel of KID and KVD.

    k(x, y) = (x . y / D + 1)^3
    MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)

Gretton et al., "A kernel two-sample test", 2012, lemma 6; kernel: Binkowski et al., "Demystifying MMD GANs", 2018
(KID), Unterthiner et al. 2019 (KVD). All pairs are used, not random subsets of them. The expectation is 0 for equal
distributions, however few the samples, so single values lie on both sides of 0. That holds for independent samples
only, so pairs that are not are left out of the means:

* samples come in items (the windows of a video), and no two samples of one item make a pair;
* where generated item g answers real item g, their samples make no pair either. An exact copy then scores 0;
  KID's formula, which is meant for unrelated sets, would give it a large negative value.

With one sample an item and unrelated sets this is KID's formula to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.metrics.frechet import product
from mitds.errors import UsageError

Features = NDArray[Any]
Doubles = NDArray[np.float64]
Table = tuple[Doubles, Doubles]
"""sums_GH of the kernel over the pairs of samples of item g and item h, and counts_GH of these pairs."""


def mmd2(real: Sequence[Features], generated: Sequence[Features], *, paired: bool) -> float:
    """Return the unbiased squared MMD; the order of the items moves no bit of it.

    Args:
        real: Features_ND of each item, one sample or more.
        generated: The same of the generated items.
        paired: Generated item g answers real item g; otherwise the two sets are unrelated.

    Raises:
        UsageError: If a set has fewer than two items, or paired sets differ in length.
    """
    tables = _tables(*_in_order(real, generated, paired), paired)
    return float(_combined([sums_GH.sum() / counts_GH.sum() for sums_GH, counts_GH in tables]))


def mmd2_error(real: Sequence[Features], generated: Sequence[Features]) -> float | None:
    """Return the standard error of the paired `mmd2`, by leaving out one item after the other (jackknife).

    Returns:
        None where there are fewer than three items.
    """
    if len(real) < 3:
        return None
    tables = _tables(*_in_order(real, generated, True), True)
    values_G = _combined([_without_each(sums_GG) / _without_each(counts_GG) for sums_GG, counts_GG in tables])
    return float(np.sqrt(np.square(values_G - values_G.mean()).sum() * (len(real) - 1) / len(real)))


def _in_order(
    real: Sequence[Features], generated: Sequence[Features], paired: bool
) -> tuple[Sequence[Features], Sequence[Features]]:
    """Sort items by their bytes, pairs together: sums then have the same bits for any list of files."""
    if min(len(real), len(generated)) < 2 or (paired and len(real) != len(generated)):
        raise UsageError(
            f"{len(real)} real and {len(generated)} generated items have no {'paired ' if paired else ''}discrepancy",
            remedy="Give two items or more in each set, and as many in paired ones.",
        )
    if not paired:
        return sorted(real, key=_bytes), sorted(generated, key=_bytes)
    pairs = sorted(zip(real, generated, strict=True), key=lambda pair: _bytes(pair[0]) + _bytes(pair[1]))
    return [x_ND for x_ND, _ in pairs], [y_ND for _, y_ND in pairs]


def _bytes(item_ND: Features) -> bytes:
    return item_ND.tobytes()


def _combined(means: Sequence[Any]) -> Any:
    within_real, within_generated, between = means
    return within_real + within_generated - 2 * between


def _without_each(table_GG: Doubles) -> Doubles:
    """Return for each item the sum over all pairs of items that it is not part of."""
    left_G: Doubles = table_GG.sum() - table_GG.sum(axis=0) - table_GG.sum(axis=1) + np.diagonal(table_GG)
    return left_G


def _tables(x: Sequence[Features], y: Sequence[Features], paired: bool) -> list[Table]:
    """Return the tables of real with real, generated with generated, and real with generated."""
    x, y = ([item_ND.astype(np.float64) for item_ND in items] for items in (x, y))
    return [_table(x, x, True), _table(y, y, True), _table(x, y, paired)]


def _table(x: Sequence[Doubles], y: Sequence[Doubles], same_items: bool) -> Table:
    y_MD = np.concatenate(y)
    lengths_G, lengths_H = (np.array([len(item_ND) for item_ND in items]) for items in (x, y))
    starts_H = np.cumsum(lengths_H) - lengths_H
    rows = (_kernel(product(item_ND, y_MD.T), y_MD.shape[1]).sum(axis=0) for item_ND in x)
    sums_GH = np.stack([np.add.reduceat(row_M, starts_H) for row_M in rows])
    counts_GH = np.outer(lengths_G, lengths_H).astype(np.float64)
    if same_items:
        np.fill_diagonal(sums_GH, 0)
        np.fill_diagonal(counts_GH, 0)
    return sums_GH, counts_GH


def _kernel(dots: Doubles, dimensions: int) -> Doubles:
    scaled = dots / dimensions + 1
    return scaled * scaled * scaled
