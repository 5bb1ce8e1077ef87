"""HTTP for weights and sources: bounded, redirects kept to http(s), faults told in words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mitds.errors import SourceUnreachable

if TYPE_CHECKING:
    import requests

AGENT = "mitds/0.1"
CHUNK = 1 << 20
MAX_REDIRECTS = 10

Tick = Callable[[int, int | None], None]
"""Told (bytes done, bytes in all or None) while bytes flow."""


def silent(done: int, total: int | None) -> None:
    """Tell nobody."""


def redact(text: str) -> str:
    """Return a text without the user names and passwords of the URLs in it."""
    return re.sub(r"(?<=://)[^/\s'\"]*@", "", text)


def words(error: requests.RequestException) -> str:
    """Say what a failed request means, without credentials."""
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.TooManyRedirects):
        return "redirects without end"
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "redirects to an address that is not http(s), which is refused"
    root: BaseException = error
    while inner := root.__cause__ or root.__context__:
        root = inner
    return f"no connection: {redact(str(root))}"


def refused(status: int, reason: str) -> str:
    """Say what an HTTP status means."""
    return f"the server answers {status} {reason}".rstrip()


def copy(
    chunks: Iterable[bytes], file: IO[bytes], *, limit: int | None, total: int | None, tick: Tick
) -> int:
    """Write chunks to a file and return how many bytes came; more than `limit` is an error."""
    done = 0
    for chunk in chunks:
        done += len(chunk)
        if limit is not None and done > limit:
            raise SourceUnreachable(f"gives more than the {limit} bytes allowed")
        file.write(chunk)
        tick(done, total)
    return done


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Read a stream in blocks of one MiB."""
    while block := stream.read(CHUNK):
        yield block


def body(response: requests.Response, *, deadline: float | None = None) -> Iterator[bytes]:
    """Yield the body of a response; past `deadline` (on time.monotonic's clock) it is an error."""
    for chunk in response.iter_content(CHUNK):
        if deadline is not None and time.monotonic() > deadline:
            raise SourceUnreachable("takes longer than the whole download may")
        yield chunk


def length(response: requests.Response) -> int | None:
    """Return the length a response announces for its body, if it does."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """How requests are made.

    Attributes:
        verify: False, or a file of certificates; True takes the usual ones.
        proxy: Address of a proxy for all requests; None takes the environment's.
        trusted_hosts: Hosts, with or without port, whose certificates are not checked.
        connect_s: Seconds to wait for a connection.
        read_s: Seconds to wait for the next bytes.
    """

    verify: bool | str = True
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    connect_s: float = 10.0
    read_s: float = 30.0

    @contextmanager
    def answer(self, url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
        """Ask for a URL and yield the answer, whatever its status; the body is not read yet.

        Raises:
            SourceUnreachable: No answer, a redirect away from http(s), or a body that breaks off.
        """
        import requests

        parts = urlsplit(url)
        trusted = {parts.hostname, parts.netloc.rpartition("@")[2]} & set(self.trusted_hosts)
        options: dict[str, Any] = {"verify": False if trusted else self.verify}
        if self.proxy:
            options["proxies"] = {"http": self.proxy, "https": self.proxy}
        # Identity, because lengths, ranges and hashes are of the stored bytes.
        asked = {"User-Agent": AGENT, "Accept-Encoding": "identity", **(headers or {})}
        try:
            with requests.Session() as session:
                session.max_redirects = MAX_REDIRECTS
                timeout = (self.connect_s, self.read_s)
                with session.get(url, headers=asked, stream=True, timeout=timeout, **options) as response:
                    yield response
        except requests.RequestException as error:
            raise SourceUnreachable(words(error), where=redact(url)) from error

    @contextmanager
    def get(self, url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
        """Ask for a URL as `answer` does; a status of 400 or more is an error too."""
        with self.answer(url, headers) as response:
            if response.status_code >= 400:
                raise SourceUnreachable(refused(response.status_code, response.reason), where=redact(url))
            yield response
