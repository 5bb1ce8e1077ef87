"""ControlSVD: an image-to-video U-Net (Blattmann et al., Stable Video Diffusion, 2023) with pose control.

diffusers' U-Net runs as it is; poses are added by a hook on its first layer. Like all baselines it predicts velocity
at the steps of one shared noise schedule. SVD itself draws noise levels after EDM (Karras et al., 2022), yet its
preconditioning is this velocity: with data of unit variance both say x0 = (x - sigma * v) / sqrt(1 + sigma^2) of
a noisy x that is scaled to unit variance. So its weights stay right where its clock, a quarter of log sigma, is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.resnet import AlphaBlender
from torch import Tensor, nn

from mitds.baselines.contracts import Batch, Keep
from mitds.baselines.diffusion import STEPS, scheduler
from mitds.baselines.networks.images import ImageToken
from mitds.baselines.networks.mpe import PoseEncoder
from mitds.baselines.networks.pretrained import load_image_encoder, load_svd_unet
from mitds.baselines.networks.prior import ReferencePrior, repeated, shown
from mitds.baselines.recipe import Recipe
from mitds.config import require

_GROUPS = 32  # of every group normalisation in diffusers' class
_MICRO = (24.0, 127.0, 0.0)  # SVD's frames/s - 1, amount of motion, and noise on the reference
_LARGEST_SIGMA = 700.0  # SVD's own; the schedule ends at infinity
_PLAIN_LATENT = 1 / 0.18215  # SVD sees the reference's latent before it is scaled to unit variance
_TEMPORAL = ("temporal_", "time_mixer", "time_pos_embed")
_LAST_OF_BRANCH = (
    "temporal_res_block.conv2", "attn1.to_out.0", "attn2.to_out.0",
    "ff_in.net.2", "ff.net.2", "time_pos_embed.linear_2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """What depends on the conditions alone.

    Attributes:
        reference_BLHW: Latent of the reference, as the U-Net is to see it.
        moved_BTLHW: The same with its faces where the frames have them, or as it is.
        image_B1D: Its image token.
        pose_BTCHW: What the frames' poses add to the first feature map.
    """

    reference_BLHW: Tensor
    moved_BTLHW: Tensor
    image_B1D: Tensor
    pose_BTCHW: Tensor


class ControlSvd(nn.Module):
    """SVD's U-Net: noisy and reference latent in, the reference's token as context, poses added; no voices.

    A single frame passes the temporal layers by, as images do in SVD.

    Args:
        recipe: What to build; `recipe.trunk.source` names weights, or nothing.
    """

    clock_S: Tensor
    micro_3: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        trunk, latents = recipe.trunk, recipe.latents
        self.unet: Any = load_svd_unet(trunk) if trunk.source else random_unet(recipe)
        self.image = load_image_encoder(trunk) if trunk.image_source else ImageToken(latents, trunk.cross_dim)
        if trunk.checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.pose = PoseEncoder(trunk.channels[0], recipe.pose, mpe=False)
        self.register_buffer(
            "clock_S", _log_sigma_S() if trunk.source else torch.arange(STEPS), persistent=False
        )
        self.prior = ReferencePrior(trunk.reference_spread)
        self.register_buffer("micro_3", torch.tensor(_MICRO), persistent=False)
        self._scale = _PLAIN_LATENT if trunk.source else 1.0
        self._pose_XCHW: Tensor | None = None
        self.unet.conv_in.register_forward_hook(self._add_pose)
        for module in self.unet.modules():
            if isinstance(module, AlphaBlender):
                module.register_forward_pre_hook(_pass_by_alone, with_kwargs=True)

    def prepare(self, batch: Batch, reference_BLHW: Tensor, moved_BTLHW: Tensor | None = None) -> Given:
        """Return what depends on the conditions alone; see `contracts.Network.prepare`."""
        if moved_BTLHW is None:
            moved_BTLHW = repeated(reference_BLHW, batch.gate_BNT.shape[2])
        return Given(
            reference_BLHW=reference_BLHW * self._scale,
            moved_BTLHW=moved_BTLHW * self._scale,
            image_B1D=self.image(batch.reference_BCHW, reference_BLHW),
            pose_BTCHW=self.pose(batch.skeleton_BNTCHW),
        )

    def forward(self, noisy_BTLHW: Tensor, step_B: Tensor, given: Given, keep: Keep) -> Tensor:
        """Return the predicted velocity; see `contracts.Network.__call__`."""
        shown_BTLHW = shown(given.reference_BLHW, given.moved_BTLHW, keep.reference_B, keep.pose_B)
        self._pose_XCHW = (given.pose_BTCHW * keep.pose_B[:, None, None, None, None]).flatten(0, 1)
        (out_BTLHW,) = self.unet(
            torch.cat([noisy_BTLHW, shown_BTLHW], dim=2),
            self.clock_S[step_B],
            given.image_B1D * keep.reference_B[:, None, None],
            self.micro_3.expand(len(noisy_BTLHW), -1),
            return_dict=False,
        )
        self._pose_XCHW = None
        velocity: Tensor = self.prior(out_BTLHW, noisy_BTLHW, step_B, shown_BTLHW, keep.reference_B)
        return velocity

    def parts(self, stage: int) -> list[str]:
        """Return the parameters of a stage: temporal layers in stage 2, all others in stage 1; CLIP in neither."""
        return [
            name
            for name, _ in self.named_parameters()
            if any(mark in name for mark in _TEMPORAL) == (stage == 2) and not name.startswith("image.clip.")
        ]

    def _add_pose(self, _module: nn.Module, _inputs: Any, out_XCHW: Tensor) -> Tensor:
        return out_XCHW if self._pose_XCHW is None else out_XCHW + self._pose_XCHW


def random_unet(recipe: Recipe) -> Any:
    """Return diffusers' U-Net of a recipe with random weights, in which temporal layers start as identity.

    Raises:
        UsageError: If group normalisation cannot divide its channels.
    """
    trunk, latents = recipe.trunk, recipe.latents
    divides = all(channels % _GROUPS == 0 for channels in trunk.channels)
    require(divides, "trunk.channels", trunk.channels, f"multiples of {_GROUPS}")
    kind: Any = UNetSpatioTemporalConditionModel
    unet = kind(
        in_channels=2 * latents,
        out_channels=latents,
        down_block_types=_kinds(trunk.attention, "DownBlockSpatioTemporal"),
        up_block_types=_kinds(trunk.attention[::-1], "UpBlockSpatioTemporal"),
        block_out_channels=trunk.channels,
        layers_per_block=trunk.layers,
        cross_attention_dim=trunk.cross_dim,
        num_attention_heads=trunk.heads,
    )
    for name, module in unet.named_modules():
        if any(mark in name for mark in _TEMPORAL) and name.endswith(_LAST_OF_BRANCH):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return unet


def _kinds(attention: tuple[bool, ...], plain: str) -> tuple[str, ...]:
    return tuple(f"CrossAttn{plain}" if attends else plain for attends in attention)


def _log_sigma_S() -> Tensor:
    """Return SVD's clock at each step: a quarter of the logarithm of noise over signal."""
    kept_S = scheduler().alphas_cumprod
    sigma_S = ((1 - kept_S) / kept_S).sqrt().clamp(max=_LARGEST_SIGMA)
    clock_S: Tensor = sigma_S.log() / 4
    return clock_S


def _pass_by_alone(
    _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Tell a blender that a single frame is an image: only its spatial input counts then."""
    images_BT = kwargs["image_only_indicator"]
    if images_BT.shape[1] == 1:
        images_BT = torch.ones_like(images_BT)
    return args, {**kwargs, "image_only_indicator": images_BT}
