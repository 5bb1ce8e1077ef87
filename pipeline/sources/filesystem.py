"""Every other URL scheme: file systems that fsspec knows (s3://, gs://, memory://, ...)."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mitds.errors import MissingDependency, SourceUnreachable
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.weights.web import blocks, copy, redact


def download(url: str, scratch: Path, config: FetchConfig) -> Download:
    """Copy a file through fsspec; see `Kind`."""
    import fsspec

    path, deadline = scratch / "object", time.monotonic() + config.timeout_s

    def tick(done: int, total: int | None) -> None:
        if time.monotonic() > deadline:
            raise SourceUnreachable("takes longer than the whole download may")

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


def _install(scheme: str) -> str:
    return "pip install 'mitds[s3]'." if scheme in ("s3", "s3a") else "Install the package it names."
