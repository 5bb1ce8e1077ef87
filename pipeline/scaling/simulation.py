"""A cluster on paper: sources pass through stages on many nodes, some slow, some lost on the way.

A job is one stage of one source, or of a piece of it where the stage works on shots or clips; a source's next stage
begins when all pieces have passed the one before. A job's length is the stage's cost times the length of the media,
times what a slow worker or a hard input makes of it. A node that is lost takes its running jobs along; they go to the
end of the line, as `pipeline.runner` does it, and finished jobs stay finished: their results lie on shared storage.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from mitds.config import require


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The cluster and its luck.

    Attributes:
        nodes: Machines.
        workers: Workers on each, one core each.
        hours: Hours of media.
        source_s: Mean length of a source, seconds; lengths are exponential, between a tenth and ten times of it.
        piece_s: Length of a piece of a source, seconds.
        spread: Standard deviation of the logarithm of a job's slowness.
        straggler_share: Share of workers that are slow all the time.
        straggler_factor: How many times slower they are.
        failures_per_node_hour: Losses of a node per hour that it runs.
        repair_h: Hours until a lost node is back.
        driver_s: Seconds the driver spends on a job.
        seed: Of all that is random.
    """

    nodes: int = 1000
    workers: int = 16
    hours: float = 10_000.0
    source_s: float = 600.0
    piece_s: float = 120.0
    spread: float = 0.3
    straggler_share: float = 0.02
    straggler_factor: float = 3.0
    failures_per_node_hour: float = 0.001
    repair_h: float = 0.25
    driver_s: float = 0.0005
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no cluster."""
        for name in ("nodes", "workers", "hours", "source_s", "straggler_factor"):
            require(getattr(self, name) > 0, f"cluster.{name}", getattr(self, name), "above 0")
        require(
            0 <= self.straggler_share <= 1, "cluster.straggler_share", self.straggler_share, "a share, 0 to 1"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What became of a run.

    Attributes:
        hours: How long it took.
        ideal_hours: How long it would take if all workers were busy to the end and nothing went wrong.
        efficiency: ideal over real.
        lost_share: Share of the working time that lost nodes took along.
        failures: Nodes lost.
        retried: Jobs done again.
        last_share: Share of the time in which less than nine tenths of the workers were busy, at the end.
        driver_share: Share of the time in which the driver was busy; near 1 it holds up the cluster.
        jobs: Jobs done.
    """

    hours: float
    ideal_hours: float
    efficiency: float
    lost_share: float
    failures: int
    retried: int
    last_share: float
    driver_share: float
    jobs: int


WHOLE = ("voices", "people")
"""Stages that take a source as a whole."""


@dataclass(slots=True)
class _State:
    now: float = 0.0
    events: list[tuple[float, int, int, int]] = field(default_factory=list)
    waiting: deque[tuple[int, int, float]] = field(default_factory=deque)
    free: list[int] = field(default_factory=list)
    running: dict[int, tuple[tuple[int, int, float], float]] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    jobs: int = 0
    epoch: list[int] = field(default_factory=list)
    driver_free: float = 0.0
    busy_until_thin: float = 0.0
    lost_s: float = 0.0
    failures: int = 0
    retried: int = 0


_END, _LOSS, _REPAIR = 0, 1, 2


def simulate(costs: Mapping[str, float], config: ClusterConfig = ClusterConfig()) -> Simulated:
    """Run a cluster on paper.

    Args:
        costs: CPU seconds per second of media, by stage, in the order a source passes through them.
        config: The cluster.
    """
    return _Simulation(costs, config).run()


class _Simulation:
    def __init__(self, costs: Mapping[str, float], config: ClusterConfig) -> None:
        self._costs, self._config = list(costs.values()), config
        self._whole = [stage in WHOLE for stage in costs]
        self._draw = random.Random(config.seed)  # noqa: S311  a repeatable course, no secret
        self._lengths = self._sources()
        self._slow = [
            config.straggler_factor if self._draw.random() < config.straggler_share else 1.0
            for _ in range(config.nodes * config.workers)
        ]
        self._state = _State(epoch=[0] * config.nodes)

    def _sources(self) -> list[float]:
        """Draw the sources' lengths, longest first, as a run that knows them would begin them."""
        left, lengths = self._config.hours * 3600, list[float]()
        while left > 0:
            length = self._draw.expovariate(1 / self._config.source_s)
            length = min(max(length, self._config.source_s / 10), self._config.source_s * 10, left)
            lengths.append(length)
            left -= length
        return sorted(lengths, reverse=True)

    def run(self) -> Simulated:
        state, config = self._state, self._config
        state.free = list(range(config.nodes * config.workers))
        for source in range(len(self._lengths)):
            state.waiting += self._jobs(source, 0)
        for node in range(config.nodes):
            self._plan_loss(node)
        self._start()
        while len(state.left) > 0:
            state.now, kind, subject, epoch = heapq.heappop(state.events)
            {_END: self._end, _LOSS: self._lose, _REPAIR: self._repair}[kind](subject, epoch)
            self._start()
        return self._result(state.jobs)

    def _jobs(self, source: int, stage: int) -> list[tuple[int, int, float]]:
        """Return the jobs of a source's stage: source, stage, seconds of media."""
        length = self._lengths[source]
        pieces = 1 if self._whole[stage] else max(1, round(length / self._config.piece_s))
        self._state.left[source] = pieces
        self._state.jobs += pieces
        return [(source, stage, length / pieces)] * pieces

    def _start(self) -> None:
        state = self._state
        while state.waiting and state.free:
            worker, job = state.free.pop(), state.waiting.popleft()
            state.driver_free = max(state.driver_free, state.now) + self._config.driver_s
            length = job[2] * self._costs[job[1]] * self._slow[worker]
            length *= math.exp(self._draw.gauss(-(self._config.spread**2) / 2, self._config.spread))
            state.running[worker] = (job, state.driver_free)
            self._push(state.driver_free + length, _END, worker, state.epoch[worker // self._config.workers])
        if len(state.running) >= 0.9 * len(self._slow):
            state.busy_until_thin = state.now

    def _push(self, at: float, kind: int, subject: int, epoch: int) -> None:
        heapq.heappush(self._state.events, (at, kind, subject, epoch))

    def _end(self, worker: int, epoch: int) -> None:
        state = self._state
        if epoch != state.epoch[worker // self._config.workers]:
            return
        (source, stage, _), _ = state.running.pop(worker)
        state.free.append(worker)
        state.left[source] -= 1
        if state.left[source]:
            return
        del state.left[source]
        if stage + 1 < len(self._costs):
            state.waiting.extendleft(self._jobs(source, stage + 1))  # begun work ends before new work begins

    def _lose(self, node: int, epoch: int) -> None:
        state, workers = self._state, range(node * self._config.workers, (node + 1) * self._config.workers)
        state.epoch[node] += 1
        state.failures += 1
        mine = set(workers)
        state.free = [worker for worker in state.free if worker not in mine]
        for worker in workers:
            if worker in state.running:
                job, begun = state.running.pop(worker)
                state.lost_s += max(0.0, state.now - begun)
                state.retried += 1
                state.waiting.append(job)
        self._push(state.now + self._config.repair_h * 3600, _REPAIR, node, state.epoch[node])

    def _repair(self, node: int, epoch: int) -> None:
        self._state.free += range(node * self._config.workers, (node + 1) * self._config.workers)
        self._plan_loss(node)

    def _plan_loss(self, node: int) -> None:
        rate = self._config.failures_per_node_hour / 3600
        if rate:
            at = self._state.now + self._draw.expovariate(rate)
            self._push(at, _LOSS, node, self._state.epoch[node])

    def _result(self, jobs: int) -> Simulated:
        state, workers = self._state, len(self._slow)
        work_s = sum(self._lengths) * sum(self._costs)
        ideal_s = work_s / workers
        return Simulated(
            hours=state.now / 3600,
            ideal_hours=ideal_s / 3600,
            efficiency=ideal_s / state.now,
            lost_share=state.lost_s / (state.now * workers),
            failures=state.failures,
            retried=state.retried,
            last_share=1 - state.busy_until_thin / state.now,
            driver_share=min(1.0, jobs * self._config.driver_s / state.now),
            jobs=jobs,
        )
