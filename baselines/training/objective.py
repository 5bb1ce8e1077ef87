"""One sample's draws and its loss; every draw is a function of seed, stage, step and slot alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mitds.baselines.contracts import Batch, Keep
from mitds.baselines.diffusion import STEPS, Diffusion
from mitds.baselines.recipe import Recipe
from mitds.config import digest


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance decides for a batch.

    Attributes:
        step_B: Diffusion steps.
        noise_BTLHW: Noise, offset included.
        keep: Which conditions are kept.
    """

    step_B: Tensor
    noise_BTLHW: Tensor
    keep: Keep


def seed_of(*parts: int | str) -> int:
    """Return a seed that is a function of all parts."""
    return int(digest(*parts), 16) >> 1


def draw(recipe: Recipe, stage: int, step: int, slots: Sequence[int]) -> Draws:
    """Draw for the slots of a step; a slot's draw depends neither on the other slots nor on the steps before.

    Args:
        recipe: Seed, shapes and probabilities.
        stage: 1 or 2.
        step: Optimiser step within the stage.
        slots: Places in the batch over all processes.
    """
    diffusion = Diffusion(recipe.diffusion, recipe.autoencoder.fold)
    frames = (recipe.stage1 if stage == 1 else recipe.stage2).frames
    shape = (frames, recipe.latents, *recipe.latent_size)
    steps, keeps, noises = [], [], []
    for slot in slots:
        generator = torch.Generator().manual_seed(seed_of("draw", recipe.seed, stage, step, slot))
        steps.append(torch.randint(recipe.diffusion.least_step, STEPS, (), generator=generator))
        keeps.append(kept_3(torch.rand((), generator=generator), recipe.diffusion.drop))
        noises.append(diffusion.noise(generator, shape))
    keep_3B = torch.stack(keeps, dim=1)
    return Draws(torch.stack(steps), torch.stack(noises), Keep(keep_3B[0], keep_3B[1], keep_3B[2]))


def kept_3(chance: Tensor, drop: float) -> Tensor:
    """Return whether reference, pose and audio are kept: the very sets that guidance contrasts are what is dropped.

    Args:
        chance: Uniform in 0..1.
        drop: Probability of each of three sets: everything, poses and voices, voices alone.
    """
    return chance >= drop * torch.tensor([1.0, 2.0, 3.0])


class Denoising(nn.Module):
    """A network's two calls as one, so that what spreads a module over processes sees all of them.

    Args:
        network: A `contracts.Network`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        noisy_BTLHW: Tensor,
        step_B: Tensor,
        batch: Batch,
        reference_BLHW: Tensor,
        moved_BTLHW: Tensor | None,
        keep: Keep,
    ) -> Tensor:
        """Return the predicted velocity v_BTLHW."""
        given = cast(Any, self.network).prepare(batch, reference_BLHW, moved_BTLHW)
        velocity: Tensor = self.network(noisy_BTLHW, step_B, given, keep)
        return velocity


def loss_B(
    denoise: nn.Module, autoencoder: nn.Module, batch: Batch, draws: Draws, diffusion: Diffusion
) -> Tensor:
    """Return each sample's loss: squared error of the velocity, weighted by step and by place.

    Args:
        denoise: `Denoising`, bare or prepared for several processes.
        autoencoder: Pictures to latents; no gradient flows into it.
        batch: With frames, on the device of the networks.
        draws: On any device.
        diffusion: The forward process.
    """
    device, frames_BTCHW = batch.reference_BCHW.device, cast(Tensor, batch.frames_BTCHW)
    step_B, noise_BTLHW = draws.step_B.to(device), draws.noise_BTLHW.to(device)
    keep = Keep(*(k.to(device) for k in (draws.keep.reference_B, draws.keep.pose_B, draws.keep.audio_B)))
    with torch.no_grad():
        latent_BTLHW = encoded(autoencoder, frames_BTCHW)
        reference_BLHW = cast(Any, autoencoder).encode(batch.reference_BCHW)
        moved_BTLHW = None if batch.moved_BTCHW is None else encoded(autoencoder, batch.moved_BTCHW)
    noisy_BTLHW = diffusion.noisy(latent_BTLHW, noise_BTLHW, step_B)
    found_BTLHW = denoise(noisy_BTLHW, step_B, batch, reference_BLHW, moved_BTLHW, keep).float()
    error_BTHW = (found_BTLHW - diffusion.velocity(latent_BTLHW, noise_BTLHW, step_B)).square().mean(dim=2)
    size_HW = (error_BTHW.shape[-2], error_BTHW.shape[-1])
    place_BTHW = places_BTHW(batch, diffusion.config.face_weight, size_HW)
    mean_B: Tensor = (error_BTHW * place_BTHW).sum(dim=(1, 2, 3)) / place_BTHW.sum(dim=(1, 2, 3))
    return diffusion.weights_B(step_B) * mean_B


def encoded(autoencoder: nn.Module, frames_BTCHW: Tensor) -> Tensor:
    """Return latent_BTLHW of pictures: RGB, -1..1."""
    latent_XLHW: Any = cast(Any, autoencoder).encode(frames_BTCHW.flatten(0, 1))
    latent_BTLHW: Tensor = latent_XLHW.unflatten(0, frames_BTCHW.shape[:2])
    return latent_BTLHW


def places_BTHW(batch: Batch, face_weight: float, size_HW: tuple[int, int]) -> Tensor:
    """Return how much each latent cell counts: `face_weight` in faces, 1 elsewhere, 0 on the border.

    A cell that lies partly in a face, or partly on the border that only fills up the picture's shape, counts by its
    share of area.
    """
    inside_BHW = _cells(batch.inside_BHW, size_HW)
    n, (b, t) = batch.face_BNTHW.shape[1], batch.gate_BNT.shape[::2]
    if not n:
        return inside_BHW[:, None].expand(b, t, *size_HW)
    face_BTHW = _cells(batch.face_BNTHW.flatten(0, 2), size_HW).view(b, n, t, *size_HW).amax(dim=1)
    return inside_BHW[:, None] * (1 + (face_weight - 1) * face_BTHW)


def _cells(mask_XHW: Tensor, size_HW: tuple[int, int]) -> Tensor:
    share_XHW: Tensor = adaptive_avg_pool2d(mask_XHW.float(), size_HW)
    return share_XHW
