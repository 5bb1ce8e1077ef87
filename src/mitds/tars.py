"""Reading tar headers that may be anybody's."""

from __future__ import annotations

import tarfile
from typing import Any, Self

MAX_HEADER_BYTES = 64 << 10
"""Longest extended header (names, times, comments) that is read; tarfile itself reads any length at once."""

_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class BoundedHeaders(tarfile.TarInfo):
    """Gives up an archive with an extended header that would fill the memory; for `tarfile.open(tarinfo=...)`."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        """Read one block; `tarfile.TarError` where it announces too long a header."""
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENDED and not 0 <= info.size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header says that it has {info.size} bytes")
        return info
