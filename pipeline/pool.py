"""The workers of a run: Ray actors, as many as the cluster has room for, each of one stage."""

from __future__ import annotations

import contextlib
import importlib
import time
import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitds.errors import EnvironmentFault, MitdsError, UsageError
from mitds.pipeline.jobs import Outcome, Stage
from mitds.pipeline.nodes import answers, check_head, head_address, is_lost, own_node
from mitds.store import write_json

ROOM_S = 1.0
"""Seconds after which the cluster is asked again what it has."""

OWN_NODE_S = 5.0
"""Seconds after which it is looked again whether this process still has a node."""


class Host:
    """The actor's inside: builds the worker once, then runs jobs."""

    def __init__(self, worker: str, arguments: Mapping[str, Any]) -> None:
        module, _, name = worker.partition(":")
        self._make: Callable[[], Any] = lambda: getattr(importlib.import_module(module), name)(**arguments)
        self._worker: Any = None

    def start(self) -> str:
        """Answer with the node once the process is up: time spent on starting it is nobody's deadline."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, payload: Any, done: Path | None) -> Outcome:
        """Run one job; a bad input is an outcome, a fault of the machine is raised."""
        try:
            if self._worker is None:
                self._worker = self._built()
            begun, begun_cpu = time.perf_counter(), time.process_time()
            value = self._worker(payload)
            if done is not None:  # last: a job is done when all that it leaves is there
                write_json(done, value)
            taken, taken_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
            return Outcome(value=value, seconds=taken, cpu_s=taken_cpu)
        except (EnvironmentFault, UsageError, MemoryError):
            raise
        except MitdsError as error:
            return Outcome(reason=error.code, detail=str(error))
        except Exception as error:  # noqa: BLE001  one item's surprise must not end the others; it is recorded
            trace = traceback.format_exc(limit=-3)
            return Outcome(reason="internal", detail=f"{type(error).__name__}: {error}\n{trace}")

    def _built(self) -> Any:
        """Build the worker; one that cannot be built fails no item, it stops the run."""
        try:
            return self._make()
        except (MitdsError, MemoryError):
            raise
        except Exception as error:
            trace = traceback.format_exc(limit=-3)
            raise EnvironmentFault(
                f"a worker cannot be built: {type(error).__name__}: {error}\n{trace}",
                remedy="Mend the installation (mitds doctor), or choose another backend.",
            ) from error


@dataclass(slots=True, eq=False)
class Actor:
    """A worker process.

    Attributes:
        stage: Its stage.
        handle: Ray's handle.
        starting: The answer of `Host.start`, until it has come.
        node: Where it runs; None where it has not started yet.
    """

    stage: Stage
    handle: Any
    starting: Any = None
    node: str | None = None


class Pool:
    """Holds the actors of a run, busy and idle.

    Args:
        stages: All stages, in order.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = {stage.name: stage for stage in stages}
        self._idle: dict[str, list[Actor]] = {stage.name: [] for stage in stages}
        self._held: dict[Actor, None] = {}
        self._number: Counter[str] = Counter()
        self._lost: set[str] = set()
        self._total: dict[str, float] = {}
        self._asked = -ROOM_S
        self._looked = time.monotonic()

    def obtain(self, stage: Stage, wanted: Container[str]) -> Actor | None:
        """Return an idle or a new actor of a stage; None where actors that are busy or `wanted` take all room."""
        if self._idle[stage.name]:
            return self._idle[stage.name].pop()
        while not self._fits(stage):
            if not self._evict(wanted):
                return None
        return self._hire(stage)

    def settle(self, actors: Iterable[Actor]) -> None:
        """Note on which nodes actors run, where they have started by now."""
        import ray

        starting = {actor.starting: actor for actor in actors if actor.starting is not None}
        if not starting:
            return
        started, _ = ray.wait(list(starting), num_returns=len(starting), timeout=0)
        for reference in started:
            actor = starting[reference]
            actor.starting = None
            with contextlib.suppress(ray.exceptions.RayError):
                actor.node = ray.get(reference)

    def free(self, actor: Actor) -> None:
        """Take back an actor that has done its job."""
        self._idle[actor.stage.name].append(actor)

    def dismiss(self, actor: Actor) -> None:
        """End an actor, whatever it does."""
        import ray

        if actor in self._held:
            check_head()
            del self._held[actor]
            self._number[actor.stage.name] -= 1
            ray.kill(actor.handle, no_restart=True)

    def make_way(self, wanted: Container[str]) -> None:
        """Dismiss all idle actors of stages that are not wanted: another may wait for the very room they take."""
        while self._evict(wanted):
            pass

    def check_own_node(self) -> None:
        """Make sure that this process can still reach anybody: without its own node it would wait for ever.

        Raises:
            EnvironmentFault: The node through which it takes part in the cluster is lost.
        """
        if time.monotonic() >= self._looked + OWN_NODE_S:
            self._looked = time.monotonic()
            if is_lost(own_node()):
                raise _own_node_lost()

    def lost_by_node(self, actor: Actor) -> bool:
        """Say whether an actor died with its node, or on the way there; those that idle on it are dismissed too.

        Raises:
            EnvironmentFault: The node is the one through which this process takes part in the cluster.
        """
        if actor.node is None:
            return True
        if actor.node not in self._lost:
            check_head()
            if not is_lost(actor.node):
                return False
            if actor.node == own_node():
                raise _own_node_lost()
            self._lost.add(actor.node)
            self._asked = -ROOM_S
        for name, idle in self._idle.items():
            self.settle(idle)
            gone = [other for other in idle if other.node in self._lost]
            self._idle[name] = [other for other in idle if other not in gone]
            for other in gone:
                self.dismiss(other)
        return True

    def close(self) -> None:
        """Dismiss everybody; those of a cluster without a head end by themselves."""
        if self._held and answers(head_address()):
            for actor in list(self._held):
                self.dismiss(actor)
        self._held.clear()

    def _fits(self, stage: Stage) -> bool:
        total = self._room()
        if stage.num_gpus > total.get("GPU", 0):
            raise EnvironmentFault(
                f"stage {stage.name!r} asks for {stage.num_gpus:g} GPU, the cluster has {total.get('GPU', 0):g}",
                remedy="Run on a machine with a GPU, or set the backend's device: --set FAMILY.device=cpu.",
            )
        held = [(self._stages[name], number) for name, number in self._number.items()]
        cpus = sum(other.num_cpus * number for other, number in held) + stage.num_cpus
        gpus = sum(other.num_gpus * number for other, number in held) + stage.num_gpus
        alone = not self._held
        return alone or (cpus <= total.get("CPU", 1) + 1e-6 and gpus <= total.get("GPU", 0) + 1e-6)

    def _room(self) -> dict[str, float]:
        """Return what the cluster has; nodes come and go."""
        import ray

        if time.monotonic() >= self._asked + ROOM_S:
            check_head()
            self._total = ray.cluster_resources()  # type: ignore[no-untyped-call]
            self._asked = time.monotonic()
        return self._total

    def _evict(self, wanted: Container[str]) -> bool:
        """Dismiss one idle actor of a stage that is not wanted; say whether there was one."""
        for name, idle in self._idle.items():
            if idle and name not in wanted:
                self.dismiss(idle.pop())
                return True
        return False

    def _hire(self, stage: Stage) -> Actor:
        import ray

        check_head()
        make: Any = ray.remote(num_cpus=stage.num_cpus, num_gpus=stage.num_gpus, max_restarts=0)
        handle = make(Host).remote(stage.worker, dict(stage.arguments))
        actor = Actor(stage, handle, starting=handle.start.remote())
        self._held[actor] = None
        self._number[stage.name] += 1
        return actor


def _own_node_lost() -> EnvironmentFault:
    return EnvironmentFault(
        "the Ray node of this process is lost",
        remedy="Run the same command again: what is done is not done again.",
    )
