"""CovOG, and AnimateAnyone as the same trunk without MPE and IAD."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mitds.baselines.contracts import Batch, Keep
from mitds.baselines.networks.iad import AudioProjector, VoiceBlock, voice_weights
from mitds.baselines.networks.images import ImageToken
from mitds.baselines.networks.mpe import PoseEncoder
from mitds.baselines.networks.prior import ReferencePrior, repeated, shown
from mitds.baselines.networks.reference import Features, Sight, read_into, write_from
from mitds.baselines.networks.trunk import random_unets, still_without_motion
from mitds.baselines.recipe import Recipe


@dataclass(slots=True)
class Given:
    """What depends on the conditions alone.

    Attributes:
        reference_BLHW: Latent of the reference.
        moved_BTLHW: Latent of the reference with its faces where the frames have them, or of it as it is.
        image_B1D: Its image token.
        reference_pose_BCHW: What the reference's poses add to its U-Net.
        pose_BTCHW: What the frames' poses add to the denoiser.
        tokens_BTNMD: Audio tokens; N = 0 in models without voices.
        face_BNTHW: Face masks.
        gate_BNT: Who speaks.
        seen: The reference's features by which samples kept their poses; filled while no gradient is asked for.
    """

    reference_BLHW: Tensor
    moved_BTLHW: Tensor
    image_B1D: Tensor
    reference_pose_BCHW: Tensor
    pose_BTCHW: Tensor
    tokens_BTNMD: Tensor
    face_BNTHW: Tensor
    gate_BNT: Tensor
    seen: dict[tuple[bool, ...], Features] = field(default_factory=dict)


class Covog(nn.Module):
    """Reference U-Net, denoiser with motion modules, MPE and IAD.

    diffusers' U-Nets run as they are: poses are added by a hook on their first layers, voices by hooks on the
    blocks after which the paper puts them.

    Args:
        recipe: What to build; `recipe.design` says with or without MPE and IAD.
        sound: D of the sound features.
    """

    def __init__(self, recipe: Recipe, sound: int) -> None:
        super().__init__()
        design, trunk, channels = recipe.design, recipe.trunk, recipe.trunk.channels
        self.design, self.reference_input = design, trunk.reference_input
        self.reference, self.denoiser, self.image = _pretrained(recipe) or _random(recipe)
        encoders = [
            PoseEncoder(channels[0], recipe.pose, mpe=design.mpe, double_count=design.published.double_count)
            for _ in range(2)
        ]
        self.pose, self.reference_pose = encoders
        self.prior = ReferencePrior(trunk.reference_spread)
        self.has_voices = design.iad and not design.published.audio_off
        if self.has_voices:
            self.audio = AudioProjector(sound * (2 * recipe.audio.context + 1), recipe.audio)
            self.voices = nn.ModuleDict(self._voice_blocks(recipe))
        self._written = write_from(self.reference)
        self._sight = Sight()
        self._given: Given | None = None
        self._keep: Keep | None = None
        self._heard = False
        self._pose_BCHW: Tensor | None = None
        self.reference.conv_in.register_forward_hook(self._add_reference_pose)
        self.denoiser.conv_in.register_forward_hook(self._add_pose)
        read_into(self.denoiser, self._sight)
        if trunk.checkpointing:
            self.reference.enable_gradient_checkpointing()
            self.denoiser.enable_gradient_checkpointing()
        still_without_motion(self.denoiser)

    def _voice_blocks(self, recipe: Recipe) -> dict[str, VoiceBlock]:
        """Make the voice blocks and hang them behind their U-Net blocks."""
        widths = recipe.trunk.channels
        places = {f"down_{i}": (self.denoiser.down_blocks[i], widths[i]) for i in recipe.trunk.iad_down}
        places |= {f"up_{i}": (self.denoiser.up_blocks[i], widths[-1 - i]) for i in recipe.trunk.iad_up}
        for name, (block, _) in places.items():
            block.register_forward_hook(partial(self._add_voices, name))
        return {
            name: VoiceBlock(width, recipe.audio.token_dim, recipe.trunk.groups)
            for name, (_, width) in places.items()
        }

    def prepare(self, batch: Batch, reference_BLHW: Tensor, moved_BTLHW: Tensor | None = None) -> Given:
        """Return what depends on the conditions alone; see `contracts.Network.prepare`."""
        b, n, t = batch.gate_BNT.shape
        if self.has_voices and n:
            tokens_XMD = self.audio(batch.sound_BNTCD.transpose(1, 2).flatten(0, 2))
            tokens_BTNMD = tokens_XMD.unflatten(0, (b, t, n))
        else:
            tokens_BTNMD = reference_BLHW.new_zeros(b, t, 0, 1, 1)
        return Given(
            reference_BLHW=reference_BLHW,
            moved_BTLHW=repeated(reference_BLHW, t) if moved_BTLHW is None else moved_BTLHW,
            image_B1D=self.image(batch.reference_BCHW, reference_BLHW),
            reference_pose_BCHW=self.reference_pose(batch.reference_skeleton_BNCHW[:, :, None])[:, 0],
            pose_BTCHW=self.pose(batch.skeleton_BNTCHW),
            tokens_BTNMD=tokens_BTNMD,
            face_BNTHW=batch.face_BNTHW,
            gate_BNT=batch.gate_BNT * batch.present_BN[..., None],
        )

    def forward(self, noisy_BTLHW: Tensor, step_B: Tensor, given: Given, keep: Keep) -> Tensor:
        """Return the predicted velocity; see `contracts.Network.__call__`."""
        frames = noisy_BTLHW.shape[1]
        unguarded = self.design.published.reference_in_both and not self.training
        looks_B = torch.ones_like(keep.reference_B) if unguarded else keep.reference_B
        # Asked once a pass and not in each layer: every answer waits for a GPU.
        looks = looks_B.tolist()
        self._sight.features = self._look(given, keep) if any(looks) else None
        self._sight.hidden_B, self._sight.frames = None if all(looks) else ~looks_B, frames
        self._given, self._keep, self._heard = given, keep, any(keep.audio_B.tolist())
        shown_BTLHW = shown(given.reference_BLHW, given.moved_BTLHW, looks_B, keep.pose_B)
        looked_BTLHW = torch.cat([noisy_BTLHW, shown_BTLHW], dim=2) if self.reference_input else noisy_BTLHW
        image_X1D = (given.image_B1D * _column(keep.reference_B, 3)).repeat_interleave(frames, dim=0)
        (out_BLTHW,) = self.denoiser(looked_BTLHW.transpose(1, 2), step_B, image_X1D, return_dict=False)
        self._given = self._keep = None
        velocity: Tensor = self.prior(out_BLTHW.transpose(1, 2), noisy_BTLHW, step_B, shown_BTLHW, looks_B)
        return velocity

    def parts(self, stage: int) -> list[str]:
        """Return the parameters of a stage: motion and voices in stage 2, all others in stage 1."""
        late = ("audio.", "voices.")
        return [
            name
            for name, _ in self.named_parameters()
            if ("motion_modules" in name or name.startswith(late)) == (stage == 2)
        ]

    def _look(self, given: Given, keep: Keep) -> Features:
        """Return the reference's features: its U-Net runs once for each set of samples that keep their poses."""
        which = tuple(keep.pose_B.tolist())
        if which in given.seen:
            return given.seen[which]
        self._pose_BCHW = given.reference_pose_BCHW * _column(keep.pose_B, 4)
        step_B = torch.zeros(len(which), dtype=torch.long, device=given.reference_BLHW.device)
        self.reference(given.reference_BLHW, step_B, given.image_B1D, return_dict=False)
        self._pose_BCHW = None
        features = dict(self._written)
        self._written.clear()
        if not torch.is_grad_enabled():
            given.seen[which] = features
        return features

    def _add_reference_pose(self, _module: nn.Module, _inputs: Any, out_BCHW: Tensor) -> Tensor:
        return out_BCHW if self._pose_BCHW is None else out_BCHW + self._pose_BCHW

    def _add_pose(self, _module: nn.Module, _inputs: Any, out_XCHW: Tensor) -> Tensor:
        if self._given is None or self._keep is None:
            return out_XCHW
        pose_BTCHW = self._given.pose_BTCHW * _column(self._keep.pose_B, 5)
        return out_XCHW + pose_BTCHW.flatten(0, 1)

    def _add_voices(self, name: str, _module: nn.Module, _inputs: Any, out: Any) -> Any:
        """Let voices into the output of a block: its feature map; what it hands to the other side stays."""
        given, keep = self._given, self._keep
        if given is None or keep is None or not self._heard:
            return out
        hidden_XCHW, *rest = out if isinstance(out, tuple) else (out,)
        gate_BNT = given.gate_BNT * _column(keep.audio_B, 3)
        size = (hidden_XCHW.shape[2], hidden_XCHW.shape[3])
        weight_XNHW = voice_weights(given.face_BNTHW, gate_BNT, size)
        heard_XCHW = self.voices[name](hidden_XCHW, given.tokens_BTNMD.flatten(0, 1), weight_XNHW)
        return (heard_XCHW, *rest) if isinstance(out, tuple) else heard_XCHW


def _column(keep_B: Tensor, axes: int) -> Tensor:
    return keep_B.view(-1, *[1] * (axes - 1)).float()


def _random(recipe: Recipe) -> tuple[Any, Any, nn.Module]:
    return *random_unets(recipe), ImageToken(recipe.latents, recipe.trunk.cross_dim)


def _pretrained(recipe: Recipe) -> tuple[Any, Any, nn.Module] | None:
    """Return U-Nets and image encoder from where the recipe says; None where it starts from random weights."""
    if not recipe.trunk.source:
        return None
    from mitds.baselines.networks.pretrained import load_image_encoder, load_unets

    return *load_unets(recipe.trunk), load_image_encoder(recipe.trunk)
