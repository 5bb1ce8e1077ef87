"""The forward process: noise, velocity, and how much each step of it weighs in the loss.

Zero terminal SNR after Lin et al. 2023 (arXiv:2305.08891), velocity after Salimans & Ho 2022 (arXiv:2202.00512),
min-SNR weights after Hang et al. 2023 (arXiv:2303.09556) in the form of Moore-AnimateAnyone; the arithmetic of the
process is diffusers'.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mitds.baselines.recipe import DIFFUSION_STEPS, DiffusionConfig

STEPS = DIFFUSION_STEPS


def scheduler() -> Any:
    """Return diffusers' DDIM scheduler of all baselines: it noises in training and denoises in sampling."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=STEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        # The last denoising step ends at the clean latent itself.
        set_alpha_to_one=True,
    )


class Diffusion:
    """The forward process of one recipe.

    Args:
        config: Noise offset and gamma of the weights.
        fold: Cells a side that the autoencoder folded into the channels of one.
    """

    def __init__(self, config: DiffusionConfig = DiffusionConfig(), fold: int = 1) -> None:
        self.config, self.fold = config, fold
        self._scheduler = scheduler()

    def noise(self, generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw noise for latents.

        Args:
            generator: Its only source, on the CPU, so that the draw is the same on every device.
            shape: ...TLHW. The offset is one number a sample and channel (before folding), the same in all its T
                frames, as in the published code: it stands for the brightness of a whole video.
        """
        noise = torch.randn(shape, generator=generator)
        *outer, _, latents, _, _ = shape
        folded = self.fold**2
        offset = torch.randn((*outer, 1, latents // folded, 1, 1), generator=generator)
        return noise + self.config.noise_offset * offset.repeat_interleave(folded, dim=-3)

    def noisy(self, latent: Tensor, noise: Tensor, step_B: Tensor) -> Tensor:
        """Return sqrt(a) * latent + sqrt(1 - a) * noise; axes BTLHW or BLHW.

        Args:
            latent: Clean latents.
            noise: Of the same shape.
            step_B: 0 (almost clean) to 999 (pure noise).
        """
        mixed: Tensor = self._scheduler.add_noise(latent, noise, step_B)
        return mixed

    def velocity(self, latent: Tensor, noise: Tensor, step_B: Tensor) -> Tensor:
        """Return what the network is to predict: sqrt(a) * noise - sqrt(1 - a) * latent."""
        target: Tensor = self._scheduler.get_velocity(latent, noise, step_B)
        return target

    def snr_B(self, step_B: Tensor) -> Tensor:
        """Return a / (1 - a); exactly 0 at the last step."""
        kept_B: Tensor = self._scheduler.alphas_cumprod.to(step_B.device)[step_B]
        return kept_B / (1 - kept_B)

    def weights_B(self, step_B: Tensor) -> Tensor:
        """Return min(snr + 1, gamma) / (snr + 1): 1 where there is only noise.

        This is the form of Moore-AnimateAnyone's training, which the published code follows; Hang et al. have
        min(snr, gamma) / (snr + 1), which is 0 there.
        """
        power_B = self.snr_B(step_B) + 1
        return power_B.clamp(max=self.config.min_snr) / power_B
