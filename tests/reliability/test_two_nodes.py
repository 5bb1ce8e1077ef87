"""A cluster of two nodes: one dies, or the head does; nothing is lost, nobody is blamed, the bytes are the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability_tools import Command, Whole, until
from tests.two_nodes import start_on, two_nodes

NAPS = {"MITDS_TEST_NAPS": "7"}


def reasons(command: Command) -> list[str]:
    """Return why jobs of annotate were given to somebody else."""
    lines = (command.folder / "clips" / ".work" / "events.jsonl").read_text().splitlines()
    return [event["reason"] for event in map(json.loads, lines) if event["event"] == "retried"]


def in_the_midst(
    process: subprocess.Popen[str], command: Command, node: Callable[[], bool], seconds: float = 150.0
) -> None:
    """Wait until annotate has left its first results and a worker of the node has a job in hand."""

    def now() -> bool:
        return process.poll() is not None or (any(command.folder.glob("clips/.work/*/*.done")) and node())

    assert until(now, seconds), "the run did not get that far"
    assert process.poll() is None, process.communicate()


@pytest.mark.long
def test_a_run_goes_on_when_one_of_its_nodes_is_lost(whole: Whole, tmp_path: Path) -> None:
    hurt = whole.again(tmp_path / "hurt", env=NAPS)
    with two_nodes(hurt) as cluster:
        process = start_on(cluster, hurt)
        in_the_midst(process, hurt, lambda: cluster.holds_up_a_job("other"))
        cluster.lose("other")
        _, said = process.communicate(timeout=150)
    assert process.returncode == 0, said
    whole.compare(hurt, twice=2)
    assert set(reasons(hurt)) == {"node_lost"}, "the kill hit nobody, or somebody was blamed for it"


@pytest.mark.long
def test_a_run_whose_head_is_lost_stops_and_says_so_and_another_cluster_ends_it(
    whole: Whole, tmp_path: Path
) -> None:
    hurt = whole.again(tmp_path / "hurt", env=NAPS)
    with two_nodes(hurt) as cluster:
        process = start_on(cluster, hurt)
        in_the_midst(process, hurt, lambda: cluster.holds_up_a_job("head"))
        cluster.lose("head")
        _, said = process.communicate(timeout=90)
    assert process.returncode == 3, said
    assert "the head of the Ray cluster is lost" in said
    assert not list((hurt.folder / "clips").glob("*.tar"))
    with two_nodes(hurt) as cluster:
        process = start_on(cluster, hurt)
        _, said = process.communicate(timeout=150)
    assert process.returncode == 0, said
    whole.compare(hurt, twice=4)
