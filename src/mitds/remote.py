"""Paths on object storage, which answer as `pathlib.Path` does."""

from __future__ import annotations

import errno
import functools
import io
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mitds.drivers import answers, driver, version_of
from mitds.errors import UsageError
from mitds.object_reader import ObjectReader

BUFFER_BYTES = 1 << 20
"""Bytes fetched at a time where the reader asks for fewer."""

_WILD = re.compile(r"[*?\[]")
URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


@functools.total_ordering
class RemotePath:
    """One object, or the folder of all objects below it, by URL; answers as `pathlib.Path` does.

    It is no `os.PathLike`: what opens files by name refuses it instead of making a file called "s3:".
    Folders need not be made. All methods turn faults of the storage into `StorageFault`; one object that is
    not there is a FileNotFoundError, as on this machine.
    """

    __slots__ = ("_pure", "protocol")

    def __init__(self, url: str) -> None:
        match = URL.fullmatch(url)
        self._pure = PurePosixPath(match[2].strip("/") if match else "")
        self.protocol = match[1] if match else ""
        if not self._pure.parts or ".." in self._pure.parts:
            raise UsageError(
                "not the URL of a file or folder", where=url, remedy="Write SCHEME://BUCKET/PATH."
            )

    def _with(self, pure: PurePosixPath) -> RemotePath:
        return RemotePath(f"{self.protocol}://{pure}")

    def __str__(self) -> str:
        return f"{self.protocol}://{self._pure}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (str(self),)

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other) if isinstance(other, RemotePath) else NotImplemented

    # ---- names

    @property
    def name(self) -> str:
        """The last part."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The name's suffix with its dot."""
        return self._pure.suffix

    @property
    def parent(self) -> RemotePath:
        """The folder it lies in; a bucket is its own."""
        return self._with(self._pure.parent) if len(self._pure.parts) > 1 else self

    def __truediv__(self, name: str | PurePosixPath) -> RemotePath:
        if str(name).startswith("/") or not str(name):
            raise UsageError("a name within a folder cannot begin with /", where=f"{self}: {name}")
        return self._with(self._pure / name)

    def with_name(self, name: str) -> RemotePath:
        """Return the neighbour of that name."""
        return self._with(self._pure.with_name(name))

    def with_suffix(self, suffix: str) -> RemotePath:
        """Return the neighbour with another suffix."""
        return self._with(self._pure.with_suffix(suffix))

    def relative_to(self, folder: RemotePath) -> PurePosixPath:
        """Return the path below a folder.

        Raises:
            ValueError: If it does not lie there.
        """
        if self.protocol != folder.protocol:
            raise ValueError(f"{self} does not lie in {folder}")
        return self._pure.relative_to(folder._pure)

    def absolute(self) -> RemotePath:
        """Return the same: a URL is never relative."""
        return self

    # ---- questions

    def exists(self) -> bool:
        """Say whether there is an object, or a folder with something in it."""
        with answers(str(self)):
            return bool(driver(self.protocol).exists(str(self)))

    def is_file(self) -> bool:
        """Say whether there is an object."""
        with answers(str(self)):
            return bool(driver(self.protocol).isfile(str(self)))

    def is_dir(self) -> bool:
        """Say whether something lies below."""
        with answers(str(self)):
            return bool(driver(self.protocol).isdir(str(self)))

    def stat(self) -> os.stat_result:
        """Return size and nothing else: storage has no modes and no owners."""
        with answers(str(self)):
            size = int(driver(self.protocol).info(str(self))["size"])
        return os.stat_result((0, 0, 0, 0, 0, 0, size, 0, 0, 0))

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what lies directly below, by one listing, in order."""
        with answers(str(self)):
            names = driver(self.protocol).ls(str(self), detail=False)
        yield from sorted(p for p in map(self._found, names) if p != self)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield what lies below and fits a pattern of names with * ? [ ], in order; one listing a folder."""
        folders = [self]
        *parents, last = PurePosixPath(pattern).parts
        for part in parents:
            folders = [path for folder in folders for path in folder._fitting(part)]
        for folder in folders:
            yield from (path for path in folder._fitting(last) if _WILD.search(last) or path.exists())

    def _fitting(self, part: str) -> list[RemotePath]:
        if not _WILD.search(part):
            return [self / part]
        try:
            return [path for path in self.iterdir() if fnmatchcase(path.name, part)]
        except FileNotFoundError:
            return []

    def _found(self, name: str) -> RemotePath:
        return RemotePath(f"{self.protocol}://{name.strip('/')}")

    # ---- bytes

    def open(
        self, mode: str = "r", buffering: int = -1, encoding: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """Open for reading; seeking is cheap, and nothing is fetched that is not read but for a buffer.

        Raises:
            FileNotFoundError: There is no such object.
            io.UnsupportedOperation: The mode asks for more than reading, which `mitds.store` does whole.
        """
        if mode not in ("r", "rt", "rb"):
            raise io.UnsupportedOperation(
                f"objects are written whole, through mitds.store ({self}, {mode!r})"
            )
        with answers(str(self)):
            facts = driver(self.protocol).info(str(self))
        if facts["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "a folder", str(self))
        raw = ObjectReader(self.read_range, str(self), int(facts["size"]))
        buffered = io.BufferedReader(raw, buffering if buffering > 0 else BUFFER_BYTES)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8", newline=newline)

    def read_range(self, offset: int, size: int) -> bytes:
        """Read a stretch of the object; see the function of this name."""
        if size <= 0:
            return b""
        with answers(str(self)):
            return bytes(driver(self.protocol).cat_file(str(self), start=offset, end=offset + size))

    def read_bytes(self) -> bytes:
        """Read all."""
        with answers(str(self)):
            return bytes(driver(self.protocol).cat_file(str(self)))

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read all, as text."""
        return self.read_bytes().decode(encoding)

    # ---- changes, each of which happens whole or not at all

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Return at once: folders of object storage come with what lies in them."""

    def write_bytes(self, data: bytes) -> int:
        """Put an object of these bytes; whoever reads sees the old one until all is there."""
        with answers(str(self), putting=True):
            driver(self.protocol).pipe_file(str(self), data)
        return len(data)

    def version(self) -> str:
        """Return what changes whenever the object does."""
        return version_of(self.protocol, str(self))

    def upload(self, file: Path) -> None:
        """Put a file of this machine; whoever reads sees the old object until all is there."""
        with answers(str(self), putting=True):
            driver(self.protocol).put_file(str(file), str(self))

    def download(self, file: Path) -> None:
        """Fetch the object into a file of this machine."""
        with answers(str(self)):
            driver(self.protocol).get_file(str(self), str(file))

    def replace(self, target: RemotePath) -> RemotePath:
        """Copy within the storage, then delete: a kill between leaves both, and never half of one."""
        with answers(str(target)):
            driver(self.protocol).cp_file(str(self), str(target))
        self.unlink()
        return target

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        try:
            with answers(str(self)):
                driver(self.protocol).rm_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self) -> None:
        """Delete all that lies below, if there is anything."""
        with answers(str(self)):
            files = driver(self.protocol).find(str(self))
            if files:
                driver(self.protocol).rm(files)
