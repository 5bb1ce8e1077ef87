"""Guidance by reference, poses and voices, each with a scale of its own.

The conditions are stacked: v0 drops all, v1 keeps the reference, v2 poses as well, v3 voices as well, and

    v = v0 + s_reference (v1 - v0) + s_pose (v2 - v1) + s_audio (v3 - v2)

(Ho and Salimans, Classifier-free diffusion guidance, 2022, in the nested form of Brooks et al., InstructPix2Pix,
2023). A scale of 1 is a model without guidance, of 0 a model without that condition; equal neighbouring scales
save a pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mitds.baselines.contracts import Keep, Network
from mitds.baselines.recipe import DesignConfig, SamplingConfig


@dataclass(frozen=True, slots=True)
class Term:
    """One pass of the network: which conditions it keeps, and what its answer is multiplied by."""

    weight: float
    reference: bool
    pose: bool
    audio: bool

    def keep(self, samples: int, device: torch.device) -> Keep:
        """Return the same choice for each sample."""
        kept = (self.reference, self.pose, self.audio)
        return Keep(*(torch.full((samples,), k, dtype=torch.bool, device=device) for k in kept))


def terms(sampling: SamplingConfig, design: DesignConfig) -> tuple[Term, ...]:
    """Return the passes that guidance needs; their weights sum to 1, and none is 0.

    Args:
        sampling: The scales.
        design: A model that hears nothing needs no pass for voices, whatever their scale.
    """
    reference, pose = sampling.reference_scale, sampling.pose_scale
    hears = design.iad and not design.published.audio_off
    audio = sampling.audio_scale if hears else pose
    stacked = (
        Term(1 - reference, False, False, False),
        Term(reference - pose, True, False, False),
        Term(pose - audio, True, True, False),
        Term(audio, True, True, True),
    )
    return tuple(term for term in stacked if term.weight)


def guided(
    network: Network, noisy_BTLHW: Tensor, step_B: Tensor, given: Any, passes: tuple[Term, ...]
) -> Tensor:
    """Return the guided velocity v_BTLHW, float32.

    Args:
        network: The denoiser.
        noisy_BTLHW: Noisy latents.
        step_B: Diffusion step.
        given: What `network.prepare` returned.
        passes: What `terms` returned.
    """
    velocity_BTLHW = torch.zeros_like(noisy_BTLHW)
    for term in passes:
        keep = term.keep(len(noisy_BTLHW), noisy_BTLHW.device)
        velocity_BTLHW += term.weight * network(noisy_BTLHW, step_B, given, keep).float()
    return velocity_BTLHW
