"""Teaching lip-net: labels, examples put together from takes, splits by clip, and the fit itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from mitds import cli_fit
from mitds.annotators.asd.lip_net_features import CELLS, FLOOR, MELS, POSE, SHAPE
from mitds.annotators.asd.lip_net_model import load
from mitds.annotators.asd.rows import Calibration
from mitds.annotators.asd.teach import course, scenes
from mitds.annotators.asd.teach.course import graduated
from mitds.annotators.asd.teach.fitting import (
    FitConfig,
    average_precision,
    calibrated,
    calibration_error,
    fit,
    folds,
)
from mitds.annotators.asd.teach.scenes import Scenes
from mitds.annotators.asd.teach.spoiling import spoil_lips, spoil_sound, stretched
from mitds.annotators.asd.teach.takes import Take, own_voice
from mitds.config import override
from mitds.errors import StorageFault, UsageError

TINY = FitConfig(members=1, steps=2, batch=4, frames=25, folds=2, judged=8)


def take_of(clip: str, seed: int, frames: int = 200) -> Take:
    """A face whose lips open with its own voice, in words of random length."""
    random = np.random.default_rng(seed)
    voiced_T = np.repeat(random.random(-(-frames // 10)) < 0.6, 10)[:frames].astype(np.float32)
    beat_T = voiced_T * (1 + np.sin(np.arange(frames) * random.uniform(0.8, 1.6)))
    lip_TC = random.normal(0, 0.01, (frames, SHAPE + CELLS + POSE)) + 0.1 * beat_T[:, None]
    lip_TC[:, -2] = np.log(40)
    power_FM = np.repeat(beat_T + 1e-3, 4)[:, None] * random.uniform(0.5, 1.5, MELS) * 1e-3
    own_T = (voiced_T > 0.5).astype(np.float32)
    return Take(
        clip=clip,
        lip_TC=lip_TC.astype(np.float32),
        power_FM=power_FM.astype(np.float32),
        speech_T=own_T,
        own_T=own_T,
        exact=True,
    )


TAKES = [take_of(name, seed) for seed, name in enumerate("abcd")]


def mute(clip: str, frames: int) -> Take:
    """A face that never speaks; its sound is not used."""
    zeros_T = np.zeros(frames, np.float32)
    return replace(take_of(clip, 9, frames), speech_T=zeros_T, own_T=zeros_T)


def test_a_lone_speakers_labels_are_what_is_heard_and_not_denied() -> None:
    power_FM = np.full((40, MELS), 1e-3, np.float32)
    power_FM[32:] = 1e-8
    speech_T = np.array([0, 0, 0.5, 1, 1, 1, 1, 1, 1, 1], np.float32)
    own_T = own_voice("speaker", power_FM, speech_T, None)
    np.testing.assert_array_equal(own_T, [0, 0, np.nan, 1, 1, 1, 1, 1, 1, 0])
    teacher_T = np.array([5, 5, 5, -6, 2, -1, 5, 5, 5, 5], np.float32)
    np.testing.assert_array_equal(
        own_voice("speaker", power_FM, speech_T, teacher_T), [0, 0, np.nan, np.nan, 1, 1, 1, 1, 1, 0]
    )


def test_in_company_only_a_teacher_knows_who_speaks() -> None:
    power_FM, speech_T = np.full((12, MELS), 1e-3, np.float32), np.array([0, 1, 1], np.float32)
    np.testing.assert_array_equal(own_voice("company", power_FM, speech_T, None), [0, np.nan, np.nan])
    taught_T = own_voice("company", power_FM, speech_T, np.array([9, 9, -9], np.float32))
    assert taught_T[0] < 0.05
    assert taught_T[1] > 0.99
    assert taught_T[2] < 0.01
    assert not own_voice("silent", power_FM, speech_T, None).any()


def drawn(kind: str, monkeypatch: pytest.MonkeyPatch, count: int = 12) -> list[scenes.Example]:
    monkeypatch.setattr(scenes, "LESSON", tuple(float(kind == k) for k in scenes.KINDS))
    random = np.random.default_rng(3)
    lessons = Scenes(TAKES, 80)
    return [lessons.draw(random) for _ in range(count)]


@pytest.mark.parametrize("kind", ["foreign", "shifted", "nothing"])
def test_nobody_speaks_with_a_voice_that_is_not_theirs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = drawn(kind, monkeypatch)
    assert not any(example.speaks_T.any() for example in examples)
    assert any(example.lips_T.any() for example in examples)


def test_shifted_sound_is_never_in_step_even_where_a_short_take_goes_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuts: list[tuple[Take, int]] = []

    def noted(take: Take, first: int, end: int) -> scenes._Sound:
        cuts.append((take, first))
        return cut(take, first, end)

    cut = scenes._cut
    monkeypatch.setattr(scenes, "_cut", noted)
    monkeypatch.setattr(scenes, "LESSON", tuple(float(kind == "shifted") for kind in scenes.KINDS))
    random, shifts = np.random.default_rng(3), []
    for frames in (18, 30, 60, 400):
        lessons = Scenes([take_of(name, seed, frames) for seed, name in enumerate("abcd")], 36)
        for _ in range(60):
            cuts.clear()
            example = lessons.draw(random)
            assert not example.speaks_T.any()
            (own, first), (heard, moved) = cuts
            if heard.clip == own.clip:
                shift = (moved - first) % frames
                shifts.append((frames, min(shift, frames - shift)))
    assert min(shift for _, shift in shifts) == scenes.NEAR
    assert {frames for frames, _ in shifts} == {30, 60, 400}


def test_own_and_overlapped_speech_keep_their_labels_and_turns_lose_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in ("own", "overlap"):
        for example in drawn(kind, monkeypatch):
            np.testing.assert_array_equal(example.speaks_T, example.lips_T)
    turns = drawn("turns", monkeypatch)
    assert all((example.speaks_T <= example.lips_T).all() for example in turns)
    assert sum(float(example.speaks_T.sum()) for example in turns) > 0
    assert sum(float((example.lips_T - example.speaks_T).sum()) for example in turns) > 0


def test_examples_are_whole_and_repeat_with_their_random_numbers() -> None:
    lessons = Scenes(TAKES, 80)
    one, other = (lessons.draw(np.random.default_rng(9)) for _ in range(2))
    assert one.lip_TC.shape == (80, SHAPE + CELLS + POSE)
    assert one.mel_FM.shape == (320, MELS)
    for name in ("lip_TC", "mel_FM", "speech_T", "speaks_T", "lips_T"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert np.isfinite(getattr(one, name)).all()


def test_spoiling_keeps_shapes_and_leaves_its_input_alone() -> None:
    take, random = TAKES[0], np.random.default_rng(4)
    before_TC, before_FM = take.lip_TC.copy(), take.power_FM.copy()
    for _ in range(30):
        lip_TC = spoil_lips(take.lip_TC, random)
        power_FM = spoil_sound(take.power_FM, TAKES[1].power_FM, random)
        assert lip_TC.shape == before_TC.shape
        assert np.isfinite(lip_TC).all()
        assert power_FM.shape == before_FM.shape
        assert power_FM.min() >= 0
    np.testing.assert_array_equal(take.lip_TC, before_TC)
    np.testing.assert_array_equal(take.power_FM, before_FM)


def test_stretching_keeps_ends_and_straight_lines() -> None:
    line_T1 = np.linspace(2, 5, 31, dtype=np.float32)[:, None]
    np.testing.assert_allclose(stretched(line_T1, 77)[:, 0], np.linspace(2, 5, 77), rtol=1e-5)


def test_folds_never_split_a_clip_and_lose_none() -> None:
    takes = [*TAKES, take_of("a", 7, 100), take_of("e", 8, 50)]
    groups = folds(takes, TINY)
    names = [{take.clip for take in group} for group in groups]
    assert not names[0] & names[1]
    assert sum(len(group) for group in groups) == len(takes)


@pytest.mark.parametrize("long", [mute("silent", 2000), take_of("talker", 4, 2000)], ids=["silent", "talker"])
def test_every_fold_has_voices_foreign_to_each_other_however_long_one_clip_is(long: Take) -> None:
    takes = [long, *TAKES]
    for group in folds(takes, TINY):
        assert len({take.clip for take in group if take.voiced}) >= 2
        Scenes(group, TINY.frames, natural=True)


def test_too_few_voices_are_told_before_anything_is_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "fit", lambda *_: pytest.fail("taught"))
    takes = [mute("silent", 2000), *TAKES[:3], replace(take_of("short", 7, 10), exact=True)]
    with pytest.raises(UsageError, match="3 clips hold one speaker's voice") as told:
        graduated(takes, tmp_path / "net.safetensors", TINY, lambda *_: None)
    assert "Add 1 or more" in (told.value.remedy or "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "setting",
    ["members=0", "steps=0", "batch=0", "frames=0", "folds=1", "judged=0", "rate=0", "drop=1", "seed=-1"],
)
def test_settings_that_teach_nothing_are_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=setting.split("=")[0]):
        override(FitConfig(), [setting])


def test_a_path_that_cannot_be_written_is_told_before_any_clip_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "Studio", lambda *_: pytest.fail("looked"))
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "net.safetensors"):
        with pytest.raises(StorageFault, match="cannot write"):
            course.teach([], out, TINY, None, lambda *_: None)


def test_only_exactly_labelled_faces_are_judged_but_every_voice_is_heard() -> None:
    guessed = replace(take_of("e", 8), exact=False)
    life = Scenes([TAKES[0], guessed], 80, natural=True)
    assert [take.clip for take in life.takes] == ["a"]
    assert {take.clip for take in Scenes([TAKES[0], guessed], 80).takes} == {"a", "e"}
    groups = folds([*TAKES, guessed], TINY)
    assert all(sum(take.exact for take in group) == 2 for group in groups)


def test_platts_map_is_found_again_and_makes_scores_honest() -> None:
    random = np.random.default_rng(5)
    logit_N = random.normal(0, 3, 20000)
    truth_N = (random.random(20000) < 1 / (1 + np.exp(-(0.5 * logit_N + 1)))).astype(float)
    found = calibrated(logit_N, truth_N)
    assert found.scale == pytest.approx(0.5, abs=0.05)
    assert found.offset == pytest.approx(1, abs=0.08)
    assert calibration_error(found.log_odds(logit_N), truth_N) < 0.02
    assert calibration_error(Calibration(scale=2.0).log_odds(logit_N), truth_N) > 0.1


def test_calibration_is_judged_on_folds_it_was_not_fitted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that mean the opposite in the other fold: the pooled map says .5 and is right, each fold's is not."""
    logit_N = np.linspace(-3, 3, 400)
    right_N = 1 / (1 + np.exp(-2 * logit_N))
    said = [(logit_N, right_N), (logit_N, 1 - right_N)]
    monkeypatch.setattr(course, "_unseen", lambda *_: said)
    found = graduated(TAKES, tmp_path / "net.safetensors", TINY, lambda *_: None)
    assert abs(found.calibration.scale) < 0.05
    assert found.calibration_error > 0.6


def test_average_precision_of_a_known_ranking() -> None:
    assert average_precision(np.array([3.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0])) == pytest.approx(5 / 6)


def test_it_learns_and_the_same_seed_gives_the_same_weights() -> None:
    losses: list[float] = []
    config = FitConfig(members=1, steps=25, batch=8, frames=25, rate=8e-3, average=0.9)
    network = fit(TAKES, config, lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.85  # 1.04 untaught
    short = FitConfig(members=2, steps=2, batch=2, frames=25)
    one, other = (fit(TAKES, short, lambda *_: None).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert network.members[0].scale_C.min() > 0


def test_a_course_writes_weights_that_load_with_its_calibration(tmp_path: Path) -> None:
    found = graduated(TAKES, tmp_path / "net.safetensors", TINY, lambda *_: None)
    assert found.clips == ("a", "b", "c", "d")
    assert found.frames == 800
    scale, offset = load(tmp_path / "net.safetensors").platt_2.tolist()
    assert scale == pytest.approx(found.calibration.scale, rel=1e-2, abs=1e-3)
    assert offset == pytest.approx(found.calibration.offset, rel=1e-2, abs=1e-3)


def test_silence_stays_above_the_floor() -> None:
    assert spoil_sound(np.full((80, MELS), FLOOR), TAKES[0].power_FM, np.random.default_rng(1)).min() >= 0


def test_the_command_names_footage_that_is_not_there(tmp_path: Path) -> None:
    app = typer.Typer()
    cli_fit.register(app)
    asked = ["fit", "lip-net", "-o", str(tmp_path / "net.safetensors"), "--also", str(tmp_path / "nowhere")]
    with pytest.raises(UsageError, match="nowhere"):
        CliRunner().invoke(app, asked, catch_exceptions=False)


def test_folders_give_every_kind_of_video_and_name_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mpg", "b.ts", "c.MP4", "notes.txt", ".hidden"):
        (tmp_path / name).touch()
    assert [clip.name for clip in cli_fit._clips([tmp_path], "speaker")] == ["a", "b", "c"]
    told = capsys.readouterr()
    assert not told.out
    assert "notes.txt" in told.err
    assert "hidden" not in told.err
    for name in ("a.mpg", "b.ts", "c.MP4"):
        (tmp_path / name).unlink()
    with pytest.raises(UsageError, match="no videos"):
        cli_fit._clips([tmp_path], "speaker")
