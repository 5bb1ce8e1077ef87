"""A web server on 127.0.0.1 that answers what a test tells it to, and keeps count."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: `ranges` serves byte ranges, `delay_s` waits, `short` breaks off after so many bytes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = False
    delay_s: float = 0.0
    short: int | None = None


class Site:
    """Answers by path; of a list of answers each is given once, the last for ever."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.served: dict[str, int] = {}

    def put(self, path: str, *answers: Answer) -> str:
        """Set the answers of a path; return its URL."""
        self.answers[path] = list(answers)
        return self.url + path

    def next(self, path: str) -> Answer:
        """Return the next answer of a path."""
        answers = self.answers.get(path)
        if not answers:
            return Answer(status=404)
        if isinstance(answers, Answer):
            return answers
        return answers.pop(0) if len(answers) > 1 else answers[0]


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.site.asked.append((self.command, path))
        self.site.headers.append(dict(self.headers))
        answer = self.site.next(path)
        time.sleep(answer.delay_s)
        status, body, extra = _ranged(answer, self.headers.get("Range"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers, **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            sent = body[: answer.short]
            with suppress(ConnectionError):  # a client may hang up
                self.wfile.write(sent)
            self.site.served[path] = self.site.served.get(path, 0) + len(sent)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def _ranged(answer: Answer, asked: str | None) -> tuple[int, bytes, dict[str, str]]:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked or "")
    if not (answer.ranges and found):
        return answer.status, answer.body, {}
    first, last = int(found[1]), min(int(found[2]), len(answer.body) - 1)
    extent = {"Content-Range": f"bytes {first}-{last}/{len(answer.body)}"}
    return 206, answer.body[first : last + 1], extent


@contextmanager
def serving() -> Iterator[Site]:
    """Run a site for the length of a block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
    site = Site(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass.site = site  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
