"""http(s): media files directly, all else through yt-dlp; the one request that finds out which is reused."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mitds.errors import SourceUnreachable
from mitds.pipeline.sources import ytdlp
from mitds.pipeline.sources.connections import Connections
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.pipeline.sources.hosts import turn
from mitds.weights.web import TOO_LONG, Pace, Web, body, copy, length, refused, silent

if TYPE_CHECKING:
    import requests

_MEDIA_SUFFIX = re.compile(
    r"\.(mp4|m4[av]|mov|mkv|webm|avi|mpe?g|m?ts|m2ts|wmv|flv|3gp|og[gv]|mxf|vob|wav|mp3|flac)$", re.IGNORECASE
)
MEDIA_TYPES = frozenset({"application/mp4", "application/ogg", "application/mxf"})
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
BROWSERS_ONLY = frozenset({403, 405, 406})
"""Refusals that pages give to plain programs; yt-dlp knows how to ask, and its own answer then counts."""

OPT_OUTS = frozenset({"noai", "noimageai", "noml"})


class Transient(Exception):
    """A fault that may pass; `pause_s` is the least wait the server asks for."""

    def __init__(self, error: SourceUnreachable, pause_s: float = 0.0) -> None:
        super().__init__(error, pause_s)
        self.error, self.pause_s = error, pause_s


def download(url: str, scratch: Path, config: FetchConfig) -> Download:
    """Fetch a media file, or what yt-dlp finds behind a page; see `Kind`."""
    with turn(url, config.host_interval_s):
        deadline = time.monotonic() + config.timeout_s
        with Connections(private_hosts=config.private_hosts, deadline=deadline) as connections:
            found = _asked(url, scratch, config, deadline, connections)
            if isinstance(found, Download):
                return found
            return ytdlp.download(
                url, scratch, config, notes=found, deadline=deadline, connections=connections
            )


def _asked(
    url: str, scratch: Path, config: FetchConfig, deadline: float, connections: Connections
) -> Download | tuple[str, ...]:
    attempt = 1
    while True:
        try:
            return _attempt(url, scratch, config, deadline, connections)
        except Transient as fault:
            _pause(url, attempt, fault, config, deadline)
        attempt += 1


def pause_s(url: str, attempt: int, config: FetchConfig) -> float:
    """Return how long to wait after attempt 1, 2, ...: doubling, with jitter that is the URL's own."""
    jitter = int.from_bytes(hashlib.sha256(f"{url}#{attempt}".encode()).digest()[:4]) / 2**32
    return min(config.max_pause_s, config.backoff_s * 2.0 ** (attempt - 1) * (0.5 + jitter))


def _pause(url: str, attempt: int, fault: Transient, config: FetchConfig, deadline: float) -> None:
    wait = max(pause_s(url, attempt, config), fault.pause_s)
    if fault.pause_s > config.max_pause_s:
        raise SourceUnreachable(f"{fault.error.what}, and asks to wait {fault.pause_s:.0f} s") from fault
    if attempt == config.attempts or time.monotonic() + wait > deadline:
        raise SourceUnreachable(f"{fault.error.what} (attempt {attempt})") from fault
    time.sleep(wait)


def _attempt(
    url: str, scratch: Path, config: FetchConfig, deadline: float, connections: Connections
) -> Download | tuple[str, ...]:
    """Ask once: a download where the answer is media, else the notes to keep about the page."""
    import requests

    web = Web(connect_s=config.connect_s, read_s=config.read_s, session=connections.session)
    try:
        with web.answer(url) as response:
            _raise_for_status(response, url)
            notes = opt_outs(response.headers)
            if response.status_code >= 400 or not _is_media(response):
                return notes
            return _save(response, scratch / "body", notes, config, deadline)
    except SourceUnreachable as error:
        if connections.past():
            raise SourceUnreachable(TOO_LONG) from error
        passing = (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
        if isinstance(error.__cause__, passing):
            raise Transient(error) from error
        raise


def _raise_for_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status < 400:
        return
    error = SourceUnreachable(refused(status, response.reason))
    if status in TRANSIENT:
        raise Transient(error, retry_after_s(response.headers.get("Retry-After", "")))
    if status not in BROWSERS_ONLY or _named_as_media(url):
        raise error


def retry_after_s(text: str) -> float:
    """Return the seconds a Retry-After header asks for, as a number or a date; 0 where it says nothing."""
    if text.strip().isdecimal():
        return float(text)
    try:
        asked = parsedate_to_datetime(text)
        return max(0.0, (asked.replace(tzinfo=asked.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0


def opt_outs(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note for each directive against machine learning that is meant for everybody or for mitds."""
    notes = []
    for part in headers.get("X-Robots-Tag", "").split(","):
        agent, _, directive = part.strip().lower().rpartition(":")
        if directive.strip() in OPT_OUTS and agent.strip() in ("", "mitds"):
            notes.append(f"opt-out: X-Robots-Tag {directive.strip()}")
    return tuple(notes)


def _is_media(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith(("video/", "audio/")):
        # A playlist of segments is for yt-dlp.
        return "mpegurl" not in kind
    is_page = kind in ("text/html", "application/xhtml+xml")
    return kind in MEDIA_TYPES or (not is_page and _named_as_media(_name(response)))


def _save(
    response: requests.Response, path: Path, notes: tuple[str, ...], config: FetchConfig, deadline: float
) -> Download:
    total = length(response)
    if total is not None and total > config.max_bytes:
        raise SourceUnreachable(f"has {total} bytes, more than the {config.max_bytes} allowed")
    with path.open("wb") as file:
        pace = Pace(deadline, config.least_bytes_per_s, config.read_s)
        copy(body(response, pace=pace), file, limit=config.max_bytes, total=total, tick=silent)
    return Download(path=path, name=_name(response), notes=notes)


def _name(response: requests.Response) -> str:
    message = Message()
    message["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    address = urlsplit(response.url)
    named = message.get_filename() or unquote(PurePosixPath(address.path).name)
    return named or address.hostname or "video"


def _named_as_media(name: str) -> bool:
    return _MEDIA_SUFFIX.search(urlsplit(name).path) is not None
