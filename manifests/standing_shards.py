"""Shards that survive a kill: what stands is not written again, and what is new appears whole, at the end.

Samples are added in a fixed order, each with a token that names everything its bytes depend on. A journal beside each
shard says which samples it holds, so that a later run, with the same plan or with another, can tell what it may leave
alone. From its first difference on a shard is staged in a work folder; `publish` renames it into its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

from mitds.errors import UsageError
from mitds.manifests.removals import PENDING
from mitds.manifests.shard_journal import Journal, Laid, ShardRecord, begin_journal, note, read_journal
from mitds.manifests.shards import check_name
from mitds.manifests.tar_bytes import (
    Stretch,
    append_member,
    copy_stretch,
    flush,
    read_sample,
    sample_bytes,
    trailer,
)
from mitds.store import publish, sha256_file, storage_errors

Members = Mapping[str, bytes | Path]
K = TypeVar("K")


class StandingShards:
    """Numbered shards of one name, in an output folder.

    Args:
        pattern: Name of a shard with one integer field, "clips-%06d.tar".
        out: Where finished shards stand.
        staging: Folder of this machine for shards that are being written, and for journals.
        max_bytes: A shard is finished before it would grow past this; a larger sample gets its own shard.
        max_samples: A shard is finished when it holds this many samples.
    """

    def __init__(
        self, pattern: str, out: Path, staging: Path, *, max_bytes: int = 1 << 30, max_samples: int = 1000
    ) -> None:
        self.pattern, self._out, self._staging = pattern, out, staging
        self._published_journals = out / ".work" / "shards" / "published"
        self._max_bytes, self._max_samples = max_bytes, max_samples
        self._standing, self._staged = self._find_standing(), self._find_staged()
        self._places: dict[tuple[str, str], Stretch] = {}
        self._by_media: dict[str, Stretch] = {}
        self._index()
        self._seen: set[str] = set()
        self._finished: list[ShardRecord] = []
        self._to_publish: list[str] = []
        self._number = 0
        self._laid: list[Laid] = []
        self._file: IO[bytes] | None = None
        self._replayed = self._standing.get(self._name(), Journal())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the open shard; what is staged stays for a later run."""
        if self._file is not None:
            self._file.close()

    def stands(self, media: str) -> bool:
        """Say whether a sample made of `media` stands somewhere."""
        return media in self._by_media

    def encoded(self, media: str) -> dict[str, bytes] | None:
        """Return the members of a sample that was made of `media`, wherever it stands; None where none does."""
        place = self._by_media.get(media)
        return read_sample(place) if place else None

    def add(self, key: str, token: str, members: Callable[[], Members], *, media: str = "") -> str:
        """Append one sample and return the name of its shard; `members` is called only where it must be written.

        Raises:
            UsageError: If the key or an extension does not fit, or the key was used before.
        """
        if key in self._seen:
            raise UsageError(f"sample {key!r} is there twice")
        self._seen.add(key)
        place = self._places.get((key, token))
        given = {} if place else _checked(key, members())
        size = place.end - place.start if place else sample_bytes(given)
        if self._laid and (len(self._laid) >= self._max_samples or self._end() + size > self._max_bytes):
            self._finish()
        laid = Laid(key, token, media, self._end() + size)
        if not self._has_here(laid):
            self._write(laid, given)
        self._laid.append(laid)
        return self._name()

    def publish(self) -> list[ShardRecord]:
        """Finish, put staged shards in their places, remove those of an earlier plan; return all that stand then."""
        if self._laid:
            self._finish()
        for name in self._to_publish:
            (self._published_journals / f"{name}.journal").unlink(missing_ok=True)
            publish(self._part(name), self._out / name)
            self._settle(name)
        self._remove_others({record.name for record in self._finished})
        return list(self._finished)

    # ---- the shard at hand

    def _name(self) -> str:
        return self.pattern % self._number

    def _part(self, name: str) -> Path:
        return self._staging / f"{name}.part"

    def _journal(self, name: str) -> Path:
        return self._staging / f"{name}.journal"

    def _end(self) -> int:
        return self._laid[-1].end if self._laid else 0

    def _has_here(self, laid: Laid) -> bool:
        """Say whether the shard at hand holds a sample at this place already, as it stands or as it is staged."""
        if self._file is not None:
            return False
        so_far = [*self._laid, laid]
        for journal in (self._replayed, self._staged.get(self._name(), Journal())):
            if (
                journal.laid[len(self._laid) : len(so_far)] == (laid,)
                and list(journal.laid[: len(so_far)]) == so_far
            ):
                self._replayed = journal
                return True
        return False

    def _write(self, laid: Laid, given: Members) -> None:
        """Write a sample at the end of the shard at hand: what is given, or else its bytes from where they stand."""
        with storage_errors(self._part(self._name())):
            file = self._file or self._open()
            if not given:
                copy_stretch(self._places[laid.key, laid.token], file)
            for ext, data in sorted(given.items()):
                append_member(file, f"{laid.key}.{ext}", data)
            flush(file)
            note(self._journal(self._name()), laid)
        self._index_one(laid, Stretch(self._part(self._name()), self._end(), laid.end))

    def _open(self) -> IO[bytes]:
        """Open the staged shard at the end of the samples that it is to keep."""
        name = self._name()
        if not self._part(name).exists() or list(self._staged.get(name, Journal()).laid) != self._laid:
            self._stage_anew(name)
        self._file = self._part(name).open("r+b")
        self._file.truncate(self._end())
        self._file.seek(self._end())
        begin_journal(self._journal(name), self._laid)
        return self._file

    def _stage_anew(self, name: str) -> None:
        """Copy the samples that stay; a part of another plan is put aside, for it may hold some needed later."""
        self._staging.mkdir(parents=True, exist_ok=True)
        self._journal(name).unlink(missing_ok=True)  # first: it must never speak of bytes that have changed
        if self._part(name).exists():
            aside = self._staging / f"{name}.aside"
            self._part(name).replace(aside)
            self._places = _moved(self._places, self._part(name), aside)
            self._by_media = _moved(self._by_media, self._part(name), aside)
        with self._part(name).open("wb") as file:
            for laid in self._laid:
                copy_stretch(self._places[laid.key, laid.token], file)
            flush(file)

    def _finish(self) -> None:
        """End the shard at hand: it stands as it is, or its staged form gets its end and its digest."""
        standing = self._standing.get(self._name())
        if standing and standing.record and self._file is None and list(standing.laid) == self._laid:
            self._finished.append(standing.record)
        else:
            self._finished.append(self._finish_staged())
        self._number, self._laid, self._file = self._number + 1, [], None
        self._replayed = self._standing.get(self._name(), Journal())

    def _finish_staged(self) -> ShardRecord:
        name = self._name()
        with storage_errors(self._part(name)):
            with self._file or self._open() as file:
                file.write(trailer(self._end()))
                flush(file)
            digest, size = sha256_file(self._part(name)), self._part(name).stat().st_size
            record = ShardRecord(name=name, sha256=digest, bytes=size, samples=len(self._laid))
            note(self._journal(name), record)
        self._to_publish.append(name)
        return record

    # ---- what there is from earlier runs

    def _names(self, folder: Path, suffix: str = "") -> list[str]:
        names = self.pattern.replace("%06d", "[0-9]" * 6) + suffix
        return sorted(path.name.removesuffix(suffix) for path in folder.glob(names))

    def _find_standing(self) -> dict[str, Journal]:
        """Return the journals of shards that stand as they were published."""
        self._adopt()
        journals = {
            name: read_journal(self._published_journals / f"{name}.journal")
            for name in self._names(self._published_journals, ".journal")
        }
        # A removal that was stopped may have changed a shard and not its journal.
        doubted = (self._out / PENDING).is_file()
        return {
            name: found
            for name, found in journals.items()
            if _stands(self._out / name, found) and not (doubted and _changed(self._out / name, found))
        }

    def _adopt(self) -> None:
        """Settle journals whose shard was renamed by a run that was killed before it could do the same to them."""
        for name in self._names(self._staging, ".journal"):
            found = read_journal(self._journal(name))
            if self._part(name).exists() or not _stands(self._out / name, found) or found.record is None:
                continue
            if sha256_file(self._out / name) == found.record.sha256:
                self._settle(name)

    def _settle(self, name: str) -> None:
        publish(self._journal(name), self._published_journals / f"{name}.journal")

    def _find_staged(self) -> dict[str, Journal]:
        """Return the journals of staged shards, as far as the bytes they speak of are there."""
        staged = {}
        for name in self._names(self._staging, ".part"):
            size = self._part(name).stat().st_size
            laid = read_journal(self._journal(name)).laid
            staged[name] = Journal(tuple(entry for entry in laid if entry.end <= size))
        return staged

    def _index(self) -> None:
        for name, journal in self._standing.items():
            self._index_all(journal, self._out / name)
        for name, journal in self._staged.items():
            self._index_all(journal, self._part(name))

    def _index_all(self, journal: Journal, path: Path) -> None:
        start = 0
        for laid in journal.laid:
            self._index_one(laid, Stretch(path, start, laid.end))
            start = laid.end

    def _index_one(self, laid: Laid, place: Stretch) -> None:
        self._places[laid.key, laid.token] = place
        if laid.media:
            self._by_media[laid.media] = place

    def _remove_others(self, kept: set[str]) -> None:
        for name in set(self._names(self._out)) - kept:
            (self._out / name).unlink()
        for name in set(self._names(self._published_journals, ".journal")) - kept:
            (self._published_journals / f"{name}.journal").unlink()
        for suffix in (".journal", ".part", ".aside"):
            for name in self._names(self._staging, suffix):
                (self._staging / f"{name}{suffix}").unlink()


def _stands(path: Path, journal: Journal) -> bool:
    return journal.record is not None and path.is_file() and path.stat().st_size == journal.record.bytes


def _changed(path: Path, journal: Journal) -> bool:
    return journal.record is None or sha256_file(path) != journal.record.sha256


def _checked(key: str, members: Members) -> Members:
    if not members:
        raise UsageError(f"sample {key!r} is empty")
    for ext in members:
        check_name(f"{key}.{ext}")
    return members


def _moved(places: Mapping[K, Stretch], old: Path, new: Path) -> dict[K, Stretch]:
    return {
        name: Stretch(new, place.start, place.end) if place.path == old else place
        for name, place in places.items()
    }
