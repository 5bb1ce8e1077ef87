"""Denoising a whole film: all frames step by step together, each window's answer blended into the film's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitds.baselines.checkpoint import Checkpoint
from mitds.baselines.conditions.batch import collate_for
from mitds.baselines.conditions.placement import Placement
from mitds.baselines.conditions.told import select
from mitds.baselines.contracts import Batch, Example
from mitds.baselines.diffusion import Diffusion, scheduler
from mitds.baselines.generation.guidance import guided, terms
from mitds.baselines.generation.windows import Window, plan
from mitds.baselines.recipe import Recipe, check_steps
from mitds.baselines.training.objective import encoded, seed_of
from mitds.manifests.items import Frame

Progress = Callable[[str, int, int], None]
"""Called with (what, done, of)."""

DECODED_TOGETHER = 8
"""Frames that the autoencoder decodes at once."""
TOGETHER = {"cuda": 4}
"""Windows in one pass, by kind of device; one elsewhere, where more would only take memory."""
KEPT_BYTES = 4 << 30
"""About so much of what depends on conditions alone is kept from step to step; the rest is computed anew."""

Group = tuple[Window, ...]


def denoiser(steps: int) -> Any:
    """Return the scheduler of all baselines, set to some steps.

    Raises:
        UsageError: If diffusers' rounding would leave noise in the pictures at this number of steps.
    """
    check_steps(steps)
    ddim = scheduler()
    ddim.set_timesteps(steps)
    return ddim


def arithmetic(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the network's arithmetic: that of its training on a GPU, float32 elsewhere."""
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(recipe.precision)
    lower = kind is not None and device.type == "cuda"
    return torch.autocast(device.type, dtype=kind if lower else torch.bfloat16, enabled=lower)


class Conditions:
    """What the network makes of the conditions of each group of windows, once for all steps while memory lasts.

    Args:
        checkpoint: The model.
        example: What is asked.
        device: Where the network lies.
    """

    def __init__(self, checkpoint: Checkpoint, example: Example, device: torch.device) -> None:
        self._recipe, self._example, self._device = checkpoint.recipe, example, device
        self._network: Any = checkpoint.network
        self._autoencoder: Any = checkpoint.autoencoder
        self._kept: dict[Group, Any] = {}
        self._reference_1LHW: Tensor | None = None

    def of(self, group: Group) -> Any:
        """Return what `network.prepare` makes of a group."""
        if group in self._kept:
            return self._kept[group]
        batch = self._batch(group)
        if self._reference_1LHW is None:
            self._reference_1LHW = self._autoencoder.encode(batch.reference_BCHW[:1])
        reference_BLHW = self._reference_1LHW.expand(len(group), -1, -1, -1)
        moved_BTLHW = None if batch.moved_BTCHW is None else encoded(self._autoencoder, batch.moved_BTCHW)
        with arithmetic(self._recipe, self._device):
            given = self._network.prepare(batch, reference_BLHW, moved_BTLHW)
        if (len(self._kept) + 1) * self._bytes(group) <= KEPT_BYTES:
            self._kept[group] = given
        return given

    def _batch(self, group: Group) -> Batch:
        asked = [
            replace(self._example, told=select(self._example.told, range(w.told, w.told + w.frames)))
            for w in group
        ]
        return collate_for(asked, self._recipe).to(self._device)

    def _bytes(self, group: Group) -> int:
        """Return about how much a group takes: as much as the poses' features, float32."""
        trunk, (height, width) = self._recipe.trunk, self._recipe.latent_size
        return 4 * trunk.channels[0] * height * width * sum(window.frames for window in group)


class Sampler:
    """Draws films from a trained model, on the device where its network lies.

    Args:
        checkpoint: Network, autoencoder and recipe; `recipe.sampling` says how.
        progress: Told how many steps are done.
    """

    def __init__(self, checkpoint: Checkpoint, progress: Progress = lambda what, done, of: None) -> None:
        self.recipe, self._checkpoint, self._progress = checkpoint.recipe, checkpoint, progress
        self._network: Any = checkpoint.network
        self._autoencoder: Any = checkpoint.autoencoder
        self._device = next(checkpoint.network.parameters()).device
        self._passes = terms(self.recipe.sampling, self.recipe.design)

    def frames(self, example: Example, seed: int) -> Iterator[Frame]:
        """Yield the T frames that are asked for, frame_HWC uint8 RGB of the size of the example's picture."""
        told = example.told
        placement = Placement.fit(told.width, told.height, (self.recipe.height, self.recipe.width))
        latent_TLHW = self.latents(example, seed)
        for chunk_XLHW in torch.split(latent_TLHW, DECODED_TOGETHER):
            for frame_HWC in self._decoded(chunk_XLHW):
                yield placement.back(frame_HWC)

    @torch.inference_mode()
    def latents(self, example: Example, seed: int) -> Tensor:
        """Return latent_TLHW of the frames that are asked for; of any length.

        The network and its conditions take the memory of a few windows; of the film only the latents are held, three
        times (themselves, their velocity, the next ones): 46 MB each a minute at tiny, 92 MB at small and sd15.
        """
        sampling, published = self.recipe.sampling, self.recipe.design.published
        windows = plan(
            example.told.frames, sampling.window, sampling.overlap, keep_first=published.tail_keeps_first
        )
        together = TOGETHER.get(self._device.type, 1)
        groups = [windows[i : i + together] for i in range(0, len(windows), together)]
        conditions = Conditions(self._checkpoint, example, self._device)
        latent_PLHW = self._noise(windows[-1].place + windows[-1].frames, seed, example.key)
        ddim = denoiser(sampling.steps)
        for done, step in enumerate(ddim.timesteps.tolist(), 1):
            velocity_PLHW = self._velocity(latent_PLHW, step, groups, conditions)
            latent_PLHW = ddim.step(velocity_PLHW, step, latent_PLHW).prev_sample
            self._progress("denoising", done, sampling.steps)
        return latent_PLHW[: example.told.frames]

    def _noise(self, places: int, seed: int, key: str) -> Tensor:
        """Draw noise_PLHW as in training, once for all frames; seed and key decide it on every device."""
        shape = (places, self.recipe.latents, *self.recipe.latent_size)
        generator = torch.Generator().manual_seed(seed_of("sample", seed, key))
        diffusion = Diffusion(self.recipe.diffusion, self.recipe.autoencoder.fold)
        return diffusion.noise(generator, shape).to(self._device)

    def _velocity(
        self, latent_PLHW: Tensor, step: int, groups: list[Group], conditions: Conditions
    ) -> Tensor:
        """Return the velocity of the film: each window's, weighted."""
        velocity_PLHW = torch.zeros_like(latent_PLHW)
        for group in groups:
            noisy_BTLHW = torch.stack([latent_PLHW[_places(window)] for window in group])
            step_B = torch.full((len(group),), step, device=self._device)
            given = conditions.of(group)
            with arithmetic(self.recipe, self._device):
                answer_BTLHW = guided(self._network, noisy_BTLHW, step_B, given, self._passes)
            for window, answer_TLHW in zip(group, answer_BTLHW, strict=True):
                weight_T = torch.from_numpy(window.weight_T).to(self._device)
                velocity_PLHW[_places(window)] += weight_T[:, None, None, None] * answer_TLHW
        return velocity_PLHW

    @torch.inference_mode()
    def _decoded(self, latent_XLHW: Tensor) -> NDArray[np.uint8]:
        """Return frames_XHWC of the model's size."""
        frames_XCHW = self._autoencoder.decode(latent_XLHW).float().clamp(-1, 1)
        frames_XHWC = ((frames_XCHW + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
        return np.ascontiguousarray(frames_XHWC.cpu().numpy())


def _places(window: Window) -> slice:
    return slice(window.place, window.place + window.frames)
