"""Marginal probabilities of a matching with the right to stay single, and, at a price, to be matched again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDS = 30
"""Message rounds; with half of each message kept, they settle within about twenty."""

CERTAIN = 1e-300
"""Least sum whose logarithm is taken."""


def matching_marginals(odds_VI: Floats, single: float, again: float) -> tuple[Floats, Floats]:
    """Return how probable each pair is when a row has at most one column, and a column rarely several rows.

    The weight of a matching is the product of its pairs' odds; rows that stay single multiply by theirs, and
    each row that a column has beyond its first by e^-again. Sum-product belief propagation: exact where the
    pairs that matter form no loop, close elsewhere (Huang and Jebara, "Approximating the permanent with belief
    propagation", 2009).

    Args:
        odds_VI: Log odds of row v being column i, against i staying single.
        single: Log odds of a row staying single.
        again: Price of a further row, 0 or more.

    Returns:
        pair_VI: Probability of each pair.
        single_V: Probability that a row stays single; with `pair_VI` it sums to 1.
    """
    taken_VI = np.zeros_like(odds_VI)
    for _ in range(ROUNDS):
        other_VI = _log_others(odds_VI + taken_VI, single)
        taken_VI = (taken_VI + _free(odds_VI - other_VI, again)) / 2
    logit_VJ = np.column_stack([odds_VI + taken_VI, np.full(len(odds_VI), single)])
    weight_VJ = np.exp(logit_VJ - logit_VJ.max(axis=1, keepdims=True))
    weight_VJ /= weight_VJ.sum(axis=1, keepdims=True)
    return weight_VJ[:, :-1], weight_VJ[:, -1]


def _log_others(logit_VI: Floats, none: float) -> Floats:
    """Return the log of the sum, along a row, of the odds of all other columns and of `none`."""
    top_V1 = np.maximum(logit_VI.max(axis=1, keepdims=True, initial=-np.inf), none)
    weight_VI = np.exp(logit_VI - top_V1)
    total_V1 = weight_VI.sum(axis=1, keepdims=True) + np.exp(none - top_V1)
    others: Floats = np.log(np.maximum(total_V1 - weight_VI, CERTAIN)) + top_V1
    return others


def _free(logit_VI: Floats, again: float) -> Floats:
    """Return the log of what a column costs a row, by the odds that it has each of the others."""
    some_VI = np.logaddexp(0, logit_VI - again)
    others_VI = np.maximum(some_VI.sum(axis=0, keepdims=True) - some_VI, CERTAIN)
    none_VI: Floats = np.logaddexp(-others_VI, again + np.log(-np.expm1(-others_VI)))
    return -none_VI
