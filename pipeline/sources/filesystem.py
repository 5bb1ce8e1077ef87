"""Every other URL scheme: file systems that fsspec knows (s3://, gs://, memory://, ...)."""

from __future__ import annotations

import sys
import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mitds.errors import MissingDependency, SourceUnreachable
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.weights.web import blocks, copy, redact

_DRIVER_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
"""Drivers' own errors that are no OSError; looked up only in modules a driver has imported."""


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
    except ImportError as error:
        scheme = urlsplit(url).scheme
        what = f"reading {scheme}:// needs a driver that cannot be imported: {error}"
        raise MissingDependency(what, where=redact(url), remedy=_install(scheme)) from error
    except _errors() as error:
        raise SourceUnreachable(redact(str(error)) or type(error).__name__) from error
    return Download(path=path, name=PurePosixPath(urlsplit(url).path or url).name or urlsplit(url).netloc)


def _install(scheme: str) -> str:
    return "pip install 'mitds[s3]'." if scheme in ("s3", "s3a") else "Install the package it names."


def _errors() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules.get(module), name) for module, name in _DRIVER_ERRORS]
    drivers = (getattr(module, name) for module, name in loaded if module is not None)
    return (OSError, ValueError, *drivers)
