"""From a name to a verified local file."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mitds.config import digest
from mitds.errors import MissingDependency, MissingWeights, SourceUnreachable
from mitds.places import is_remote, place, remote
from mitds.store import sha256_file
from mitds.weights.cache import cache_root, cached_file, locked, stored
from mitds.weights.catalog import Weight, catalog, find
from mitds.weights.mirrors import fetch
from mitds.weights.progress import Progress, bar
from mitds.weights.shared import folders, share, urls
from mitds.weights.web import redact


@dataclass(frozen=True, slots=True)
class State:
    """How one weight stands here.

    Attributes:
        state: "ready", "absent", "wrong" (a file of that name has other bytes) or "failed" (no mirror
            helped).
        path: The file, where there is one.
        detail: What a person should know; empty where ready.
    """

    weight: Weight
    state: Literal["ready", "absent", "wrong", "failed"]
    path: Path | None = None
    detail: str = ""


def resolve(name: str, progress: Progress | None = None) -> Path:
    """Return the verified local file of a weight ("faces.yunet"), fetching it where it is not here.

    Args:
        name: Name in the catalog.
        progress: Told of downloads; None draws a bar on stderr where that is a terminal.

    Raises:
        UnknownName: The catalog has no such weight.
        MissingWeights: No folder, cache or mirror yielded the right bytes; lists all that was tried.
        StorageFault: The cache cannot be written.
    """
    weight, tried = find(name), list[str]()
    path = _local(weight, tried)
    if path is None:
        path = (_from_mirrors if weight.kind == "pinned" else _brought)(weight, tried, progress)
    if path is None:
        raise _missing(weight, tried)
    return path


def digests(names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 by name; for weights that users bring, that of the file which is in use."""
    return {name: find(name).sha256 or _sha256(resolve(name)) for name in names}


def pull(names: Iterable[str] = (), progress: Progress | None = None) -> list[State]:
    """Make weights ready; no names means all that can be fetched. One that fails does not stop the others."""
    chosen = list(names) or [name for name, weight in catalog().items() if weight.kind == "pinned"]
    return [_pulled(find(name), progress) for name in chosen]


def verify(names: Iterable[str] = ()) -> list[State]:
    """Read and hash weights that are here; no names means all. Nothing is fetched."""
    _sha256_at.cache_clear()
    return [_state(find(name), hashed=True) for name in list(names) or catalog()]


def status() -> list[State]:
    """Say which weights are here, by name and size alone: cheap, and nothing is fetched."""
    return [_state(weight, hashed=False) for weight in catalog().values()]


def weights_table() -> list[dict[str, str]]:
    """Return what `mitds weights list` shows: one row a weight, all values text."""
    return [
        {
            "name": state.weight.name,
            "state": state.state,
            "megabytes": "" if state.weight.bytes is None else f"{state.weight.bytes / 1e6:.1f}",
            "licence": state.weight.licence,
            "origin": state.weight.origin,
            "sha256": state.weight.sha256 or "",
            "where": str(state.path or state.detail or state.weight.mirrors[0]),
        }
        for state in status()
    ]


def candidates(weight: Weight) -> list[Path]:
    """Return the files of that name which are here: in the folders of MITDS_WEIGHTS, then in the cache."""
    paths = [folder / weight.file for folder in folders() if not is_remote(folder)]
    if weight.kind == "pinned":
        paths.append(cached_file(weight))
    return [path for path in paths if path.is_file()]


def _local(weight: Weight, tried: list[str]) -> Path | None:
    for path in candidates(weight):
        if wrong := _wrong(weight, path, hashed=True):
            tried.append(f"{path}: {wrong}")
        else:
            return path
    return None


def _from_mirrors(weight: Weight, tried: list[str], progress: Progress | None) -> Path | None:
    path = cached_file(weight)
    # One process fetches, the others wait and find it.
    with locked(f"weight-{weight.sha256}"):
        if path.is_file() and not _wrong(weight, path, hashed=True):
            return path
        for stale in path.parent.glob(".tmp-*"):  # of a process that was killed: we hold the lock
            stale.unlink()
        for url in (*urls(weight), *weight.mirrors):
            if _fetched(weight, url, path, tried, progress):
                share(weight, path)
                return path
    return None


def _brought(weight: Weight, tried: list[str], progress: Progress | None) -> Path | None:
    """Copy a weight that the user brings from object storage; kept by the version it has there."""
    for url in urls(weight):
        try:
            version = remote(place(url)).version()
        except FileNotFoundError:
            tried.append(f"{redact(url)}: no such file")
            continue
        path = cache_root() / "brought" / digest(url, version) / weight.file
        with locked(f"brought-{digest(url, version)}"):
            if path.is_file() or _fetched(weight, url, path, tried, progress):
                return path
    return None


def _fetched(weight: Weight, url: str, path: Path, tried: list[str], progress: Progress | None) -> bool:
    try:
        _download(weight, url, path, progress)
    except (SourceUnreachable, MissingDependency) as error:
        tried.append(f"{redact(url)}: {redact(error.what)}")
        return False
    return True


def _download(weight: Weight, url: str, path: Path, progress: Progress | None) -> None:
    with bar() as drawn, stored(path) as temporary:
        tick = functools.partial(progress or drawn, weight.name)
        fetch(url, temporary, tick, limit=weight.bytes)
        if wrong := _wrong(weight, temporary, hashed=True):
            raise SourceUnreachable(wrong)


def _wrong(weight: Weight, path: Path, *, hashed: bool) -> str:
    """Say what is wrong with a file; empty where nothing is."""
    size = path.stat().st_size
    if weight.bytes is not None and size != weight.bytes:
        return f"has {size} bytes instead of {weight.bytes}"
    if hashed and weight.sha256 and (found := _sha256(path)) != weight.sha256:
        return f"wrong bytes, sha256 {found}"
    return ""


def _sha256(path: Path) -> str:
    """Hash a file once per process, as long as its size and time stay what they are."""
    facts = path.stat()
    return _sha256_at(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256_at(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)


def _missing(weight: Weight, tried: list[str]) -> MissingWeights:
    if weight.kind == "user":
        get = (
            f"Bring your own: get {weight.source}, call it {weight.file}, put it into a folder, and name the "
            f"folder in MITDS_WEIGHTS."
        )
    else:
        get = (
            f"Put a file {weight.file} with sha256 {weight.sha256} into a folder and name the folder in "
            f"MITDS_WEIGHTS, or into {cached_file(weight).parent}."
        )
    listed = "".join(f"\n  - {line}" for line in tried) or " no folder of MITDS_WEIGHTS holds it"
    return MissingWeights(f"the weight {weight.name} cannot be had; tried:{listed}", remedy=get)


def _state(weight: Weight, *, hashed: bool) -> State:
    faults = []
    for path in candidates(weight):
        wrong = _wrong(weight, path, hashed=hashed)
        if not wrong:
            return State(weight, "ready", path)
        faults.append(State(weight, "wrong", path, f"{path}: {wrong}"))
    return faults[0] if faults else State(weight, "absent", detail=weight.source)


def _pulled(weight: Weight, progress: Progress | None) -> State:
    try:
        return State(weight, "ready", resolve(weight.name, progress))
    except MissingWeights as error:
        return State(weight, "failed", detail=str(error))
