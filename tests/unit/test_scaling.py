"""The cluster on paper: bounds that must hold whatever the numbers."""

from __future__ import annotations

import pytest

from mitds.errors import UsageError
from mitds.pipeline.scaling.measuring import Measured, StageCost
from mitds.pipeline.scaling.simulation import ClusterConfig, simulate

COSTS = {"faces": 1.0, "poses": 2.0, "clips": 0.5}
PERFECT = {"spread": 0.0, "straggler_share": 0.0, "failures_per_node_hour": 0.0, "driver_s": 0.0}


def cluster(**changes: float) -> ClusterConfig:
    small = {"nodes": 4, "workers": 4, "hours": 40.0, "source_s": 300.0}
    return ClusterConfig(**{**small, **changes})  # type: ignore[arg-type]


def test_one_perfect_worker_takes_what_the_work_takes() -> None:
    found = simulate(COSTS, cluster(nodes=1, workers=1, hours=2.0, **PERFECT))
    assert found.hours == pytest.approx(2.0 * 3.5)
    assert found.efficiency == pytest.approx(1.0)


def test_no_cluster_beats_the_ideal_and_each_trouble_costs() -> None:
    perfect = simulate(COSTS, cluster(**PERFECT))
    slow = simulate(COSTS, cluster(**{**PERFECT, "straggler_share": 0.25, "straggler_factor": 4.0}))
    lossy = simulate(COSTS, cluster(**{**PERFECT, "failures_per_node_hour": 0.5}))
    held = simulate(COSTS, cluster(**{**PERFECT, "driver_s": 60.0}))
    assert 0.9 < perfect.efficiency <= 1.0
    assert max(slow.efficiency, lossy.efficiency, held.efficiency) < perfect.efficiency
    assert lossy.failures > 0
    assert lossy.retried > 0
    assert lossy.lost_share > 0
    assert held.driver_share > 0.9


def test_every_job_ends_once_and_a_seed_is_a_course() -> None:
    lossy = cluster(failures_per_node_hour=1.0)
    assert simulate(COSTS, lossy) == simulate(COSTS, lossy)
    assert simulate(COSTS, lossy).jobs == simulate(COSTS, cluster(failures_per_node_hour=0.0)).jobs


def test_what_is_no_cluster_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cluster\.nodes"):
        ClusterConfig(nodes=0)


def test_efficiency_is_the_cpu_time_alone_over_that_beside_another() -> None:
    costs = [
        StageCost(stage="faces", workers=n, jobs=1, media_s=10, cpu_s=cpu, seconds=9)
        for n, cpu in ((1, 4.5), (2, 5.0))
    ]
    found = Measured(profile="embedded", media_s=10, clip_bytes=1, label_bytes=1, costs=tuple(costs))
    assert found.efficiency("faces", 2) == pytest.approx(0.9)
    assert found.efficiency("poses", 2) is None
