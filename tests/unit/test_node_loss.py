"""A run over many nodes, played: whose fault a lost worker is, who makes way, and how often the cluster is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import ray

from mitds.errors import EnvironmentFault, MissingWeights
from mitds.pipeline import nodes, runner
from mitds.pipeline.jobs import Job, Outcome, Silent, Stage
from mitds.pipeline.nodes import Needs, View, check_head, compare, is_lost, look
from mitds.pipeline.runner import Runner
from tests.fake_cluster import FakeCluster


class Retries(Silent):
    """Notes what was tried again."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def retried(self, stage: str, item: str, reason: str) -> None:
        self.reasons.append(reason)


def stage(name: str) -> Stage:
    return Stage(name=name, worker=f"worker:{name}")


def job(name: str, item: str, do: Any = lambda: None) -> Job:
    def payload() -> Outcome:
        return Outcome(value=do())

    return Job(stage=name, item=item, payload=payload)


def run(
    stages: list[Stage], jobs: list[Job], follow=lambda job, outcome: ()
) -> tuple[dict[str, Outcome], list[str]]:
    ended: dict[str, Outcome] = {}

    def after(job: Job, outcome: Outcome) -> Iterable[Job]:
        assert job.item not in ended, "an item ended twice"
        ended[job.item] = outcome
        return follow(job, outcome)

    told = Retries()
    Runner(stages, told).run(jobs, after)
    return ended, told.reasons


def test_jobs_of_a_lost_node_go_elsewhere_and_are_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({"one": 4, "two": 4})
    cluster.install(monkeypatch)
    jobs = [job("a", str(i), (lambda: cluster.lose("two")) if i == 9 else (lambda: None)) for i in range(40)]
    ended, reasons = run([stage("a")], jobs)
    assert len(ended) == 40
    assert all(outcome.ok for outcome in ended.values())
    assert reasons
    assert set(reasons) == {"node_lost"}


def test_actors_that_idled_on_a_lost_node_get_no_more_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({"one": 1, "two": 6})
    cluster.install(monkeypatch)

    def follow(ended: Job, outcome: Outcome) -> list[Job]:
        if ended.item == "6":
            cluster.lose("two")
            return [job("a", "after")]
        return []

    ended, reasons = run([stage("a")], [job("a", str(i)) for i in range(7)], follow)
    assert ended["after"].ok
    assert set(reasons) <= {"node_lost"}
    assert len(reasons) <= 1, "a job was handed from one dead actor to the next"


def test_a_job_that_loses_node_after_node_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({str(n): 1 for n in range(9)})
    cluster.install(monkeypatch)
    jobs = [job("a", "deadly", lambda: fall(cluster))]
    ended, reasons = run([stage("a")], jobs)
    assert ended["deadly"].reason == "crashed"
    assert reasons == ["node_lost"] * runner.MOVES + ["crashed"]


def test_a_run_stops_when_its_own_node_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({"driver": 1})
    cluster.install(monkeypatch)
    with pytest.raises(EnvironmentFault, match="node of this process is lost"):
        run([stage("a")], [job("a", "1", lambda: fall(cluster))])


def test_a_run_stops_when_its_own_node_is_lost_before_any_worker_has_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = FakeCluster({"driver": 1})
    cluster.install(monkeypatch)
    monkeypatch.setattr(runner, "LOOK_S", 0.0)
    monkeypatch.setattr("mitds.pipeline.pool.OWN_NODE_S", 0.0)
    cluster.gone.add("driver")
    with pytest.raises(EnvironmentFault, match="node of this process is lost"):
        run([stage("a")], [job("a", "1")])


def fall(cluster: FakeCluster) -> None:
    """Take the node along that runs this."""
    cluster.lose(next(actor.node for actor in cluster.actors if not actor.dead and actor.node))
    raise ray.exceptions.RayError("the node is no more")


def test_an_idle_actor_makes_way_where_room_is_on_the_wrong_node(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({"one": 1})
    monkeypatch.setattr(cluster, "cluster_resources", lambda: {"CPU": 2.0})  # the other core is of no use
    cluster.install(monkeypatch)
    monkeypatch.setattr(runner, "PLACE_S", 0.0)
    monkeypatch.setattr(runner, "LOOK_S", 0.0)
    ended, _ = run(
        [stage("a"), stage("b")], [job("a", "1")], lambda j, _: [job("b", "2")] if j.item == "1" else []
    )
    assert ended["2"].ok


def test_the_cluster_is_asked_once_in_a_while_and_not_for_every_job(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({str(n): 16 for n in range(20)})
    cluster.install(monkeypatch)
    monkeypatch.setattr("mitds.pipeline.pool.ROOM_S", 3600.0)
    monkeypatch.setattr(runner, "LOOK_S", 3600.0)
    ended, _ = run([stage("a")], [job("a", str(i)) for i in range(3200)])
    assert len(ended) == 3200
    assert cluster.asked["resources"] <= 2
    assert cluster.asked["wait"] < 640, "more than one wait for a job"


def test_a_lost_head_ends_the_run_and_nobody_asks_it_to_kill_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster({"one": 2})
    cluster.install(monkeypatch)
    monkeypatch.setattr(runner, "LOOK_S", 0.0)
    monkeypatch.setattr(nodes, "HEAD_S", 0.0)
    monkeypatch.setattr(nodes, "head_address", lambda: f"127.0.0.1:{unused_port()}")
    monkeypatch.setattr(runner, "check_head", check_head)
    cluster.lose("head")
    with pytest.raises(EnvironmentFault, match="head of the Ray cluster is lost") as error:
        run([stage("a")], [job("a", str(i)) for i in range(9)])
    assert error.value.exit_code == 3
    assert cluster.asked["kill"] == 0


def unused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_a_node_is_lost_when_the_cluster_says_so_or_nobody_answers_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = {"well": server.getsockname()[1], "silent": unused_port(), "dead": server.getsockname()[1]}
        rows = [
            {"NodeID": n, "Alive": n != "dead", "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port}
            for n, port in ports.items()
        ]
        monkeypatch.setattr(ray, "nodes", lambda: rows)
        assert [is_lost(name) for name in ("well", "silent", "dead", "forgotten")] == [
            False,
            True,
            True,
            True,
        ]


def test_a_node_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str) -> Path:
        raise MissingWeights(f"{name}: no mirror has the file")

    monkeypatch.setattr(nodes, "resolve", resolve)
    monkeypatch.setattr(nodes, "APPEAR_S", 0.0)
    probe, shard = tmp_path / "probe", tmp_path / "shots-000000.tar"
    probe.write_bytes(b"here")
    shard.touch()
    assert look(probe, b"here", Needs(work=tmp_path, inputs=[shard])) == View()
    poor = look(
        tmp_path / "other",
        b"here",
        Needs(work=tmp_path, inputs=[tmp_path / "gone.tar"], weights=["faces.yunet"]),
    )
    assert "other" in poor.unseen[0]
    assert "gone.tar" in poor.unseen[1]
    assert "faces.yunet" in poor.lacking


@pytest.mark.parametrize(
    ("view", "what"),
    [
        (View(python="3.9.1"), "the node has python 3.9.1"),
        (View(tool="mitds 0.0.1"), "the node has tool mitds 0.0.1"),
        (View(code="0123"), "the node has code 0123"),
        (View(unseen=("/data/out/.work/probe",)), "cannot read /data/out/.work/probe"),
        (View(lacking="no mirror has faces.yunet"), "lacks weights: no mirror has faces.yunet"),
    ],
)
def test_a_node_that_is_not_as_this_one_is_refused_by_name(view: View, what: str) -> None:
    compare(View(), "node7 10.0.0.7")
    with pytest.raises(EnvironmentFault, match=what) as error:
        compare(view, "node7 10.0.0.7")
    assert error.value.where == "node7 10.0.0.7"
    assert error.value.remedy
