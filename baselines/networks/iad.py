"""IAD: voices into faces. Each person's audio tokens enter that person's face, as far as that person speaks."""

from __future__ import annotations

from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from mitds.baselines.conditions.regions import face_levels
from mitds.baselines.recipe import AudioConfig


class AudioProjector(nn.Module):
    """Features of sound around a frame to audio tokens.

    Args:
        inputs: C * D numbers a frame.
        config: Tokens and widths.
    """

    def __init__(self, inputs: int, config: AudioConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.tokens * config.token_dim),
        )
        self.norm = nn.LayerNorm(config.token_dim)

    def forward(self, sound_XCD: Tensor) -> Tensor:
        """Return tokens_XMD."""
        said: Tensor = self.norm(self.layers(sound_XCD.flatten(1)).unflatten(1, (self.tokens, -1)))
        return said


class VoiceBlock(nn.Module):
    """One place where voices come in: cross-attention of a feature map to each person's tokens.

    What it adds is weighted by gate and face: zero for the silent, zero outside faces, and zero everywhere
    before training, because the last layer starts at zero and has no bias.

    Args:
        channels: Of the feature map.
        token_dim: Numbers of an audio token.
        groups: Of group normalisation.
    """

    def __init__(self, channels: int, token_dim: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.proj_in = nn.Linear(channels, channels)
        self.query_norm = nn.LayerNorm(channels)
        self.attention = Attention(
            channels, cross_attention_dim=token_dim, heads=1, dim_head=channels, out_bias=False
        )
        self.ff_norm = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.proj_out = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.proj_out.weight)

    def forward(self, hidden_XCHW: Tensor, tokens_XNMD: Tensor, weight_XNHW: Tensor) -> Tensor:
        """Return the feature map with voices in it.

        Args:
            hidden_XCHW: Feature map of X pictures.
            tokens_XNMD: Audio tokens of each person.
            weight_XNHW: Gate times share of the cell that is this person's face, 0..1.
        """
        x, n = tokens_XNMD.shape[:2]
        if not n:
            return hidden_XCHW
        tokens_XSC = self.proj_in(self.norm(hidden_XCHW).flatten(2).transpose(1, 2))
        asked = self.query_norm(tokens_XSC).repeat_interleave(n, dim=0)
        heard_XNSC = self.attention(asked, tokens_XNMD.flatten(0, 1)).unflatten(0, (x, n))
        weight_XNS1 = weight_XNHW.flatten(2)[..., None].to(heard_XNSC.dtype)
        mixed_XSC = (heard_XNSC * weight_XNS1).sum(dim=1)
        mixed_XSC = mixed_XSC + weight_XNS1.sum(dim=1) * self.ff(self.ff_norm(mixed_XSC))
        added_XCS: Tensor = self.proj_out(mixed_XSC).transpose(1, 2)
        return hidden_XCHW + added_XCS.view(hidden_XCHW.shape)


def voice_weights(face_BNTHW: Tensor, gate_BNT: Tensor, size: tuple[int, int]) -> Tensor:
    """Return weight_XNHW for X = B * T pictures at one level: gate times face, at most 1 over all persons.

    Args:
        face_BNTHW: Face masks at the picture's size.
        gate_BNT: How surely each person speaks.
        size: Height and width of the level.
    """
    (share_BNThw,) = face_levels(face_BNTHW, [size])
    share_BNThw = share_BNThw / share_BNThw.sum(dim=1, keepdim=True).clamp(min=1)
    return (share_BNThw * gate_BNT[..., None, None]).transpose(1, 2).flatten(0, 1)
