"""Weights on object storage: folders of MITDS_WEIGHTS, and a cache that machines share.

Networks are read from files of this machine, so what lies there is copied into the local cache when it is needed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mitds.places import is_remote, place
from mitds.store import publish_copy
from mitds.weights.catalog import Weight


def folders() -> list[Path]:
    """Return the folders of MITDS_WEIGHTS in order; the separator of a URL separates nothing."""
    named = os.environ.get("MITDS_WEIGHTS", "")
    texts = re.split(rf"{re.escape(os.pathsep)}(?!//)", named)
    return [path if is_remote(path := place(text)) else path.expanduser() for text in texts if text]


def shared_cache() -> Path | None:
    """Return the cache that MITDS_CACHE names on object storage, if it does."""
    cache = place(os.environ.get("MITDS_CACHE", ""))
    return cache if is_remote(cache) else None


def urls(weight: Weight) -> list[str]:
    """Return where on object storage a weight may lie."""
    found = [str(folder / weight.file) for folder in folders() if is_remote(folder)]
    return [*found, *([str(_shared(weight, cache))] if weight.sha256 and (cache := shared_cache()) else [])]


def share(weight: Weight, path: Path) -> None:
    """Put a weight into the shared cache, if there is one and it is not there yet.

    Raises:
        StorageFault: The shared cache cannot be written.
    """
    cache = shared_cache()
    if cache is not None and not _shared(weight, cache).is_file():
        publish_copy(path, _shared(weight, cache))


def _shared(weight: Weight, cache: Path) -> Path:
    return cache / "weights" / str(weight.sha256) / weight.file
