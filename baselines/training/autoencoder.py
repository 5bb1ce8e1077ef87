"""Training of the small autoencoder: crops of pictures, noisy latents, and a loss on pixels and on edges."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mitds.baselines.conditions.placement import Placement
from mitds.baselines.contracts import Example
from mitds.baselines.networks.autoencoder import Autoencoder, build_autoencoder
from mitds.baselines.recipe import AutoencoderConfig, Recipe
from mitds.baselines.training.objective import seed_of
from mitds.baselines.training.state import Losses
from mitds.baselines.training.windows import Windows
from mitds.errors import UsageError
from mitds.manifests.items import Frame
from mitds.store import write_json

FIDELITY = "autoencoder.json"
Frames = Callable[[int], Tensor]
Progress = Callable[[str, int, int], None]
Each = Callable[[int, float, float, float], None]

_WARMUP = 50
_GRAD_CLIP = 1.0
_WEIGHT_DECAY = 1e-4
_EDGES = 1.0
"""Weight of differences between neighbouring pixels: without it, mouths of a few pixels blur first."""
_ROUNDING = 1e-2
"""Below this error, of a range of 2, the loss is a square; above, an absolute value."""
_EXAMPLES = 8
"""About so many of stage 1's examples are placed for a step: more pictures than crops would be time lost."""
_PEEK = 16
"""Steps whose pictures principal components, means and deviations are measured on."""


def train_autoencoder(
    windows: Windows, recipe: Recipe, out: Path, progress: Progress | None = None, device: Any = None
) -> Autoencoder:
    """Train the "tiny" autoencoder on the pictures of stage 1's examples, or load the "kl" one as it is.

    Writes rows of stage 0 into `losses.csv`, and how well other pictures of the same clips come back into
    `autoencoder.json`.

    Args:
        windows: Examples by step.
        recipe: `autoencoder`, picture size and seed count.
        out: Folder of the checkpoint.
        progress: Called with (what, done, of).
        device: Where it is trained; None for the CPU.

    Raises:
        MissingWeights: If the weights of a "kl" one cannot be had.
        UsageError: If the loss diverges.
    """
    config = recipe.autoencoder
    if config.kind == "kl":
        return build_autoencoder(config)

    def frames(step: int) -> Tensor:
        return pictures(windows.examples(1, step, world=max(1, recipe.stage1.batch // _EXAMPLES)), recipe)

    with contextlib.closing(Losses(out, 0, 0)) as losses:

        def each(step: int, loss: float, norm: float, lr: float) -> None:
            losses.add(step, loss, norm, lr)
            if progress:
                progress("autoencoder", step, config.steps)

        autoencoder = fit_autoencoder(frames, config, recipe.seed, device=device, each=each)
    others_XCHW = frames(config.steps).to(device)
    write_json(
        out / FIDELITY, {"psnr_db": round(psnr(autoencoder, others_XCHW), 2), "frames": len(others_XCHW)}
    )
    return autoencoder


def fit_autoencoder(
    frames: Frames, config: AutoencoderConfig, seed: int, *, device: Any = None, each: Each | None = None
) -> Autoencoder:
    """Train a "tiny" autoencoder; on a CPU, a function of frames, settings and seed alone.

    Args:
        frames: Returns frames_XCHW of a step, RGB -1..1; steps beyond the last may be asked for.
        config: Shapes and optimisation.
        seed: Of weights, crops and noise.
        device: None for the CPU.
        each: Called after each step with its number from 1, loss, norm of the gradient and learning rate.

    Returns:
        It, for evaluation; latents of the frames have zero mean and unit variance.

    Raises:
        UsageError: If the loss diverges.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = build_autoencoder(config)
    some_XCHW = torch.cat([frames(step) for step in range(_PEEK)])
    autoencoder.codec.start(some_XCHW)
    autoencoder.to(device).train()
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=config.lr, weight_decay=_WEIGHT_DECAY)
    for step in range(config.steps):
        generator = torch.Generator().manual_seed(seed_of("autoencoder", seed, step))
        crops_XCHW = crops(frames(step), config, generator).to(device)
        optimizer.param_groups[0]["lr"] = lr = rate(config, step)
        loss = loss_of(autoencoder, crops_XCHW, config.noise, generator)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), _GRAD_CLIP)
        optimizer.step()
        _require_finite(float(loss.detach()), step)
        if each:
            each(step + 1, float(loss.detach()), float(norm), lr)
    autoencoder.eval().requires_grad_(False).standardise(some_XCHW.to(device))
    return autoencoder


def _require_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise UsageError(
            f"the loss of the autoencoder, step {step + 1}, is {loss}",
            remedy="Train with a lower autoencoder.lr, into another folder.",
        )


def rate(config: AutoencoderConfig, step: int) -> float:
    """Return the learning rate of a step from 0: a warm-up, then half a cosine down to nothing."""
    warm = min(1.0, (step + 1) / min(_WARMUP, config.steps))
    return config.lr * warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def crops(frames_XCHW: Tensor, config: AutoencoderConfig, generator: torch.Generator) -> Tensor:
    """Draw `batch` squares of `crop` px (or what the pictures have of it) from pictures.

    Half of them are mirrored, and half have their colours change places: few clips show few colours, and an
    autoencoder that has never seen a purple tie makes it grey.
    """
    x, _, *sides = frames_XCHW.shape
    height, width = (min(config.crop, side) // config.factor * config.factor for side in sides)
    drawn = []
    for u in torch.rand(config.batch, 5, generator=generator).tolist():
        top, left = int(u[1] * (sides[0] - height + 1)), int(u[2] * (sides[1] - width + 1))
        crop_CHW = frames_XCHW[int(u[0] * x), :, top : top + height, left : left + width]
        colours = torch.randperm(3, generator=generator) if u[4] < 0.5 else torch.arange(3)
        drawn.append((crop_CHW.flip(-1) if u[3] < 0.5 else crop_CHW)[colours])
    return torch.stack(drawn)


def loss_of(
    autoencoder: Autoencoder, frames_XCHW: Tensor, noise: float, generator: torch.Generator
) -> Tensor:
    """Return the loss of pictures that come back from noisy latents: the denoiser's latents will be wrong a little.

    The noise grows with the latents, channel by channel, so that larger latents do not drown it.

    Args:
        autoencoder: With a `TinyCodec`.
        frames_XCHW: RGB, -1..1.
        noise: Its standard deviation over that of the latents.
        generator: On the CPU.
    """
    latent_XLHW = autoencoder.codec.encode(frames_XCHW)
    drawn_XLHW = torch.randn(latent_XLHW.shape, generator=generator).to(latent_XLHW.device)
    drawn_XLHW = noise * latent_XLHW.std(dim=(0, 2, 3), keepdim=True) * drawn_XLHW
    error_XCHW = autoencoder.codec.decode(latent_XLHW + drawn_XLHW) - frames_XCHW
    pixels = ((error_XCHW.square() + _ROUNDING**2).sqrt() - _ROUNDING).mean()
    edges = error_XCHW.diff(dim=-1).abs().mean() + error_XCHW.diff(dim=-2).abs().mean()
    loss: Tensor = pixels + _EDGES * edges
    return loss


@torch.no_grad()
def psnr(autoencoder: Autoencoder, frames_XCHW: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio, dB, of pictures that went there and back: RGB, -1..1."""
    error_X = (autoencoder.decode(autoencoder.encode(frames_XCHW)) - frames_XCHW).square().mean(dim=(1, 2, 3))
    return float((10 * torch.log10(4 / error_X.clamp(min=1e-10))).mean())


def pictures(examples: list[Example], recipe: Recipe) -> Tensor:
    """Return frames_XCHW of examples, RGB -1..1: reference and frames, placed as the denoiser will see them."""
    found = []
    for example in examples:
        frames = [example.reference_HWC, *(() if example.frames_THWC is None else example.frames_THWC)]
        found += [_placed(frame_HWC, example, recipe) for frame_HWC in frames]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _placed(frame_HWC: Frame, example: Example, recipe: Recipe) -> Frame:
    height, width = frame_HWC.shape[:2]
    placement = Placement.fit(
        width, height, (recipe.height, recipe.width),
        flip=example.flip, zoom=example.zoom, centre=example.centre,
    )  # fmt: skip
    return placement.picture(frame_HWC)
