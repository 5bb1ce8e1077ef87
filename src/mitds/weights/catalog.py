"""The catalog: what each weight is, and where its bytes may come from."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from mitds.registry import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One file mitds may ask for.

    Attributes:
        name: "family.item", the name it is asked for by.
        file: File name in the folders of MITDS_WEIGHTS and in the cache.
        kind: "pinned" (bytes known, fetched from mirrors) or "user" (the user brings the file).
        bytes: Size; None where the user brings the file.
        sha256: Hex digest; None where the user brings the file.
        licence: Licence of the content, not of the package that carries it.
        origin: Whose work it is.
        mirrors: Addresses in the order they are tried; empty where the user brings the file.
        source: Where a user gets the file, in words; empty for pinned weights.
    """

    name: str
    file: str
    licence: str
    origin: str
    kind: Literal["pinned", "user"] = "pinned"
    bytes: int | None = None
    sha256: str | None = None
    mirrors: tuple[str, ...] = ()
    source: str = ""


@functools.cache
def catalog() -> dict[str, Weight]:
    """Return all weights by name, in the catalog's order."""
    tables: dict[str, dict[str, Any]] = tomllib.loads(
        files("mitds.weights").joinpath("catalog.toml").read_text()
    )
    return {
        f"{family}.{item}": Weight(
            name=f"{family}.{item}", **{**entry, "mirrors": tuple(entry.get("mirrors", ()))}
        )
        for family, items in tables.items()
        for item, entry in items.items()
    }


def find(name: str) -> Weight:
    """Return one weight; an unknown name is an error that lists near ones."""
    known = catalog()
    if name not in known:
        raise unknown("weight", name, list(known))
    return known[name]


def by_mirror(url: str) -> str | None:
    """Return the name of the weight that has this mirror, or None."""
    return next((name for name, weight in catalog().items() if url in weight.mirrors), None)
