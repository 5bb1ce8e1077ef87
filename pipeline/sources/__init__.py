"""Sources: reading the user's list, and getting the bytes behind each line of it."""

from __future__ import annotations

from mitds.pipeline.sources.contract import FetchConfig, Fetched
from mitds.pipeline.sources.fetch import fetch
from mitds.pipeline.sources.lists import Entry, read_list

__all__ = ["Entry", "FetchConfig", "Fetched", "fetch", "read_list"]
