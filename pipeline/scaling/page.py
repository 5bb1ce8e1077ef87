"""The page docs/scaling.md: measured costs, what they make of many hours, and the cluster on paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mitds.pipeline.scaling.measuring import Measured
from mitds.pipeline.scaling.simulation import ClusterConfig, Simulated, simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What things cost, US dollars; assumptions of the order of the large clouds' list prices, to be replaced.

    Attributes:
        cpu_hour: A core for an hour, preemptible.
        gb_month: A gigabyte stored for a month.
        gb_egress: A gigabyte sent out of the cloud.
    """

    cpu_hour: float = 0.02
    gb_month: float = 0.023
    gb_egress: float = 0.09


CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("as expected", {}),
    ("no trouble", {"straggler_share": 0.0, "failures_per_node_hour": 0.0, "spread": 0.0}),
    ("one worker in five is three times slower", {"straggler_share": 0.2}),
    ("a node is lost every 20 node-hours", {"failures_per_node_hour": 0.05}),
    ("sources of an hour", {"source_s": 3600.0}),
    ("the driver takes 5 ms a job", {"driver_s": 0.005}),
)
"""What the cluster on paper is asked, beside the defaults."""


def page(measured: Measured, prices: Prices = Prices(), cluster: ClusterConfig = ClusterConfig()) -> str:
    """Return the page's Markdown.

    Args:
        measured: What `mitds scale measure` found.
        prices: Assumptions.
        cluster: Assumptions.
    """
    return "\n".join(_lines(measured, prices, cluster)) + "\n"


def _lines(measured: Measured, prices: Prices, cluster: ClusterConfig) -> Iterator[str]:
    yield "# Scaling"
    yield ""
    yield "Written by `mitds scale measure` and `mitds scale page`. Numbers marked (m) were measured, (a) are assumed."
    yield ""
    yield "## What a stage costs"
    yield ""
    yield from _costs(measured)
    yield ""
    yield "## What that makes of many hours"
    yield ""
    yield from _arithmetic(measured, prices, cluster)
    yield ""
    yield f"## {cluster.nodes:,} nodes on paper"
    yield ""
    yield from _simulated(measured, cluster)


def _costs(measured: Measured) -> Iterator[str]:
    counts = sorted({cost.workers for cost in measured.costs})
    most = counts[-1]
    yield (
        f"Profile `{measured.profile}`, {measured.media_s:.0f} s of shots (m), whole runs with "
        f"{' and '.join(str(count) for count in counts)} workers. CPU seconds per second of the media that a stage "
        "sees; efficiency is the CPU time of a worker alone over that of one beside others."
    )
    yield ""
    yield f"| stage | jobs | CPU-s per media second, alone | with {most} workers | efficiency |"
    yield "|---|---|---|---|---|"
    by = {(cost.stage, cost.workers): cost for cost in measured.costs}
    for stage in dict.fromkeys(cost.stage for cost in measured.costs):
        alone, beside = by[stage, counts[0]], by[stage, most]
        efficiency = measured.efficiency(stage, most)
        found = f"{efficiency:.2f}" if efficiency is not None else "-"
        yield (
            f"| {stage} | {alone.jobs} | {alone.cpu_s / alone.media_s:.3f} | "
            f"{beside.cpu_s / beside.media_s:.3f} | {found} |"
        )


def _per_hour(measured: Measured) -> dict[str, float]:
    """Return CPU seconds by stage per second of source; a stage that sees part of it counts with that part."""
    return {
        cost.stage: cost.cpu_s / measured.media_s
        for cost in measured.costs
        if cost.workers == min_workers(measured)
    }


def min_workers(measured: Measured) -> int:
    """Return the smallest number of workers that was measured."""
    return min(cost.workers for cost in measured.costs)


def _arithmetic(measured: Measured, prices: Prices, cluster: ClusterConfig) -> Iterator[str]:
    cpu = sum(_per_hour(measured).values())
    clip_gb = measured.clip_bytes / measured.media_s * 3600 / 1e9
    label_gb = measured.label_bytes / measured.media_s * 3600 / 1e9
    cores = cluster.nodes * cluster.workers
    yield (
        f"annotate takes {cpu:.2f} CPU-hours an hour of media (m) and leaves {clip_gb:.2f} GB of clips and "
        f"{label_gb:.2f} GB of labels and work folder (m; all spans kept). Prices (a): "
        f"{prices.cpu_hour} $ a core-hour, {prices.gb_month} $ a GB-month, {prices.gb_egress} $ a GB sent out."
    )
    yield ""
    yield "| | 1,000 h | 100,000 h |"
    yield "|---|---|---|"
    rows: list[tuple[str, list[str]]] = []
    for hours in (1_000, 100_000):
        stored = hours * (clip_gb + label_gb)
        rows += [
            ("CPU-hours", [f"{hours * cpu:,.0f}"]),
            ("days on two cores", [f"{hours * cpu / 48:,.1f}"]),
            ("hours on 8 nodes of 16 cores", [f"{hours * cpu / 128:,.1f}"]),
            (f"hours on {cluster.nodes:,} nodes of {cluster.workers} cores", [f"{hours * cpu / cores:,.2f}"]),
            ("storage, TB", [f"{stored / 1e3:,.1f}"]),
            ("CPU, $", [f"{hours * cpu * prices.cpu_hour:,.0f}"]),
            ("a month of storage, $", [f"{stored * prices.gb_month:,.0f}"]),
            ("sending the clips out once, $", [f"{hours * clip_gb * prices.gb_egress:,.0f}"]),
            ("GPU-hours", ["0"]),
        ]
    half = len(rows) // 2
    for (name, small), (_, large) in zip(rows[:half], rows[half:], strict=True):
        yield f"| {name} | {small[0]} | {large[0]} |"
    yield ""
    yield (
        "GPU-hours are 0 because profiles `embedded` and `standard` need none; what a GPU would save was not measured. "
        "Clips pass through the driver, which writes the shards: at 1 GB/s (a) it writes "
        f"{1 / clip_gb * 3600 if clip_gb else 0:,.0f} hours of media an hour. Beyond that, give each driver its own "
        "part of the shots-*.tar and its own --out: shards of several outputs are read together by one pattern."
    )


def _simulated(measured: Measured, cluster: ClusterConfig) -> Iterator[str]:
    yield (
        f"`pipeline/scaling/simulation.py` with the costs above: {cluster.hours:,.0f} hours in sources of "
        f"{cluster.source_s / 60:.0f} minutes on average, in pieces of {cluster.piece_s:.0f} s where a stage works "
        f"on shots or clips, {cluster.workers} workers a node, "
        f"{cluster.straggler_share:.0%} of them {cluster.straggler_factor:g} times slower, a node lost every "
        f"{1 / cluster.failures_per_node_hour:,.0f} node-hours, {cluster.driver_s * 1000:g} ms of the driver a job "
        "(all a). Jobs of a lost node are done again; finished jobs stay."
    )
    yield ""
    yield "| case | hours | efficiency | nodes lost | jobs done again | work lost | thin end | driver busy |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, found in simulated(measured, cluster):
        yield (
            f"| {name} | {found.hours:.2f} | {found.efficiency:.2f} | {found.failures} | {found.retried:,} | "
            f"{found.lost_share:.2%} | {found.last_share:.0%} | {found.driver_share:.0%} |"
        )
    yield ""
    yield (
        "Efficiency is the time with all workers busy to the end over the real one; the thin end is the share of the "
        "time in which fewer than nine in ten were busy. Not in it: networks, object storage's limits, starting nodes."
    )


def simulated(measured: Measured, cluster: ClusterConfig) -> Sequence[tuple[str, Simulated]]:
    """Return what becomes of each case."""
    costs = _per_hour(measured)
    return [(name, simulate(costs, replace(cluster, **changes))) for name, changes in CASES]
