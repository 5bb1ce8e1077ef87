"""A member of a shard read as a file where it lies: its own bytes and nothing beside them."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from mitds.errors import BadShard, NotVideo, SourceUnreachable
from mitds.manifests.shards import Entry, ShardWriter, index_shard
from mitds.media import grid_frames, pictures, probe, write_video
from mitds.pipeline.work import Member
from mitds.time import Grid

DATA = np.random.default_rng(1).bytes(700_001)


def members(folder: Path, **data: bytes) -> dict[str, Member]:
    """Write one shard with a sample for each name, and return its members."""
    with ShardWriter("s-%06d.tar", folder) as writer:
        for name, content in data.items():
            writer.add(name, {"mp4": content})
    (shard,) = writer.paths
    return {entry.key: Member(shard, entry) for entry in index_shard(shard)}


def test_reads_and_seeks_as_a_file_of_its_own_would(tmp_path: Path) -> None:
    member, rng = members(tmp_path, a=b"x" * 999, b=DATA, c=b"y" * 5000)["b"], np.random.default_rng(2)
    assert member.read() == DATA
    with member.open() as file:
        own = io.BytesIO(DATA)
        for _ in range(300):
            whence = int(rng.integers(3))
            low, high = ((0, 800_000), (-300, 5000), (-700_000, 5000))[whence]
            offset = int(rng.integers(low, high))
            if whence == os.SEEK_CUR and own.tell() + offset < 0:
                continue
            assert file.seek(offset, whence) == own.seek(offset, whence)
            count = int(rng.integers(-1, 300_000))
            assert file.read(count) == own.read(count)
            assert file.tell() == own.tell()


def test_nothing_beside_it_can_be_reached(tmp_path: Path) -> None:
    member = members(tmp_path, a=b"x" * 999, b=b"own", c=b"y" * 999)["b"]
    with member.open() as file:
        assert file.read() == b"own"
        assert file.read() == b""
        assert file.seek(100) == 100
        assert file.read(1) == b""
        with pytest.raises(OSError, match="cannot seek"):
            file.seek(-1)
        assert not file.writable()
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"no")


def test_several_are_open_at_once_and_each_closes_its_shard(tmp_path: Path) -> None:
    found = members(tmp_path, a=b"first", b=b"second")

    def held() -> int:
        links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
        return links.count(found["a"].shard.resolve())

    with found["a"].open() as one, found["a"].open() as again, found["b"].open() as other:
        assert (one.read(2), again.read(4), other.read(3), one.read()) == (b"fi", b"firs", b"sec", b"rst")
        assert held() == 3
    assert held() == 0
    with pytest.raises(ValueError, match="closed"):
        one.read()


def test_a_shard_that_was_cut_short_is_said(tmp_path: Path) -> None:
    member = members(tmp_path, a=DATA)["a"]
    os.truncate(member.shard, 5000)
    with pytest.raises(BadShard, match=r"cut off inside 'a\.mp4'"):
        member.open()
    member.shard.unlink()
    with pytest.raises(FileNotFoundError):
        member.open()
    with pytest.raises(SourceUnreachable, match="no such file"):
        probe(member)


class Elsewhere:
    """A shard on storage that opens as a path does, and notes how it is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.reads: list[int] = []

    def open(self, mode: str) -> IO[bytes]:
        assert mode == "rb"
        reads = self.reads

        class File(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                reads.append(len(data))
                return data

        return File(self._data)


def test_other_storage_is_asked_for_large_pieces_and_only_what_is_wanted() -> None:
    shard = Elsewhere(bytes(10_000) + DATA + bytes(1_000_000))
    with Member(shard, Entry("a", "mp4", 10_000, len(DATA))).open() as file:  # type: ignore[arg-type]
        assert b"".join(iter(lambda: file.read(1000), b"")) == DATA
    assert sum(shard.reads) == len(DATA)
    assert len(shard.reads) <= 5


def test_universal_paths_work_too() -> None:
    upath = pytest.importorskip("upath")
    shard = upath.UPath("memory://mitds-member/s.tar")
    shard.parent.mkdir(parents=True, exist_ok=True)
    shard.write_bytes(bytes(700) + DATA)
    with Member(shard, Entry("a", "mp4", 700, len(DATA))).open() as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == DATA[-10:]


def test_pictures_of_a_member_are_those_of_the_file(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "a.mp4"
    drawn = rng.integers(0, 256, (200, 32, 48, 3), np.uint8)
    write_video(path, ((Fraction(k, 25), frame) for k, frame in enumerate(drawn)))
    member = members(tmp_path, noise=b"n" * 777, film=path.read_bytes(), text=b"not a film at all")["film"]
    assert probe(member) == probe(path)
    for a, b in zip(pictures(member), pictures(path), strict=True):
        assert (a.pts, a.index) == (b.pts, b.index)
        assert np.array_equal(a.frame_HWC, b.frame_HWC)
    late = Grid(Fraction(6), 30)  # reached by seeking, in an opening of its own
    assert all(map(np.array_equal, grid_frames(member, late), grid_frames(path, late)))


def test_what_is_no_video_is_named_with_its_place(tmp_path: Path) -> None:
    found = members(tmp_path, text=b"not a film at all", void=b"")
    with pytest.raises(NotVideo, match=r"neither video nor sound \(.*s-000000\.tar:text\.mp4\)"):
        probe(found["text"])
    with pytest.raises(NotVideo, match="empty"):
        probe(found["void"])
