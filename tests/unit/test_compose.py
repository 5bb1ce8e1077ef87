"""Composed scenes: people from stretches, scripts, performances, places, truth; no networks, no video."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import UsageError
from mitds.pipeline.compose import PRESETS, ComposeConfig, compose_config
from mitds.pipeline.compose.analysis import movement
from mitds.pipeline.compose.casting import people_of
from mitds.pipeline.compose.config import ScriptConfig
from mitds.pipeline.compose.parts import Clip, Stretch
from mitds.pipeline.compose.performance import FADE, perform, wander
from mitds.pipeline.compose.placing import Panel, Wish, carried, draw_camera, panel_views, panels
from mitds.pipeline.compose.script import draw_script
from mitds.pipeline.compose.sound import scene_speech
from mitds.pipeline.compose.turns import Turn


def stretch(
    name: str, speech: tuple[tuple[float, float], ...] = ((1.0, 4.0), (6.0, 9.0)), face: int = 0
) -> Stretch:
    """A stretch of 12 s: lips move in its speech alone."""
    frames = 300
    time_T = (np.arange(frames) + 0.5) / 25
    moving_T = np.full(frames, 0.001, np.float32)
    for a, b in speech:
        moving_T[(time_T > a - 0.2) & (time_T < b + 0.2)] = 0.05
    return Stretch(
        clip=Clip(path=Path(f"{name}.mp4"), name=f"{name}.mp4", sha256=name, url=name),
        start=Fraction(2), width=640, height=480,
        xyxy_T4=np.tile(np.array([260, 140, 360, 260], np.float32), (frames, 1)),
        opening_T=moving_T.copy(), moving_T=moving_T, speech=speech, noisy=(),
        level_T=np.full(frames, -30.0, np.float32), agreement=(0.4, 0.1),
        embedding_D=np.eye(8, dtype=np.float32)[face],
    )  # fmt: skip


PEOPLE = people_of([stretch(name, face=k) for k, name in enumerate("abcd")], ScriptConfig())


def test_a_stretch_survives_its_json() -> None:
    one = stretch("a")
    again = Stretch.of(one.clip, one.plain())
    assert again.speech == one.speech
    assert again.grid == one.grid
    np.testing.assert_array_equal(again.xyxy_T4, one.xyxy_T4)
    np.testing.assert_allclose(again.moving_T, one.moving_T, atol=1e-5)


def test_a_mouth_that_was_not_measured_is_not_closed() -> None:
    one = stretch("a")
    assert one.quiet(0.012, 0.1, 10)
    one.moving_T[:] = np.nan
    assert one.quiet(0.012, 0.1, 10) == []


def test_quiet_runs_keep_clear_of_speech_and_of_crowds() -> None:
    one = stretch("a")
    for first, end in one.quiet(0.012, 0.1, 10):
        for a, b in one.speech:
            assert end / 25 <= a or first / 25 >= b


def test_stretches_of_one_face_are_one_person_and_given_names_win() -> None:
    same = people_of([stretch("a", face=1), stretch("b", face=1), stretch("c", face=2)], ScriptConfig())
    assert [(p.name, len(p.stretches)) for p in same] == [("a", 2), ("c", 1)]


@pytest.mark.parametrize(
    ("seconds", "agreement", "used"),
    [
        (8.0, (0.4, 0.1), True),
        (8.0, (0.1, 0.15), True),
        (8.0, (0.01, 0.1), False),
        (8.0, (0.1, 0.5), False),
        (3.0, (0.3, 0.2), True),
        (3.0, (0.1, 0.1), False),
        (0.5, (0.9, 0.1), False),
    ],
)
def test_a_voice_that_is_not_the_faces_is_not_used(
    seconds: float, agreement: tuple[float, float], used: bool
) -> None:
    one = replace(stretch("a", speech=((1.0, 1.0 + seconds),)), agreement=agreement)
    assert people_of([one], ScriptConfig())[0].speaks is used


def test_movement_is_still_right_after_the_lips_are() -> None:
    opening_T = np.zeros(100, np.float32)
    opening_T[:50] = 0.1 * np.abs(np.sin(np.arange(50)))
    moving_T = movement(opening_T, 9)
    assert moving_T[20] > 0.02
    assert moving_T[56] < 0.001


@pytest.mark.parametrize("preset", PRESETS)
def test_scripts_fit_their_scene_and_depend_on_the_seed_alone(preset: str) -> None:
    config = compose_config(preset, ["seconds=30"])
    one, same, other = (draw_script(PEOPLE, config, np.random.default_rng(s)) for s in (3, 3, 4))
    assert one == same
    assert one != other
    assert config.people[0] <= len(one.cast) <= config.people[1]
    assert [s.first for s in one.shots] == [0, *(s.end for s in one.shots[:-1])]
    assert one.shots[-1].end == one.frames == 750
    for turn in one.turns:
        assert turn.start >= 0
        assert turn.end <= one.frames
    for person in {t.person for t in one.turns}:
        own = sorted((t for t in one.turns if t.person == person), key=lambda t: t.start)
        assert all(a.end < b.start for a, b in pairwise(own))


@pytest.mark.parametrize("soft", [0, 1])
def test_one_person_alone_is_one_shot_and_others_change_at_every_cut(soft: int) -> None:
    settings = ["seconds=30", "script.shot_s=[2,4]", f"script.soft={soft}"]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        alone = draw_script(PEOPLE, compose_config("mixed", ["people=[1,1]", *settings]), rng)
        assert not alone.cuts
        assert not alone.soft
        several = draw_script(PEOPLE, compose_config("mixed", ["people=[2,2]", *settings]), rng)
        assert len(several.cuts or several.soft) > 5
        assert all(a.people != b.people for a, b in pairwise(several.shots))


def test_with_the_preset_lips_one_voice_speaks_at_a_time() -> None:
    said = ((1.0, 1.5), (3.0, 3.5), (5.0, 9.0))
    people = people_of([stretch(name, said, face=k) for k, name in enumerate("abcd")], ScriptConfig())
    for seed in range(8):
        script = draw_script(people, compose_config("lips"), np.random.default_rng(seed))
        assert len(script.turns) > 3
        assert all(a.end <= b.start for a, b in pairwise(script.turns))


def test_too_few_people_are_refused() -> None:
    with pytest.raises(UsageError, match="can be shown listening"):
        draw_script(PEOPLE[:1], ComposeConfig(), np.random.default_rng(0))


def test_a_listener_shows_closed_lips_and_a_speaker_the_turn() -> None:
    turn = Turn(person="a", stretch=0, source=20, start=100, frames=90)
    config = ScriptConfig(frozen=0, muted=0)
    speaking_T = np.zeros(400, np.bool_)
    speaking_T[105:180] = True
    shown = perform(PEOPLE[0], [turn], speaking_T, config, np.random.default_rng(0))
    np.testing.assert_array_equal(shown.source_T[100:190], np.arange(20, 110))
    listening = np.r_[0:100, 190:400]
    assert (PEOPLE[0].stretches[0].moving_T[shown.source_T[listening]] <= config.lips_moving).all()
    before_and_after = [*range(100, 105), *range(180, 185)]
    assert np.flatnonzero(shown.lips_T).tolist() == before_and_after, "lips move where no voice is heard yet"


def test_lips_that_are_seen_fading_away_are_labelled() -> None:
    turn = Turn(person="a", stretch=0, source=20, start=100, frames=70)
    speaking_T = np.zeros(400, np.bool_)
    speaking_T[100:170] = True
    config = ScriptConfig(frozen=0, muted=0)
    shown = perform(PEOPLE[0], [turn], speaking_T, config, np.random.default_rng(0))
    assert np.flatnonzero(shown.lips_T).tolist() == [*range(170, 170 + FADE)]


def test_muted_lips_are_labelled() -> None:
    silent_T, config = np.zeros(400, np.bool_), ScriptConfig(frozen=0, muted=1)
    shown = perform(PEOPLE[0], [], silent_T, config, np.random.default_rng(0))
    moving_T = PEOPLE[0].stretches[0].moving_T > 0.012
    through_T = (shown.other_T > 0) & moving_T[shown.other_source_T]
    assert shown.lips_T.sum() > 100
    np.testing.assert_array_equal(shown.lips_T, moving_T[shown.source_T] | through_T)


def test_quiet_footage_wanders_within_its_run_without_jumps() -> None:
    way_T = wander(15, 10, 40, 2000, np.random.default_rng(0))
    assert 10 <= way_T.min() < 11
    assert 38 < way_T.max() <= 39
    assert 0.2 < np.abs(np.diff(way_T)).max() <= 1


def test_speech_is_what_the_clip_says_within_the_turn() -> None:
    config = compose_config("plain", ["seconds=20"])
    script = draw_script(PEOPLE, config, np.random.default_rng(1))
    speech = scene_speech(script)
    spoken = 0.0
    for turn in script.turns:
        person = next(p for p in script.cast if p.name == turn.person)
        for a, b in person.stretches[turn.stretch].speech:
            spoken += max(0.0, min(b, (turn.source + turn.frames) / 25) - max(a, turn.source / 25))
    assert sum(t.end_s - t.start_s for t in speech) == pytest.approx(spoken, abs=0.3)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_panels_fill_the_picture_once(count: int) -> None:
    seen = np.zeros((361, 641), int)
    for p in panels(count, 641, 361):
        seen[p.y : p.y + p.height, p.x : p.x + p.width] += 1
    assert (seen == 1).all()


def test_a_window_stays_within_its_source_while_the_camera_moves() -> None:
    one, panel = stretch("a"), Panel(0, 0, 320, 360)
    view = panel_views([one], {0: np.arange(50)}, panel, Wish(share=0.35, x=0.5, y=0.4))[0]
    camera = draw_camera(80, 1.0, np.random.default_rng(2))
    assert not view.inset
    assert camera.motion != "still"
    for k in range(80):
        matrix = view.matrix(camera, k)
        corners = (np.array([[0, 0], [320, 360]]) - matrix[:, 2]) / matrix[0, 0]
        assert corners[0].min() > -1e-6
        assert (corners[1] < (640 + 1e-6, 480 + 1e-6)).all()
    height = view.scale * 120
    assert height == pytest.approx(max(0.35, 360 / 480 * 120 / 360) * 360)


def test_a_close_source_is_inset_where_a_small_face_is_wished() -> None:
    views = panel_views(
        [stretch("a"), replace(stretch("b"), xyxy_T4=stretch("b").xyxy_T4 * np.float32(0.8))],
        {0: np.arange(50), 1: np.arange(50)}, Panel(0, 0, 640, 240), Wish(share=0.1, x=0.5, y=0.4),
    )  # fmt: skip
    view = views[0]
    assert views[1].panel == view.panel
    assert views[1].scale * 0.8 == pytest.approx(view.scale), "speaking or not, the face has one size"
    assert view.inset
    assert view.panel.width < 640


def test_a_face_half_out_of_its_panel_is_no_face() -> None:
    box_4 = np.array([0, 0, 10, 10], np.float32)
    move = np.array([[1.0, 0, -4], [0, 1.0, 0]])
    kept = carried(box_4, move, Panel(100, 0, 50, 50))
    assert kept is not None
    assert kept.tolist() == [100, 0, 106, 10]
    assert carried(box_4, move - np.array([[0, 0, 2], [0, 0, 0]]), Panel(100, 0, 50, 50)) is None
