"""Agglomerative clustering of voices with pairs that must not be joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array

Labels = NDArray[np.int64]
Weights = NDArray[np.float64]


def cluster(
    embedding_ND: Array,
    weight_N: Weights,
    barred: Sequence[tuple[int, int]],
    *,
    threshold: float,
    fewest: int = 1,
    most: int | None = None,
    most_items: int,
) -> Labels:
    """Group items by voice.

    Args:
        embedding_ND: Unit-norm embeddings.
        weight_N: Positive weight of each item.
        barred: Pairs of items that are two people.
        threshold: See `agglomerate`.
        fewest: See `agglomerate`.
        most: See `agglomerate`.
        most_items: Only the heaviest so many items are clustered, the others join the most alike group:
            memory grows with the square of this number.

    Returns:
        group_N: group of each item, numbered by first item.
    """
    heaviest = np.sort(np.argsort(-weight_N, kind="stable")[:most_items])
    place = {int(item): i for i, item in enumerate(heaviest)}
    like_NN = embedding_ND[heaviest] @ embedding_ND[heaviest].T
    for a, b in barred:
        if a in place and b in place:
            like_NN[place[a], place[b]] = like_NN[place[b], place[a]] = -np.inf
    group_H = agglomerate(like_NN, weight_N[heaviest], threshold=threshold, fewest=fewest, most=most)
    group_N = (embedding_ND @ centroids(embedding_ND[heaviest], weight_N[heaviest], group_H).T).argmax(axis=1)
    group_N[heaviest] = group_H
    return relabel(group_N)


def agglomerate(
    affinity_NN: Array, weight_N: Weights, *, threshold: float, fewest: int = 1, most: int | None = None
) -> Labels:
    """Join the two most alike groups again and again (average linkage).

    Args:
        affinity_NN: Symmetric likeness; minus infinity between items that must not share a group. A group
            inherits all such bars of its members, so they hold even against `most`.
        weight_N: Positive weight of each item in a group's mean likeness.
        threshold: Groups less alike than this are not joined.
        fewest: Stop at this many groups.
        most: Join on below the threshold until there are at most this many groups.

    Returns:
        group_N: group of each item, numbered by first item.
    """
    like_NN, weight_N = affinity_NN.copy(), weight_N.copy()
    np.fill_diagonal(like_NN, -np.inf)
    group_N = np.arange(len(weight_N))
    best_N = like_NN.max(axis=1, initial=-np.inf)
    for groups in range(len(weight_N), max(1, fewest), -1):
        i = int(best_N.argmax())
        if best_N[i] == -np.inf or (best_N[i] < threshold and (most is None or groups <= most)):
            break
        j = int(like_NN[i].argmax())
        _join(like_NN, weight_N, best_N, i, j)
        group_N[group_N == j] = i
    return relabel(group_N)


def _join(like_NN: Array, weight_N: Weights, best_N: Array, i: int, j: int) -> None:
    """Make group j part of group i, in place; `best_N` stays the maximum of each row."""
    total = weight_N[i] + weight_N[j]
    mean_N = (weight_N[i] * like_NN[i] + weight_N[j] * like_NN[j]) / total
    mean_N[[i, j]] = -np.inf
    stale_N = (best_N == like_NN[:, i]) | (best_N == like_NN[:, j])
    like_NN[i], like_NN[:, i] = mean_N, mean_N
    like_NN[j], like_NN[:, j] = -np.inf, -np.inf
    weight_N[i] = total
    stale_N[[i, j]] = True
    best_N[stale_N] = like_NN[stale_N].max(axis=1)


def relabel(label_N: Labels) -> Labels:
    """Number labels 0, 1, ... by first appearance."""
    _, first, inverse = np.unique(label_N, return_index=True, return_inverse=True)
    rank: Labels = first.argsort().argsort()
    return rank[inverse]


def centroids(embedding_ND: Array, weight_N: Weights, group_N: Labels) -> Array:
    """Return unit-norm weighted mean embeddings of the groups, centroid_VD."""
    sum_VD = np.zeros((int(group_N.max()) + 1, embedding_ND.shape[1]))
    np.add.at(sum_VD, group_N, weight_N[:, None] * embedding_ND)
    sum_VD /= np.linalg.norm(sum_VD, axis=1, keepdims=True)
    return sum_VD.astype(np.float32)


def absorb(
    group_N: Labels,
    embedding_ND: Array,
    weight_N: Weights,
    barred: Sequence[tuple[int, int]],
    *,
    small: float,
    smallest: float,
    likeness: float,
) -> tuple[Labels, NDArray[np.bool_]]:
    """Give the members of small groups to the most alike big group, if one is at least `likeness` alike.

    Args:
        group_N: The groups.
        embedding_ND: Unit-norm embeddings.
        weight_N: Weight of each item.
        barred: Pairs of items that are two people.
        small: Groups that weigh less are small.
        smallest: Small groups that find no big one are kept unless they weigh less than this.
        likeness: Least likeness that takes.

    Returns:
        group_N: The groups, numbered by first item.
        stray_N: True for items of groups that were neither taken nor kept; none where no group is big.
    """
    centroid_VD = centroids(embedding_ND, weight_N, group_N)
    total_V = np.bincount(group_N, weight_N)
    big_V = total_V >= small
    if not big_V.any():
        return group_N, np.zeros(len(group_N), np.bool_)
    like_VV = np.where(big_V[None, :], centroid_VD @ centroid_VD.T, -np.inf)
    for a, b in barred:
        like_VV[group_N[[a, b]], group_N[[b, a]]] = -np.inf
    taken_V = ~big_V & (like_VV.max(axis=1) >= likeness)
    target_V = np.where(taken_V, like_VV.argmax(axis=1), np.arange(len(big_V)))
    return relabel(target_V[group_N]), (~taken_V & (total_V < smallest))[group_N]
