"""Agglomerative clustering of voices with pairs that must not be joined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array


def agglomerate(
    affinity_NN: Array, weight_N: Array, *, threshold: float, fewest: int = 1, most: int | None = None
) -> NDArray[np.int64]:
    """Join the most alike groups again and again (average linkage).

    Args:
        affinity_NN: Symmetric likeness; minus infinity between items that must not share a group. A group inherits
            all such bars of its members, so they hold even against `most`.
        weight_N: Positive weight of each item in a group's mean likeness.
        threshold: Groups less alike than this are not joined.
        fewest: Stop at this many groups.
        most: Join on below the threshold until there are at most this many groups.

    Returns:
        group_N: group of each item, numbered by first item.
    """
    like_NN = affinity_NN.astype(np.float32, copy=True)
    np.fill_diagonal(like_NN, -np.inf)
    weight_N = weight_N.astype(np.float64, copy=True)
    member_N = np.arange(len(weight_N))
    best_N = like_NN.max(axis=1, initial=-np.inf)
    alive = len(weight_N)
    while alive > max(1, fewest):
        i = int(best_N.argmax())
        if best_N[i] == -np.inf or (best_N[i] < threshold and (most is None or alive <= most)):
            break
        j = int(like_NN[i].argmax())
        _join(like_NN, weight_N, best_N, i, j)
        member_N[member_N == j] = i
        alive -= 1
    return relabel(member_N)


def _join(like_NN: Array, weight_N: NDArray[np.float64], best_N: Array, i: int, j: int) -> None:
    total = weight_N[i] + weight_N[j]
    mean_N = (weight_N[i] * like_NN[i] + weight_N[j] * like_NN[j]) / total
    mean_N[[i, j]] = -np.inf
    stale_N = (best_N == like_NN[:, i]) | (best_N == like_NN[:, j])
    like_NN[i], like_NN[:, i] = mean_N, mean_N
    like_NN[j], like_NN[:, j] = -np.inf, -np.inf
    weight_N[i] = total
    stale_N[[i, j]] = True
    best_N[stale_N] = like_NN[stale_N].max(axis=1)


def relabel(label_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number labels 0, 1, ... by first appearance."""
    _, first, inverse = np.unique(label_N, return_index=True, return_inverse=True)
    rank: NDArray[np.int64] = first.argsort().argsort()
    return rank[inverse]


def centroids(embedding_ND: Array, weight_N: Array, group_N: NDArray[np.int64]) -> Array:
    """Return unit-norm weighted mean embeddings of the groups, centroid_VD."""
    sum_VD = np.zeros((int(group_N.max(initial=-1)) + 1, embedding_ND.shape[1]), np.float32)
    np.add.at(sum_VD, group_N, weight_N[:, None] * embedding_ND)
    mean_VD: Array = sum_VD / np.linalg.norm(sum_VD, axis=1, keepdims=True)
    return mean_VD


def absorb(
    group_N: NDArray[np.int64], embedding_ND: Array, weight_N: Array, *, smallest: float, likeness: float
) -> NDArray[np.int64]:
    """Give the groups that weigh less than `smallest` to the most alike big group, if it is at least so alike."""
    centroid_VD = centroids(embedding_ND, weight_N, group_N)
    big_V = np.bincount(group_N, weight_N, len(centroid_VD)) >= smallest
    target_V = np.arange(len(centroid_VD))
    for v in np.flatnonzero(~big_V) if big_V.any() else []:
        like_V = np.where(big_V, centroid_VD @ centroid_VD[v], -np.inf)
        if like_V.max() >= likeness:
            target_V[v] = like_V.argmax()
    return relabel(target_V[group_N])
