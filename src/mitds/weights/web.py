"""HTTP for weights and sources: bounded, redirects kept to http(s), faults told in words."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mitds.errors import SourceUnreachable

if TYPE_CHECKING:
    import requests

AGENT = "mitds/0.1"
CHUNK = 1 << 20
MAX_REDIRECTS = 10
MAX_EXPANSION = 100
"""Most bytes that one received byte may unpack to: media hardly shrink, a bomb grows a thousandfold."""

SMALL = 16 << 20
"""Bytes that may come out whatever went in."""

Tick = Callable[[int, int | None], None]
"""Told (bytes done, bytes in all or None) while bytes flow."""

TOO_LONG = "takes longer than the whole download may"


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


def implausible(unpacked: int, packed: int) -> str | None:
    """Say what is wrong where `packed` bytes give `unpacked` ones; None where nothing is."""
    if unpacked <= SMALL + MAX_EXPANSION * packed:
        return None
    return f"unpacks to more than {MAX_EXPANSION} times its size"


@dataclass(slots=True)
class Pace:
    """How long a body may take, and how slowly it may come.

    Attributes:
        deadline: When to give up, on time.monotonic's clock; None for never.
        least_per_s: Fewest bytes a second, over every `window_s`.
        window_s: Seconds over which the bytes are counted.
    """

    deadline: float | None = None
    least_per_s: int = 0
    window_s: float = 30.0
    _since: float = field(default_factory=time.monotonic, init=False)
    _counted: int = field(default=0, init=False)

    def tick(self, count: int) -> None:
        """Count bytes that came; `SourceUnreachable` where they come too late or too slowly."""
        now = time.monotonic()
        if self.deadline is not None and now > self.deadline:
            raise SourceUnreachable(TOO_LONG)
        self._counted += count
        if now - self._since >= self.window_s:
            if self._counted < self.least_per_s * (now - self._since):
                raise SourceUnreachable(f"gives fewer than {self.least_per_s} bytes a second")
            self._since, self._counted = now, 0


def body(response: requests.Response, *, pace: Pace | None = None) -> Iterator[bytes]:
    """Yield the body of a response as it comes, unpacked where the server packed it.

    Raises:
        SourceUnreachable: It breaks the pace, unpacks to far more than came, or is packed in a way unasked for.
        requests.RequestException: It breaks off.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    chunks = _received(response, pace or Pace())
    if coding in ("", "identity"):
        return chunks
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise SourceUnreachable(f"the server packs its answer as {coding!r}, which was not asked for")
    return _unpacked(chunks)


def _received(response: requests.Response, pace: Pace) -> Iterator[bytes]:
    """Yield bytes as soon as they are there: a full block of a server that trickles may never come."""
    import requests
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    try:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            pace.tick(len(chunk))
            yield chunk
        pace.tick(0)  # a body that is cut off at the deadline looks like one that ends
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from error
    except HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by the header
    packed = unpacked = 0
    try:
        for chunk in chunks:
            packed += len(chunk)
            while chunk and not unpacker.eof:
                block = unpacker.decompress(chunk, CHUNK)
                chunk, unpacked = unpacker.unconsumed_tail, unpacked + len(block)
                if what := implausible(unpacked, packed):
                    raise SourceUnreachable(what)
                yield block
    except zlib.error as error:
        raise SourceUnreachable(f"the server's packing is broken: {error}") from error
    if not unpacker.eof:
        raise SourceUnreachable("the server's packing breaks off")


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
        session: Makes the session that asks; None makes a plain one, which connects to any host.
    """

    verify: bool | str = True
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    connect_s: float = 10.0
    read_s: float = 30.0
    session: Callable[[], requests.Session] | None = None

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
            with (self.session or requests.Session)() as session:
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
