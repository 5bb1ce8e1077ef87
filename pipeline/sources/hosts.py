"""Politeness: one fetch at a time from a host, and a least interval between them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from mitds.weights.cache import locked


@contextmanager
def turn(url: str, interval_s: float) -> Iterator[None]:
    """Wait for the turn at a URL's host, and hold it; all processes of this machine share the queue."""
    host = urlsplit(url).hostname or "nowhere"
    with locked(f"host-{host}") as path:
        last = path.read_text()
        if last:
            # A clock set back must not make anyone wait for long.
            time.sleep(min(interval_s, max(0.0, float(last) + interval_s - time.time())))
        path.write_text(f"{time.time():.3f}")
        yield
