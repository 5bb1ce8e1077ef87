"""What composed scenes look and sound like, with synthetic footage: geometry, fades, background."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.errors import NotVideo, UsageError
from mitds.manifests.records import Array
from mitds.manifests.truth import Truth, read_truth
from mitds.media import Frame
from mitds.pipeline.compose import compose, compose_config, composer, picture, sound
from mitds.pipeline.compose.analysis import Analyst
from mitds.pipeline.compose.casting import people_of
from mitds.pipeline.compose.composer import compose_scene
from mitds.pipeline.compose.config import ScriptConfig
from mitds.pipeline.compose.parts import Clip, Stretch
from mitds.pipeline.compose.performance import Performance, perform
from mitds.pipeline.compose.picture import Painter
from mitds.pipeline.compose.script import draw_script
from mitds.pipeline.compose.sound import RATE, mix
from tests.unit.test_compose import PEOPLE, stretch


class WhiteFace:
    """Footage at half size: dark, but for the face box of the frame."""

    scale = 0.5

    def __init__(self, stretch: Stretch, needed: Any, scale: float) -> None:
        self.boxes_T4 = stretch.xyxy_T4
        self.size = stretch.height // 2, stretch.width // 2

    def frame(self, number: int) -> Frame:
        frame_HWC = np.full((*self.size, 3), 20, np.uint8)
        x1, y1, x2, y2 = np.round(self.boxes_T4[number] / 2).astype(int)
        frame_HWC[y1:y2, x1:x2] = 255
        return frame_HWC


def clip_sound(path: Path) -> Array:
    """14 s of faint hiss, loud where the stretches of the other tests speak (from second 2 of the clip on)."""
    rng = np.random.default_rng(len(path.name))
    wave_S = 0.001 * rng.standard_normal(14 * RATE)
    for a, b in stretch("a").speech:
        wave_S[int((a + 2) * RATE) : int((b + 2) * RATE)] *= 100
    return wave_S.astype(np.float32)


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "Footage", WhiteFace)
    monkeypatch.setattr(sound, "_whole", clip_sound)


def _painter(seed: int, *settings: str) -> Painter:
    chosen = ["seconds=8", "script.shot_s=[2,3]", "script.room=0", "picture.sizes=[[320,180]]", *settings]
    config = compose_config("mixed", chosen)
    rng = np.random.default_rng(seed)
    script = draw_script(PEOPLE, config, rng)
    silent_T = np.zeros(script.frames, np.bool_)
    acting = {p.name: perform(p, script.turns, silent_T, config.script, rng) for p in script.cast}
    painter = Painter(script, acting, config.picture, rng)
    painter.load()
    return painter


@pytest.mark.parametrize("seed", range(4))
def test_truth_boxes_lie_on_the_faces_whatever_panel_and_camera_do(seed: int) -> None:
    painter = _painter(seed, "people=[1,4]", "picture.camera=1", "picture.face=[0.15,0.5]", "script.soft=0")
    for frame_HWC, faces in list(painter.frames())[::7]:
        assert faces
        white_HW = frame_HWC[..., 0] > 150
        for x1, y1, x2, y2 in faces.values():
            assert white_HW[round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2].all()
        area = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in faces.values())
        assert white_HW.sum() == pytest.approx(area, rel=0.12)


def test_a_dissolve_shows_both_shots_and_labels_the_stronger() -> None:
    painter = _painter(1, "people=[3,3]", "script.soft=1", "picture.camera=0")
    shot = painter.script.shots[1]
    frames = list(painter.frames())
    assert shot.fade
    before, after = frames[shot.first - 1], frames[shot.first + shot.fade]
    middle = frames[shot.first + shot.fade // 2]
    assert set(before[1]) != set(after[1])
    assert set(middle[1]) in (set(before[1]), set(after[1]))
    mean = (before[0].astype(float) + after[0]) / 2
    assert np.abs(middle[0] - mean).mean() < 12 < np.abs(before[0].astype(float) - after[0]).mean()


def test_soft_names_the_first_and_the_last_frame_that_show_both_shots() -> None:
    painter = _painter(1, "people=[3,3]", "script.soft=1", "picture.camera=0")
    hard = replace(painter.script, shots=tuple(replace(s, fade=0) for s in painter.script.shots))
    cut = Painter(hard, painter.performances, painter.config, np.random.default_rng(0))
    cut.settings = [replace(s, last=s.shot.end) for s in painter.settings]
    cut.load()
    both = zip(painter.frames(), cut.frames(), strict=True)
    blended = [k for k, ((soft_HWC, _), (hard_HWC, _)) in enumerate(both) if (soft_HWC != hard_HWC).any()]
    assert len(painter.script.soft) > 1
    assert not painter.script.cuts
    assert blended == [k for first, last in painter.script.soft for k in range(first, last + 1)]


def test_no_voice_is_announced_by_its_background() -> None:
    config = compose_config("plain", ["seconds=20", "sound.spread_db=0"])
    script = draw_script(PEOPLE, config, np.random.default_rng(2))
    mixed = mix(script, config.sound, np.random.default_rng(2))
    block_BS = mixed.sound.wave_CS[0].reshape(-1, RATE // 10)
    level_B = 10 * np.log10((block_BS.astype(np.float64) ** 2).mean(axis=1))
    middle_B = (np.arange(len(level_B)) + 0.5) / 10
    near_B = np.zeros(len(level_B), np.bool_)
    for turn in mixed.speech:
        near_B |= (middle_B > turn.start_s - 0.15) & (middle_B < turn.end_s + 0.15)
    rest_B = level_B[~near_B]
    assert np.median(level_B[near_B]) > np.median(rest_B) + 25
    assert rest_B.max() - rest_B.min() < 4


def test_music_and_noise_have_the_level_that_was_drawn() -> None:
    config = compose_config("plain", ["seconds=10", "sound.noise=1", "sound.noise_db=[10,10]"])
    script = draw_script(PEOPLE, config, np.random.default_rng(2))
    quiet = mix(script, compose_config("plain", ["seconds=10"]).sound, np.random.default_rng(2))
    noisy = mix(script, config.sound, np.random.default_rng(2))
    assert noisy.background == {"noise": 10.0}
    assert not quiet.background
    added_S = noisy.sound.wave_CS[0] - quiet.sound.wave_CS[0]
    assert 10 * np.log10((added_S**2).mean()) == pytest.approx(-33, abs=1)


def test_a_scene_is_written_with_its_truth(tmp_path: Path) -> None:
    people = people_of([stretch("a", face=1), stretch("b", face=2)], ScriptConfig())
    config = compose_config(
        "lips", ["seconds=4", "picture.sizes=[[320,180]]", "script.room=0", "people=[2,2]"]
    )
    path, truth = compose_scene(people, tmp_path, config, seed=7)
    assert {p.name for p in tmp_path.iterdir()} == {
        f"scene_seed7{s}" for s in (".mp4", ".rttm", ".asd.csv", ".cuts.txt", ".json")
    }
    assert truth.moving_lips
    assert truth.faces is not None
    assert truth.faces.xyxy_R4.min() >= 0
    assert truth.faces.xyxy_R4.max() <= 1
    assert path.stat().st_size > 1000


def _talker(name: str, face: int, url: str) -> Stretch:
    """Somebody whose lips go on moving in a pause of .4 s."""
    one = stretch(name, speech=((1.0, 2.0), (2.4, 4.0), (6.0, 9.0)), face=face)
    return replace(one, clip=replace(one.clip, url=url))


def test_whoever_is_silent_is_measured_closed_or_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: dict[str, Performance] = {}

    def recorded(person: Any, *rest: Any) -> Performance:
        acted[person.name] = perform(person, *rest)
        return acted[person.name]

    monkeypatch.setattr(composer, "perform", recorded)
    people = people_of(
        [_talker("a", 1, "/home/me/a.mp4"), _talker("b", 2, "https://x.org/b")], ScriptConfig()
    )
    chosen = [
        "seconds=16",
        "picture.sizes=[[160,160]]",
        "people=[2,2]",
        "script.soft=1",
        "script.shot_s=[4,5]",
    ]
    _, truth = compose_scene(people, tmp_path, compose_config("plain", chosen), seed=3)
    assert truth.faces is not None
    within = 0
    for k, name, speaking in zip(
        truth.faces.frame_R, truth.faces.person_R, truth.faces.speaking_R, strict=True
    ):
        shown, middle_s = acted[name], (k + 0.5) / 25
        listed = any(s.voice == name and s.start_s <= middle_s < s.end_s for s in truth.moving_lips)
        closed = all(shown.person.stretches[n].moving_T[at] <= 0.015 for n, at, _ in shown.shown(k))
        assert listed is not (speaking or closed), (k, name)
        within += listed
    assert within > 20
    _reads_back(tmp_path, truth)


def _reads_back(folder: Path, truth: Truth) -> None:
    read = read_truth(folder, truth.name)
    assert read.soft == truth.soft
    assert read.soft
    assert read.about["soft_cuts"] == [list(span) for span in truth.soft]
    urls = [s["url"] for person in read.about["persons"].values() for s in person["sources"]]
    assert sorted(urls) == ["a.mp4", "https://x.org/b"], (
        "a scene names no folder of the machine it was made on"
    )


def test_the_error_says_why_clips_were_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stretches(self: object, clip: Clip) -> list[Stretch]:
        if clip.name == "a.mp4":
            raise NotVideo("there is no picture")
        return []

    monkeypatch.setattr(Analyst, "stretches", stretches)
    clips = [stretch(name).clip for name in "ab"]
    with pytest.raises(UsageError, match=r"a\.mp4: there is no picture; b\.mp4: nobody is alone"):
        compose(clips, tmp_path)
