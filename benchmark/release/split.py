"""Train and test without a shared source or person: whole clusters go to one side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

from mitds.config import digest


def clusters(facts: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Group clips that share a source or a person, directly or through others.

    Args:
        facts: By clip: its source and its people, any texts that are equal where they are the same.

    Returns:
        By clip: "C0", "C1", ... in the order of clip keys.
    """
    leader: dict[str, str] = {}

    def find(node: str) -> str:
        while leader.setdefault(node, node) != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for key in sorted(facts):
        for fact in facts[key]:
            leader[find(f"fact {fact}")] = find(f"clip {key}")
    roots = {key: find(f"clip {key}") for key in sorted(facts)}
    names = {root: f"C{n}" for n, root in enumerate(dict.fromkeys(roots.values()))}
    return {key: names[root] for key, root in roots.items()}


def choose_test(cluster_of: Mapping[str, str], usable: Iterable[str], share: float, seed: int) -> set[str]:
    """Draw the clusters of the test set.

    The draw hangs on what a cluster holds, so that clips added elsewhere do not reshuffle it.

    Args:
        cluster_of: Cluster by clip.
        usable: Clips that can give items; only their clusters can be drawn.
        share: Share of these clusters, 0..1; at least one is drawn.
        seed: Another seed, another draw.
    """
    members: dict[str, list[str]] = {}
    for key in sorted(cluster_of):
        members.setdefault(cluster_of[key], []).append(key)
    drawn = sorted({cluster_of[key] for key in usable}, key=lambda name: digest(seed, members[name]))
    return set(drawn[: max(1, ceil(share * len(drawn)))])
