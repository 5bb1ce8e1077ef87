"""The two U-Nets of AnimateAnyone and CovOG, on diffusers' classes, from random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from mitds.baselines.recipe import Recipe


def random_unets(recipe: Recipe) -> tuple[Any, Any]:
    """Return the reference U-Net and the denoiser of a recipe, with random weights; motion starts as identity."""
    trunk, latents = recipe.trunk, recipe.latents
    shared = {
        "out_channels": latents,
        "block_out_channels": trunk.channels,
        "layers_per_block": trunk.layers,
        "cross_attention_dim": trunk.cross_dim,
        "norm_num_groups": trunk.groups,
    }
    reference_unet: Any = UNet2DConditionModel
    motion_unet: Any = UNetMotionModel
    reference = reference_unet(
        in_channels=latents,
        attention_head_dim=trunk.heads,
        down_block_types=_kinds(trunk.attention, "DownBlock2D"),
        up_block_types=_kinds(trunk.attention[::-1], "UpBlock2D"),
        **shared,
    )
    denoiser = motion_unet(
        in_channels=latents * (2 if trunk.reference_input else 1),
        num_attention_heads=trunk.heads,
        motion_num_attention_heads=trunk.motion_heads,
        motion_max_seq_length=trunk.motion_length,
        down_block_types=_kinds(trunk.attention, "DownBlockMotion"),
        up_block_types=_kinds(trunk.attention[::-1], "UpBlockMotion"),
        **shared,
    )
    for name, module in denoiser.named_modules():
        if name.endswith("proj_out") and "motion_modules" in name:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return reference, denoiser


def _kinds(attention: tuple[bool, ...], plain: str) -> tuple[str, ...]:
    return tuple(f"CrossAttn{plain}" if attends else plain for attends in attention)


def still_without_motion(denoiser: nn.Module) -> None:
    """Leave motion modules out where a sample is one picture, as stage 1 of the papers has none of them."""
    motion: list[Any] = [m for m in denoiser.modules() if isinstance(m, AnimateDiffTransformer3D)]
    for module in motion:
        module.forward = partial(_moved, module.forward)


def _moved(
    move: Callable[..., Tensor],
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None = None,
    timestep: Tensor | None = None,
    class_labels: Tensor | None = None,
    num_frames: int = 1,
    cross_attention_kwargs: dict[str, Any] | None = None,
) -> Tensor:
    if num_frames == 1:
        return hidden_states
    return move(
        hidden_states, encoder_hidden_states, timestep, class_labels, num_frames, cross_attention_kwargs
    )
