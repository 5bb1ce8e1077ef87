"""Marginal probabilities of a one-to-one matching with the right to stay single."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDS = 60
"""Message rounds; with half of each message kept, they settle within about twenty."""

CERTAIN = 1e-300
"""Least sum whose logarithm is taken."""


def matching_marginals(odds_VI: Floats, single: float) -> tuple[Floats, Floats]:
    """Return how probable each pair is when every row has at most one column, and every column one row.

    The weight of a matching is the product of its pairs' odds; rows that stay single multiply by theirs.
    Sum-product belief propagation: exact where the pairs that matter form no loop, close elsewhere
    (Huang and Jebara, "Approximating the permanent with belief propagation", 2009).

    Args:
        odds_VI: Log odds of row v being column i, against i staying single.
        single: Log odds of a row staying single.

    Returns:
        pair_VI: Probability of each pair.
        single_V: Probability that a row stays single; with `pair_VI` it sums to 1.
    """
    taken_VI = np.zeros_like(odds_VI)
    for _ in range(ROUNDS):
        other_VI = _log_rest(odds_VI + taken_VI, single, axis=1)
        taken_VI = (taken_VI - _log_rest(odds_VI - other_VI, 0.0, axis=0)) / 2
    logit_VJ = np.column_stack([odds_VI + taken_VI, np.full(len(odds_VI), single)])
    weight_VJ = np.exp(logit_VJ - logit_VJ.max(axis=1, keepdims=True))
    weight_VJ /= weight_VJ.sum(axis=1, keepdims=True)
    return weight_VJ[:, :-1], weight_VJ[:, -1]


def _log_rest(logit_VI: Floats, none: float, axis: int) -> Floats:
    """Return the log of the sum, along an axis, of all other entries and of `none`."""
    top = np.maximum(logit_VI.max(axis=axis, keepdims=True, initial=-np.inf), none)
    weight_VI = np.exp(logit_VI - top)
    total = weight_VI.sum(axis=axis, keepdims=True) + np.exp(none - top)
    rest: Floats = np.log(np.maximum(total - weight_VI, CERTAIN)) + top
    return rest
