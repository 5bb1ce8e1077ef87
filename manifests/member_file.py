"""A member of a shard as a file of its own: read where it lies, never copied out."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import IO, Any

from mitds.errors import BadShard
from mitds.manifests.shards import Entry

_BUFFER_BYTES = 1 << 18
"""So much is read at once: an object store answers a few large requests sooner than many small ones."""


class _Stretch(io.RawIOBase):
    """The bytes [offset, offset + size) of an open file, which it owns, as a read-only file from 0 to size."""

    def __init__(self, file: IO[bytes], offset: int, size: int, name: str) -> None:
        super().__init__()
        self._file, self._offset, self._size = file, offset, size
        self._position = 0
        self.name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        if whence not in origins or origins[whence] + offset < 0:
            raise OSError(errno.EINVAL, f"cannot seek to {offset} from {whence}")
        self._position = origins[whence] + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        wanted = max(0, min(len(view), self._size - self._position))
        self._file.seek(self._offset + self._position)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def open_member(shard: Path, entry: Entry) -> io.BufferedReader:
    """Open one member of a shard: binary, read-only, seekable, named `KEY.ext`.

    The shard may lie anywhere that can be opened and sought in; nothing else of it can be reached.

    Raises:
        BadShard: If the shard is shorter than it was when it was indexed.
    """
    file = shard.open("rb")
    if file.seek(0, os.SEEK_END) < entry.offset + entry.size:
        file.close()
        raise BadShard(
            f"not a shard that can be trusted: the archive is cut off inside '{entry.key}.{entry.ext}'",
            where=str(shard),
            remedy="Write the shard again with mitds, or fetch it anew.",
        )
    return io.BufferedReader(
        _Stretch(file, entry.offset, entry.size, f"{entry.key}.{entry.ext}"), _BUFFER_BYTES
    )
