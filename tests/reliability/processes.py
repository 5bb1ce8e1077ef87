"""Processes by way of /proc: who descends from whom, and what they hold."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Return a process and all that descend from it, parents first; those that ended are left out."""
    children = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children[int(parent)].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def title(pid: int) -> str:
    """Return what a process is called; empty where it has ended."""
    try:
        return (
            (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pids: list[int]) -> None:
    """Kill at once; this process comes last."""
    for pid in sorted(pids, key=lambda pid: pid == os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def rss_bytes(pid: int) -> int:
    """Return the memory a process holds that it does not share with a file; 0 where it has ended."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int) -> int:
    """Return how many files a process holds open; 0 where it has ended."""
    with contextlib.suppress(OSError):
        return len(list((PROC / str(pid) / "fd").iterdir()))
    return 0
