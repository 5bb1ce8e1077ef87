"""A folder that the library `datasets` loads offline, with the card that says whose the people are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mitds.manifests.shards import ShardWriter
from mitds.pipeline.export import export
from tests import factories

SETTINGS = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.fixture(scope="module")
def datasets() -> Iterator[Any]:
    """The library, offline and silent: whoever asks for a connection fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("somebody wants to talk to the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        module = pytest.importorskip("datasets", reason="pip install mitds[dev] brings datasets")
        patch.setattr(module.config, "HF_HUB_OFFLINE", True)
        yield module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips in two shards: of two and three people, one without sound and licence."""
    base = tmp_path_factory.mktemp("hf")
    quiet = factories.clip(
        2, frames=4, persons=3, rights=factories.rights(licence=None), scores={"other": 1.0}
    )
    with_sound = [factories.clip(n, frames=4) for n in range(2)]
    factories.write_clips(base / "run", *with_sound)
    with ShardWriter("clips-%06d.tar", base / "more") as writer:
        writer.add(quiet.key, factories.clip_sample(quiet, sound=False))
    export([str(base / "run" / "clips-*.tar"), str(base / "more" / "clips-*.tar")], "hf", base / "hf")
    return base / "hf"


@pytest.mark.parametrize("streaming", [False, True])
def test_it_loads_with_videos_as_bytes_and_labels_as_written(
    datasets: Any, folder: Path, tmp_path: Path, streaming: bool
) -> None:
    loaded = datasets.load_dataset(str(folder), streaming=streaming, cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
    found = list(loaded["train"])
    assert [row["__key__"] for row in found] == [factories.clip(n).key for n in range(3)]
    for row, people in zip(found, (2, 2, 3), strict=True):
        assert row["mp4"]["bytes"] == factories.mp4_bytes(4)
        assert row["json"]["key"] == row["__key__"]
        assert len(row["json"]["persons"]) == people == len(row["npz"]["visible_NT"])
        clip = factories.clip(0, frames=4, persons=people)
        truth = factories.clip_arrays(clip)
        np.testing.assert_array_equal(np.array(row["npz"]["pose_NTK3"], np.float32), truth.pose_NTK3)
        np.testing.assert_array_equal(np.array(row["npz"]["face_xyxy_NT4"], np.float32), truth.face_xyxy_NT4)
    assert [row["wav"] is None for row in found] == [False, False, True]
    assert found[2]["json"]["scores"] == {"other": 1.0}


def test_shards_are_links_and_still_shards(folder: Path) -> None:
    first, second = sorted((folder / "data").iterdir())
    assert (first.name, second.name) == ("clips-000000.tar", "clips-000001.tar")
    assert first.samefile(folder.parent / "run" / "clips-000000.tar")
    assert second.samefile(folder.parent / "more" / "clips-000000.tar")


def test_the_card_states_licence_provenance_and_withdrawal(folder: Path) -> None:
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(head)
    assert (front["license"], front["license_name"]) == ("other", "stated-by-clip")
    assert front["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/clips-*.tar"}]}
    ]
    assert "| CC-BY-4.0 | 2 |" in body
    assert "| not stated | 1 |" in body
    for word in ("provenance.parquet", "mitds remove", "identifiable people", "train"):
        assert word in body


def test_one_known_licence_is_the_hubs_own_word(tmp_path: Path) -> None:
    factories.write_clips(tmp_path / "run", factories.clip(0, frames=2))
    export([str(tmp_path / "run" / "clips-*.tar")], "hf", tmp_path / "hf")
    front = yaml.safe_load((tmp_path / "hf" / "README.md").read_text().split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert "license_name" not in front


def test_words_from_outside_cannot_write_the_card(tmp_path: Path) -> None:
    odd = factories.rights(licence="a\n---\n# Owned | <script>\n")
    factories.write_clips(tmp_path / "run", factories.clip(0, frames=2, rights=odd, source_name="x\n---\n"))
    export([str(tmp_path / "run" / "clips-*.tar")], "hf", tmp_path / "hf")
    lines = (tmp_path / "hf" / "README.md").read_text().splitlines()
    assert lines.count("---") == 2
    assert not any(line.startswith("# Owned") for line in lines)
    assert "<script>" not in "".join(lines)
