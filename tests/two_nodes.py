"""A Ray cluster of two nodes on this host, on loopback, in processes of their own; and a run that is given to it.

As a program: `nodes FOLDER` holds the cluster until its input ends, `run ADDRESS LIST FOLDER` does both commands.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitds.errors import MitdsError
from tests.reliability.processes import kill, title, tree
from tests.reliability_tools import HOOKS, ROOT, Command

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what a laptop does: listen on loopback alone
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_raylet_start_wait_time_s": "60",
    "RAY_worker_niceness": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
    "PYTHONPATH": os.pathsep.join([str(HOOKS), str(ROOT)]),
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster.

    Attributes:
        address: Where its head listens.
        pids: Processes of each node, "head" and "other", that have workers and services for children.
        holder: The process that started them.
    """

    address: str
    pids: dict[str, list[int]]
    holder: int

    def everybody(self, node: str) -> list[int]:
        """Return all processes of a node, parents first."""
        return [pid for root in self.pids[node] for pid in tree(root)]

    def holds_up_a_job(self, node: str) -> bool:
        """Say whether a worker of a node has a job in hand; it is stopped there."""
        for pid in self.everybody(node):
            if _works(pid):
                os.kill(pid, signal.SIGSTOP)
                if _works(pid):
                    return True
                os.kill(pid, signal.SIGCONT)
        return False

    def lose(self, node: str) -> None:
        """Kill a node: all of its processes at once."""
        kill(self.everybody(node))


def _works(pid: int) -> bool:
    return title(pid).startswith("ray::Host.run")


@contextlib.contextmanager
def two_nodes(command: Command) -> Iterator[Cluster]:
    """Start a cluster whose processes obey a command's faults; nothing of it is left at the end."""
    with tempfile.TemporaryDirectory(prefix="two-", ignore_cleanup_errors=True) as folder:
        holder = _begin("nodes", folder, command=command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pids: dict[str, list[int]] = {}
        try:
            line = holder.stdout.readline() if holder.stdout else ""
            assert line, "the cluster did not start"
            about = json.loads(line)
            pids = about["pids"]
            yield Cluster(about["address"], pids, holder.pid)
        finally:
            roots = [holder.pid, *(pid for node in pids.values() for pid in node)]
            kill([pid for root in roots for pid in tree(root)])
            holder.communicate()


def start_on(cluster: Cluster, command: Command) -> subprocess.Popen[str]:
    """Begin a command on a cluster."""
    return _begin(
        "run", cluster.address, str(command.list_path), str(command.folder), command=command,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _begin(*arguments: str, command: Command, **streams: Any) -> subprocess.Popen[str]:
    faults = {"root": str(command.folder), "changes": str(command.record), **command.faults}
    env = {**os.environ, **ENVIRONMENT, "MITDS_TEST_FAULTS": json.dumps(faults), **command.env}
    env.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.two_nodes", *arguments],
        cwd=ROOT,
        env=env,
        text=True,
        start_new_session=True,
        **streams,
    )


def _hold(folder: Path) -> None:
    """Start a head and another node, tell of them, and end both when nobody listens any more."""
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    def node(head: bool, **more: Any) -> Node:
        parameters = RayParams(
            num_cpus=1,
            num_gpus=0,
            object_store_memory=80 * 2**20,
            min_worker_port=0,
            max_worker_port=0,
            include_log_monitor=False,
            no_monitor=True,
            include_dashboard=False,
            **more,
        )
        return Node(parameters, head=head, shutdown_at_exit=False, spawn_reaper=False)

    head = node(True, temp_dir=str(folder))
    other = node(False, gcs_address=head.gcs_address, node_manager_port=0, dashboard_agent_listen_port=None)
    nodes = {"head": head, "other": other}
    pids = {
        name: [info.process.pid for infos in n.all_processes.values() for info in infos]
        for name, n in nodes.items()
    }
    sys.stdout.write(json.dumps({"address": head.gcs_address, "pids": pids}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    for one in nodes.values():
        one.kill_all_processes(check_alive=False, allow_graceful=False)
    shutil.rmtree(folder, ignore_errors=True)


def _run(address: str, list_path: Path, folder: Path) -> None:
    from mitds.pipeline.annotate import annotate
    from mitds.pipeline.ingest import ingest
    from tests.reliability.driver import INGEST, config

    ingest(list_path, folder / "raw", INGEST, address=address)
    annotate([str(folder / "raw" / "shots-*.tar")], folder / "clips", config(), address=address)


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "nodes":
        _hold(Path(rest[0]))
    else:
        try:
            _run(rest[0], Path(rest[1]), Path(rest[2]))
        except MitdsError as error:
            sys.stderr.write(f"error[{error.code}]: {error}\n")
            sys.exit(error.exit_code)
