"""Names of export files: the stem of the source's file name, made safe, and unique."""

from __future__ import annotations

import re
from itertools import chain, count
from pathlib import PurePosixPath

from mitds.store import safe_name

_SUFFIX = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{2,4}", re.IGNORECASE)


def stem(name: str) -> str:
    """Return a source name without its file suffix, fit to be a path component.

    Titles keep what merely looks like a suffix: "Talk v1.2" stays whole.
    """
    path = PurePosixPath(name)
    return safe_name(path.stem if _SUFFIX.fullmatch(path.suffix) else name)


class Names:
    """Gives every source its own file name; the second of two equal stems gets its id's first digits.

    Attributes:
        renamed: Changed file name by source id.
    """

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self.renamed: dict[str, str] = {}

    def of(self, source_id: str, name: str) -> str:
        """Return the file name, without suffix, of one source."""
        wanted = stem(name)
        # Names that differ only in case are one file on some systems.
        numbered = (f"{wanted}-{source_id[:8]}-{n}" for n in count(2))
        for free in chain((wanted, f"{wanted}-{source_id[:8]}"), numbered):
            if self._taken.setdefault(free.casefold(), source_id) == source_id:
                break
        if free != wanted:
            self.renamed[source_id] = free
        return free
