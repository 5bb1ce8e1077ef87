"""The MIT repository's loaders, as their published code is described, read our clips; frame k is frame k."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mitds.errors import UsageError
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.records import Clip, ClipArrays, Turn
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.export import export
from mitds.pipeline.export.mit import name_of
from mitds.pipeline.export.mit_labels import merged, speaking_frames
from mitds.pipeline.export.mit_pictures import Canvas
from tests import factories

FRAMES = 6
CELL = 16


class TheirClip:
    """What their loaders make of one entry of a list.

    Pictures and skeletons are sorted and cut by the first person's `clip_range`, 1-based and inclusive; the points
    of a picture lie where its path says "pose" for "frames", and are taken, as scores and sound are, from the
    clip's first frame on. A person has, in each frame, the pose with most points of .4 or more in their box.
    """

    def __init__(self, root: Path, entry: dict[str, str]) -> None:
        self.people = json.loads((root / entry["speak_info_path"]).read_text())
        first, last = self.people[0]["clip_range"]
        all_images = sorted((root / entry["image_dir"]).iterdir())
        all_poses = sorted((root / entry["pose_dir"]).iterdir())
        assert len(all_images) == len(all_poses), "they leave such a clip out"
        self.images, self.pose_images = all_images[first - 1 : last], all_poses[first - 1 : last]
        self.points = [Path(str(p).replace("frames", "pose")).with_suffix(".json") for p in all_images]
        assert str(root.resolve()).count("frames") == 0

    def __len__(self) -> int:
        return len(self.images)

    def image(self, k: int) -> np.ndarray:
        return cv2.imread(str(self.images[k]))

    def mask(self, person: int) -> np.ndarray:
        canvas_HW = np.zeros((1080, 1920), np.uint8)
        x1, y1, x2, y2 = self.people[person]["instance_bbox"]
        canvas_HW[y1:y2, x1:x2] = 1
        return canvas_HW

    def pose(self, person: int, k: int) -> np.ndarray | None:
        x1, y1, x2, y2 = self.people[person]["instance_bbox"]
        best, most = None, 0
        for found in json.loads(self.points[k].read_text())["instance_info"]:
            points_K2, scores_K = np.array(found["keypoints"]), np.array(found["keypoint_scores"])
            assert points_K2.shape == (133, 2)
            assert scores_K.shape == (133,)
            inside_K = (points_K2 >= (x1, y1)).all(axis=1) & (points_K2 <= (x2, y2)).all(axis=1)
            if (count := int((inside_K & (scores_K >= 0.4)).sum())) > most:
                best, most = points_K2, count
        return best


def numbered(k: int, width: int, height: int) -> np.ndarray:
    """A picture with its number burned in: five blocks, white for the ones of the binary number."""
    frame_HWC = np.full((height, width, 3), 60, np.uint8)
    for bit in range(5):
        frame_HWC[:CELL, bit * CELL : (bit + 1) * CELL] = 255 if k >> bit & 1 else 0
    return frame_HWC


def number_in(image_HWC: np.ndarray, canvas: Canvas) -> int:
    at_52 = np.array([[bit * CELL + CELL / 2, CELL / 2, 1] for bit in range(5)], np.float32)
    return sum(
        int(image_HWC[round(y), round(x)].mean() > 128) << b
        for b, (x, y, _) in enumerate(canvas.points(at_52))
    )


def film(frames: int, width: int, height: int, reordered: bool) -> bytes:
    buffer = io.BytesIO()
    options = {"preset": "medium", "threads": "1", "bf": "3" if reordered else "0", "b-pyramid": "normal"}
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(k, width, height), "rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def told(clip: Clip) -> ClipArrays:
    """Labels that carry the number of their frame: faces and poses step by one, scores rise."""
    arrays = factories.clip_arrays(clip)
    step_T = np.arange(clip.frames, dtype=np.float32)
    for n in range(len(clip.persons)):
        arrays.face_xyxy_NT4[n] = np.array([20, 30, 40, 60]) + 70 * n + step_T[:, None] * (1, 0, 1, 0)
        arrays.pose_NTK3[n, ..., 0] = 20 + 70 * n + step_T[:, None]
        arrays.pose_NTK3[n, ..., 1] = 40 + np.arange(133) / 10
        arrays.pose_NTK3[n, ..., 2] = 0.9
        arrays.speaking_NT[n] = 0.05 + 0.1 * step_T
    arrays.visible_NT[:] = True
    return arrays


@dataclass
class Made:
    clip: Clip
    arrays: ClipArrays
    root: Path
    shards: str

    def theirs(self) -> TheirClip:
        (entry,) = json.loads((self.root / "all_data_config" / "clips.json").read_text())
        return TheirClip(self.root, entry)


def made(folder: Path, *, reordered: bool = False, change: Any = None, **changes: Any) -> Made:
    clip = factories.clip(3, frames=FRAMES, **changes)
    arrays = told(clip)
    if change:
        change(arrays)
    members = {
        "mp4": film(FRAMES, clip.width, clip.height, reordered),
        "json": to_json(clip).encode(),
        "npz": clip_arrays_to_npz(arrays),
        "wav": factories.wav_bytes(FRAMES),
    }
    with ShardWriter("clips-%06d.tar", folder / "run") as writer:
        writer.add(clip.key, members)
    shards = str(folder / "run" / "clips-*.tar")
    export([shards], "mit", folder / "mit")
    return Made(clip, arrays, folder / "mit", shards)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One clip, whose source has a name that tries to be a path."""
    names = {"source_name": "../../evil\n$(x)\x00", "source_url": "file:///etc/passwd"}
    return made(tmp_path_factory.mktemp("plain"), **names)


@pytest.mark.parametrize("reordered", [False, True])
def test_frame_k_of_their_loader_is_frame_k_of_picture_pose_score_and_face(
    plain: Made, tmp_path: Path, reordered: bool
) -> None:
    ours = made(tmp_path, reordered=True) if reordered else plain
    theirs, canvas = ours.theirs(), Canvas(ours.clip.width, ours.clip.height)
    assert len(theirs) == FRAMES == len(theirs.points)
    for k in range(FRAMES):
        assert number_in(theirs.image(k), canvas) == k
        for n in range(2):
            pose_K2 = theirs.pose(n, k)
            assert pose_K2 is not None
            np.testing.assert_allclose(pose_K2, canvas.points(ours.arrays.pose_NTK3[n, k])[:, :2], atol=0.01)
            box_4 = canvas.boxes(ours.arrays.face_xyxy_NT4[n, k])
            np.testing.assert_allclose(theirs.people[n]["face_track"][k], box_4, atol=0.01)
            expected = np.log(ours.arrays.speaking_NT[n, k] / (1 - ours.arrays.speaking_NT[n, k]))
            assert theirs.people[n]["speaking_score"][k] == pytest.approx(expected, abs=1e-3)


def test_skeletons_lie_where_the_points_are_and_masks_hold_one_person_each(plain: Made) -> None:
    theirs = plain.theirs()
    for k in (0, FRAMES - 1):
        drawn_HW = cv2.imread(str(theirs.pose_images[k])).any(axis=2)
        assert drawn_HW.shape == theirs.image(k).shape[:2] == (1080, 1920)
        assert not drawn_HW[(theirs.mask(0) | theirs.mask(1)) == 0].mean() > 0.001
        assert drawn_HW[theirs.mask(0) == 1].any()
        assert drawn_HW[theirs.mask(1) == 1].any()
    assert not (theirs.mask(0) & theirs.mask(1)).any()


def test_a_clip_of_other_proportions_lies_in_the_middle_of_1920x1080() -> None:
    tall = Canvas(90, 160)
    corners_24 = np.array([[0, 0, 90, 160], [-5, -5, 200, 200]], np.float32)
    np.testing.assert_allclose(tall.boxes(corners_24), [[656, 0, 1264, 1080]] * 2, atol=1)
    placed_HWC = tall.picture(np.full((160, 90, 3), 200, np.uint8))
    assert placed_HWC[:, :656].max() == 0
    assert placed_HWC[540, 960].tolist() == [200, 200, 200]
    native_HWC = np.arange(1080 * 1920 * 3, dtype=np.uint32).astype(np.uint8).reshape(1080, 1920, 3)
    np.testing.assert_array_equal(Canvas(1920, 1080).picture(native_HWC), native_HWC)


def test_absence_is_marked_and_never_a_number_that_json_lacks(tmp_path: Path) -> None:
    def hide(arrays: ClipArrays) -> None:
        arrays.face_xyxy_NT4[1, 2:4] = np.nan
        arrays.pose_NTK3[1, 2:4] = (np.nan, np.nan, 0)
        arrays.speaking_NT[0, 5] = np.nan

    theirs = made(tmp_path, change=hide).theirs()
    first, second = theirs.people
    assert second["visible"] == [k not in (2, 3) for k in range(FRAMES)]
    assert second["face_track"][2] == [0, 0, 0, 0]
    assert theirs.pose(1, 2) is None
    assert theirs.pose(1, 4) is not None
    assert first["scored"] == [k != 5 for k in range(FRAMES)]
    assert first["speaking_score"][5] == 0


def test_meta_names_the_source_and_its_rights(plain: Made) -> None:
    folder = plain.root / name_of(plain.clip)
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["period"] == [pytest.approx(1 / 3), pytest.approx(1 / 3 + FRAMES / 25)]
    assert (meta["url"], meta["num_speaker"]) == ("file:///etc/passwd", 2)
    assert meta["provenance"]["licence"] == "CC-BY-4.0"
    assert meta["provenance"]["consent"] == "broadcast"
    assert (folder / "audio.wav").read_bytes() == factories.wav_bytes(FRAMES)


def test_names_from_outside_are_never_paths(plain: Made) -> None:
    assert sorted(p.name for p in plain.root.parent.iterdir()) == ["mit", "run"]
    assert {p.name for p in plain.root.iterdir()} == {"all_data_config", "export.json", name_of(plain.clip)}


def test_a_folder_is_named_after_its_frames_on_the_sources_clock() -> None:
    clip = factories.clip(1, frames=50, start=Fraction(1001, 30), end=Fraction(1001, 30) + 2)
    assert name_of(clip).endswith("_000834to000884")
    assert "_000000to" in name_of(replace(clip, start=Fraction(-1)))


def test_a_clip_of_more_frames_than_four_digits_count_is_refused(tmp_path: Path) -> None:
    clip = factories.clip(1, frames=10_000)
    with ShardWriter("clips-%06d.tar", tmp_path) as writer:
        writer.add(clip.key, {"mp4": b"", "json": to_json(clip).encode(), "npz": b""})
    with pytest.raises(UsageError, match="four digits"):
        export([str(tmp_path / "clips-*.tar")], "mit", tmp_path / "mit")


def test_speech_is_half_open_in_frames_and_short_stretches_merge() -> None:
    turns = (Turn(start_s=0.04, end_s=0.12), Turn(start_s=0.2, end_s=0.24))
    assert speaking_frames(factories.person(turns=turns), 7) == [False, True, True, False, False, True, False]
    roles = [True] * 30 + [False] * 3 + [True] * 4 + [False] * 40
    assert merged(roles) == [True] * 37 + [False] * 40
    assert merged([True] * 10) == [True] * 10
    assert merged([True] * 5 + [False] * 30) == [False] * 35


def test_unchanged_clips_are_left_alone_and_changed_ones_made_anew(tmp_path: Path) -> None:
    ours = made(tmp_path)
    picture = ours.root / name_of(ours.clip) / "frames" / "output_0001.png"
    before = picture.stat().st_mtime_ns
    assert export([ours.shards], "mit", ours.root).written < 2000
    assert picture.stat().st_mtime_ns == before
    other = replace(ours.clip, rights=factories.rights(licence="CC0-1.0"))
    members = {"mp4": film(FRAMES, 160, 96, False), "json": to_json(other).encode()}
    with ShardWriter("clips-%06d.tar", tmp_path / "run") as writer:
        writer.add(other.key, {**members, "npz": clip_arrays_to_npz(ours.arrays)})
    export([ours.shards], "mit", ours.root)
    meta = json.loads((ours.root / name_of(ours.clip) / "meta.json").read_text())
    assert meta["provenance"]["licence"] == "CC0-1.0"
