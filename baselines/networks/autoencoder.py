"""Autoencoders: pictures to latents of about zero mean and unit variance, and back.

The "tiny" one is two things added up. A linear transform turns each square of `factor` x `factor` px into its
principal components; on it lies diffusers' AutoencoderTiny, which begins as nothing and learns what the linear one
misses, the seams between squares above all. Convolutions alone need far more than minutes on a core to become as good
as principal components are at once; and latents that are nearly linear in the picture are smooth: a head that moves
a little changes its latents a little.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from mitds.baselines.recipe import AutoencoderConfig
from mitds.errors import UsageError

_PATCH = 2
"""Px a side that are folded into channels first: convolutions on whole pictures would take most of the time."""
_LEAST_STD = 1e-4


class Autoencoder(nn.Module):
    """Pictures to standardised latents and back; the same picture gives the same latent.

    Args:
        codec: Has `encode` and `decode`, pictures to latents of any scale and back.
        latents: Channels of its latents.
        fold: Cells a side of the codec's latents that are folded into the channels of one.

    Attributes:
        mean_L: What is taken from each channel of the codec's latents.
        std_L: What it is then divided by.
    """

    mean_L: Tensor
    std_L: Tensor

    def __init__(self, codec: nn.Module, latents: int, fold: int = 1) -> None:
        super().__init__()
        self.codec: Any = codec
        self.fold = fold
        self.register_buffer("mean_L", torch.zeros(latents))
        self.register_buffer("std_L", torch.ones(latents))

    def encode(self, frames_XCHW: Tensor, chunk: int = 16) -> Tensor:
        """Return latent_XLHW of pictures.

        Args:
            frames_XCHW: RGB, -1..1; sides are multiples of the factor.
            chunk: Pictures in memory at once.
        """
        latent_XLHW = (self._raw(frames_XCHW, chunk) - self.mean_L[:, None, None]) / self.std_L[:, None, None]
        return pixel_unshuffle(latent_XLHW, self.fold)

    def decode(self, latent_XLHW: Tensor, chunk: int = 16) -> Tensor:
        """Return frames_XCHW of latents: RGB, -1..1.

        Args:
            latent_XLHW: Standardised, as `encode` gives them.
            chunk: Pictures in memory at once.
        """
        unfolded_XLHW = pixel_shuffle(latent_XLHW, self.fold)
        raw_XLHW = unfolded_XLHW * self.std_L[:, None, None] + self.mean_L[:, None, None]
        return torch.cat([self.codec.decode(part) for part in torch.split(raw_XLHW, chunk)]).clamp(-1, 1)

    @torch.no_grad()
    def standardise(self, frames_XCHW: Tensor, chunk: int = 16) -> None:
        """Measure mean and standard deviation of each channel over pictures: RGB, -1..1."""
        raw_XLHW = self._raw(frames_XCHW, chunk)
        self.mean_L.copy_(raw_XLHW.mean(dim=(0, 2, 3)))
        self.std_L.copy_(raw_XLHW.std(dim=(0, 2, 3)).clamp(min=_LEAST_STD))

    def _raw(self, frames_XCHW: Tensor, chunk: int) -> Tensor:
        return torch.cat([self.codec.encode(part) for part in torch.split(frames_XCHW, chunk)])


class TinyCodec(nn.Module):
    """Principal components of squares, and what AutoencoderTiny adds to them.

    Args:
        config: Shapes.

    Attributes:
        colour_C: Mean colour of the pictures that it began with.
    """

    colour_C: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        import diffusers

        levels = (config.factor // _PATCH).bit_length()
        widths, blocks = (config.channels,) * levels, (config.blocks,) * levels
        folded, factor, latents = 3 * _PATCH**2, config.factor, config.latents
        self.register_buffer("colour_C", torch.zeros(3))
        self.analysis = nn.Conv2d(3, latents, factor, stride=factor, bias=False)
        self.synthesis = nn.ConvTranspose2d(latents, 3, factor, stride=factor, bias=False)
        kind: Any = diffusers.AutoencoderTiny
        self.net = kind(
            in_channels=folded, out_channels=folded, latent_channels=latents,
            encoder_block_out_channels=widths, decoder_block_out_channels=widths,
            num_encoder_blocks=blocks, num_decoder_blocks=blocks,
        )  # fmt: skip
        for last, grey in ((self.net.encoder.layers[-1], 0.0), (self.net.decoder.layers[-1], 0.5)):
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, grey)  # The decoder gives 0..1, and moves it to -1..1 by itself.

    def encode(self, frames_XCHW: Tensor) -> Tensor:
        """Return latent_XLHW of pictures: RGB, -1..1."""
        linear_XLHW: Tensor = self.analysis(frames_XCHW - self.colour_C[:, None, None])
        return linear_XLHW.add(self.net.encoder(pixel_unshuffle(frames_XCHW, _PATCH)))

    def decode(self, latent_XLHW: Tensor) -> Tensor:
        """Return frames_XCHW of latents, about -1..1."""
        linear_XCHW: Tensor = self.synthesis(latent_XLHW) + self.colour_C[:, None, None]
        return linear_XCHW.add(pixel_shuffle(self.net.decoder(latent_XLHW), _PATCH))

    @torch.no_grad()
    def start(self, frames_XCHW: Tensor) -> None:
        """Set the linear transform to the principal components of pictures: RGB, -1..1; each of unit variance."""
        self.colour_C.copy_(frames_XCHW.mean(dim=(0, 2, 3)))
        weight, factor = self.analysis.weight, self.analysis.kernel_size[0]
        squares_XDHW = pixel_unshuffle(frames_XCHW - self.colour_C[:, None, None], factor)
        std_L, axis_LD = principal(squares_XDHW.movedim(1, -1).flatten(0, 2), len(weight))
        weight.copy_((axis_LD / std_L[:, None]).reshape(weight.shape))
        self.synthesis.weight.copy_((axis_LD * std_L[:, None]).reshape(weight.shape))


class KlCodec(nn.Module):
    """A Stable Diffusion autoencoder; a picture's latent is the mean of its distribution, not a draw from it.

    Args:
        net: An AutoencoderKL.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def encode(self, frames_XCHW: Tensor) -> Tensor:
        """Return latent_XLHW of pictures: RGB, -1..1."""
        latent_XLHW: Tensor = self.net.encode(frames_XCHW).latent_dist.mode()
        return latent_XLHW

    def decode(self, latent_XLHW: Tensor) -> Tensor:
        """Return frames_XCHW of latents, about -1..1."""
        frames_XCHW: Tensor = self.net.decode(latent_XLHW).sample
        return frames_XCHW


def principal(samples_SD: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return std_L along the first principal axes of centred samples, and these axis_LD; signs are fixed."""
    samples_SD = samples_SD.double()
    variance_D, axis_DD = torch.linalg.eigh(samples_SD.T @ samples_SD / len(samples_SD))
    axis_LD = axis_DD.T.flip(0)[:count]
    largest_L1 = axis_LD.gather(1, axis_LD.abs().argmax(dim=1, keepdim=True))
    std_L = variance_D.flip(0)[:count].clamp(min=_LEAST_STD**2).sqrt()
    return std_L.float(), (axis_LD * largest_L1.sign()).float()


def build_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """Return the autoencoder of a recipe: "tiny" with random weights, "kl" with those of its source.

    Raises:
        MissingWeights: If the source's weights cannot be had.
        UsageError: If they have other shapes than the recipe says.
    """
    if config.kind == "tiny":
        return Autoencoder(TinyCodec(config), config.latents, config.fold).eval()
    return _pretrained(config)


def _pretrained(config: AutoencoderConfig) -> Autoencoder:
    from diffusers import AutoencoderKL

    from mitds.baselines.networks.pretrained import load

    net = load(AutoencoderKL, config.source, "vae")
    for name, found in {
        "factor": 2 ** (len(net.config.block_out_channels) - 1),
        "latents": net.config.latent_channels,
    }.items():
        if getattr(config, name) != found:
            raise UsageError(
                f"autoencoder.{name} is {getattr(config, name)}, and the weights have {found}",
                where=config.source, remedy=f"Set autoencoder.{name} to {found}, or name other weights.",
            )  # fmt: skip
    autoencoder = Autoencoder(KlCodec(net), config.latents, config.fold).eval()
    autoencoder.mean_L.fill_(net.config.shift_factor or 0.0)
    autoencoder.std_L.fill_(1 / net.config.scaling_factor)
    return autoencoder
