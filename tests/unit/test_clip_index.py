"""Clips are read one by one, in any order, and no more of each than is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitds.errors import BadShard, UsageError
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.dataset import load
from mitds.manifests.shards import ShardWriter
from tests import factories

BARE = {"mp4": b"no video", "npz": b"no arrays"}


def write(folder: Path, *samples: tuple[str, dict[str, bytes]]) -> Path:
    with ShardWriter("clips-%06d.tar", folder) as writer:
        for key, members in samples:
            writer.add(key, members)
    return folder / "clips-000000.tar"


def bare(number: int) -> tuple[str, dict[str, bytes]]:
    clip = factories.clip(number)
    return clip.key, {**BARE, "json": factories.to_json(clip).encode()}


def test_clips_come_in_any_order_as_load_gives_them(tmp_path: Path) -> None:
    factories.write_clips(tmp_path, *(factories.clip(n, frames=6) for n in (2, 0, 1)))
    shards = tmp_path / "clips-*.tar"
    index, whole = ClipIndex(shards), list(load(shards))
    assert index.keys == tuple(f"{n:016x}" for n in (2, 0, 1))
    assert len(index) == 3
    for i in (2, 0, 1):
        got = index.load(i)
        assert got.clip == index.record(i) == whole[i].clip
        assert (got.mp4, got.wav) == (whole[i].mp4, whole[i].wav)
        assert np.array_equal(got.arrays.pose_NTK3, whole[i].arrays.pose_NTK3, equal_nan=True)
    assert [index.path(i).name for i in range(3)] == ["clips-000000.tar"] * 2 + ["clips-000001.tar"]


def test_shards_keep_the_order_they_were_given_in(tmp_path: Path) -> None:
    first = write(tmp_path / "a", bare(3))
    second = write(tmp_path / "b", bare(1))
    assert ClipIndex([second, first]).keys == (f"{1:016x}", f"{3:016x}")


def test_a_record_is_read_without_the_rest(tmp_path: Path) -> None:
    index = ClipIndex(write(tmp_path, bare(0)))
    assert index.record(0) == factories.clip(0)
    with pytest.raises(BadShard, match=r"clips-000000\.tar"):
        index.load(0)


def test_a_damaged_record_is_located(tmp_path: Path) -> None:
    index = ClipIndex(write(tmp_path, ("k", {**BARE, "json": b"{}"})))
    for read in (index.record, index.load):
        with pytest.raises(BadShard, match=r"clips-000000\.tar"):
            read(0)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", bare(0)), write(tmp_path / "b", bare(1), bare(0))
    with pytest.raises(UsageError, match="is there twice") as error:
        ClipIndex([first, second])
    assert str(first) in str(error.value)
    assert str(second) in str(error.value)


@pytest.mark.parametrize("member", ["mp4", "json", "npz"])
def test_shards_of_another_kind_are_refused_at_once(tmp_path: Path, member: str) -> None:
    key, members = bare(0)
    del members[member]
    with pytest.raises(BadShard, match=rf"has no {member} \(.*clips-000000\.tar"):
        ClipIndex(write(tmp_path, (key, members)))
