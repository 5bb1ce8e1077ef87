"""One lazy, loud registry: a name stands for ``module:attribute`` and is imported on first use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Generic, TypeVar, cast

from mitds.errors import MissingDependency, UnknownName, UsageError

T = TypeVar("T")


def unknown(kind: str, name: str, known: list[str]) -> UnknownName:
    """Build the error for a name nobody knows, with the nearest known ones."""
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(known))}."
    return UnknownName(f"no {kind} is called {name!r}", remedy=hint)


class Registry(Generic[T]):
    """Backends of one kind by name.

    Args:
        kind: What the entries are, for messages ("pose backend").
        entries: Name to ``package.module:attribute``; nothing is imported until asked for.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def origin(self, name: str) -> str:
        """Return where a name leads: ``module:attribute``; such a text is its own name, for code outside mitds."""
        if ":" in name:
            return name
        if name not in self._entries:
            raise unknown(self.kind, name, self.names())
        return self._entries[name]

    def register(self, name: str, target: str) -> None:
        """Add an entry; a name that is taken is an error that names both owners."""
        if self._entries.get(name, target) != target:
            raise UsageError(
                f"two {self.kind}s want the name {name!r}: {self._entries[name]} and {target}",
                remedy="Rename one of them.",
            )
        self._entries[name] = target

    def get(self, name: str) -> T:
        """Import and return the entry; a missing package becomes an error with the install line."""
        module_name, _, attribute = self.origin(name).partition(":")
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            package = (error.name or module_name).split(".")[0]
            raise MissingDependency(
                f"{self.kind} {name!r} needs the package {package!r}, which cannot be imported: {error}",
                where=module_name,
                remedy=f"Install it, or choose another {self.kind}: {', '.join(self.names())}.",
            ) from error
        return cast(T, getattr(module, attribute))
