"""The Ray runner: order, reuse of actors, and one bad item never harming another."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mitds.errors import EnvironmentFault, MissingWeights
from mitds.pipeline.jobs import Job, Outcome, Stage
from mitds.pipeline.runner import Runner
from mitds.pipeline.session import _join, ray_session

WORKER = "mitds.pipeline.fakes:Fake"


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with ray_session(workers=2):
        yield


def stage(name: str, **options) -> Stage:
    return Stage(name=name, worker=WORKER, arguments={"prefix": f"{name}:"}, **options)


def run(stages: list[Stage], jobs: list[Job], follow=lambda job, outcome: ()) -> dict[str, Outcome]:
    ended: dict[str, Outcome] = {}

    def after(job: Job, outcome: Outcome) -> Iterable[Job]:
        assert job.item not in ended, "an item ended twice"
        ended[job.item] = outcome
        return follow(job, outcome)

    Runner(stages).run(jobs, after)
    return ended


def test_ray_listens_on_loopback_only():
    import ray

    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}


def test_items_flow_through_more_stages_than_there_are_cores():
    names = ["a", "b", "c", "d"]

    def follow(job: Job, outcome: Outcome) -> list[Job]:
        after = names[names.index(job.stage) + 1 :]
        return (
            [Job(stage=after[0], item=f"{job.item}{after[0]}", payload=("say", outcome.value))]
            if after
            else []
        )

    ended = run(
        [stage(n) for n in names],
        [Job(stage="a", item=f"{i}a", payload=("say", i)) for i in range(5)],
        follow,
    )
    assert {ended[f"{i}abcd"].value for i in range(5)} == {f"d:c:b:a:{i}" for i in range(5)}
    assert len(ended) == 20


def test_actors_are_reused():
    ended = run([stage("a")], [Job(stage="a", item=str(i), payload=("count",)) for i in range(12)])
    per_process: dict[int, int] = {}
    for outcome in ended.values():
        pid, count = outcome.value
        per_process[pid] = max(per_process.get(pid, 0), count)
    assert len(per_process) <= 2
    assert sum(per_process.values()) == 12


def test_bad_items_end_alone_with_their_reason(tmp_path: Path):
    payloads = {
        "good": ("say", 1),
        "refused": ("refuse",),
        "bug": ("bug",),
        "once": ("die", tmp_path / "marker"),
        "always": ("die", None),
        "last": ("say", 2),
    }
    ended = run([stage("a")], [Job(stage="a", item=k, payload=v) for k, v in payloads.items()])
    assert ended["good"].value == "a:1"
    assert ended["last"].value == "a:2"
    assert ended["refused"].reason == "not_video"
    assert ended["refused"].detail == "these bytes are no video (clip.mp4)"
    assert ended["bug"].reason == "internal"
    assert "ZeroDivisionError: one item too few" in ended["bug"].detail
    assert ended["once"].value == "second attempt"
    assert ended["always"].reason == "crashed"
    assert "2 attempts" in ended["always"].detail


def test_a_worker_that_never_returns_is_stopped_at_its_deadline():
    slow = stage("a", deadline_s=0.5, deadline_per_media_s=0.1)
    jobs = [
        Job(stage="a", item="stuck", payload=("sleep", 600), media_s=1),
        Job(stage="a", item="ok", payload=("say", 1)),
    ]
    ended = run([slow], jobs)
    assert ended["stuck"].reason == "timeout"
    assert ended["ok"].value == "a:1"


def test_what_the_machine_lacks_ends_the_run():
    with pytest.raises(MissingWeights, match="no mirror has the file"):
        run([stage("a")], [Job(stage="a", item="1", payload=("lack",))])


def test_a_gpu_that_is_not_there_is_an_error_and_not_a_wait():
    with pytest.raises(EnvironmentFault, match="asks for 1 GPU"):
        run([stage("a", num_gpus=1)], [Job(stage="a", item="1", payload=("say", 1))])


def test_a_cluster_that_does_not_answer_is_an_error_at_once():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(EnvironmentFault, match="no Ray cluster answers"):
        _join(f"127.0.0.1:{port}", {})
