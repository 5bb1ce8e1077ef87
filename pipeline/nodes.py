"""The machines of a Ray cluster: what they must have in common with this one, and whether they are still there."""

from __future__ import annotations

import contextlib
import platform
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitds.errors import EnvironmentFault, MissingWeights, MitdsError
from mitds.pipeline.fingerprints import code, tool
from mitds.store import write_bytes
from mitds.weights import resolve

CONNECT_S = 5.0
"""Seconds to wait for a cluster or a node to answer."""
HEAD_S = 20.0
"""Seconds without an answer after which the head counts as lost; Ray itself ends this process, at once, after 60."""
LOOK_S = 600.0
"""Seconds that nodes may take to look at what they have; they may fetch weights meanwhile."""
APPEAR_S = 10.0
"""Seconds that a new file may take to be seen from another node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What every node must have.

    Attributes:
        work: The work folder, which all nodes share.
        inputs: Files that all nodes read.
        weights: Names of weights.
    """

    work: Path
    inputs: Sequence[Path] = ()
    weights: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a node has.

    Attributes:
        python: Version of Python.
        tool: Name and version of this program.
        code: Digest of the code that makes results.
        unseen: Files that it cannot read, with the reason.
        lacking: What is wrong with its weights; empty where nothing is.
    """

    python: str = field(default_factory=platform.python_version)
    tool: str = field(default_factory=tool)
    code: str = field(default_factory=code)
    unseen: tuple[str, ...] = ()
    lacking: str = ""


def look(probe: Path, content: bytes, needs: Needs) -> View:
    """Say what this machine has; called on every node."""
    end = time.monotonic() + APPEAR_S
    while (unseen := _unreadable(probe, content)) and time.monotonic() < end:
        time.sleep(0.5)
    missing = tuple(str(path) for path in needs.inputs if not path.is_file())
    lacking = ""
    try:
        for name in needs.weights:
            resolve(name)
    except MissingWeights as error:
        lacking = str(error)
    return View(unseen=(*unseen, *missing), lacking=lacking)


def _unreadable(path: Path, content: bytes) -> tuple[str, ...]:
    try:
        return () if path.read_bytes() == content else (f"{path}: it holds other bytes there",)
    except (OSError, MitdsError) as error:
        return (f"{path}: {error}",)


def check_nodes(needs: Needs) -> None:
    """Look at every node of the cluster that this process has joined, all at the same time.

    Raises:
        EnvironmentFault: A node has another program, does not see the output, or lacks weights; it is named.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote(num_cpus=0, max_retries=0)(look)
    with _probe(needs.work) as (probe, content):
        asked = {}
        for node in alive():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[remote.options(scheduling_strategy=there).remote(probe, content, needs)] = _name(node)
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=LOOK_S)
        if silent:
            raise EnvironmentFault(
                f"the node does not answer within {LOOK_S:g} s",
                where=asked[silent[0]],
                remedy="Look what it does.",
            )
        for reference in answered:
            try:
                compare(ray.get(reference), asked[reference])
            except ray.exceptions.RayError as error:
                raise EnvironmentFault(
                    f"mitds does not start on this node: {str(error).strip().splitlines()[-1]}",
                    where=asked[reference],
                    remedy="Install the same mitds there as here.",
                ) from error


def compare(view: View, name: str) -> None:
    """Refuse a node that would give other results than this one, or none; see `check_nodes`."""
    own = View()
    for what in ("python", "tool", "code"):
        if getattr(view, what) != getattr(own, what):
            raise EnvironmentFault(
                f"the node has {what} {getattr(view, what)}, this process {getattr(own, what)}",
                where=name,
                remedy="Install the same environment on all nodes.",
            )
    if view.unseen:
        raise EnvironmentFault(
            f"the node cannot read {view.unseen[0]}",
            where=name,
            remedy="Keep inputs and --out on a file system mounted at the same path on all nodes, or on s3:// or gs://.",
        )
    if view.lacking:
        raise EnvironmentFault(
            f"the node lacks weights: {view.lacking}",
            where=name,
            remedy="Set MITDS_CACHE or MITDS_WEIGHTS to a folder that all nodes share, before Ray is started on them.",
        )


@contextlib.contextmanager
def _probe(work: Path) -> Iterator[tuple[Path, bytes]]:
    """Leave a small file in the work folder."""
    path, content = work / f".tmp-probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
    write_bytes(path, content)
    try:
        yield path, content
    finally:
        path.unlink(missing_ok=True)


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} {node['NodeManagerAddress']}, node {node['NodeID'][:12]}"


def alive() -> list[dict[str, Any]]:
    """Return the nodes that the cluster counts as alive."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def is_lost(node_id: str) -> bool:
    """Say whether a node is gone: by what the cluster knows, or, as it learns of it late, by asking the node."""
    for node in alive():
        if node["NodeID"] == node_id:
            return not answers(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}")
    return True


def own_node() -> str:
    """Return the node through which this process takes part in the cluster."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def answers(address: str) -> bool:
    """Say whether anybody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def head_address() -> str:
    """Return where the head of the cluster listens, or, of a session on this machine alone, what stands for it."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def check_head() -> None:
    """Make sure that the head is there, before it is asked anything: a question to a dead one would never return.

    Raises:
        EnvironmentFault: It has not answered for a while.
    """
    address, end = head_address(), time.monotonic() + HEAD_S
    while not answers(address):
        if time.monotonic() > end:
            raise EnvironmentFault(
                "the head of the Ray cluster is lost",
                where=address,
                remedy="Start the cluster again, then run the same command: what is done is not done again.",
            )
        time.sleep(0.5)
