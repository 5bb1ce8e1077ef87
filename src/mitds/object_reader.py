"""Objects of a storage as files that can be read and sought in."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

ReadRange = Callable[[int, int], bytes]


class ObjectReader(io.RawIOBase):
    """The bytes of an object as a file; each read is one request for exactly what is asked for.

    Args:
        read: Returns the bytes at an offset, as many as asked for unless the object ends.
        name: URL of the object.
        size: Its size in bytes.
    """

    def __init__(self, read: ReadRange, name: str, size: int) -> None:
        super().__init__()
        self._read, self.name, self._size, self._at = read, name, size, 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move without a request."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fetch what fits the buffer."""
        view = memoryview(buffer).cast("B")
        data = self._read(self._at, min(len(view), self._size - self._at))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
