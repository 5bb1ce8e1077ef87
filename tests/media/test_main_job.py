"""The main job with real weights on real video: ingest, annotate, read back, export."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import webdataset

from mitds import ClipDataset, load
from mitds.media import pictures
from mitds.pipeline.annotate import AnnotateResult, annotate
from mitds.pipeline.ingest import ingest
from mitds.pipeline.report import write_report
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import annotate_config
from mitds.weights import catalog

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def statement(tmp_path_factory: pytest.TempPathFactory) -> AnnotateResult:
    """Two men in view, the front one speaks: through the package index, with no https weight."""
    folder = tmp_path_factory.mktemp("statement")
    (folder / "urls.txt").write_text("# one link a line\n" + catalog()["media.statement"].mirrors[0] + "\n")
    with ray_session(workers=2):
        raw = ingest(folder / "urls.txt", folder / "raw")
        return annotate([str(p) for p in raw.shards], folder / "clips", annotate_config("embedded"))


def test_statement_becomes_a_clip_of_two_people_of_whom_one_speaks(statement: AnnotateResult):
    (clip,) = load(str(statement.out / "clips-*.tar"))
    assert clip.clip.frames > 200
    heights = np.nanmean(clip.arrays.face_xyxy_NT4[:, :, 3] - clip.arrays.face_xyxy_NT4[:, :, 1], axis=1)
    front, back = int(heights.argmax()), int(heights.argmin())
    assert clip.arrays.visible_NT.mean() > 0.99
    speaks = np.nanmean(clip.arrays.speaking_NT > 0.5, axis=1)
    assert speaks[front] > 0.3
    assert speaks[back] < 0.1
    assert clip.clip.persons[front].voice_status == "bound"
    assert clip.clip.persons[back].voice is None


def test_every_person_has_a_pose_that_hangs_on_their_face(statement: AnnotateResult):
    (clip,) = load(str(statement.out / "clips-*.tar"))
    for face_T4, pose_TK3 in zip(clip.arrays.face_xyxy_NT4, clip.arrays.pose_NTK3, strict=True):
        nose_T2, sure_T = pose_TK3[:, 0, :2], pose_TK3[:, 0, 2] > 0.3
        assert sure_T.mean() > 0.9
        inside = (nose_T2 > face_T4[:, :2]).all(axis=1) & (nose_T2 < face_T4[:, 2:]).all(axis=1)
        assert inside[sure_T].mean() > 0.95


def test_stock_webdataset_reads_arrays_of_one_length_on_the_clips_clock(statement: AnnotateResult):
    (shard,) = statement.out.glob("clips-*.tar")
    (sample,) = webdataset.WebDataset(str(shard), shardshuffle=False)
    record = json.loads(sample["json"])
    with np.load(io.BytesIO(sample["npz"]), allow_pickle=False) as arrays:
        lengths = {
            arrays["face_xyxy_NT4"].shape[1], arrays["speaking_NT"].shape[1], arrays["pose_NTK3"].shape[1],
            arrays["visible_NT"].shape[1], len(arrays["pts_T"]),
        }  # fmt: skip
        pts_T = arrays["pts_T"]
    video = shard.with_name("read-back.mp4")
    video.write_bytes(sample["mp4"])
    shown = [float(picture.pts) for picture in pictures(video)]
    assert lengths == {len(shown)} == {record["frames"]}
    assert np.abs(np.array(shown) - pts_T).max() < 0.02


def test_clip_dataset_feeds_a_data_loader(statement: AnnotateResult):
    from torch.utils.data import DataLoader

    dataset = ClipDataset(str(statement.out / "clips-*.tar"), window=16)
    batch = next(iter(DataLoader(dataset, batch_size=None)))
    assert batch["pose_NTK3"].shape == (2, 16, 133, 3)
    assert batch["frames_TCHW"].shape[0] == 16


def test_report_is_one_page_without_outside_resources(statement: AnnotateResult):
    page = write_report(statement.out).read_text()
    assert "obama_speech.mp4" in page
    assert "data:image/jpeg;base64," in page
    assert "<script" not in page


def test_command_line_prints_one_json_line_and_says_by_its_exit_code_what_failed(tmp_path: Path):
    (tmp_path / "urls.txt").write_text("words.mp4\n")
    (tmp_path / "words.mp4").write_text("no film")
    command = [sys.executable, "-m", "mitds", "ingest", "urls.txt", "--out", "raw", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ))
    (line,) = done.stdout.splitlines()
    assert done.returncode == 1
    assert json.loads(line)["failed"] == 1
    missing = subprocess.run(
        [*command[:4], "none.txt", "--out", "raw"], cwd=tmp_path, capture_output=True, text=True
    )
    assert missing.returncode == 2
    assert missing.stderr.startswith("error[usage]: the list cannot be read")
