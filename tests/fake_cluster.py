"""A Ray cluster that is only played: actors answer when they are waited for, and nodes are lost at a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import ray


class Reference:
    """The answer of a call that an actor has been given."""

    def __init__(self, actor: Handle, answer: Callable[[], Any]) -> None:
        self.actor, self.answer = actor, answer


class Handle:
    """An actor on a node; None is no node: it waits for its place."""

    def __init__(self, node: str | None, worker: str, arguments: Mapping[str, Any]) -> None:
        self.node, self.worker, self.dead = node, worker, False
        self.start = SimpleNamespace(remote=lambda: Reference(self, lambda: node))
        self.run = SimpleNamespace(remote=lambda payload, done: Reference(self, lambda: payload()))


class FakeCluster:
    """Stands in for Ray's functions.

    Args:
        nodes: CPUs by node. An actor goes to the node with the most room; one that finds none waits for its place.
    """

    def __init__(self, nodes: Mapping[str, int]) -> None:
        self.nodes, self.gone = dict(nodes), set[str]()
        self.actors: list[Handle] = []
        self.asked: Counter[str] = Counter()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Take Ray's place for a test."""
        for name in ("remote", "wait", "get", "kill", "cluster_resources"):
            patch.setattr(ray, name, getattr(self, name))
        for module in ("pool", "runner"):
            patch.setattr(f"mitds.pipeline.{module}.check_head", self.check_head)
        patch.setattr("mitds.pipeline.pool.is_lost", lambda node: node in self.gone)
        patch.setattr("mitds.pipeline.pool.answers", lambda _: "head" not in self.gone)
        patch.setattr("mitds.pipeline.pool.own_node", lambda: "driver")
        patch.setattr("mitds.pipeline.pool.head_address", lambda: "here:1")
        patch.setattr("mitds.pipeline.runner._dashboard", str)

    def lose(self, node: str) -> None:
        """Lose a node with all that runs there."""
        self.gone.add(node)

    def check_head(self) -> None:
        """Count the questions."""
        self.asked["head"] += 1

    def remote(self, **_: float) -> Any:
        return lambda _: SimpleNamespace(remote=self._hire)

    def _hire(self, worker: str, arguments: Mapping[str, Any]) -> Handle:
        used = Counter(actor.node for actor in self.actors if not actor.dead)
        room = {node: cpus - used[node] for node, cpus in self.nodes.items() if node not in self.gone}
        best = max(room, key=lambda node: room[node], default=None)
        free = best is not None and room[best] > 0
        self.actors.append(Handle(best if free else None, worker, arguments))
        return self.actors[-1]

    def _over(self, reference: Reference) -> bool:
        return reference.actor.node is not None

    def wait(
        self, references: Sequence[Reference], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Reference], list[Reference]]:
        self.asked["wait"] += 1
        done = [reference for reference in references if self._over(reference)][:num_returns]
        return done, [reference for reference in references if reference not in done]

    def get(self, reference: Reference) -> Any:
        if reference.actor.dead or reference.actor.node in self.gone:
            raise ray.exceptions.RayError("the actor is no more")
        return reference.answer()

    def kill(self, actor: Handle, no_restart: bool = True) -> None:
        """Kill an actor; who waits for a place takes the room that is left."""
        self.asked["kill"] += 1
        actor.dead = True
        for other in self.actors:
            if other.node is None and not other.dead:
                other.node = actor.node
                break

    def cluster_resources(self) -> dict[str, float]:
        self.asked["resources"] += 1
        return {"CPU": sum(cpus for node, cpus in self.nodes.items() if node not in self.gone)}
