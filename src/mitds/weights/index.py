"""Package indexes: which archives of one version are where (PEP 503 pages, PEP 691 JSON, find-links)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from mitds.errors import SourceUnreachable
from mitds.weights.pipconf import PipConfig
from mitds.weights.web import Web, body, copy, redact, silent

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
MAX_PAGE = 256 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel or sdist at an address; `digest` is (algorithm, hex) where the index states one."""

    file: str
    url: str
    digest: tuple[str, str] | None


def archives(
    name: str, version: str, *, sdist: bool, config: PipConfig, fault: Callable[[str], None]
) -> Iterator[Archive]:
    """Yield the archives of exactly one version, source by source in pip's order, plain wheels first.

    What a package requires of Python or of the platform does not matter: nothing is installed.

    Args:
        name: Project name in any spelling.
        version: The one version.
        sdist: True for source archives, False for wheels.
        config: Which indexes there are.
        fault: Told, in words, of each source that cannot be read.
    """
    project = canonicalize_name(name)
    pages = [*config.find_links, *(f"{index.rstrip('/')}/{project}/" for index in config.indexes)]
    for page in pages:
        try:
            links = _links(_as_url(page), config.web)
        except SourceUnreachable as error:
            fault(f"{redact(page)}: {error.what}")
            continue
        fitting = [link for link in links if _fits(link.file, project, Version(version), sdist=sdist)]
        if not fitting:
            fault(f"{redact(page)}: has no {'source archive' if sdist else 'wheel'} of this version")
        yield from sorted(fitting, key=lambda link: (not link.file.endswith("-none-any.whl"), link.file))


def _fits(file: str, project: str, version: Version, *, sdist: bool) -> bool:
    try:
        found = parse_sdist_filename(file) if sdist else parse_wheel_filename(file)[:2]
    except (InvalidSdistFilename, InvalidWheelFilename):
        return False
    return found == (project, version)


def _as_url(place: str) -> str:
    return (
        place if "://" in place else Path(place).expanduser().absolute().as_uri() + "/" * place.endswith("/")
    )


def local_path(url: str) -> Path | None:
    """Return the path a file:// URL names; None for other URLs."""
    parts = urlsplit(url)
    return Path(url2pathname(unquote(parts.path))) if parts.scheme == "file" else None


def _links(url: str, web: Web) -> list[Archive]:
    if (path := local_path(url)) is not None:
        return _local_links(path)
    with web.get(url, {"Accept": ACCEPT}) as response:
        page = io.BytesIO()
        copy(body(response), page, limit=MAX_PAGE, total=None, tick=silent)
        text = page.getvalue().decode(errors="replace")
        # Redirects move the base of relative links, but drop the credentials they need.
        base = with_login(response.url, url)
        if "json" in response.headers.get("Content-Type", ""):
            return _json_links(text, base)
    return _html_links(text, base)


def _local_links(path: Path) -> list[Archive]:
    page = path / "index.html" if path.is_dir() else path
    try:
        if page.is_file():
            return _html_links(page.read_text(errors="replace"), page.as_uri())
        return [Archive(file.name, file.as_uri(), None) for file in sorted(path.iterdir())]
    except OSError as error:
        raise SourceUnreachable(f"cannot be read: {error.strerror}", where=str(path)) from error


def with_login(url: str, login_url: str) -> str:
    """Give a URL the user name and password of another one on the same host, as pip does."""
    parts, login = urlsplit(url), urlsplit(login_url)
    user, at, host = login.netloc.rpartition("@")
    if not at or parts.netloc != host or parts.scheme != login.scheme:
        return url
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))


def _json_links(text: str, base: str) -> list[Archive]:
    try:
        entries = json.loads(text)["files"]
        return [_archive(urljoin(base, e["url"]), base, dict(e.get("hashes", {}))) for e in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnreachable("the index page is not valid JSON of PEP 691", where=redact(base)) from error


def _html_links(text: str, base: str) -> list[Archive]:
    parser = _Anchors(base)
    parser.feed(text)
    return [_archive(url, base, {}) for url in parser.urls]


def _archive(url: str, base: str, hashes: dict[str, str]) -> Archive:
    parts = urlsplit(url)
    stated = {**{k: v[0] for k, v in parse_qs(parts.fragment).items()}, **hashes}
    known = sorted(stated.keys() & hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}, reverse=True)
    digest = (known[0], stated[known[0]].lower()) if known else None
    plain = urlunsplit(parts._replace(fragment=""))
    return Archive(unquote(parts.path).rpartition("/")[2], with_login(plain, base), digest)


class _Anchors(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base, self.urls = base, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take <a href> and heed <base href>."""
        href = dict(attrs).get("href")
        if not href:
            return
        if tag == "base":
            self.base = urljoin(self.base, href)
        elif tag == "a":
            self.urls.append(urljoin(self.base, href))
