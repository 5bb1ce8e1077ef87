"""Places: what lies on object storage answers as what lies on this machine does."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from mitds.errors import MissingDependency, StorageFault, UsageError
from mitds.places import is_remote, listing, matching, place, read_range, remote
from mitds.store import (
    atomic_open,
    atomic_path,
    local_file,
    publish,
    publish_copy,
    remove_tree,
    sha256_file,
    write_bytes,
    write_json,
)


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty folder, on this machine and on object storage."""
    return tmp_path / "f" if request.param == "local" else place(f"memory://bucket/{uuid.uuid4().hex}")


def test_what_a_url_and_a_path_become():
    assert isinstance(place("a/b.tar"), Path)
    assert place("file:///a/b") == Path("/a/b")
    assert place(Path("a")) == Path("a")
    there = place("s3://bucket/a b/ü%06d.tar")
    assert is_remote(there)
    assert str(there) == "s3://bucket/a b/ü%06d.tar"
    assert str(place("s3://bucket/a//b/")) == "s3://bucket/a/b"


@pytest.mark.parametrize("url", ["s3://", "s3:///", "s3://bucket/../other", "nosuch://a/b"])
def test_urls_that_name_nothing(url: str):
    with pytest.raises(UsageError):
        place(url).exists()


def test_names_as_pathlib_has_them():
    url, path = place("s3://bucket/run/clips.parquet"), Path("/bucket/run/clips.parquet")
    for name in ("name", "stem", "suffix"):
        assert getattr(url, name) == getattr(path, name)
    assert str(url.parent / "x" / "y.json") == "s3://bucket/run/x/y.json"
    assert str(url.with_suffix(".json")) == "s3://bucket/run/clips.json"
    assert str(url.with_name("a.b")) == "s3://bucket/run/a.b"
    assert str(url.relative_to(place("s3://bucket"))) == "run/clips.parquet"
    assert str(place("s3://bucket").parent) == "s3://bucket"
    with pytest.raises(ValueError, match="not lie"):
        url.relative_to(place("gs://bucket"))
    with pytest.raises(UsageError, match="cannot begin"):
        url / "/etc/passwd"


def test_places_are_values():
    one, two = place("memory://b/1"), place("memory://b/2")
    assert one == place("memory://b/1")
    assert one != two
    assert sorted({two, one, place("memory://b/1")}) == [one, two]
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301  as Ray does it
    assert one != Path("memory:/b/1")


def test_no_file_of_this_machine_is_made_in_place_of_an_object():
    with pytest.raises(TypeError):
        os.fspath(place("s3://bucket/x"))
    with pytest.raises(io.UnsupportedOperation, match="whole"):
        place("s3://bucket/x").open("wb")


def test_written_whole_and_read(folder: Path):
    write_json(folder / "a" / "x.json", {"b": 1})
    assert (folder / "a" / "x.json").read_text() == '{"b":1}\n'
    assert (folder / "a" / "x.json").stat().st_size == 8
    assert (folder / "a").is_dir()
    assert (folder / "a" / "x.json").is_file()
    assert not (folder / "a" / "y.json").exists()
    with (folder / "a" / "x.json").open(encoding="utf-8") as file:
        assert file.read() == '{"b":1}\n'
    write_bytes(folder / "a" / "x.json", b"new")
    assert (folder / "a" / "x.json").read_bytes() == b"new"
    assert listing(folder / "a") == {"x.json"}
    assert listing(folder / "none") == set()
    (folder / "a" / "x.json").unlink()
    (folder / "a" / "x.json").unlink(missing_ok=True)
    assert listing(folder / "a") == set()


def test_nothing_appears_when_writing_fails(folder: Path):
    write_bytes(folder / "kept", b"old")

    def fail(name: str) -> None:
        with atomic_open(folder / name) as file:
            file.write(b"half")
            file.flush()
            assert not (folder / "new").exists()
            raise KeyError(name)

    for name in ("kept", "new"):
        with pytest.raises(KeyError):
            fail(name)
    assert listing(folder) == {"kept"}
    assert (folder / "kept").read_bytes() == b"old"


def test_encoders_get_a_file_of_this_machine(folder: Path):
    with atomic_path(folder / "clip.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        Path(os.fspath(temporary)).write_bytes(b"film")
    assert not temporary.exists()
    with local_file(folder / "clip.mp4") as copy:
        assert copy.suffix == ".mp4"
        assert Path(os.fspath(copy)).read_bytes() == b"film"
    assert sha256_file(folder / "clip.mp4") == sha256_file_of(b"film")


def sha256_file_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_missing_file_is_told_as_such(folder: Path):
    for ask in (Path.read_bytes, Path.open, Path.stat, Path.unlink):
        method = getattr(folder / "none", ask.__name__)
        with pytest.raises(FileNotFoundError):
            method()
    assert list((folder / "none").glob("*")) == []


def test_seeking_and_reading_as_a_file_does(folder: Path):
    data = bytes(range(256)) * 10_000
    write_bytes(folder / "big", data)
    with (folder / "big").open("rb") as file:
        assert file.seek(-10, io.SEEK_END) == len(data) - 10
        assert file.read() == data[-10:]
        assert file.read(1) == b""
        file.seek(1_100_000)
        assert file.read(1_200_000) == data[1_100_000:2_300_000]
        file.seek(5, io.SEEK_CUR)
        assert file.read(3) == data[2_300_005:2_300_008]
    assert read_range(folder / "big", 300, 5) == data[300:305]
    assert read_range(folder / "big", len(data) - 2, 5) == data[-2:]
    assert read_range(folder / "big", 300, 0) == b""


def test_patterns(folder: Path):
    for name in ("a-1.tar", "a-2.tar", "b-1.tar", "deep/a-3.tar", "deep/er/x"):
        write_bytes(folder / name, b"")
    assert [p.name for p in folder.glob("a-*.tar")] == ["a-1.tar", "a-2.tar"]
    assert [p.name for p in folder.glob("d*/a-[0-9].tar")] == ["a-3.tar"]
    assert [p.name for p in folder.glob("deep/a-3.tar")] == ["a-3.tar"]
    assert [p.name for p in matching(f"{folder}/?-1.tar")] == ["a-1.tar", "b-1.tar"]
    assert matching(f"{folder}/b-1.tar") == [folder / "b-1.tar"]
    assert matching(f"{folder}/none") == []
    assert [p.name for p in sorted(folder.iterdir())] == ["a-1.tar", "a-2.tar", "b-1.tar", "deep"]
    remove_tree(folder / "deep")
    remove_tree(folder / "none")
    assert listing(folder) == {"a-1.tar", "a-2.tar", "b-1.tar"}


@pytest.mark.parametrize("source_is_remote", [False, True])
def test_moved_and_copied_between_storages(folder: Path, source_is_remote: bool, tmp_path: Path):
    base = place(f"memory://bucket/{uuid.uuid4().hex}") if source_is_remote else tmp_path / "staging"
    write_bytes(base / "one", b"shard")
    publish_copy(base / "one", folder / "copy" / "one.tar")
    publish(base / "one", folder / "moved" / "one.tar")
    assert (folder / "copy" / "one.tar").read_bytes() == b"shard"
    assert (folder / "moved" / "one.tar").read_bytes() == b"shard"
    assert listing(base) == set()


def test_what_drivers_raise_is_told_in_words(monkeypatch: pytest.MonkeyPatch):
    there = place("memory://bucket/x")
    for error, said in (
        (PermissionError("AccessDenied"), "refuses access"),
        (ConnectionResetError("reset by peer"), "does not answer"),
        (TimeoutError(), "does not answer"),
        (FileNotFoundError("The specified bucket does not exist"), "no such bucket"),
    ):

        def fail(*_: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", fail)
        with pytest.raises(StorageFault, match=said) as fault:
            write_bytes(there, b"")
        assert fault.value.where == "memory://bucket/x"
        assert fault.value.remedy


def test_a_missing_driver_names_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingDependency, match=r"pip install 'mitds\[gcs\]'"):
        place("gs://bucket/x").exists()


def test_a_remote_place_is_no_local_one(tmp_path: Path):
    with pytest.raises(TypeError, match="on this machine"):
        remote(tmp_path)


def test_places_are_light():
    code = "import sys, mitds.store, mitds.lock; print([m for m in ('fsspec', 's3fs', 'boto3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
