"""The inside of an isolated process: limits first, then one call after another, JSON in and out.

Started as `python -m mitds.benchmark.isolation_worker FD`; FD is a socket to `isolation`. The first message holds
the limits and the function, each later one an argument; every message is a length, a kind ("J" JSON or "B" bytes)
and a body.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import math
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEADER = struct.Struct("!Qc")
OUT_OF_MEMORY = "out_of_memory"

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_GRACE_S = 5


def message(value: Any) -> bytes:
    """Frame a JSON-ready value, or bytes."""
    kind, body = (b"B", value) if isinstance(value, bytes) else (b"J", json.dumps(value).encode())
    return HEADER.pack(len(body), kind) + body


def unpacked(kind: bytes, body: bytes) -> Any:
    """Read a message's body back; a ValueError where it is neither JSON nor bytes."""
    if kind == b"B":
        return body
    if kind != b"J":
        raise ValueError(f"a message of kind {kind!r}")
    return json.loads(body)


def main() -> None:
    """Serve calls until the other side closes."""
    line = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(line.fileno(), False)
    order = _receive(line)
    try:
        if not order["network"]:
            cut_network()
        _limit(order)
        function = _load(order["function"])
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
        line.sendall(message({"fault": _told(error)}))
        return
    line.sendall(message({"ready": True}))
    while (argument := _receive(line)) is not None:
        line.sendall(_answer(function, argument["argument"], order))


def _receive(line: socket.socket) -> Any:
    head = _exactly(line, HEADER.size)
    if not head:
        return None
    size, kind = HEADER.unpack(head)
    return unpacked(kind, _exactly(line, size))


def _exactly(line: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = line.recv(min(size - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def _load(origin: str) -> Callable[[Any], Any]:
    module, _, name = origin.partition(":")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return function


def _answer(function: Callable[[Any], Any], argument: Any, order: dict[str, Any]) -> bytes:
    _allow(order)
    try:
        value = function(argument)
        return message(value if isinstance(value, bytes) else {"value": value})
    except MemoryError:
        return message({"error": {"code": OUT_OF_MEMORY, "what": "out of memory"}})
    except Exception as error:  # noqa: BLE001 - whatever a function raises is its outcome
        return message({"error": _told(error)})
    finally:
        signal.alarm(0)


def _told(error: Exception) -> dict[str, str]:
    told = {name: str(getattr(error, name, "")) for name in ("what", "where", "remedy")}
    told["what"] = (told["what"] or str(error) or type(error).__name__)[:2000]
    code = getattr(error, "code", None)
    told["code"] = code if isinstance(code, str) else type(error).__name__
    return told | {"trace": traceback.format_exc()[-4000:]}


def _limit(order: dict[str, Any]) -> None:
    """Set the limits that hold for the life of the process."""
    import resource

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: order["files"],
        resource.RLIMIT_FSIZE: order["file_bytes"],
    }
    if order["memory_bytes"]:
        limits[resource.RLIMIT_AS] = order["memory_bytes"]
    for which, wanted in limits.items():
        hard = resource.getrlimit(which)[1]
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        # Where the system refuses a limit (RLIMIT_AS on macOS) the others and the deadline still hold.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (bound, bound))


def _allow(order: dict[str, Any]) -> None:
    """Grant one call its time; the alarm ends a call whose parent is gone."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = math.ceil(used.ru_utime + used.ru_stime + order["cpu_s"])
    resource.setrlimit(
        resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(order["wall_s"]) + _GRACE_S)


def cut_network() -> bool:
    """Leave every network, where the system lets an ordinary process do so (Linux); True where it did."""
    if sys.platform != "linux":
        return False
    user, group = os.getuid(), os.getgid()
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    if unshare(_CLONE_NEWNET) == 0:
        return True
    if unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    me = Path("/proc/self")
    with contextlib.suppress(OSError):  # unmapped ids are only shown as "nobody": files stay as accessible
        (me / "setgroups").write_text("deny")
        (me / "uid_map").write_text(f"{user} {user} 1")
        (me / "gid_map").write_text(f"{group} {group} 1")
    return True


def network_is_cut(_: Any) -> bool:
    """True where this process sees no interface but its own."""
    return [name for _, name in socket.if_nameindex()] in ([], ["lo"])


if __name__ == "__main__":
    main()
