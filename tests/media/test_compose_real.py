"""A scene composed from clips of the package index alone: what its truth says is what its frames show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mitds.annotators.faces.yunet import YuNet
from mitds.annotators.shots.pyscenedetect import PySceneDetect
from mitds.manifests.records import Array
from mitds.manifests.truth import Truth, read_truth
from mitds.media import pictures, read_sound
from mitds.pipeline.compose import clips_of, compose_config, compose_scene, find_people
from mitds.pipeline.compose.casting import Person

pytestmark = pytest.mark.media

SETTINGS = [
    "seconds=8", "people=[2,2]", "analysis.longest_s=8", "script.room=0", "script.muted=1", "script.frozen=0",
    "script.soft=0", "script.shot_s=[2,3]", "script.offscreen=0", "picture.sizes=[[640,360]]", "sound.music=0",
]  # fmt: skip
CONFIG = compose_config("mixed", SETTINGS)
TRUTH = (".rttm", ".asd.csv", ".cuts.txt", ".json")


@dataclass(frozen=True)
class Scene:
    path: Path
    truth: Truth
    people: list[Person]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    out = tmp_path_factory.mktemp("compose")
    people, left_out = find_people(clips_of(["author=media.introduction", "media.interview"]), CONFIG)
    assert not left_out
    path, truth = compose_scene(people, out, CONFIG, seed=5)
    return Scene(path, truth, people)


def test_what_was_written_reads_back(scene: Scene) -> None:
    read = read_truth(scene.path.parent, scene.path.stem)
    assert read.frames == 200
    assert read.cuts == scene.truth.cuts
    assert [t.voice for t in read.speech or ()] == [t.voice for t in scene.truth.speech or ()]
    sources = [source for person in read.about["persons"].values() for source in person["sources"]]
    assert sources
    assert all(source["licence"].startswith("unstated") for source in sources)


def test_faces_and_cuts_are_where_the_truth_says(scene: Scene) -> None:
    frames = list(pictures(scene.path))
    assert len(frames) == 200
    assert float(frames[-1].pts) == pytest.approx(7.96)
    cuts = [cut.frame for cut in PySceneDetect().detect(iter(frames))]
    assert scene.truth.cuts
    assert set(cuts) == set(scene.truth.cuts)
    faces, detector = scene.truth.faces, YuNet()
    assert faces is not None
    hits = []
    for picture in frames[::5]:
        found_N4 = detector.detect(picture.frame_HWC).xyxy_N4
        for row in np.flatnonzero(faces.frame_R == picture.index):
            box_4 = faces.xyxy_R4[row] * (640, 360, 640, 360)
            hits.append(max((_iou(box_4, other_4) for other_4 in found_N4), default=0.0) > 0.5)
    assert len(hits) > 30
    assert np.mean(hits) >= 0.95


def test_speech_is_louder_than_its_absence(scene: Scene) -> None:
    sound = read_sound(scene.path)
    assert sound is not None
    wave_S = sound.mono()
    spoken_S = np.zeros(len(wave_S), np.bool_)
    for turn in scene.truth.speech or ():
        spoken_S[round(turn.start_s * 16000) : round(turn.end_s * 16000)] = True
    spoken, silent = (10 * np.log10(np.mean(wave_S[part] ** 2)) for part in (spoken_S, ~spoken_S))
    assert spoken > silent + 12
    blocks = wave_S[: len(wave_S) // 320 * 320].reshape(-1, 320)
    assert (blocks**2).mean(axis=1).min() > 1e-9, "no moment is digitally silent"


def test_the_same_seed_gives_the_same_files_and_another_one_others(scene: Scene, tmp_path: Path) -> None:
    again, _ = compose_scene(scene.people, tmp_path, CONFIG, seed=5)
    for suffix in (".mp4", *TRUTH):
        assert again.with_suffix(suffix).read_bytes() == scene.path.with_suffix(suffix).read_bytes(), suffix
    _, other = compose_scene(scene.people, tmp_path, CONFIG, seed=6)
    assert other.speech != scene.truth.speech


def _iou(a_4: Array, b_4: Array) -> float:
    sides = np.minimum(a_4[2:], b_4[2:]) - np.maximum(a_4[:2], b_4[:2])
    both = float(np.prod(np.maximum(sides, 0)))
    return both / (float(np.prod(a_4[2:] - a_4[:2]) + np.prod(b_4[2:] - b_4[:2])) - both)
