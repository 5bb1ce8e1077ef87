"""The live display of a run: one bar a stage on a terminal, one line a few seconds elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0


class StageProgress:
    """Shows how many items each stage has done, and how many of them failed.

    Args:
        stages: Stage names in order.
        quiet: Show nothing.
    """

    def __init__(self, stages: Sequence[str], *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._quiet = quiet
        self._live = console.is_terminal and not quiet
        self._bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            TimeElapsedColumn(),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {s: self._bars.add_task(s, total=0, failed="") for s in stages}
        self._added = dict.fromkeys(stages, 0)
        self._done = dict.fromkeys(stages, 0)
        self._failed = dict.fromkeys(stages, 0)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def added(self, stage: str) -> None:
        """Count a job that waits."""
        self._added[stage] += 1
        self._bars.update(self._tasks[stage], total=self._added[stage])

    def ended(self, stage: str, item: str, ok: bool) -> None:
        """Count a job that ended."""
        self._done[stage] += 1
        self._failed[stage] += not ok
        failed = f"{self._failed[stage]} failed" if self._failed[stage] else ""
        self._bars.update(self._tasks[stage], completed=self._done[stage], failed=failed)
        if not self._live and not self._quiet and time.monotonic() - self._said > LINE_EVERY_S:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        counts = "  ".join(f"{s} {self._done[s]}/{self._added[s]}" for s in self._added if self._added[s])
        sys.stderr.write(f"{counts}\n")
