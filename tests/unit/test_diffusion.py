"""The forward process against its closed forms, and the loss against sums made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mitds.baselines.contracts import Batch
from mitds.baselines.diffusion import STEPS, Diffusion, scheduler
from mitds.baselines.presets import recipe
from mitds.baselines.recipe import DiffusionConfig
from mitds.baselines.training.objective import draw, loss_B, places_BTHW
from mitds.config import override

ALL_B = torch.arange(STEPS)


def kept(step: int) -> float:
    """a of a step by the papers: scaled-linear betas, shifted and scaled so that the last sqrt(a) is 0."""
    roots, product = [], 1.0
    for k in range(STEPS):
        beta = (math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * k / (STEPS - 1)) ** 2
        product *= 1 - beta
        roots.append(math.sqrt(product))
    return ((roots[step] - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2


def batch(*, faces: int = 1, size: tuple[int, int] = (32, 64), frames: int = 2) -> Batch:
    """Two samples: a face in the first frame's upper left 16x16 px, and a border of 32 px on the right."""
    face_BNTHW = torch.zeros(2, faces, frames, *size)
    face_BNTHW[:, :, 0, :16, :16] = 1
    inside_BHW = torch.ones(2, *size)
    inside_BHW[..., 32:] = 0
    nothing = torch.zeros(2, faces, frames, 1, 1)
    generator = torch.Generator().manual_seed(0)
    return Batch(
        keys=("a", "b"),
        reference_BCHW=torch.rand(2, 3, *size, generator=generator),
        reference_skeleton_BNCHW=torch.zeros(2, faces, 3, *size),
        skeleton_BNTCHW=torch.zeros(2, faces, frames, 3, *size),
        region_BNHW=torch.ones(2, faces, *size),
        face_BNTHW=face_BNTHW,
        gate_BNT=nothing[..., 0, 0],
        sound_BNTCD=nothing,
        mix_BTCD=nothing[:, 0] if faces else torch.zeros(2, frames, 1, 1),
        present_BN=torch.ones(2, faces, dtype=torch.bool),
        inside_BHW=inside_BHW,
        frames_BTCHW=torch.rand(2, frames, 3, *size, generator=generator),
    )


class Pooled(torch.nn.Module):
    """Latents are means over 4x4 px; the fourth channel is 0."""

    def encode(self, frames_XCHW: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(torch.nn.functional.avg_pool2d(frames_XCHW, 4), (0, 0, 0, 0, 0, 1))


def tiny(*settings: str):
    shapes = ["autoencoder.factor=4", "autoencoder.latents=4", "autoencoder.fold=1", "height=32", "width=64"]
    return override(recipe("covog", "tiny"), [*shapes, "stage2.frames=2", "stage2.batch=2", *settings])


def test_the_last_step_is_pure_noise_exactly():
    diffusion = Diffusion()
    assert float(diffusion.snr_B(torch.tensor([STEPS - 1]))) == 0
    latent, noise = torch.full((1, 2, 4, 3, 3), 7.0), torch.randn(1, 2, 4, 3, 3)
    step_B = torch.tensor([STEPS - 1])
    assert torch.equal(diffusion.noisy(latent, noise, step_B), noise)
    assert torch.equal(diffusion.velocity(latent, noise, step_B), -latent)


@pytest.mark.parametrize("step", [0, 1, 500, 998])
def test_signal_to_noise_is_that_of_the_rescaled_schedule(step: int):
    found = float(Diffusion().snr_B(torch.tensor([step])))
    assert found == pytest.approx(kept(step) / (1 - kept(step)), rel=2e-3)


def test_sampling_begins_at_the_last_step():
    ddim = scheduler()
    ddim.set_timesteps(10)
    assert int(ddim.timesteps[0]) == STEPS - 1


def test_latent_and_noise_come_back_from_the_noisy_latent_and_the_velocity():
    diffusion, generator = Diffusion(), torch.Generator().manual_seed(3)
    latent = torch.randn(5, 2, 4, 3, 3, generator=generator)
    noise = torch.randn(5, 2, 4, 3, 3, generator=generator)
    step_B = torch.tensor([0, 250, 500, 750, 999])
    noisy, velocity = diffusion.noisy(latent, noise, step_B), diffusion.velocity(latent, noise, step_B)
    snr_B = diffusion.snr_B(step_B).view(-1, 1, 1, 1, 1)
    a = snr_B / (1 + snr_B)
    assert torch.allclose(a.sqrt() * noisy - (1 - a).sqrt() * velocity, latent, atol=1e-5)
    assert torch.allclose((1 - a).sqrt() * noisy + a.sqrt() * velocity, noise, atol=1e-5)


def test_weights_are_min_snr_for_velocities_and_finite_everywhere():
    diffusion = Diffusion(DiffusionConfig(min_snr=5.0))
    weight_B, snr_B = diffusion.weights_B(ALL_B), diffusion.snr_B(ALL_B)
    assert torch.isfinite(weight_B).all()
    assert torch.allclose(weight_B, torch.minimum(snr_B + 1, torch.tensor(5.0)) / (snr_B + 1))
    assert float(weight_B[-1]) == 1
    assert bool((weight_B[snr_B > 4] < 1).all())


def test_offset_is_one_number_a_sample_and_channel_over_all_frames():
    shape = (2, 5, 4, 6, 8)
    with_, without = (
        Diffusion(DiffusionConfig(noise_offset=scale)).noise(torch.Generator().manual_seed(1), shape)
        for scale in (0.5, 0.0)
    )
    offset = with_ - without
    assert torch.allclose(offset, offset[:, :1, :, :1, :1].expand(shape), atol=1e-6)
    assert len(offset[:, 0, :, 0, 0].unique()) == 8


def test_offset_of_folded_latents_is_still_one_number_over_the_picture():
    def offset(scale: float) -> torch.Tensor:
        config = DiffusionConfig(noise_offset=scale)
        folded = Diffusion(config, fold=2).noise(torch.Generator().manual_seed(1), (3, 8, 6, 8))
        return torch.nn.functional.pixel_shuffle(folded, 2)

    found_TLHW = offset(1.0) - offset(0.0)
    assert torch.allclose(found_TLHW, found_TLHW[:1, :, :1, :1].expand_as(found_TLHW), atol=1e-6)
    assert float((found_TLHW[0, 0] - found_TLHW[0, 1]).abs().min()) > 0.01


def test_a_slot_draws_alike_whatever_the_other_slots_are():
    wanted = draw(tiny(), 2, 7, range(4))
    for slots in ([0, 2], [1, 3], [3]):
        found = draw(tiny(), 2, 7, slots)
        assert torch.equal(found.step_B, wanted.step_B[slots])
        assert torch.equal(found.noise_BTLHW, wanted.noise_BTLHW[slots])
        assert torch.equal(found.keep.audio_B, wanted.keep.audio_B[slots])


def test_seed_stage_and_step_each_change_the_draw():
    wanted = draw(tiny(), 2, 7, [0]).noise_BTLHW
    other = [(tiny(), 2, 8), (tiny("seed=1"), 2, 7), (tiny("stage1.frames=2"), 1, 7)]
    assert all(not torch.equal(draw(r, stage, step, [0]).noise_BTLHW, wanted) for r, stage, step in other)


def test_dropped_conditions_are_the_sets_that_guidance_contrasts():
    keep = draw(tiny("diffusion.drop=0.25", "stage2.frames=1"), 2, 0, range(600)).keep
    kept = [
        tuple(bool(k) for k in sample)
        for sample in zip(keep.reference_B, keep.pose_B, keep.audio_B, strict=True)
    ]
    for which in ((False,) * 3, (True, False, False), (True, True, False), (True,) * 3):
        assert kept.count(which) / len(kept) == pytest.approx(0.25, abs=0.06), which
    never = draw(tiny("diffusion.drop=0.0", "stage2.frames=1"), 2, 0, range(50)).keep
    assert bool(never.reference_B.all() and never.pose_B.all() and never.audio_B.all())


def test_low_steps_are_left_out_where_the_recipe_says_so():
    drawn_B = draw(tiny("diffusion.least_step=400", "stage2.frames=1"), 2, 0, range(400)).step_B
    assert 400 <= int(drawn_B.min()) < 420
    assert 980 < int(drawn_B.max()) <= 999
    assert int(draw(tiny("diffusion.least_step=0", "stage2.frames=1"), 2, 0, range(400)).step_B.min()) < 20


def test_faces_weigh_more_and_the_border_nothing():
    place_BTHW = places_BTHW(batch(), 4.0, (8, 16))
    assert place_BTHW.shape == (2, 2, 8, 16)
    assert bool((place_BTHW[:, 0, :4, :4] == 4).all() and (place_BTHW[:, 1, :, :8] == 1).all())
    assert bool((place_BTHW[..., 8:] == 0).all())


def test_two_faces_on_one_place_weigh_as_one_and_nobody_weighs_as_no_face():
    assert torch.equal(places_BTHW(batch(faces=2), 4.0, (8, 16)), places_BTHW(batch(), 4.0, (8, 16)))
    nobody_BTHW = places_BTHW(batch(faces=0), 4.0, (8, 16))
    assert nobody_BTHW.shape == (2, 2, 8, 16)
    assert bool((nobody_BTHW[..., :8] == 1).all())


def test_loss_is_the_weighted_mean_of_the_squared_error():
    settings, shown = tiny("diffusion.face_weight=4.0"), batch()
    diffusion, draws = Diffusion(settings.diffusion), draw(settings, 2, 0, range(2))
    latent = Pooled().encode(shown.frames_BTCHW.flatten(0, 1)).unflatten(0, (2, 2))
    target = diffusion.velocity(latent, draws.noise_BTLHW, draws.step_B)

    def off_by_place(noisy, step_B, batch, reference, moved, keep):
        wrong = target.clone()
        wrong[:, 0, :, :4, :4] += 1  # in the face
        wrong[:, 1, :, :, 8:] += 100  # on the border
        return wrong

    found_B = loss_B(off_by_place, Pooled(), shown, draws, diffusion)
    cells = 2 * 8 * 8
    wanted_B = diffusion.weights_B(draws.step_B) * (4 * 16) / (cells + 3 * 16)
    assert torch.allclose(found_B, wanted_B, rtol=1e-5)
    assert float(loss_B(lambda *_: target, Pooled(), shown, draws, diffusion).sum()) == 0
