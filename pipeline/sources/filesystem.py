"""Every other URL scheme: file systems that fsspec knows (s3://, gs://, memory://, ...)."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mitds.errors import MissingDependency, SourceUnreachable
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.weights.web import TOO_LONG, blocks, copy, redact


def download(url: str, scratch: Path, config: FetchConfig) -> Download:
    """Copy a file through fsspec; see `Kind`."""
    _check(url, config)
    import fsspec

    path, deadline = scratch / "object", time.monotonic() + config.timeout_s

    def tick(done: int, total: int | None) -> None:
        if time.monotonic() > deadline:
            raise SourceUnreachable(TOO_LONG)

    try:
        with fsspec.open(url, "rb") as source, path.open("wb") as file:
            copy(blocks(source), file, limit=config.max_bytes, total=None, tick=tick)
    except SourceUnreachable:
        raise
    except ImportError as error:
        scheme = urlsplit(url).scheme
        what = f"reading {scheme}:// needs a driver that cannot be imported: {error}"
        raise MissingDependency(what, where=redact(url), remedy=_install(scheme)) from error
    except FileNotFoundError as error:
        raise SourceUnreachable(f"no such file: {error}") from error
    except Exception as error:  # drivers are others' code and raise anything at all
        what = f"{urlsplit(url).scheme}:// fails: {type(error).__name__}: {error}"
        raise SourceUnreachable(what.removesuffix(": ")) from error
    return Download(path=path, name=PurePosixPath(urlsplit(url).path or url).name or urlsplit(url).netloc)


def _check(url: str, config: FetchConfig) -> None:
    """Refuse file systems that were not allowed by name: some read this machine, or what another URL names."""
    scheme = urlsplit(url).scheme
    if "::" in url:
        raise SourceUnreachable(
            "one file system inside another ('::') is refused; fetch the outer file first"
        )
    if scheme not in config.file_systems:
        raise SourceUnreachable(
            f"{scheme}:// is not among the file systems a list may name",
            remedy=f"Allow it: --set 'fetch.file_systems=[{scheme}]', with all others that the list needs.",
        )


def _install(scheme: str) -> str:
    return "pip install 'mitds[s3]'." if scheme in ("s3", "s3a") else "Install the package it names."
