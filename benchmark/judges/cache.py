"""What a judge saw is a function of content: computed once, kept in memory with the footage and on disk by digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import Arrays
from mitds.benchmark.footage import Footage
from mitds.config import digest
from mitds.errors import BadShard
from mitds.manifests.codec import pack_arrays, unpack_arrays
from mitds.store import write_bytes
from mitds.weights import cache_root, digests


def judge_id(name: str, version: int, weight: str) -> str:
    """Return the id of a judge: "yunet-places@1:8f2383e4", the version of its code and the weight's digest."""
    return f"{name}@{version}:{digests([weight])[weight][:8]}"


def content(array: NDArray[Any]) -> str:
    """Return a digest of an array's shape and bytes, for the inputs of `judged`."""
    data = np.ascontiguousarray(array)
    return hashlib.sha256(f"{data.dtype.str}{data.shape}".encode() + data.tobytes()).hexdigest()[:16]


def judged(footage: Footage, judge: str, inputs: object, see: Callable[[], Arrays]) -> Arrays:
    """Return what a judge sees in footage, read-only, computing it only where neither memory nor disk has it.

    Set MITDS_JUDGE_CACHE=0 to keep nothing on disk.

    Args:
        footage: The video looked at.
        judge: Name, version and weight digest of the judge, as `judge_id` gives it.
        inputs: Whatever else decides the result (settings, a digest of boxes or sound), JSON-ready.
        see: Computes the arrays.
    """
    key = f"{judge}/{digest(judge, inputs)}"
    if key not in footage.seen:
        footage.seen[key] = _kept(_path(footage, judge, key), see)
        for array in footage.seen[key].values():
            array.setflags(write=False)  # all metrics share it
    arrays: Arrays = footage.seen[key]
    return arrays


def _path(footage: Footage, judge: str, key: str) -> Path | None:
    if os.environ.get("MITDS_JUDGE_CACHE") == "0":
        return None
    name = digest(footage.digest, key)
    return cache_root() / "judges" / judge.partition("@")[0] / name[:2] / f"{name}.npz"


def _kept(path: Path | None, see: Callable[[], Arrays]) -> Arrays:
    if path is not None and path.is_file():
        try:
            return unpack_arrays(path.read_bytes())
        except BadShard:
            path.unlink(missing_ok=True)  # torn by a full disk: seen anew below
    arrays = see()
    if path is not None:
        write_bytes(path, pack_arrays(arrays))
    return arrays
