"""The folder of an export: its own or refused, each file whole or absent, free of what is exported no longer."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mitds.errors import StorageFault, UsageError
from mitds.lock import LOCK, output_lock
from mitds.places import is_remote
from mitds.store import atomic_path, storage_errors, write_bytes, write_json

MARK = "export.json"
"""Says which export a folder holds, and whether it is whole."""

_TEMPORARY = ".tmp-"


@dataclass(slots=True)
class ExportFolder:
    """An output folder that one format owns.

    Attributes:
        root: The folder.
        format: The format's name.
        written: Bytes that were written to it.
        linked: Bytes of files that are hard links to the originals and take no room.
    """

    root: Path
    format: str
    written: int = 0
    linked: int = 0

    @classmethod
    @contextmanager
    def over(cls, root: Path, format: str, owned: str) -> Iterator[Self]:
        """Hold a folder for the length of an export; its mark says `complete` only after the block's end.

        Args:
            root: The folder; made if missing.
            format: The format's name.
            owned: Pattern of the names that the format itself gives in the folder.

        Raises:
            UsageError: The folder holds anything else, or another run writes to it.
            StorageFault: It cannot be written, or lies on object storage.
        """
        if is_remote(root):
            raise StorageFault(
                f"--format {format} writes a folder on this machine",
                where=str(root),
                remedy="Export to a local folder and copy it.",
            )
        _refuse_foreign(root, format, re.compile(owned))
        with output_lock(root, f"export --format {format}"):
            _refuse_foreign(root, format, re.compile(owned))
            folder = cls(root, format)
            for stale in (*root.glob(f"{_TEMPORARY}*"), *root.glob(f"*/{_TEMPORARY}*")):
                _remove(stale)
            folder._mark(complete=False)
            yield folder
            folder._mark(complete=True)

    def _mark(self, *, complete: bool) -> None:
        write_json(
            self.root / MARK, {"format": self.format, "schema": "mitds.export/1", "complete": complete}
        )

    def write(self, name: str, data: bytes) -> Path:
        """Write a whole file and return where it is."""
        write_bytes(self.root / name, data)
        self.written += len(data)
        return self.root / name

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a path to write a file at; it gets its name when the block ends well."""
        with atomic_path(self.root / name) as temporary:
            yield temporary
        self.written += (self.root / name).stat().st_size

    def place(self, name: str, original: Path) -> Path:
        """Put a file into the folder: a hard link, or a copy where the file system allows no link."""
        target = self.root / name
        if link_or_copy(original, target):
            self.linked += target.stat().st_size
        else:
            self.written += target.stat().st_size
        return target

    def drop_others(self, pattern: str, keep: Collection[str]) -> None:
        """Remove what an earlier export left: whatever matches a glob and is not in `keep` (names in the folder)."""
        for path in self.root.glob(pattern):
            if path.relative_to(self.root).as_posix() not in keep:
                _remove(path)


def link_or_copy(original: Path, target: Path) -> bool:
    """Give a file a second name, or copy it where that cannot be; return whether it is linked."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not is_remote(original):
            if target.exists() and target.samefile(original):
                return True
            temporary = target.with_name(f"{_TEMPORARY}{os.getpid()}-{target.name}")
            try:
                os.link(original.resolve(), temporary)
                temporary.replace(target)
                return True
            except OSError:  # another file system, or one without links, or too many of them: a copy does
                temporary.unlink(missing_ok=True)
    with original.open("rb") as read, atomic_path(target) as temporary, temporary.open("wb") as file:
        shutil.copyfileobj(read, file, 1 << 20)
    return False


def _refuse_foreign(root: Path, format: str, owned: re.Pattern[str]) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise UsageError("the output is not a folder", where=str(root), remedy="Choose another --out.")
    names = sorted(p.name for p in root.iterdir() if not p.name.startswith(_TEMPORARY) and p.name != LOCK)
    remedy = "Choose an empty folder or a new one; each of these formats needs a folder of its own."
    if names and _format_of(root / MARK) != format:
        raise UsageError(
            f"the folder holds what --format {format} did not write: {names[0]!r}",
            where=str(root),
            remedy=remedy,
        )
    for name in names:
        if name != MARK and not owned.fullmatch(name):
            raise UsageError(
                f"{name!r} is no part of an export to {format}", where=str(root / name), remedy=remedy
            )


def _format_of(mark: Path) -> str | None:
    try:
        told = json.loads(mark.read_bytes())
    except (OSError, ValueError):
        return None
    return told.get("format") if isinstance(told, dict) else None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
