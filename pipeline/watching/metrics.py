"""A run's figures in Prometheus's text format, for whoever asks this machine for them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from mitds.errors import UsageError
from mitds.pipeline.watching.tally import StageRow, View

HOST = "127.0.0.1"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]


def exposition(view: View) -> str:
    """Return a run's figures, version 0.0.4 of the format; no item is named."""
    return "".join(line + "\n" for family in _families(view) for line in family)


def _families(view: View) -> Iterator[list[str]]:
    def each(*columns: str, label: str = "status") -> list[Sample]:
        return [({"stage": row.stage, label: c}, getattr(row, c)) for row in view.rows for c in columns]

    def one(column: str) -> list[Sample]:
        return [({"stage": row.stage}, getattr(row, column)) for row in view.rows]

    ended = each("done", "failed", "recalled")
    yield _family("mitds_jobs_total", "counter", "Jobs that ended; recalled: known from earlier runs.", ended)
    now = each("waiting", "running")
    yield _family("mitds_jobs", "gauge", "Jobs that wait for a worker, and that workers are at.", now)
    yield _family("mitds_failures_total", "counter", "Jobs that failed, by reason.", _reasons(view.rows))
    retries = one("retries")
    yield _family(
        "mitds_retries_total", "counter", "Jobs handed out again after their worker was lost.", retries
    )
    media = one("media_s")
    yield _family("mitds_media_seconds_total", "counter", "Seconds of media in jobs that ended.", media)
    spent = one("job_s")
    yield _family(
        "mitds_job_seconds_total", "counter", "Seconds that workers spent on jobs that ended.", spent
    )
    begun = [({"command": view.command}, view.seconds)]
    yield _family("mitds_run_seconds", "gauge", "Seconds since the run began.", begun)
    left = [] if view.left_s is None else [({"command": view.command}, view.left_s)]
    yield _family(
        "mitds_time_left_seconds", "gauge", "Seconds the run may still take; absent if unknown.", left
    )


def _reasons(rows: tuple[StageRow, ...]) -> list[Sample]:
    return [
        ({"stage": r.stage, "reason": reason}, count) for r in rows for reason, count in r.reasons.items()
    ]


def _family(name: str, kind: str, about: str, samples: list[Sample]) -> list[str]:
    lines = [f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples]
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *lines]


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class MetricsServer:
    """Answers GET /metrics on the loopback interface, from a thread that ends with the block.

    Args:
        port: Where; 0 for any free one.
        view: Asked for the figures.

    Raises:
        UsageError: The port cannot be had.
    """

    def __init__(self, port: int, view: Callable[[], View]) -> None:
        try:
            self._server = _Server((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(
                f"metrics cannot be served: {reason}",
                where=f"{HOST}:{port}",
                remedy="Choose another --metrics-port, or 0 for any free one.",
            ) from error
        self._server.view = view
        self.url = f"http://{HOST}:{self._server.server_port}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    view: Callable[[], View]
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a caller hang up without a word."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    server: _Server

    def do_GET(self) -> None:
        """Answer with the figures."""
        found = self.path.partition("?")[0] == "/metrics"
        body = exposition(self.server.view()).encode() if found else b"try /metrics\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", CONTENT_TYPE if found else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Name the program and nothing of the machine."""
        return "mitds"

    def log_message(self, format: str, *args: object) -> None:
        """Keep stderr for the run."""
