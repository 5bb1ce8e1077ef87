"""Real clips in other datasets' layouts, read back by those layouts' own readers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mitds import load
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.dataset import LoadedClip
from mitds.manifests.records import ClipArrays
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.export import export
from mitds.pipeline.export.mit import name_of
from mitds.pipeline.export.mit_pictures import Canvas

pytestmark = [
    pytest.mark.media,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]

FRAMES = 25


def beginning(loaded: LoadedClip, folder: Path) -> tuple[LoadedClip, str]:
    """A shard with the first second of a clip: its labels are cut, its film goes on."""
    clip = replace(loaded.clip, frames=FRAMES, end=loaded.clip.start + 1, seals={})
    cut = {name: getattr(loaded.arrays, name)[:, :FRAMES] for name in ClipArrays.__slots__ if name != "pts_T"}
    arrays = ClipArrays(**cut, pts_T=loaded.arrays.pts_T[:FRAMES])
    with ShardWriter("clips-%06d.tar", folder) as writer:
        data = {"mp4": loaded.mp4, "json": to_json(clip).encode(), "npz": clip_arrays_to_npz(arrays)}
        writer.add(clip.key, data)
    return LoadedClip(clip, arrays, loaded.mp4, None), str(folder / "clips-*.tar")


def test_the_mit_layout_shows_the_clips_own_pictures_and_each_face_in_its_box(
    demo_clips: Path, tmp_path: Path
) -> None:
    ours, shards = beginning(next(iter(load(str(demo_clips / "clips-*.tar")))), tmp_path / "run")
    export([shards], "mit", tmp_path / "mit")
    folder, canvas = tmp_path / "mit" / name_of(ours.clip), Canvas(ours.clip.width, ours.clip.height)
    people = json.loads((folder / "speaker_info_with_instance_bbox.json").read_text())
    assert people[0]["clip_range"] == [1, FRAMES]
    assert len(list((folder / "frames").iterdir())) == len(list((folder / "pose_frame").iterdir())) == FRAMES
    for k, frame_HWC in zip(range(FRAMES), ours.frames(), strict=False):
        written_HWC = cv2.imread(str(folder / "frames" / f"output_{k + 1:04d}.png"))
        np.testing.assert_array_equal(written_HWC[..., ::-1], canvas.picture(frame_HWC))
    for n, person in enumerate(people):
        x1, y1, x2, y2 = person["instance_bbox"]
        faces_T4 = np.array(person["face_track"])[np.array(person["visible"])]
        assert len(faces_T4) == ours.arrays.visible_NT[n].sum()
        assert (faces_T4[:, :2] >= (x1 - 1, y1 - 1)).all()
        assert (faces_T4[:, 2:] <= (x2 + 1, y2 + 1)).all()
        assert len(person["speaking_score"]) == FRAMES


def test_datasets_loads_real_clips_offline(
    demo_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    datasets = pytest.importorskip("datasets", reason="pip install mitds[dev] brings datasets")
    shards = str(demo_clips / "clips-*.tar")
    done = export([shards], "hf", tmp_path / "hf")
    assert done.written < 0.01 * done.linked
    rows = list(datasets.load_dataset(str(tmp_path / "hf"), split="train", streaming=True))
    truth = list(load(shards))
    assert [row["__key__"] for row in rows] == [clip.clip.key for clip in truth]
    for row, clip in zip(rows, truth, strict=True):
        assert (row["mp4"]["bytes"], row["wav"]) == (clip.mp4, clip.wav)
        speaking_NT = np.array(row["npz"]["speaking_NT"], np.float32)
        np.testing.assert_array_equal(speaking_NT, clip.arrays.speaking_NT)


def test_mlcroissant_reads_the_tables_of_a_real_run(demo_clips: Path, tmp_path: Path) -> None:
    mlc = pytest.importorskip("mlcroissant", reason="pip install mitds[dev] brings mlcroissant")
    export([str(demo_clips / "clips-*.tar")], "croissant", tmp_path / "croissant")
    dataset = mlc.Dataset(str(tmp_path / "croissant" / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    found = [r["provenance/key"].decode() for r in dataset.records("provenance")]
    assert found == [clip.clip.key for clip in load(str(demo_clips / "clips-*.tar"))]
    kept = [r for r in dataset.records("clips") if r["clips/shard"] is not None]
    assert {r["clips/key"].decode() for r in kept} == set(found)
