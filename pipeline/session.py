"""Ray itself: started on this machine alone, or a cluster that is joined."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

from mitds.errors import EnvironmentFault, UsageError
from mitds.pipeline.nodes import CONNECT_S, Needs, check_nodes


@contextlib.contextmanager
def ray_session(
    *, address: str | None = None, workers: int | None = None, needs: Needs | None = None
) -> Iterator[None]:
    """Start Ray on this machine alone, or join the cluster at `address`; no telemetry, loopback only.

    Inside another session nothing is started: several runs can share the workers of an outer one, which
    then must be the only one to name an address or a number of workers.

    Args:
        address: A cluster, host:port; None for this machine.
        workers: Processes on this machine; None for one a core.
        needs: What every node of a cluster must have; see `check_nodes`.

    Raises:
        EnvironmentFault: No cluster answers, or a node lacks something.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        if address or workers:
            raise UsageError(
                "a Ray session is open already", remedy="Give address and workers to the outer one only."
            )
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
    if address:
        _join(address, options)
    else:
        _stay_on_loopback()
        ray.init(
            address="local",  # never a cluster that happens to run on this machine
            num_cpus=workers or os.cpu_count(),
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            **options,
        )
    try:
        if address and needs is not None:
            check_nodes(needs)
        yield
    finally:
        ray.shutdown()


def _stay_on_loopback() -> None:
    """Keep Ray's servers on 127.0.0.1.

    They listen on all interfaces unless Ray takes this machine for one that cannot join a cluster; an address
    of 127.0.0.1 given to ray.init is replaced by the outward one. Ray reads the variable when it is imported,
    which somebody else may have done before.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    from ray._private import ray_constants, services

    ray_constants.ENABLE_RAY_CLUSTER = False
    address: str = services.get_node_ip_address()  # type: ignore[no-untyped-call]
    if not address.startswith("127."):
        raise EnvironmentFault(
            "this version of Ray would listen beyond this machine",
            remedy="Install the Ray version of constraints.txt, or start a cluster yourself and name its --address.",
        )


def _join(address: str, options: dict[str, Any]) -> None:
    """Join a cluster; one that does not answer is an error within seconds and not a long silence."""
    import ray

    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        ray.init(address=address, **options)
    except OSError as error:
        raise EnvironmentFault(
            f"no Ray cluster answers: {error}", where=address, remedy="Start it, or leave --address out."
        ) from error
    except (RuntimeError, ValueError) as error:
        raise EnvironmentFault(
            f"this machine cannot join the Ray cluster: {_first_line(error)}",
            where=address,
            remedy="Start a node of the cluster on this machine, with the Ray and Python that are used here.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
