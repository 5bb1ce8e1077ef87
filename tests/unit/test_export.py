"""Exports say what the shards say, in other tools' words."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import BadShard, UnknownName, UsageError
from mitds.manifests.records import SpeechTurn
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.export import export
from mitds.pipeline.export.ava import ABSTAINED, relative, score
from mitds.pipeline.export.coco import annotation
from mitds.pipeline.export.names import stem
from tests import factories


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shards")
    other = factories.clip(2, source_id="ee" * 32, source_name="debate.mkv")
    factories.write_clips(folder, factories.clip(0), other, factories.clip(1))
    factories.write_sources(folder)
    return str(folder / "clips-*.tar")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_one_file_a_source_named_after_its_stem(shards: str, tmp_path: Path) -> None:
    done = export([shards], "rttm", tmp_path)
    assert [p.name for p in done.paths] == ["talk.rttm", "debate.rttm"]
    assert done.renamed == {}


def test_rttm_on_the_clip_clock_names_identities_and_offscreen_voices(shards: str, tmp_path: Path) -> None:
    talk, _ = export([shards], "rttm", tmp_path).paths
    key = factories.clip(0).key
    first = [line for line in talk.read_text().splitlines() if key in line]
    assert first == [
        f"SPEAKER {key} 1 0.000 1.000 <NA> <NA> P0 <NA> <NA>",
        f"SPEAKER {key} 1 0.250 0.500 <NA> <NA> V9 <NA> <NA>",
        f"SPEAKER {key} 1 1.000 1.000 <NA> <NA> P1 <NA> <NA>",
    ]
    assert factories.clip(1).key in talk.read_text()
    assert factories.clip(2).key not in talk.read_text()


def test_rttm_on_the_source_clock_carries_the_stem(shards: str, tmp_path: Path) -> None:
    (path,) = export([shards], "rttm", tmp_path, "source").paths
    assert path.read_text().splitlines() == [
        "SPEAKER talk 1 0.000 1.000 <NA> <NA> P0 <NA> <NA>",
        "SPEAKER talk 1 1.000 1.000 <NA> <NA> P1 <NA> <NA>",
        "SPEAKER talk 1 2.500 0.250 <NA> <NA> V9 <NA> <NA>",
    ]


def test_ava_on_the_clip_clock(shards: str, tmp_path: Path) -> None:
    talk, _ = export([shards], "ava", tmp_path).paths
    found = rows(talk)
    assert len(found) == 2 * (50 + 49)  # the second person has no face in frame 0
    first, last = found[0], found[-1]
    assert list(first)[-1] == "score"
    assert first["video_id"] == factories.clip(0).key
    assert first["entity_id"] == f"{factories.clip(0).key}:0"
    assert (first["identity"], first["label"]) == ("P0", "SPEAKING_AUDIBLE")
    assert float(first["entity_box_x1"]) == pytest.approx(20 / 160, abs=1e-6)
    assert float(first["entity_box_y2"]) == pytest.approx(66 / 96, abs=1e-6)
    assert float(first["score"]) == pytest.approx(math.log(9), abs=1e-3)
    assert (last["identity"], float(last["frame_timestamp"])) == ("P1", pytest.approx(1.96))
    quiet = [r for r in found if float(r["score"]) < 0]
    assert {r["label"] for r in quiet} == {"NOT_SPEAKING"}
    assert len(quiet) == 2 * (25 + 24)


def test_ava_on_the_source_clock_has_every_track_of_every_shot(shards: str, tmp_path: Path) -> None:
    (path,) = export([shards], "ava", tmp_path, "source").paths
    found = rows(path)
    assert len(found) == 4 * 150
    assert {r["video_id"] for r in found} == {"talk"}
    assert len({r["entity_id"] for r in found}) == 4
    times = [float(r["frame_timestamp"]) for r in found if r["entity_id"].endswith("s0001:1")]
    assert times[0] == pytest.approx(6.0)
    assert times[-1] == pytest.approx(6.0 + 149 / 25)


def test_late_tracks_and_late_shots_keep_their_time(tmp_path: Path) -> None:
    late = factories.shot(0, start=6)
    labels = factories.source_labels(
        shots=(replace(late, start=Fraction(1001, 30000)),),
        tracks=(factories.track_labels(0, 0, frames=3, first=10, identity=None),),
    )
    (shard,) = factories.write_sources(tmp_path, labels)
    (path,) = export([str(shard)], "ava", tmp_path / "out", "source").paths
    found = rows(path)
    assert float(found[0]["frame_timestamp"]) == pytest.approx(1001 / 30000 + 0.4, abs=1e-6)
    assert found[0]["identity"] == ""


def test_scores_are_logits_and_abstention_is_below_all() -> None:
    values = score(np.array([0.5, 1, 0, np.nan, 0.9], np.float32))
    np.testing.assert_allclose(values, [0, 20, -20, ABSTAINED, math.log(9)], atol=1e-5)
    assert values[3] < values[2]


def test_boxes_are_clipped_to_the_picture_and_absence_stays() -> None:
    boxes = np.array([[-8, 0, 80, 96], [np.nan] * 4], np.float32)
    np.testing.assert_array_equal(relative(boxes, 160, 96), [[0, 0, 0.5, 1], [np.nan] * 4])


def test_cuts_leave_out_the_first_shot(shards: str, tmp_path: Path) -> None:
    (path,) = export([shards], "cuts", tmp_path, "source").paths
    assert path.name == "talk.cuts.txt"
    assert path.read_text() == "150 6.000000\n"


def test_coco_holds_every_person_and_frame(shards: str, tmp_path: Path) -> None:
    talk, debate = export([shards], "coco", tmp_path).paths
    assert (talk.name, debate.name) == ("talk.coco.json", "debate.coco.json")
    coco = json.loads(talk.read_text())
    assert len(coco["images"]) == 100
    assert len(coco["annotations"]) == 2 * (50 + 49)
    ids = {image["id"]: image for image in coco["images"]}
    assert len(ids) == 100
    one = next(a for a in coco["annotations"] if ids[a["image_id"]]["frame"] == 7 and a["identity"] == "P1")
    lengths = {"keypoints": 51, "foot_kpts": 18, "face_kpts": 204, "lefthand_kpts": 63, "righthand_kpts": 63}
    assert {name: len(one[name]) for name in lengths} == lengths
    assert one["num_keypoints"] == 17
    assert one["foot_kpts"][:9] == [0.0] * 9
    pose_K3 = factories.clip_arrays(factories.clip(0)).pose_NTK3[1, 7]
    np.testing.assert_allclose(one["lefthand_kpts"], pose_K3[91:112].ravel(), atol=1e-3)
    assert one["face_box"] == pytest.approx([90.7, 30, 30, 36])


def test_coco_points_are_absent_or_measured() -> None:
    pose_K3 = np.full((133, 3), (np.nan, np.nan, 0), np.float32)
    nowhere = np.full(4, np.nan, np.float32)
    assert annotation(pose_K3, nowhere) == {}
    only_face = annotation(pose_K3, np.array([1, 2, 4, 8], np.float32))
    assert (only_face["bbox"], only_face["num_keypoints"]) == ([1, 2, 3, 6], 0)
    assert not only_face["face_valid"]
    pose_K3[91:93] = [(10, 20, 0.5), (14, 30, 0.25)]
    hand = annotation(pose_K3, nowhere)
    assert (hand["bbox"], hand["lefthand_box"]) == ([10, 20, 4, 10], [10, 20, 4, 10])
    assert hand["lefthand_valid"]
    assert hand["lefthand_kpts"][:6] == [10, 20, 0.5, 14, 30, 0.25]


def test_an_empty_source_gives_valid_files(tmp_path: Path) -> None:
    silent = factories.source_labels(shots=(factories.shot(),), tracks=(), turns=(), bindings=())
    (shard,) = factories.write_sources(tmp_path, silent)
    texts = {
        f: export([str(shard)], f, tmp_path, "source").paths[0].read_text() for f in ("rttm", "cuts", "ava")
    }
    assert (texts["rttm"], texts["cuts"]) == ("", "")
    assert texts["ava"].startswith("video_id,")
    (clips,) = factories.write_clips(tmp_path, factories.clip(persons=0, frames=2))
    coco = json.loads(export([str(clips)], "coco", tmp_path).paths[0].read_text())
    assert (len(coco["images"]), coco["annotations"]) == (2, [])


def test_equal_stems_are_told_apart_and_reported(tmp_path: Path) -> None:
    second = factories.clip(1, source_id="ab12" * 16, source_name="TALK.mkv")
    (path,) = factories.write_clips(tmp_path, factories.clip(0), second)
    done = export([str(path)], "rttm", tmp_path / "out")
    assert [p.name for p in done.paths] == ["talk.rttm", "TALK-ab12ab12.rttm"]
    assert done.renamed == {"ab12" * 16: "TALK-ab12ab12"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("talk.mp4", "talk"),
        ("../../etc/passwd.mp4", "passwd"),
        ("a b & c.webm", "a-b-c"),
        ("Talk v1.2", "Talk-v1-2"),
        ("Überraschung №5.avi", "Überraschung-5"),
        (".mp4", "mp4"),
        ("...", "unnamed"),
    ],
)
def test_stems_are_safe(name: str, expected: str) -> None:
    assert stem(name) == expected


def test_bound_voices_take_the_identity_and_abstained_ones_do_not(tmp_path: Path) -> None:
    known = factories.source_labels()
    unsure = replace(known.bindings[0], abstained=True)
    turn = SpeechTurn(voice="V0", start_s=1.5, end_s=2.0)
    (shard,) = factories.write_sources(tmp_path, replace(known, bindings=(unsure,), turns=(turn,)))
    (path,) = export([str(shard)], "rttm", tmp_path, "source").paths
    assert path.read_text().split()[7] == "V0"


def test_what_cannot_be_exported_says_why(shards: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="rttm"):
        export([shards], "rtmm", tmp_path)
    with pytest.raises(UnknownName):
        export([shards], "rttm", tmp_path, "clock")


def test_cuts_and_poses_do_not_depend_on_the_timeline(shards: str, tmp_path: Path) -> None:
    for name in ("cuts", "coco"):
        on_clip = export([shards], name, tmp_path / "clip").paths
        on_source = export([shards], name, tmp_path / "source", "source").paths
        assert [p.read_bytes() for p in on_clip] == [p.read_bytes() for p in on_source]
    images = json.loads(on_clip[0].read_text())["images"]
    assert images[1]["time_s"] == 0.04
    assert images[1]["source_time_s"] == pytest.approx(images[0]["source_time_s"] + 0.04)


def test_missing_source_labels_are_named(tmp_path: Path) -> None:
    (path, *_) = factories.write_clips(tmp_path)
    with pytest.raises(UsageError, match=r"sources-\*\.tar"):
        export([str(path)], "rttm", tmp_path, "source")


def test_shards_of_another_kind_are_refused(tmp_path: Path) -> None:
    (sources,) = factories.write_sources(tmp_path)
    with pytest.raises(BadShard, match="does not hold clips"):
        export([str(sources)], "rttm", tmp_path)
    with ShardWriter("shots-%06d.tar", tmp_path) as writer:
        writer.add("k", {"mp4": b"", "json": b"{}"})
    with pytest.raises(BadShard, match="does not hold clips"):
        export([str(tmp_path / "shots-000000.tar")], "rttm", tmp_path)
