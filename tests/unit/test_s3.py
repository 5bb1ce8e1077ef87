"""Object storage for real: a server that speaks S3, on loopback."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitds.errors import BadShard, MissingWeights, StorageFault, UsageError
from mitds.lease import LeaseTimes, output_lease
from mitds.lock import output_lock
from mitds.manifests.dataset import shard_paths
from mitds.manifests.member_file import open_member
from mitds.manifests.schemas import SOURCES, concat_sources, read_table, write_sources
from mitds.manifests.shards import ShardWriter, expand, index_shard, read_member, read_shard
from mitds.places import listing, place, remote
from mitds.store import atomic_open, atomic_path, local_file, publish, remove_tree, write_bytes
from tests.objectstore import forget_drivers, serving_s3

pytest.importorskip("s3fs")
pytest.importorskip("moto")

PART = 5 << 20

UPLOAD = f"""
import asyncio, sys
from mitds.drivers import driver
from mitds.places import place
from mitds.store import atomic_open
fs = driver("s3")
ask, put = fs._call_s3, fs.put_file
async def stuck(method, *args, **options):
    if method == "upload_part" and options["PartNumber"] == 2:
        print("half", flush=True)
        await asyncio.sleep(60)
    return await ask(method, *args, **options)
fs._call_s3 = stuck
fs.put_file = lambda file, url: put(file, url, chunksize={PART}, max_concurrency=1)
with atomic_open(place(sys.argv[1])) as file:
    file.write(bytes({2 * PART + 1}))
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """URL of a bucket."""
    with serving_s3() as url:
        yield url


@pytest.fixture
def folder(bucket: str) -> Path:
    """An empty folder in it."""
    return place(f"{bucket}/{uuid.uuid4().hex} ü")


def shard_in(folder: Path, name: str = "clips-%06d.tar", samples: int = 3) -> Path:
    with ShardWriter(name, folder) as writer:
        for number in range(samples):
            writer.add(
                f"k{number}", {"mp4": bytes([number]) * 2_000_000, "json": b"{}", "npz": b"z" * number}
            )
    return writer.paths[0]


def test_an_object_appears_whole_or_not_at_all(folder: Path):
    with atomic_open(folder / "one") as file:
        file.write(b"12")
        file.flush()
        assert listing(folder) == set()
    assert (folder / "one").read_bytes() == b"12"

    def fail(name: str) -> None:
        with atomic_path(folder / name) as path:
            path.write_bytes(b"half")
            raise KeyError(name)

    for name in ("one", "two.mp4"):
        with pytest.raises(KeyError):
            fail(name)
    assert listing(folder) == {"one"}
    assert (folder / "one").read_bytes() == b"12"


def test_a_writer_killed_amid_its_upload_leaves_what_was_there(folder: Path):
    write_bytes(folder / "shard.tar", b"old")
    for name, left in (("shard.tar", b"old"), ("new.tar", None)):
        writer = subprocess.Popen([sys.executable, "-c", UPLOAD, str(folder / name)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
        writer.communicate()
        assert not (folder / name).exists() if left is None else (folder / name).read_bytes() == left
    assert listing(folder) == {"shard.tar"}


def test_what_another_process_writes_is_seen_at_once(folder: Path):
    """Drivers remember listings unless told not to."""
    write_bytes(folder / "none", b"")
    assert listing(folder) == {"none"}
    assert not (folder / "one").exists()
    code = "import sys; from mitds.places import place; place(sys.argv[1]).write_bytes(b'1')"
    subprocess.run([sys.executable, "-c", code, str(folder / "one")], check=True)
    assert listing(folder) == {"none", "one"}
    assert (folder / "one").exists()


def _read(url: str) -> None:
    assert place(url).read_bytes() == b"1"


def test_a_forked_reader_has_its_own_connections(folder: Path):
    """As the workers of a DataLoader are made: the parent's connections would be waited for without end."""
    write_bytes(folder / "one", b"1")
    _read(str(folder / "one"))
    child = multiprocessing.get_context("fork").Process(target=_read, args=(str(folder / "one"),))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_more_names_than_one_answer_holds(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for number in range(5):
        write_bytes(folder / f"{number}.done", b"")
    assert listing(folder) == {f"{number}.done" for number in range(5)}
    remove_tree(folder)
    assert listing(folder) == set()


def test_shards_are_found_and_read_where_they_lie(folder: Path):
    shards = [shard_in(folder, f"clips-{n}%05d.tar", n + 1) for n in range(2)]
    assert expand([f"{folder}/clips-*.tar"]) == shards
    assert expand([f"{folder}/clips-{{0,1}}00000.tar"]) == shards
    assert shard_paths(shards[0]) == shard_paths([str(shards[0])]) == [shards[0]]
    with pytest.raises(UsageError, match="no shard matches"):
        expand([f"{folder}/shots-*.tar"])
    samples = list(read_shard(shards[1]))
    assert [s.key for s in samples] == ["k0", "k1"]
    assert samples[1].members == {"mp4": b"\x01" * 2_000_000, "json": b"{}", "npz": b"z"}
    for entry in index_shard(shards[1]):
        expected = samples[int(entry.key[1])].members[entry.ext]
        assert read_member(shards[1], entry) == expected
        with open_member(shards[1], entry) as file:
            assert file.read() == expected


def test_only_what_is_needed_is_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch):
    shard = shard_in(folder, samples=5)
    fetched = 0
    read = type(remote(shard)).read_range

    def counted(self: object, offset: int, size: int) -> bytes:
        nonlocal fetched
        fetched += len(data := read(self, offset, size))
        return data

    monkeypatch.setattr("mitds.remote.RemotePath.read_range", counted)
    entries = index_shard(shard)
    assert fetched < shard.stat().st_size
    fetched = 0
    read_member(shard, entries[0])
    assert fetched == entries[0].size


def test_shards_have_the_bytes_they_have_here(folder: Path, tmp_path: Path):
    assert shard_in(folder).read_bytes() == shard_in(tmp_path).read_bytes()


def test_a_torn_or_hostile_shard_is_refused_there_too(folder: Path):
    whole = shard_in(folder, samples=1).read_bytes()
    write_bytes(folder / "torn.tar", whole[:1_000_000])
    hostile = io.BytesIO()
    with tarfile.open(fileobj=hostile, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../k.json"))
    write_bytes(folder / "hostile.tar", hostile.getvalue())
    for name in ("torn", "hostile"):
        with pytest.raises(BadShard) as bad:
            list(read_shard(folder / f"{name}.tar"))
        assert bad.value.where == str(folder / f"{name}.tar")
    entry = index_shard(folder / "clips-000000.tar")[1]
    with pytest.raises(BadShard, match="cut off"):
        read_member(folder / "torn.tar", entry)


def test_parquet_there_and_back(folder: Path):
    write_sources(folder / "a.parquet", [])
    concat_sources([folder / "a.parquet"], folder / "sources.parquet")
    table = read_table(folder / "sources.parquet", columns=["url", "status"])
    assert table.column_names == ["url", "status"]
    assert read_table(folder / "sources.parquet", schema=SOURCES).schema == SOURCES


def test_a_source_there_is_fetched_once_into_a_folder_there(folder: Path):
    from mitds.pipeline.sources.fetch import fetch
    from mitds.pipeline.sources.lists import read_list

    write_bytes(folder / "in" / "film.MP4", b"film")
    write_bytes(folder / "in" / "list.csv", f"url,licence\n{folder}/in/film.MP4,CC0\nfilm.MP4,\n".encode())
    full, relative = read_list(folder / "in" / "list.csv")
    assert (full.url, full.rights.licence) == (f"{folder}/in/film.MP4", "CC0")
    assert relative.url == full.url
    got = fetch(full, folder / "work" / "downloads")
    assert got.path == folder / "work" / "downloads" / f"{hashlib.sha256(b'film').hexdigest()}.mp4"
    assert got.path.read_bytes() == b"film"
    assert got.fetched_at
    assert listing(folder / "work" / "downloads") == {got.path.name}


def test_moving_an_object_within_the_storage_and_out_of_it(folder: Path, tmp_path: Path):
    write_bytes(folder / "staged", b"1")
    publish(folder / "staged", folder / "out" / "shard.tar")
    assert listing(folder) == {"out"}
    publish(folder / "out" / "shard.tar", tmp_path / "here.tar")
    assert (tmp_path / "here.tar").read_bytes() == b"1"
    publish(tmp_path / "here.tar", folder / "back.tar")
    assert not (tmp_path / "here.tar").exists()
    with local_file(folder / "back.tar") as copy:
        assert copy.read_bytes() == b"1"


def test_two_runs_at_once(folder: Path):
    with output_lock(folder, "annotate") as hold:
        hold.check()
        with pytest.raises(UsageError, match="mitds annotate, process"), output_lock(folder, "ingest"):
            pass
    assert listing(folder) == set()


def test_of_two_that_take_over_one_wins(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The storage itself compares versions, so that the second put after one look fails."""
    from mitds.drivers import put_if

    now = time.time
    monkeypatch.setattr("mitds.lease.time.time", lambda: now() + 3600)
    lock, times = remote(folder / ".lock"), LeaseTimes(renew_s=0.02, watch_s=0.0)
    write_bytes(folder / ".lock", b'{"token": "dead"}\n')
    seen = lock.version()
    with output_lease(lock, {}, times) as lease:
        assert lease.notice
        assert put_if("s3", str(lock), b"{}", seen) is None
        assert put_if("s3", str(lock), b"{}", None) is None
        first = lock.version()
        while lock.version() == first:
            time.sleep(0.01)
    assert put_if("s3", str(lock), b"{}", seen) is None


def test_bucket_credentials_or_server_that_are_not_there(bucket: str, monkeypatch: pytest.MonkeyPatch):
    gone = place("s3://no-such-bucket/x")
    with pytest.raises(StorageFault, match="no such bucket"):
        write_bytes(gone, b"1")
    with pytest.raises(StorageFault, match="no such bucket"):
        gone.read_bytes()
    with pytest.raises(StorageFault, match="no such bucket"):
        expand(["s3://no-such-bucket/*.tar"])
    with pytest.raises(StorageFault, match="no such bucket"), output_lock(gone, "annotate"):
        pass
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_drivers()
    with pytest.raises(StorageFault, match="no credentials") as fault:
        write_bytes(place(f"{bucket}/x"), b"1")
    assert "AWS_PROFILE" in fault.value.remedy
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(__import__("mitds.drivers").drivers._PATIENCE, "retries", {"max_attempts": 1})
    forget_drivers()
    with pytest.raises(StorageFault, match="does not answer"):
        (place(bucket) / "x").read_bytes()
    monkeypatch.undo()
    forget_drivers()


def test_weights_come_from_a_shared_cache_and_go_to_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from mitds.weights import Weight, resolve

    data, wrong = b"weights" * 99, b"WEIGHTS" * 99
    sha = hashlib.sha256(data).hexdigest()
    (tmp_path / "mirror.onnx").write_bytes(data)
    weight = Weight(
        name="nets.small", file="small.onnx", licence="MIT", origin="a test", kind="pinned", source="a shop",
        bytes=len(data), sha256=sha, mirrors=(f"file://{tmp_path}/mirror.onnx",),
    )  # fmt: skip
    for module in ("mitds.weights.catalog", "mitds.weights.resolver"):
        monkeypatch.setattr(sys.modules[module], "catalog", lambda: {weight.name: weight})
    monkeypatch.setenv("MITDS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("MITDS_WEIGHTS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    monkeypatch.setattr(sys, "platform", "linux")
    write_bytes(shared := folder / "cache" / "weights" / sha / "small.onnx", wrong)
    assert resolve("nets.small").is_relative_to(tmp_path / "first")
    assert shared.read_bytes() == wrong  # not ours to replace: whoever reads it checks it
    shared.unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    assert resolve("nets.small").read_bytes() == data
    assert shared.read_bytes() == data
    (tmp_path / "mirror.onnx").unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
    assert resolve("nets.small").read_bytes() == data
    remove_tree(folder / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fourth"))
    with pytest.raises(MissingWeights, match="no such file"):
        resolve("nets.small")


def test_weights_that_users_bring_from_a_folder_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from mitds.weights import Weight, resolve

    weight = Weight(
        name="nets.own", file="own.onnx", licence="MIT", origin="a test", kind="user", source="a shop"
    )
    for module in ("mitds.weights.catalog", "mitds.weights.resolver"):
        monkeypatch.setattr(sys.modules[module], "catalog", lambda: {weight.name: weight})
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path))
    monkeypatch.setenv("MITDS_WEIGHTS", f"{tmp_path}/none:{folder}/weights")
    with pytest.raises(MissingWeights, match="no such file"):
        resolve("nets.own")
    for data in (b"one", b"two"):
        write_bytes(folder / "weights" / "own.onnx", data)
        assert resolve("nets.own").read_bytes() == data
