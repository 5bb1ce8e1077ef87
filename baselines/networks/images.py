"""The reference frame as one token of the U-Nets' cross-attention: what the picture is, wherever it lies."""

from __future__ import annotations

from torch import Tensor, nn


class ImageToken(nn.Module):
    """A small embedding of the reference's latent, for trunks that start from random weights.

    Args:
        latents: L.
        cross_dim: Numbers of the token.
    """

    def __init__(self, latents: int, cross_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(latents, cross_dim, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(cross_dim, cross_dim, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(cross_dim, cross_dim),
        )

    def forward(self, reference_BCHW: Tensor, reference_BLHW: Tensor) -> Tensor:
        """Return token_B1D of the reference, of which the latent is looked at."""
        token: Tensor = self.layers(reference_BLHW)
        return token[:, None]
