"""The live display of a run: a table on a terminal, a line every half minute elsewhere; always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live

from mitds.pipeline.watching.metrics import MetricsServer
from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.table import run_line, run_table
from mitds.pipeline.watching.tally import Tally

LINE_EVERY_S = 30.0


class StageProgress(Tally):
    """Shows what every stage has done, is doing and has before it, how fast, and how long it may take.

    Args:
        stages: Stage names in order.
        quiet: Show nothing.
        metrics_port: Serve the same figures to Prometheus on this port of this machine; 0 for any free one.

    Raises:
        UsageError: The port cannot be had.
    """

    def __init__(
        self, stages: Sequence[str], *, quiet: bool = False, metrics_port: int | None = None
    ) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        super().__init__(RunPlan(stages=tuple(stages)), time.monotonic)
        self._server = None if metrics_port is None else MetricsServer(metrics_port, self.view)
        self._over = threading.Event()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._server is not None:
            self._open.enter_context(self._server)
        if self._server is not None and not self._quiet:
            sys.stderr.write(f"metrics: {self._server.url}\n")
        if self._console.is_terminal and not self._quiet:
            live = Live(console=self._console, get_renderable=self._table, refresh_per_second=1)
            self._open.enter_context(live)
        elif not self._quiet:
            lines = threading.Thread(target=self._speak, daemon=True)
            lines.start()
            self._open.callback(lines.join)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._open.close()

    def _table(self) -> Group:
        return run_table(self.view())

    def _speak(self) -> None:
        while not self._over.wait(LINE_EVERY_S):
            sys.stderr.write(f"{run_line(self.view())}\n")
