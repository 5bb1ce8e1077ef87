"""Clips come back typed, as tensors, and through the stock webdataset library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import BadShard, UsageError
from mitds.manifests.dataset import LoadedClip, load
from mitds.manifests.shards import ShardWriter
from tests import factories


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shards")
    factories.write_clips(folder, *(factories.clip(n) for n in range(5)))
    return str(folder / "clips-*.tar")


def test_load_yields_typed_clips(shards: str) -> None:
    loaded = list(load(shards))
    assert [c.clip for c in loaded] == [factories.clip(n) for n in range(5)]
    frames = list(loaded[0].frames())
    assert len(frames) == loaded[0].clip.frames == loaded[0].arrays.pose_NTK3.shape[1]
    for k in (0, 20, 49):
        difference = np.abs(frames[k].astype(int) - factories.picture(k).astype(int))
        assert difference.mean() < 4
    wave_S = loaded[0].wave()
    assert wave_S is not None
    assert wave_S.dtype == np.float32
    assert wave_S.shape == (50 * 640,)
    assert 0.2 < wave_S.max() < 0.3


def test_load_takes_paths_and_lists(tmp_path: Path) -> None:
    first, second = factories.write_clips(tmp_path)
    assert [c.clip.key[-1] for c in load([second, str(first)])] == ["2", "0", "1"]
    assert [c.clip.key[-1] for c in load(second)] == ["2"]
    with pytest.raises(UsageError, match="no shard"):
        next(load(tmp_path / "shots-*.tar"))


def test_a_clip_without_sound_has_no_wave(tmp_path: Path) -> None:
    with ShardWriter("clips-%06d.tar", tmp_path) as writer:
        writer.add("k", factories.clip_sample(factories.clip(), sound=False))
    (loaded,) = load(tmp_path / "clips-000000.tar")
    assert loaded.wave() is None


def damaged(mp4: bytes = b"", wav: bytes | None = None) -> LoadedClip:
    return LoadedClip(factories.clip(3), factories.clip_arrays(factories.clip(3)), mp4, wav)


@pytest.mark.parametrize("how", ["empty", "no mp4", "cut", "sound alone"])
def test_a_damaged_video_names_its_clip(how: str) -> None:
    members = factories.clip_sample(factories.clip(3))
    mp4 = {
        "empty": b"",
        "no mp4": b"text" * 99,
        "cut": members["mp4"][: len(members["mp4"]) // 3],
        "sound alone": members["wav"],
    }[how]
    with pytest.raises(BadShard, match=f"clip {factories.clip(3).key}: its mp4 does not decode"):
        list(damaged(mp4).frames())


@pytest.mark.parametrize("wav", [b"", b"RIFFtext" * 9])
def test_a_damaged_sound_names_its_clip(wav: bytes) -> None:
    with pytest.raises(BadShard, match=f"clip {factories.clip(3).key}: its wav does not decode"):
        damaged(wav=wav).wave()


@pytest.mark.parametrize("member", ["mp4", "json", "npz"])
def test_a_sample_of_another_kind_is_refused_with_its_file(tmp_path: Path, member: str) -> None:
    members = factories.clip_sample(factories.clip())
    del members[member]
    with ShardWriter("clips-%06d.tar", tmp_path) as writer:
        writer.add("k", members)
    with pytest.raises(BadShard, match=member) as caught:
        list(load(tmp_path / "clips-000000.tar"))
    assert "clips-000000.tar" in str(caught.value)


def test_record_and_arrays_must_agree(tmp_path: Path) -> None:
    members = factories.clip_sample(factories.clip())
    members["npz"] = factories.clip_sample(factories.clip(persons=3))["npz"]
    with ShardWriter("clips-%06d.tar", tmp_path) as writer:
        writer.add("k", members)
    with pytest.raises(BadShard, match="disagree"):
        list(load(tmp_path / "clips-000000.tar"))


def test_dataset_yields_tensors_of_equal_length(shards: str) -> None:
    from mitds import ClipDataset

    items = list(ClipDataset(shards))
    assert len(items) == 5
    item = items[0]
    assert item["frames_TCHW"].shape == (50, 3, factories.HEIGHT, factories.WIDTH)
    assert str(item["frames_TCHW"].dtype) == "torch.uint8"
    assert item["pose_NTK3"].shape == (2, 50, 133, 3)
    assert item["face_xyxy_NT4"].shape == (2, 50, 4)
    assert item["speaking_NT"].shape == item["visible_NT"].shape == (2, 50)
    assert item["wave_S"].shape == (50 * 640,)
    assert item["pts_T"][1] == pytest.approx(0.04)
    assert item["clip"] == factories.clip(0)
    assert "frames_TCHW" not in next(iter(ClipDataset(shards, frames=False)))


def test_windows_cut_all_tensors_alike(shards: str) -> None:
    from mitds import ClipDataset

    items = list(ClipDataset(shards, window=20))
    assert [(i["key"][-1], i["first"]) for i in items[:4]] == [("0", 0), ("0", 20), ("1", 0), ("1", 20)]
    (whole, *_) = ClipDataset(shards)
    second = items[1]
    assert (second["frames_TCHW"] == whole["frames_TCHW"][20:40]).all()
    assert (second["speaking_NT"] == whole["speaking_NT"][:, 20:40]).all()
    assert (second["wave_S"] == whole["wave_S"][20 * 640 : 40 * 640]).all()
    assert second["pts_T"][0] == pytest.approx(0.8)
    assert list(ClipDataset(shards, window=51)) == []


def test_ranks_share_the_shards_without_overlap(shards: str) -> None:
    from mitds import ClipDataset

    def keys(rank: int) -> list[str]:
        dataset = ClipDataset(shards, frames=False, shuffle=True, seed=3, rank=rank, world_size=2)
        return [item["key"] for item in dataset]

    assert sorted(keys(0) + keys(1)) == [f"{n:016x}" for n in range(5)]
    assert keys(0) == keys(0)
    with pytest.raises(UsageError):
        ClipDataset(shards, rank=2, world_size=2)


def test_order_depends_on_seed_and_epoch_only(tmp_path: Path) -> None:
    from mitds import ClipDataset

    factories.write_clips(tmp_path, *(factories.clip(n, frames=2) for n in range(6)), per_shard=1)

    def order(seed: int, epoch: int) -> list[str]:
        dataset = ClipDataset(tmp_path / "clips-*.tar", frames=False, shuffle=True, seed=seed)
        dataset.set_epoch(epoch)
        return [item["key"] for item in dataset]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(s, e)) for s in (1, 2) for e in (0, 1)}) > 1


def test_torch_data_loader_with_workers_sees_every_clip_once(shards: str) -> None:
    from torch.utils.data import DataLoader

    from mitds import ClipDataset

    loader = DataLoader(ClipDataset(shards, frames=False), batch_size=None, num_workers=2)
    assert sorted(item["key"] for item in loader) == [f"{n:016x}" for n in range(5)]


def test_stock_webdataset_reads_the_shards(tmp_path: Path) -> None:
    import webdataset as wds

    (path,) = factories.write_clips(tmp_path, factories.clip(7))
    (sample,) = wds.WebDataset(str(path), shardshuffle=False).decode()
    arrays = factories.clip_arrays(factories.clip(7))
    assert sample["__key__"] == factories.clip(7).key
    assert sample["json"]["frames"] == 50
    assert sample["json"]["persons"][1]["voice"] == "V1"
    np.testing.assert_array_equal(sample["npz"]["pose_NTK3"], arrays.pose_NTK3)
    np.testing.assert_array_equal(sample["npz"]["visible_NT"], arrays.visible_NT)
    assert sample["wav"][:4] == b"RIFF"
    assert sample["mp4"][4:8] == b"ftyp"


def test_reading_records_does_not_import_torch() -> None:
    code = "import sys, mitds.manifests.dataset, mitds.manifests.records; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
