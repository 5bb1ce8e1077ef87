"""Shards: the same bytes for the same samples, whole files only, and no trust in archives from outside."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mitds.errors import BadShard, UsageError
from mitds.manifests.shards import ShardWriter, expand, index_shard, read_member, read_shard


def write(folder: Path, samples: dict[str, dict[str, bytes | Path]], **limits: int) -> list[str]:
    with ShardWriter("clips-%06d.tar", folder, **limits) as writer:
        return [writer.add(key, members) for key, members in samples.items()]


def hostile(path: Path, *members: tuple[str, bytes], **info: object) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            for field, value in info.items():
                setattr(header, field, value)
            tar.addfile(header, io.BytesIO(data))
    return path


def read_all(path: Path, **limits: int) -> list[str]:
    return [sample.key for sample in read_shard(path, **limits)]


def test_samples_come_back_as_they_went_in(tmp_path: Path) -> None:
    on_disk = tmp_path / "big.bin"
    on_disk.write_bytes(b"\x01" * 1000)
    names = write(tmp_path, {"b": {"mp4": on_disk, "json": b"{}"}, "a": {"json": b""}})
    assert names == ["clips-000000.tar"] * 2
    samples = list(read_shard(tmp_path / names[0]))
    assert [s.key for s in samples] == ["b", "a"]
    assert samples[0].members == {"json": b"{}", "mp4": b"\x01" * 1000}


def test_members_are_sorted_and_anonymous(tmp_path: Path) -> None:
    write(tmp_path, {"k": {"wav": b"w", "json": b"j", "mp4": b"m"}})
    with tarfile.open(tmp_path / "clips-000000.tar") as tar:
        infos = tar.getmembers()
    assert [i.name for i in infos] == ["k.json", "k.mp4", "k.wav"]
    assert {(i.uid, i.gid, i.uname, i.gname, i.mtime, i.mode) for i in infos} == {(0, 0, "", "", 0, 0o644)}


def test_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {"a": {"mp4": b"1", "json": b"2"}, "b": {"json": b"3"}})
    first, second = (tmp_path / n / "clips-000000.tar" for n in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_shards_roll_over_by_count_and_by_size(tmp_path: Path) -> None:
    by_count = write(tmp_path / "n", {f"k{i}": {"json": b"x"} for i in range(5)}, max_samples=2)
    assert by_count == [f"clips-{i:06d}.tar" for i in (0, 0, 1, 1, 2)]
    sizes = {"a": 100, "huge": 9000, "b": 100}
    by_size = write(tmp_path / "s", {k: {"mp4": b"x" * n} for k, n in sizes.items()}, max_bytes=4096)
    assert by_size == [f"clips-{i:06d}.tar" for i in (0, 1, 2)]


def test_a_broken_run_leaves_whole_shards_only(tmp_path: Path) -> None:
    def run() -> None:
        with ShardWriter("clips-%06d.tar", tmp_path, max_samples=1) as writer:
            writer.add("a", {"json": b"1"})
            writer.add("b", {"json": b"2"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert [p.name for p in tmp_path.iterdir()] == ["clips-000000.tar"]
    assert read_all(tmp_path / "clips-000000.tar") == ["a"]


def test_no_samples_give_no_shard(tmp_path: Path) -> None:
    assert write(tmp_path, {}) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["", "a.b", "../a", "a/b", "é", "a b", "k" * 81])
def test_keys_that_are_not_plain_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError), ShardWriter("clips-%06d.tar", tmp_path) as writer:
        writer.add(key, {"json": b""})


def test_a_key_is_used_once(tmp_path: Path) -> None:
    with ShardWriter("clips-%06d.tar", tmp_path, max_samples=1) as writer:
        writer.add("a", {"json": b""})
        writer.add("b", {"json": b""})
        with pytest.raises(UsageError, match="twice"):
            writer.add("a", {"json": b""})


@pytest.mark.parametrize("name", ["/k.json", "../k.json", "x/k.json", "k", ".json", "k.tar.json", "k.JSON"])
def test_foreign_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadShard, match=r"KEY\.ext"):
        read_all(hostile(tmp_path / "x.tar", (name, b"")))


@pytest.mark.parametrize("ext", ["pkl", "pickle", "pt", "pth", "pyd"])
def test_members_that_could_run_code_are_refused(tmp_path: Path, ext: str) -> None:
    with pytest.raises(BadShard, match="run code"):
        read_all(hostile(tmp_path / "x.tar", (f"k.{ext}", b"")))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = hostile(tmp_path / "x.tar", ("k.json", b""), type=kind, linkname="/etc/passwd")
    with pytest.raises(BadShard, match="not a plain file"):
        read_all(path)


@pytest.mark.parametrize("names", [("a.json", "a.json"), ("a.json", "b.json", "a.mp4")])
def test_repeated_keys_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = hostile(tmp_path / "x.tar", *((n, b"1") for n in names))
    with pytest.raises(BadShard, match="twice"):
        read_all(path)
    with pytest.raises(BadShard, match="twice"):
        index_shard(path)


def test_members_over_the_limit_are_refused(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.tar", ("k.json", b"12345"))
    assert read_all(path, max_member_bytes=5) == ["k"]
    with pytest.raises(BadShard, match="limit"):
        read_all(path, max_member_bytes=4)


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1024, 1536, 2000, 2048])
def test_a_shard_cut_off_anywhere_is_refused(tmp_path: Path, kept: int) -> None:
    write(tmp_path, {"a": {"json": b"1" * 600}, "b": {"json": b"2"}})
    path = tmp_path / "clips-000000.tar"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadShard) as caught:
        read_all(path)
    assert str(path) in str(caught.value)


def test_damage_in_a_later_header_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"a": {"json": b"1"}, "b": {"json": b"2"}})
    path = tmp_path / "clips-000000.tar"
    data = bytearray(path.read_bytes())
    data[1024 + 100] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadShard, match="damaged"):
        read_all(path)


@pytest.mark.parametrize("data", [b"", b"not a tar " * 300, b"\x1f\x8b" + bytes(2000)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    with pytest.raises(BadShard):
        read_all(path)


def test_members_are_reached_by_offset(tmp_path: Path) -> None:
    write(tmp_path, {"a": {"json": b"{}", "mp4": b"m" * 700}, "b": {"json": b"[]"}})
    path = tmp_path / "clips-000000.tar"
    index = {(e.key, e.ext): e for e in index_shard(path)}
    assert read_member(path, index["a", "mp4"]) == b"m" * 700
    assert read_member(path, index["b", "json"]) == b"[]"
    path.write_bytes(path.read_bytes()[:1030])
    with pytest.raises(BadShard, match="cut off"):
        read_member(path, index["b", "json"])


def test_patterns_expand_in_order_and_once(tmp_path: Path) -> None:
    for name in ("c-000000.tar", "c-000001.tar", "c-000009.tar", "d.tar", "odd[1].tar"):
        (tmp_path / name).write_bytes(b"")

    def names(*patterns: str) -> list[str]:
        return [p.name for p in expand([str(tmp_path / p) for p in patterns])]

    assert names("c-{000000..000001}.tar") == ["c-000000.tar", "c-000001.tar"]
    assert names("{d,c-000009}.tar") == ["d.tar", "c-000009.tar"]
    assert names("c-*.tar", "c-000001.tar") == ["c-000000.tar", "c-000001.tar", "c-000009.tar"]
    assert names("odd[1].tar") == ["odd[1].tar"]


@pytest.mark.parametrize("pattern", ["none-*.tar", "none.tar", "c-{0..3}.tar"])
def test_a_pattern_without_a_match_is_named(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "c-0.tar").write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        expand([str(tmp_path / pattern)])
    assert pattern in str(caught.value)
