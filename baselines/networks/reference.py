"""Reference attention: the denoiser's spatial self-attention also looks at the reference frame's tokens.

A reference U-Net runs on the clean reference and writes the input of each of its self-attention layers; the layer
of the same name in the denoiser reads them as further keys and values (Hu et al., Animate Anyone, 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

SELF_ATTENTION = "attn1.processor"

Features = dict[str, Tensor]
"""Normed tokens_BSC of the reference by name of the layer."""


class Writer(AttnProcessor2_0):
    """Plain attention that notes what it was asked about.

    Args:
        name: Name of the layer.
        features: Where to note it.
    """

    def __init__(self, name: str, features: Features) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self._features = name, features

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Attend, and note the tokens."""
        self._features[self._name] = hidden_states
        out: Tensor = super().__call__(attn, hidden_states, *args, **kwargs)
        return out


class Sight:
    """What the readers see of the reference in the pass that runs; one object for all layers of a denoiser.

    Attributes:
        features: Tokens by layer; None hides the reference from all samples.
        hidden_B: From which samples it is hidden; None where all see it.
        frames: T; each frame of a sample sees the same tokens.
    """

    def __init__(self) -> None:
        self.features: Mapping[str, Tensor] | None = None
        self.hidden_B: Tensor | None = None
        self.frames = 1

    def of(self, name: str) -> Tensor | None:
        """Return tokens_XSC of a layer for X = B * T pictures, or None where nobody may look."""
        if self.features is None:
            return None
        return self.features[name].repeat_interleave(self.frames, dim=0)

    def mask(self, own: int, seen: int) -> Tensor | None:
        """Return what to add to attention scores, X1K over own and seen keys; None where all samples look."""
        if self.hidden_B is None:
            return None
        added_B = torch.where(self.hidden_B, float("-inf"), 0.0)
        mask_BK = torch.cat([added_B.new_zeros(len(added_B), own), added_B[:, None].expand(-1, seen)], dim=1)
        return mask_BK.repeat_interleave(self.frames, dim=0)[:, None]


class Reader(AttnProcessor2_0):
    """Self-attention over a picture's own tokens and those of the reference.

    Args:
        name: Name of the layer.
        sight: What may be seen.
    """

    def __init__(self, name: str, sight: Sight) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self._sight = name, sight

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Attend; where the reference is hidden, exactly as if there were none."""
        seen_XSC = self._sight.of(self._name)
        if seen_XSC is not None:
            encoder_hidden_states = torch.cat([hidden_states, seen_XSC.to(hidden_states.dtype)], dim=1)
            attention_mask = self._sight.mask(hidden_states.shape[1], seen_XSC.shape[1])
            if attention_mask is not None:
                attention_mask = attention_mask.to(hidden_states.dtype)
        out: Tensor = super().__call__(
            attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs
        )
        return out


def write_from(unet: nn.Module) -> Features:
    """Let a U-Net write its self-attention inputs; each pass fills the returned mapping anew."""
    features: Features = {}
    _set(unet, lambda name: Writer(name, features))
    return features


def read_into(unet: nn.Module, sight: Sight) -> None:
    """Let the spatial self-attention of a denoiser look at what `sight` holds."""
    _set(unet, lambda name: Reader(name, sight))


def _set(unet: Any, make: Any) -> None:
    """Replace the processors of spatial self-attention; those of motion modules stay."""
    unet.set_attn_processor(
        {
            name: make(name) if name.endswith(SELF_ATTENTION) and "motion_modules" not in name else processor
            for name, processor in unet.attn_processors.items()
        }
    )
