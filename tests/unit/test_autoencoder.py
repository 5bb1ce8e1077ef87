"""Autoencoders: what comes back, of which scale latents are, and what decides the weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from mitds.baselines.networks.autoencoder import Autoencoder, TinyCodec, build_autoencoder, principal
from mitds.baselines.presets import recipe
from mitds.baselines.recipe import AutoencoderConfig
from mitds.baselines.training import autoencoder as training
from mitds.baselines.training.autoencoder import crops, fit_autoencoder, psnr, rate, train_autoencoder
from mitds.baselines.training.windows import Windows
from mitds.config import override
from mitds.errors import MissingWeights, UsageError
from mitds.manifests.clip_index import ClipIndex
from tests import factories

SMALL = AutoencoderConfig(latents=6, channels=8, steps=4, batch=2, crop=16, lr=1e-2)


def scenes(step: int, count: int = 3) -> Tensor:
    """Smooth pictures, others each step."""
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(count, 3, 4, 6, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (32, 48), mode="bicubic").clamp(-1, 1)


def tiny(factor: int = 4, latents: int = 6) -> Autoencoder:
    """The linear transform alone: what lies on it begins as nothing."""
    torch.manual_seed(0)
    built = build_autoencoder(replace(SMALL, factor=factor, latents=latents)).requires_grad_(False)
    built.codec.start(scenes(0, 16))
    return built


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_cell_covers_factor_px(factor: int) -> None:
    built = tiny(factor)
    latent_XLHW = built.encode(scenes(1))
    assert latent_XLHW.shape == (3, 6, 32 // factor, 48 // factor)
    assert built.decode(latent_XLHW).shape == (3, 3, 32, 48)


def test_it_begins_as_principal_components() -> None:
    frames_XCHW = scenes(1)
    complete = tiny(factor=2, latents=12)
    assert psnr(complete, frames_XCHW) > 60
    found = [psnr(tiny(latents=count), frames_XCHW) for count in (1, 3, 9)]
    assert found[0] + 1 < found[1] < found[2] - 1


def test_principal_axes_are_those_of_the_samples_and_have_fixed_signs() -> None:
    generator = torch.Generator().manual_seed(0)
    turn_DD = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    scale_D = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5])
    samples_SD = torch.randn(20_000, 5, generator=generator) * scale_D @ turn_DD
    std_L, axis_LD = principal(samples_SD, 3)
    torch.testing.assert_close(std_L, scale_D[:3], rtol=0.05, atol=0)
    assert ((axis_LD * turn_DD[:3]).sum(dim=1).abs() > 0.99).all()
    torch.testing.assert_close(principal(-samples_SD, 3)[1], axis_LD)


def test_a_colour_that_never_varies_does_no_harm() -> None:
    built = tiny()
    built.codec.start(torch.full((2, 3, 32, 48), 0.25))
    latent_XLHW = built.encode(scenes(1))
    assert latent_XLHW.isfinite().all()


def test_standardised_latents_have_zero_mean_and_unit_variance() -> None:
    built, frames_XCHW = tiny(), scenes(1, 8)
    came_back_XCHW = built.decode(built.encode(frames_XCHW))
    for _ in range(2):  # Measuring again measures the same.
        built.standardise(frames_XCHW)
        latent_XLHW = built.encode(frames_XCHW)
        torch.testing.assert_close(latent_XLHW.mean(dim=(0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
        torch.testing.assert_close(latent_XLHW.std(dim=(0, 2, 3)), torch.ones(6))
        torch.testing.assert_close(built.decode(latent_XLHW), came_back_XCHW, atol=1e-4, rtol=0)


def test_chunks_change_nothing_and_bound_what_is_in_memory() -> None:
    built, frames_XCHW = tiny(), scenes(1, 5)
    seen: list[int] = []
    whole_XLHW = built.encode(frames_XCHW)
    for part in ("encode", "decode"):
        setattr(built.codec, part, counted(getattr(built.codec, part), seen))
    torch.testing.assert_close(built.encode(frames_XCHW, chunk=2), whole_XLHW)
    assert seen == [2, 2, 1]
    assert len(built.decode(whole_XLHW, chunk=3)) == 5
    assert seen[3:] == [3, 2]


def counted(does: Callable[[Tensor], Tensor], seen: list[int]) -> Callable[[Tensor], Tensor]:
    def call(given: Tensor) -> Tensor:
        seen.append(len(given))
        return does(given)

    return call


def test_folding_only_moves_numbers_about() -> None:
    plain, folded = (build_autoencoder(replace(SMALL, fold=fold)).requires_grad_(False) for fold in (1, 2))
    folded.load_state_dict(plain.state_dict())
    for each in (plain, folded):
        each.standardise(scenes(0))
    latent_XLHW = folded.encode(scenes(1))
    assert latent_XLHW.shape == (3, 24, 4, 6)
    torch.testing.assert_close(latent_XLHW[:, :4, 0, 0], plain.encode(scenes(1))[:, 0, :2, :2].flatten(1))
    torch.testing.assert_close(folded.decode(latent_XLHW), plain.decode(plain.encode(scenes(1))))


def test_pictures_come_back_within_range() -> None:
    built = tiny()
    decoded_XCHW = built.decode(torch.full((1, 6, 4, 4), 50.0))
    assert decoded_XCHW.abs().max() == 1


def test_training_gets_better_than_principal_components_on_other_pictures() -> None:
    config = replace(SMALL, steps=40, batch=4, crop=32, noise=0.0)
    trained = fit_autoencoder(scenes, config, seed=0)
    assert psnr(trained, scenes(999)) > psnr(tiny(), scenes(999)) + 1
    latent_XLHW = trained.encode(torch.cat([scenes(step) for step in range(16)]))
    torch.testing.assert_close(latent_XLHW.std(dim=(0, 2, 3)), torch.ones(6), atol=1e-3, rtol=0)
    assert not trained.training
    assert not any(parameter.requires_grad for parameter in trained.parameters())


def test_seed_and_frames_decide_the_weights() -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        torch.rand(seed + 1)  # Who called before must not matter.
        return fit_autoencoder(scenes, SMALL, seed).state_dict()

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit_autoencoder(scenes, SMALL, seed=0)
    assert torch.equal(torch.rand(3), wanted)


def test_noise_on_latents_is_trained_against() -> None:
    built, frames_XCHW = tiny(), scenes(1)
    losses = [
        float(training.loss_of(built, frames_XCHW, noise, torch.Generator())) for noise in (0, 0.1, 0.5)
    ]
    assert losses[0] < losses[1] < losses[2]


def test_larger_latents_do_not_drown_the_noise() -> None:
    built, frames_XCHW = tiny(), scenes(1)

    def loss() -> float:
        return float(training.loss_of(built, frames_XCHW, 0.5, torch.Generator().manual_seed(0)))

    before = loss()
    built.codec.analysis.weight.mul_(10)
    built.codec.synthesis.weight.div_(10)
    assert loss() == pytest.approx(before, rel=1e-3)


def test_the_rate_warms_up_and_ends_near_nothing() -> None:
    config = replace(SMALL, steps=200, lr=1.0)
    rates = [rate(config, step) for step in range(200)]
    assert rates[0] == pytest.approx(1 / 50)
    assert 0.8 < max(rates) <= 1
    assert rates.index(max(rates)) == 49
    assert rates[-1] < 1e-3


def test_crops_are_parts_of_the_pictures() -> None:
    place = torch.arange(32 * 48.0).reshape(1, 32, 48).expand(3, -1, -1)
    config = replace(SMALL, crop=18, batch=40)
    drawn_XCHW = crops(torch.stack([place, place + 1e4]), config, torch.Generator().manual_seed(0))
    assert drawn_XCHW.shape == (40, 3, 16, 16)
    across_X = drawn_XCHW[:, 0, 0, 1] - drawn_XCHW[:, 0, 0, 0]
    assert set(across_X.tolist()) == {1.0, -1.0}
    assert set((drawn_XCHW[:, 0, 1, 0] - drawn_XCHW[:, 0, 0, 0]).tolist()) == {48.0}
    assert {value > 9e3 for value in drawn_XCHW[:, 0, 0, 0].tolist()} == {True, False}


def test_colours_of_half_the_crops_change_places() -> None:
    colours_C11 = torch.tensor([-0.5, 0.0, 0.5])[:, None, None]
    drawn_XCHW = crops(colours_C11.expand(2, 3, 32, 48), replace(SMALL, batch=60), torch.Generator())
    orders = [tuple(colours) for colours in drawn_XCHW[:, :, 0, 0].tolist()]
    assert len(set(orders)) == 6
    assert 30 <= orders.count((-0.5, 0.0, 0.5)) <= 45


def test_crops_of_small_pictures_are_whole_pictures() -> None:
    drawn_XCHW = crops(scenes(0), replace(SMALL, crop=64), torch.Generator())
    assert drawn_XCHW.shape == (2, 3, 32, 48)


def test_a_loss_that_diverges_is_refused() -> None:
    def broken(step: int) -> Tensor:
        return scenes(step) * (float("nan") if step == 17 else 1)

    config = replace(SMALL, steps=20)
    with pytest.raises(UsageError, match="step 18") as caught:
        fit_autoencoder(broken, config, seed=0)
    assert "autoencoder.lr" in caught.value.remedy


@pytest.mark.parametrize("setting", ["factor=6", "factor=1", "latents=0", "latents=49", "crop=2"])
def test_shapes_without_a_network_are_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=setting.partition("=")[0]):
        override(SMALL, [setting])


def test_training_on_clips_writes_losses_and_fidelity(tmp_path: Path) -> None:
    settings = [
        "height=32", "width=64", "autoencoder.steps=3", "autoencoder.channels=8", "autoencoder.crop=16",
        "stage1.batch=2", "stage2.frames=3", "data.reference_gap=5",
    ]  # fmt: skip
    small = override(recipe("covog", "tiny"), settings)
    windows = Windows(ClipIndex(factories.write_clips(tmp_path, factories.clip(frames=20))), small)
    told: list[tuple[str, int, int]] = []
    trained = train_autoencoder(windows, small, tmp_path, lambda *what: told.append(what), "cpu")
    assert told == [("autoencoder", step, 3) for step in (1, 2, 3)]
    rows = [line.split(",") for line in (tmp_path / "losses.csv").read_text().splitlines()]
    assert rows[0][:3] == ["stage", "step", "loss"]
    assert [row[:2] for row in rows[1:]] == [["0", "1"], ["0", "2"], ["0", "3"]]
    said = json.loads((tmp_path / "autoencoder.json").read_text())
    others_XCHW = training.pictures(windows.examples(1, 3), small)
    assert said == {"psnr_db": round(psnr(trained, others_XCHW), 2), "frames": 4}


def test_pictures_are_placed_as_the_denoiser_sees_them(tmp_path: Path) -> None:
    from mitds.baselines.conditions.batch import collate

    small = override(recipe("covog", "tiny"), ["height=32", "width=64", "stage1.batch=3", "stage2.frames=3"])
    windows = Windows(ClipIndex(factories.write_clips(tmp_path, factories.clip(frames=20))), small)
    examples = windows.examples(1, 0)
    batch = collate(examples, (32, 64))
    assert batch.frames_BTCHW is not None
    wanted_X2CHW = torch.stack([batch.reference_BCHW, batch.frames_BTCHW[:, 0]], dim=1)
    torch.testing.assert_close(training.pictures(examples, small).unflatten(0, (3, 2)), wanted_X2CHW)


@pytest.fixture(scope="module")
def kl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    net = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4, scaling_factor=0.18215,
    )  # fmt: skip
    net.save_pretrained(folder)
    return folder


def kl(source: object) -> AutoencoderConfig:
    return AutoencoderConfig(kind="kl", source=str(source), factor=8, latents=4, steps=0)


@torch.no_grad()
def test_a_stable_diffusion_autoencoder_is_loaded_and_scaled(kl_folder: Path) -> None:
    built, frames_XCHW = build_autoencoder(kl(kl_folder)), scenes(1)
    net = AutoencoderKL.from_pretrained(kl_folder)
    mean_XLHW = net.encode(frames_XCHW).latent_dist.mean
    latent_XLHW = built.encode(frames_XCHW, chunk=2)
    torch.testing.assert_close(latent_XLHW, mean_XLHW * 0.18215)
    assert torch.equal(latent_XLHW, built.encode(frames_XCHW, chunk=2))
    torch.testing.assert_close(built.decode(latent_XLHW), net.decode(mean_XLHW).sample.clamp(-1, 1))


def test_a_loaded_autoencoder_is_not_trained(kl_folder: Path, tmp_path: Path) -> None:
    changed = replace(recipe("covog", "tiny"), autoencoder=kl(kl_folder))
    windows = Windows(ClipIndex(factories.write_clips(tmp_path)), changed)
    trained = train_autoencoder(windows, changed, tmp_path / "out")
    loaded = build_autoencoder(kl(kl_folder)).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in trained.state_dict().items())
    assert not (tmp_path / "out").exists()


def test_a_missing_autoencoder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights) as caught:
        build_autoencoder(kl(tmp_path / "nowhere"))
    assert caught.value.remedy


@pytest.mark.parametrize(("name", "value"), [("factor", 4), ("latents", 16)])
def test_an_autoencoder_of_other_shapes_is_refused(kl_folder: Path, name: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"autoencoder.{name} is {value}"):
        build_autoencoder(replace(kl(kl_folder), **{name: value}))


def test_weights_come_back_from_disk(tmp_path: Path) -> None:
    from mitds.baselines.checkpoint import load_weights, write_tensors

    trained = fit_autoencoder(scenes, SMALL, seed=0)
    write_tensors(tmp_path / "a.safetensors", trained.state_dict())
    opened = build_autoencoder(SMALL)
    load_weights(opened, tmp_path / "a.safetensors")
    assert torch.equal(opened.encode(scenes(3)), trained.encode(scenes(3)))
    assert isinstance(opened.codec, TinyCodec)
