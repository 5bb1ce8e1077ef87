"""Who is who across the shots of one source: constrained average-link clustering of track embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import FaceTrack


@dataclass(frozen=True, slots=True, kw_only=True)
class JoiningConfig:
    """When two tracks are one person.

    Attributes:
        min_cosine: Mean cosine between the tracks of two groups at which they are joined.
        max_shared_frames: Tracks of one shot that share more frames are two people.
    """

    min_cosine: float = 0.45
    max_shared_frames: int = 3


def join_identities(
    tracks_by_shot: Sequence[Sequence[FaceTrack]], config: JoiningConfig = JoiningConfig()
) -> list[list[FaceTrack]]:
    """Name the person of every track of one source.

    Args:
        tracks_by_shot: All shots of the source in order, with their tracks.
        config: When two tracks are one person.

    Returns:
        The same tracks in the same places with identities "P0", "P1", ... in order of first appearance.
        A track without an embedding is a person of its own.
    """
    flat = [(shot, track) for shot, tracks in enumerate(tracks_by_shot) for track in tracks]
    known = {n: track.embedding_D for n, (_, track) in enumerate(flat) if track.embedding_D is not None}
    group_N = np.arange(len(flat))
    if known:
        embedding_ND = np.stack(list(known.values())).astype(float)
        apart_NN = _side_by_side([flat[n] for n in known], config.max_shared_frames)
        similarity_NN = np.where(apart_NN, -np.inf, embedding_ND @ embedding_ND.T)
        group_N[list(known)] = np.array(list(known))[average_link(similarity_NN, config.min_cosine)]
    order = sorted(range(len(flat)), key=lambda n: (flat[n][0], flat[n][1].first, flat[n][1].track))
    names: dict[int, str] = {}
    for n in order:
        names.setdefault(int(group_N[n]), f"P{len(names)}")
    named = iter(replace(track, identity=names[int(g)]) for (_, track), g in zip(flat, group_N, strict=True))
    return [[next(named) for _ in tracks] for tracks in tracks_by_shot]


def _side_by_side(tracks: Sequence[tuple[int, FaceTrack]], max_shared_frames: int) -> NDArray[np.bool_]:
    """Return apart_NN: True for tracks of one shot that are in view at the same time."""
    shot_N, first_N, last_N = np.array([(shot, track.first, track.last) for shot, track in tracks]).T
    shared_NN = np.minimum.outer(last_N, last_N) - np.maximum.outer(first_N, first_N) + 1
    apart_NN: NDArray[np.bool_] = np.equal.outer(shot_N, shot_N) & (shared_NN > max_shared_frames)
    return apart_NN


def average_link(similarity_NN: NDArray[np.float64], min_similarity: float) -> NDArray[np.intp]:
    """Cluster by average link; -inf between two items forbids every group that holds both.

    An average with -inf is -inf, so a constraint outlives all merges. The best partner of each group is
    remembered and searched again only when that partner was merged, so that n merges cost about O(n^2).

    Args:
        similarity_NN: Symmetric; larger is nearer.
        min_similarity: Average at which two groups are still merged.

    Returns:
        group_N: The lowest item of each item's group.
    """
    link_NN = np.array(similarity_NN, float)
    np.fill_diagonal(link_NN, -np.inf)
    count = len(link_NN)
    size_N, group_N = np.ones(count), np.arange(count)
    partner_N = link_NN.argmax(axis=1)
    best_N = link_NN[np.arange(count), partner_N]
    while best_N.max() >= min_similarity:
        a = int(best_N.argmax())
        keep, gone = sorted((a, int(partner_N[a])))
        merged_N = (size_N[keep] * link_NN[keep] + size_N[gone] * link_NN[gone]) / (
            size_N[keep] + size_N[gone]
        )
        merged_N[[keep, gone]] = -np.inf
        link_NN[keep] = link_NN[:, keep] = merged_N
        link_NN[gone] = link_NN[:, gone] = -np.inf
        size_N[keep] += size_N[gone]
        group_N[group_N == gone] = keep
        # An average never exceeds the better of its parts: only rows that pointed here can have changed.
        stale_K = np.flatnonzero(
            (partner_N == keep) | (partner_N == gone) | np.isin(np.arange(count), (keep, gone))
        )
        partner_N[stale_K] = link_NN[stale_K].argmax(axis=1)
        best_N[stale_K] = link_NN[stale_K, partner_N[stale_K]]
    return group_N
