"""Runs of ingest and annotate in processes of their own, to be killed and begun again; what must hold at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.reliability.drawing import films, listing
from tests.reliability.laws import check_law, shards
from tests.reliability.processes import alive, kill, title, tree

ROOT = Path(__file__).resolve().parent.parent
HOOKS = ROOT / "tests" / "reliability" / "hooks"
LINE = 200
"""Bytes of a line of the record of changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A run to be begun as often as one likes.

    Attributes:
        list_path: What is taken in.
        folder: For both outputs, "raw" and "clips".
        workers: Processes.
        engine: Who runs the workers: "ray", or "forks", which begin at once.
        settings: Of annotate.
        faults: What goes wrong, as hooks/sitecustomize.py has it.
        env: Further environment.
        umask: Of the process; -1 for this one's.
    """

    list_path: Path
    folder: Path
    workers: int = 2
    engine: str = "forks"
    settings: tuple[str, ...] = ()
    faults: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    umask: int = -1

    @property
    def record(self) -> Path:
        """The record of changes of the file system, over all runs."""
        return self.folder.parent / f"{self.folder.name}.changes"

    def start(self) -> subprocess.Popen[str]:
        """Begin."""
        faults = {"root": str(self.folder), "changes": str(self.record), **self.faults}
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(HOOKS), os.environ.get("PYTHONPATH"), str(ROOT)])
            ),
            "MITDS_TEST_FAULTS": json.dumps(faults),
            "MITDS_TEST_ENGINE": self.engine,
            "RAY_raylet_start_wait_time_s": "60",
            "RAY_worker_niceness": "0",  # workers would starve on a machine that tests keep busy
            **self.env,
        }
        env.pop("MITDS_TEST_DRIVER", None)
        arguments = [str(self.list_path), str(self.folder), str(self.workers), *self.settings]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.driver", *arguments],
            cwd=ROOT,
            env=env,
            umask=self.umask,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, deadline_s: float = 240.0) -> tuple[int, str]:
        """Run to the end, whatever it is; return the exit code and what was said."""
        process = self.start()
        _, said = process.communicate(timeout=deadline_s)
        return process.returncode, said

    def finish(self, deadline_s: float = 240.0) -> str:
        """Run to the end, which must be a good one."""
        code, said = self.run(deadline_s)
        assert code == 0, f"exit code {code}: {said}"
        return said

    def changes(self) -> list[str]:
        """Return all changes so far: process, verb, path."""
        data = self.record.read_bytes() if self.record.exists() else b""
        return [data[at : at + LINE].decode(errors="replace").strip() for at in range(0, len(data), LINE)]

    def count(self) -> int:
        """Return the number of changes so far."""
        return self.record.stat().st_size // LINE if self.record.exists() else 0

    def written_bytes(self, under: str) -> int:
        """Return how much was written to files below a folder of the output, over all runs and processes.

        Every file is flushed before it counts: one that replaces another at once, one that grows as often as it did.
        """
        whole, grown = 0, Counter[str]()
        for line in self.changes():
            _, verb, size, *path = line.split(" ", 3)
            if verb == "fsync" and path[0].startswith(under):
                if "/.tmp-" in path[0]:
                    whole += int(size)
                else:
                    grown[path[0]] = max(grown[path[0]], int(size))
        return whole + grown.total()

    def done(self) -> Counter[str]:
        """Return how often each job was written down as done, over all runs."""
        return Counter(
            line.split(" ", 2)[2] for line in self.changes() if " replace " in line and ".done" in line
        )


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to become true; say whether it did."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


VICTIMS = ("worker", "driver", "server", "all")
"""What is killed: one worker, the driver, the server that starts workers (Ray's raylet), or everything at once."""
_SERVERS = {"ray": "raylet/raylet", "forks": "multiprocessing.forkserver"}


def victims(kind: str, command: Command, driver: int) -> list[int]:
    """Return the processes of a run that a kill hits; a busy worker if there is one, none before any is there."""
    everybody = tree(driver)
    if kind == "all":
        return everybody
    if kind == "driver":
        return [driver]
    servers = [pid for pid in everybody if pid != driver and _SERVERS[command.engine] in title(pid)][:1]
    if kind == "server" or not servers:
        return servers
    workers = tree(servers[0])[1:]
    if command.engine == "ray":
        workers = sorted(w for w in workers if title(w).startswith("ray::Host"))
    return sorted(workers, key=lambda pid: "Host.run" not in title(pid))[:1]


@dataclass(frozen=True, slots=True)
class Whole:
    """An unbroken run, which others are compared with.

    Attributes:
        command: How it was begun.
        lines: Lines of its list.
        files: sha256 of what it wrote, by name.
        changes: Number of changes of the file system that it made.
        done: How often each job was written down as done.
    """

    command: Command
    lines: int
    files: dict[str, str]
    changes: int
    done: Counter[str]

    def again(self, folder: Path, **changed: Any) -> Command:
        """Return the same command with another folder for its outputs."""
        return replace(self.command, folder=folder, **changed)

    def compare(self, command: Command, twice: int = 0) -> None:
        """Check that a run ended as this one did; at most so many jobs, those in flight, were done again."""
        check_law(command.folder, self.lines)
        assert shards(command.folder) == self.files
        done = command.done()
        assert done.keys() == self.done.keys()
        assert done.total() <= self.done.total() + twice, [name for name in done if done[name] > 1]


def unbroken(folder: Path, count: int) -> Whole:
    """Draw films and take them through both commands, undisturbed."""
    drawn = films(folder / "films", count)
    command = Command(list_path=listing(folder / "films" / "list.jsonl", drawn), folder=folder / "out put")
    command.finish()
    lines = len(drawn) + 3
    check_law(command.folder, lines)
    return Whole(command, lines, shards(command.folder), command.count(), command.done())


def strike(command: Command, change: int, kind: str, deadline_s: float = 240.0) -> int | None:
    """Run a command, and kill a part of it once so many changes were made; return its exit code."""
    process = command.start()
    watched = process.pid
    until(lambda: command.count() >= change or process.poll() is not None, deadline_s)
    if process.poll() is None:
        everybody = tree(watched)
        kill(victims(kind, command, watched))
        if kind in ("driver", "all"):
            process.wait(timeout=30)
            # Ray's two agents write nothing of ours, and take up to two minutes to notice that all is over.
            rest = [pid for pid in everybody if not title(pid).endswith("Agent")]
            gone = until(lambda: not any(alive(pid) for pid in rest), 60)
            assert gone, f"these outlive their run: {[title(pid) for pid in rest if alive(pid)]}"
            return process.returncode  # not by communicate: the agents hold the pipe open
    process.communicate(timeout=deadline_s)
    return process.returncode


def cut_power(command: Command, die_on: str) -> None:
    """Run a command until the first change of the file system that has this text, and let everything die there."""
    code, said = replace(command, faults={**command.faults, "die_on": die_on}).run()
    assert code == -9, f"exit code {code}: {said}"


def cut_everywhere(whole: Whole, broken: Command, base: Path, moments: range) -> int:
    """Go on from a broken run once for each moment: die at that change, run again, compare; return how many."""
    for moment in moments:
        copy = replace(broken, folder=base / str(moment))
        shutil.copytree(broken.folder, copy.folder)
        shutil.copyfile(broken.record, copy.record)
        code, said = replace(copy, faults={"die_at": copy.count() + moment}).run()
        assert code in (-9, 0), said
        copy.finish()
        whole.compare(copy, twice=6)
        shutil.rmtree(copy.folder)
        if code == 0:
            return moment
    return len(moments)
