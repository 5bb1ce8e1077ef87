"""From a trained model to films: windows, guidance, denoising, the benchmark's model, one's own inputs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from mitds.baselines.checkpoint import AUTOENCODER, Checkpoint, save_checkpoint, write_tensors
from mitds.baselines.contracts import Batch, Example, Keep, Told
from mitds.baselines.diffusion import scheduler
from mitds.baselines.generation import model as trained
from mitds.baselines.generation.guidance import guided, terms
from mitds.baselines.generation.inputs import Poses, mixed, read_poses, wave
from mitds.baselines.generation.own import generate, own_request, speaks_T, turns_of
from mitds.baselines.generation.sampler import TOGETHER, Sampler, denoiser
from mitds.baselines.generation.windows import plan
from mitds.baselines.presets import recipe
from mitds.baselines.recipe import DesignConfig, PublishedConfig, Recipe, SamplingConfig, TrunkConfig
from mitds.benchmark.evaluation.evaluate import weights_digest
from mitds.benchmark.evaluation.jobs import _system
from mitds.cli import main
from mitds.errors import BadShard, InputFault, UnknownName, UsageError
from mitds.manifests.items import Request
from mitds.manifests.records import Turn
from mitds.media import Sound, pictures, read_sound
from mitds.time import AUDIO_HZ
from tests import factories

H, W = 32, 48
RECIPE = Recipe(
    model="covog",
    preset="tiny",
    height=H,
    width=W,
    trunk=TrunkConfig(channels=(8, 8), attention=(True, True), groups=8, iad_down=(0, 1)),
    sampling=SamplingConfig(steps=2, window=7, overlap=2),
)
ALPHA = scheduler().alphas_cumprod


# ---- windows


@pytest.mark.parametrize(("window", "overlap"), [(1, 0), (2, 1), (7, 0), (7, 3), (16, 4), (16, 15), (25, 10)])
def test_windows_cover_films_of_any_length_and_their_weights_sum_to_one(window: int, overlap: int) -> None:
    for frames in range(1, 201):
        windows = plan(frames, window, overlap)
        total_T = np.zeros(frames)
        for w in windows:
            assert w.place == w.told
            assert w.frames == min(window, frames)
            assert (w.weight_T > 0).all()
            total_T[w.place : w.place + w.frames] += w.weight_T
        np.testing.assert_allclose(total_T, 1, atol=1e-6)
        assert windows[-1].place + windows[-1].frames == frames
        steps = np.diff([w.place for w in windows])
        assert (steps > 0).all()
        assert (steps <= window - overlap).all()


def test_neighbours_fade_into_each_other() -> None:
    first, second = plan(28, 16, 4)
    assert (np.diff(first.weight_T[12:]) < 0).all()
    assert (np.diff(second.weight_T[:4]) > 0).all()
    assert (first.weight_T[:12] == 1).all()


def test_the_published_windows_lose_the_last_frames_and_ours_do_not() -> None:
    def shown(keep_first: bool) -> np.ndarray:
        """Which told frame each frame of the film is made from."""
        made_P = np.full(100, -1)
        for w in plan(45, 25, 10, keep_first=keep_first):
            at_T = np.arange(w.frames)
            made_P[w.place + at_T[w.weight_T > 0]] = w.told + at_T[w.weight_T > 0]
        return made_P[:45]

    assert shown(False).tolist() == list(range(45))
    assert shown(True).tolist() == [*range(30), *range(20, 35)]


def test_published_windows_that_end_with_the_film_are_right() -> None:
    for w in plan(40, 25, 10, keep_first=True):
        assert w.place == w.told


# ---- guidance


class Linear(nn.Module):
    """A network whose answer is the sum of what is kept: reference 1, pose 10, audio 100; it counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, noisy_BTLHW: Tensor, step_B: Tensor, given: Any, keep: Keep) -> Tensor:
        self.passes += 1
        value_B = keep.reference_B * 1.0 + keep.pose_B * 10.0 + keep.audio_B * 100.0 + 1000.0
        return noisy_BTLHW * 0 + value_B.view(-1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("scales", "passes"),
    [
        ((1, 1, 1), 1), ((1, 1, 3), 2), ((3.5, 1, 1), 3), ((1, 2, 1), 3), ((3.5, 1, 3.5), 4),
        ((0, 0, 0), 1), ((1, 1, 0), 1), ((1, 0, 0), 1), ((2, 2, 2), 2),
    ],
)  # fmt: skip
def test_guidance_is_the_nested_sum_and_idle_passes_are_saved(
    scales: tuple[float, float, float], passes: int
) -> None:
    sampling = SamplingConfig(
        **dict(zip(("reference_scale", "pose_scale", "audio_scale"), scales, strict=True))
    )
    network = Linear()
    noisy = torch.randn(2, 3, 4, 5, 6)
    found = guided(network, noisy, torch.zeros(2), None, terms(sampling, DesignConfig()))
    reference, pose, audio = scales
    torch.testing.assert_close(found, torch.full_like(noisy, 1000 + reference + 10 * pose + 100 * audio))
    assert network.passes == passes


@pytest.mark.parametrize(
    "deaf", [DesignConfig(iad=False), DesignConfig(published=PublishedConfig(audio_off=True))]
)
def test_a_model_that_hears_nothing_spends_nothing_on_voices(deaf: DesignConfig) -> None:
    passes = terms(SamplingConfig(reference_scale=1, pose_scale=1, audio_scale=3.5), deaf)
    assert [p.weight for p in passes] == [1]


# ---- denoising


class Oracle(nn.Module):
    """A network that knows the clean latent: in every cell the first number that is told of the frame's sound."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.prepared = 0
        self.answered = 0

    def prepare(self, batch: Batch, reference_BLHW: Tensor, moved_BTLHW: Tensor | None) -> Tensor:
        self.prepared += 1
        assert reference_BLHW.shape == (len(batch.keys), 4, H // 4, W // 4)
        return batch.sound_BNTCD[:, 0, :, 0, 0]

    def forward(self, noisy_BTLHW: Tensor, step_B: Tensor, given: Tensor, keep: Keep) -> Tensor:
        self.answered += 1
        alpha_B = ALPHA[step_B].view(-1, 1, 1, 1, 1)
        return (alpha_B.sqrt() * noisy_BTLHW - given[:, :, None, None, None]) / (1 - alpha_B).sqrt()


class Pooling(nn.Module):
    """An autoencoder whose latents are four times smaller pictures."""

    def encode(self, frames_XCHW: Tensor) -> Tensor:
        small_XCHW = nn.functional.avg_pool2d(frames_XCHW, 4)
        return torch.cat([small_XCHW, small_XCHW[:, :1]], dim=1)

    def decode(self, latent_XLHW: Tensor) -> Tensor:
        return latent_XLHW[:, :3].repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


def checkpoint(design: DesignConfig = DesignConfig(), **sampling: Any) -> Checkpoint:
    chosen = replace(RECIPE, design=design, sampling=replace(RECIPE.sampling, **sampling))
    return Checkpoint(chosen, Oracle(), Pooling(), {}, {})


def level(frame: int) -> float:
    """What is told of a frame's sound: the value, -1..1, of the grey level 4 * frame."""
    return 4 * frame / 127.5 - 1


def example(frames: int, *, persons: int = 1, key: str = "a") -> Example:
    told = Told(
        width=100,
        height=60,
        face_xyxy_NT4=np.tile(np.float32([20, 10, 50, 40]), (persons, frames, 1)),
        pose_NTK3=np.full((persons, frames, 133, 3), np.nan, np.float32),
        gate_NT=np.ones((persons, frames), np.float32),
        sound_NTCD=np.tile(np.float32([level(k) for k in range(frames)])[None, :, None, None], (persons, 1, 1, 1)),
        mix_TCD=np.zeros((frames, 1, 1), np.float32),
    )  # fmt: skip
    picture_HWC = np.zeros((60, 100, 3), np.uint8)
    first = replace(
        told, **{n: getattr(told, n)[:, :1] for n in ("face_xyxy_NT4", "pose_NTK3", "gate_NT", "sound_NTCD")}
    )
    return Example(
        key, picture_HWC, replace(first, mix_TCD=told.mix_TCD[:1]), told, frames_THWC=None
    )  # fmt: skip


def greys(films: Any) -> list[int]:
    """The grey level of each frame, all of whose pixels are equal."""
    found = []
    for frame_HWC in films:
        assert frame_HWC.shape == (60, 100, 3)
        assert frame_HWC.dtype == np.uint8
        assert frame_HWC.min() == frame_HWC.max()
        found.append(int(frame_HWC[0, 0, 0]))
    return found


@pytest.mark.parametrize("frames", [1, 6, 7, 8, 20, 38])
def test_every_frame_of_a_film_is_made_from_its_own_conditions(frames: int) -> None:
    found = greys(Sampler(checkpoint()).frames(example(frames), seed=0))
    assert found == [4 * k for k in range(frames)]


def test_the_published_tail_shows_earlier_frames() -> None:
    published = DesignConfig(published=PublishedConfig(tail_keeps_first=True))
    found = greys(Sampler(checkpoint(published)).frames(example(20), seed=0))
    assert found == [4 * k for k in (*range(15), *range(13, 18))]


def test_conditions_are_prepared_once_and_anew_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty, little = checkpoint(), checkpoint()
    one = Sampler(plenty).latents(example(20), seed=0)
    monkeypatch.setattr("mitds.baselines.generation.sampler.KEPT_BYTES", 0)
    other = Sampler(little).latents(example(20), seed=0)
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (plenty.network.prepared, little.network.prepared) == (4, 8)


def test_windows_that_are_denoised_together_give_the_same_film(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, together = checkpoint(), checkpoint()
    one = Sampler(alone).latents(example(20), seed=0)
    monkeypatch.setitem(TOGETHER, "cpu", 3)
    other = Sampler(together).latents(example(20), seed=0)
    torch.testing.assert_close(one, other)
    assert (alone.network.answered, together.network.answered) == (
        4 * 2 * 4,
        2 * 2 * 4,
    )  # windows or groups, steps, passes


class Noise(Oracle):
    """A network that leaves the noise as it is."""

    def forward(self, noisy_BTLHW: Tensor, step_B: Tensor, given: Tensor, keep: Keep) -> Tensor:
        return torch.zeros_like(noisy_BTLHW)


def test_seed_and_item_decide_the_noise() -> None:
    sampler = Sampler(replace(checkpoint(), network=Noise()))
    one = sampler.latents(example(9), seed=0)
    assert torch.equal(one, sampler.latents(example(9), seed=0))
    assert not torch.equal(one, sampler.latents(example(9), seed=1))
    assert not torch.equal(one, sampler.latents(example(9, key="b"), seed=0))


def test_what_windows_share_is_blended_by_their_weights() -> None:
    class Voting(Oracle):
        def prepare(self, batch: Batch, reference_BLHW: Tensor, moved_BTLHW: Tensor | None) -> Tensor:
            mine = batch.sound_BNTCD[:, 0, :1, 0, 0]
            return mine.expand(-1, batch.sound_BNTCD.shape[2])

    latent_T = Sampler(replace(checkpoint(), network=Voting())).latents(example(12), seed=0)[:, 0, 0, 0]
    first, last = plan(12, 7, 2)
    wanted_T = np.zeros(12)
    for w in (first, last):
        wanted_T[w.place : w.place + 7] += w.weight_T * level(w.told)
    np.testing.assert_allclose(latent_T.numpy(), wanted_T, atol=1e-5)


def test_progress_is_told_of_each_step() -> None:
    heard: list[tuple[str, int, int]] = []
    sampler = Sampler(checkpoint(steps=5), lambda *said: heard.append(said))
    sampler.latents(example(3), seed=0)
    assert heard == [("denoising", k, 5) for k in range(1, 6)]


@pytest.mark.parametrize("steps", [0, 7, 61, 1001])
def test_numbers_of_steps_that_would_leave_noise_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match=r"sampling\.steps"):
        denoiser(steps)


def test_the_rule_for_numbers_of_steps_is_what_the_scheduler_does() -> None:
    ddim = scheduler()
    for steps in range(1, 1001):
        ddim.set_timesteps(steps)
        clean = len(ddim.timesteps) == steps and int(ddim.timesteps[-1]) < 1000 // steps
        if clean:
            assert SamplingConfig(steps=steps).steps == steps
        else:
            with pytest.raises(UsageError, match="leaves no noise"):
                SamplingConfig(steps=steps)


@pytest.mark.parametrize("name", ["tiny", "small", "sd15"])
def test_presets_end_without_noise(name: str) -> None:
    ddim = denoiser(recipe("covog", name).sampling.steps)
    assert int(ddim.timesteps[0]) == 999
    clean, noise = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 3.0)
    step = ddim.timesteps[-1:]
    noisy, velocity = ddim.add_noise(clean, noise, step), ddim.get_velocity(clean, noise, step)
    torch.testing.assert_close(ddim.step(velocity, int(step), noisy).prev_sample, clean)


# ---- requests


def request(persons: int = 2, frames: int = 10) -> Request:
    """People who speak one after the other, each with a tone of their own."""
    each, samples = max(1, frames // max(1, persons)), frames * AUDIO_HZ // 25
    voices_NS = np.zeros((persons, samples), np.float32)
    for n in range(persons):
        at_S = np.arange(n * each * 640, (n + 1) * each * 640)
        voices_NS[n, at_S] = 0.3 * np.sin(at_S * 0.05 * (n + 1))
    left_N = 20 + 40 * np.arange(persons, dtype=np.float32)
    boxes_N4 = np.stack([left_N, left_N * 0 + 10, left_N + 30, left_N * 0 + 50], axis=-1)
    return Request(
        item="i", frames=frames, width=100, height=60, reference_HWC=np.full((60, 100, 3), 90, np.uint8),
        reference_frame=1, face_xyxy_NT4=np.repeat(boxes_N4[:, None], frames, axis=1),
        visible_NT=np.ones((persons, frames), bool),
        pose_NTK3=np.full((persons, frames, 133, 3), np.nan, np.float32),
        speaking_NT=np.full((persons, frames), 0.8, np.float32) - np.float32(0.1) * np.arange(persons)[:, None],
        turns=tuple((Turn(start_s=n * each / 25, end_s=(n + 1) * each / 25),) for n in range(persons)),
        voices_NS=voices_NS, mix_S=voices_NS.sum(axis=0), seed=0,
    )  # fmt: skip


def test_swapping_two_voices_swaps_gates_and_sounds_and_leaves_people_where_they_are() -> None:
    asked = request(3, 12)
    plain = trained.question(asked, RECIPE.audio).told
    swapped = trained.question(trained.with_voices_swapped(asked, 0, 2), RECIPE.audio).told
    order = [2, 1, 0]
    np.testing.assert_array_equal(swapped.gate_NT, plain.gate_NT[order])
    np.testing.assert_array_equal(swapped.sound_NTCD, plain.sound_NTCD[order])
    np.testing.assert_array_equal(swapped.mix_TCD, plain.mix_TCD)
    np.testing.assert_array_equal(swapped.face_xyxy_NT4, plain.face_xyxy_NT4)
    assert not np.array_equal(plain.gate_NT[0], plain.gate_NT[2])
    assert not np.array_equal(plain.sound_NTCD[0], plain.sound_NTCD[2])
    assert swapped.gate_NT[0].tolist() == pytest.approx([0] * 8 + [0.6] * 4)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """What `open_checkpoint` returns for any folder."""
    known = checkpoint()
    monkeypatch.setattr(trained, "open_checkpoint", lambda folder: known)
    return known


@pytest.mark.parametrize("persons", [0, 1, 2, 3, 4])
def test_any_number_of_people_is_answered_at_the_requests_size(persons: int, opened: Checkpoint) -> None:
    model = trained.TrainedModel(Path())
    frames = list(model.generate(request(persons, 9)))
    assert model.name == "covog"
    assert len(frames) == 9
    assert {f.shape for f in frames} == {(60, 100, 3)}
    assert {f.dtype for f in frames} == {np.dtype(np.uint8)}


def test_only_sampling_can_be_set_after_training(opened: Checkpoint) -> None:
    changed = trained.sampled(RECIPE, ["sampling.audio_scale=3", "sampling.steps=5"])
    assert (changed.sampling.audio_scale, changed.sampling.steps) == (3.0, 5)
    assert replace(changed, sampling=RECIPE.sampling) == RECIPE
    with pytest.raises(UsageError, match="cannot be changed after training"):
        trained.TrainedModel(Path(), ["trunk.heads=2"])
    with pytest.raises(UnknownName):
        trained.sampled(RECIPE, ["sampling.stops=5"])
    with pytest.raises(UsageError, match="leaves no noise"):
        trained.sampled(RECIPE, ["sampling.steps=7"])


def test_settings_that_fit_each_other_may_be_named_in_any_order() -> None:
    longer = replace(RECIPE, sampling=replace(RECIPE.sampling, overlap=4))
    for order in (["sampling.window=3", "sampling.overlap=1"], ["sampling.overlap=1", "sampling.window=3"]):
        assert trained.sampled(longer, order).sampling.window == 3
    with pytest.raises(UsageError, match=r"sampling\.overlap is 4, and must be 0 to 2"):
        trained.sampled(longer, ["sampling.window=3"])


# ---- mitds eval --checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that says of itself what a checkpoint does; its weights are of no use."""
    tensors = {"a": torch.ones(1)}
    write_tensors(tmp_path / AUTOENCODER, tensors)
    save_checkpoint(tmp_path, RECIPE, tensors, factories.ABOUT_TRAINING)
    return tmp_path


def test_the_digest_of_the_weights_is_that_of_the_checkpoint(folder: Path) -> None:
    files = json.loads((folder / "recipe.json").read_bytes())["files"]
    assert (
        weights_digest("covog", folder) == Checkpoint(RECIPE, nn.Identity(), nn.Identity(), {}, files).digest
    )


@pytest.mark.parametrize("system", ["puppet", "copy", None])
def test_what_needs_no_weights_takes_none(system: str | None, folder: Path) -> None:
    assert weights_digest(system, None) == ""
    with pytest.raises(UsageError, match=r"no weights to load.*Leave --checkpoint out"):
        weights_digest(system, folder)
    with pytest.raises(UsageError, match=r"takes no settings: sampling\.steps=5.*Leave --set out"):
        weights_digest(system, None, ["sampling.steps=5"])


def test_a_trained_model_needs_its_own_weights(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"needs its weights.*mitds train --model covog.*--checkpoint"):
        weights_digest("covog", None)
    with pytest.raises(UsageError, match="weights of covog, not of animate-anyone"):
        weights_digest("animate-anyone", folder)
    with pytest.raises(UsageError, match="no trained model here"):
        weights_digest("covog", folder / "none")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sampling.steps=7", "leaves no noise"),
        ("sampling.overlap=7", "must be 0 to 6"),
        ("sampling.stops=5", "Did you mean steps"),
        ("trunk.heads=2", "cannot be changed after training"),
    ],
)
def test_settings_are_checked_before_anything_runs(setting: str, words: str, folder: Path) -> None:
    assert weights_digest("covog", folder, ["sampling.steps=5"]) == weights_digest("covog", folder)
    with pytest.raises(UsageError, match=words):
        weights_digest("covog", folder, [setting])


@pytest.mark.parametrize("name", ["network.safetensors", AUTOENCODER])
def test_torn_weights_are_refused_before_anything_runs(name: str, folder: Path) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1])
    with pytest.raises(InputFault, match=f"{name} is not the one the recipe lists"):
        weights_digest("covog", folder)
    (folder / name).unlink()
    with pytest.raises(InputFault, match=name):
        weights_digest("covog", folder)


def test_a_worker_loads_a_model_once_for_each_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys_model.py").write_text(
        "class Plain:\n    pass\n\n\nclass Trained:\n    def __init__(self, folder): self.folder = folder\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    a, b = (_system("model", "somebodys_model:Trained", name, ()) for name in ("a", "b"))
    assert (a.folder, b.folder) == (Path("a"), Path("b"))
    assert _system("model", "somebodys_model:Trained", "a", ()) is a
    assert type(_system("model", "somebodys_model:Plain", "", ())).__name__ == "Plain"


# ---- one's own inputs


def poses(persons: int = 2, frames: int = 20, **changes: Any) -> Poses:
    asked = request(persons, frames)
    known = Poses(asked.face_xyxy_NT4, asked.pose_NTK3, np.full((persons, frames), np.nan, np.float32))
    return replace(known, **changes)


@dataclass
class Files:
    """Inputs of `mitds generate` on disk."""

    folder: Path

    def picture(self, width: int = 100, height: int = 60) -> Path:
        path = self.folder / f"frame-{width}x{height}.png"
        cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
        return path

    def voice(self, name: str, seconds: float = 0.5, rate: int = 44_100) -> Path:
        path = self.folder / f"{name}.wav"
        soundfile.write(path, 0.3 * np.sin(np.arange(round(seconds * rate)) * 0.05), rate)
        return path

    def poses(self, **arrays: Any) -> Path:
        path = self.folder / "poses.npz"
        known = poses()
        np.savez(path, **{"face_xyxy_NT4": known.face_xyxy_NT4, "pose_NTK3": known.pose_NTK3, **arrays})
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_film_has_the_poses_length_the_references_size_and_the_voices(
    files: Files, opened: Checkpoint
) -> None:
    out = files.folder / "film.mp4"
    voices = [files.voice("a"), files.voice("b", 0.2, 16_000)]
    film = generate(files.folder, files.picture(), read_poses(files.poses()), voices, out)
    assert (film.frames, film.width, film.height, film.persons) == (20, 100, 60, 2)
    shown = list(pictures(out))
    assert [p.frame_HWC.shape for p in shown] == [(60, 100, 3)] * 20
    sound = read_sound(out)
    assert sound is not None
    assert sound.rate == 48_000
    heard_S = wave(sound, 20, AUDIO_HZ)
    assert np.abs(heard_S[: AUDIO_HZ // 4]).max() > 0.3
    assert np.abs(heard_S[round(0.55 * AUDIO_HZ) :]).max() < 0.02


def sound(wave_S: np.ndarray) -> Sound:
    return Sound(np.asarray(wave_S, np.float32)[None], AUDIO_HZ, Fraction(0))


def test_turns_come_from_the_voices_or_from_what_is_known() -> None:
    loud, hiss = 0.3 * np.sin(np.arange(16_000) * 0.3), 0.0005 * np.sin(np.arange(16_000) * 0.7)
    voice_S = np.where(np.arange(16_000) < 8_000, loud, hiss)
    speaking_NT = np.full((2, 25), np.nan, np.float32)
    speaking_NT[1] = np.arange(25) >= 20
    asked = own_request(
        np.zeros((60, 100, 3), np.uint8), poses(2, 25, speaking_NT=speaking_NT), [sound(voice_S)] * 2, 0, 7
    )
    assert asked.turns == ((Turn(start_s=0, end_s=0.52),), (Turn(start_s=0.8, end_s=1.0),))
    told = trained.question(asked, RECIPE.audio).told
    assert told.gate_NT.tolist() == [[1] * 13 + [0] * 12, [0] * 20 + [1] * 5]
    assert asked.seed == 7


def test_pauses_belong_to_turns_and_clicks_make_none() -> None:
    unknown_T = np.full(60, np.nan, np.float32)
    loud_T = np.zeros(60)
    loud_T[5:20] = loud_T[26:40] = loud_T[55] = 1
    voice_S = np.float32(np.repeat(loud_T, 640) * np.sin(np.arange(60 * 640) * 0.3))
    assert np.flatnonzero(speaks_T(voice_S, unknown_T)).tolist() == list(range(5, 40))
    assert not speaks_T(np.zeros(60 * 640, np.float32), unknown_T).any()
    assert turns_of(np.array([], bool)) == ()


def test_a_mix_is_the_sum_and_never_clips() -> None:
    np.testing.assert_array_equal(mixed(np.float32([[0.25, 0], [0.5, 0.1]])), np.float32([0.75, 0.1]))
    np.testing.assert_allclose(mixed(np.float32([[0.8, 0.4], [0.8, 0]])), [1, 0.25])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"face_xyxy_NT4": np.zeros((2, 20, 5), np.float32)}, "face_xyxy_NT4 is float32"),
        ({"pose_NTK3": np.zeros((2, 19, 133, 3), np.float32)}, r"must be float32\[2, 20, 133, 3\]"),
        ({"pose_NTK3": np.zeros((2, 20, 17, 3), np.float32)}, "pose_NTK3"),
        ({"speaking_NT": np.zeros((3, 20), np.float32)}, "speaking_NT"),
        ({"face_xyxy_NT4": np.zeros((2, 20, 4), np.int32)}, "int32"),
    ],
)
def test_poses_of_another_shape_are_refused(arrays: dict[str, Any], words: str, files: Files) -> None:
    with pytest.raises(UsageError, match=words):
        read_poses(files.poses(**arrays))


def test_poses_that_are_missing_or_damaged_are_refused(files: Files) -> None:
    with pytest.raises(UsageError, match=r"poses cannot be read: No such file.*none\.npz"):
        read_poses(files.folder / "none.npz")
    with pytest.raises(UsageError, match="poses cannot be read: Is a directory"):
        read_poses(files.folder)
    path = files.folder / "torn.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(BadShard, match=r"torn\.npz"):
        read_poses(path)


def asked_on_the_command_line(files: Files, *more: str) -> list[str]:
    return [
        "mitds", "generate", "--checkpoint", str(files.folder), "--reference", str(files.picture()),
        "--out", str(files.folder / "film.mp4"), *more,
    ]  # fmt: skip


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_makes_a_film_from_a_clips_poses(
    files: Files, opened: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    factories.write_run(files.folder / "run")
    from mitds.manifests.clip_index import ClipIndex

    shards = str(files.folder / "run" / "clips-*.tar")
    index = ClipIndex(shards)
    persons = len(index.record(0).persons)
    voices = [v for n in range(persons) for v in ("--voices", str(files.voice(f"v{n}")))]
    picture = str(files.picture(320, 192))
    arguments = [*asked_on_the_command_line(files, *voices), "--clip", f"{shards}::{index.keys[0]}"]
    arguments[arguments.index("--reference") + 1] = picture
    assert run([*arguments, "--json", "--set", "sampling.steps=1"], monkeypatch) == 0
    said = json.loads(capsys.readouterr().out)
    clip = index.record(0)
    assert (said["frames"], said["width"], said["height"]) == (clip.frames, clip.width, clip.height)
    assert said["persons"] == persons
    assert (files.folder / "film.mp4").is_file()


def test_the_command_refuses_what_does_not_fit(
    files: Files, opened: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, long = (str(files.voice(*v)) for v in (("a",), ("b",), ("long", 1.2)))
    npz = str(files.poses())
    factories.write_run(files.folder / "run")
    shards = str(files.folder / "run" / "clips-*.tar")
    cases = {
        "Give --poses or --clip": ["--voices", a],
        "there are 1 voices, and poses of 2 people": ["--voices", a, "--poses", npz],
        "the voice lasts 1.20 s": ["--voices", a, "--voices", long, "--poses", npz],
        "reference_frame is 20": ["--voices", a, "--voices", b, "--poses", npz, "--reference-frame", "20"],
        "names no clip": ["--voices", a, "--clip", "somewhere.tar"],
        "no clip is called": ["--voices", a, "--clip", f"{shards}::none"],
        "cannot be changed after training": [
            "--voices", a, "--voices", b, "--poses", npz, "--set", "audio.tokens=9",
        ],
    }  # fmt: skip
    for words, more in cases.items():
        assert run(asked_on_the_command_line(files, *more), monkeypatch) == 2, words
        assert words in capsys.readouterr().err


def test_a_reference_of_another_shape_is_refused() -> None:
    square = np.zeros((60, 60, 3), np.uint8)
    with pytest.raises(UsageError, match="the reference is 60x60, and the clip 100x60"):
        own_request(square, poses(1, 5, size=(100, 60)), [sound(np.zeros(3200))], 0, 0)
