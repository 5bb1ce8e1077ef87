"""What a denoiser would say if all it knew were that the frames look about like the reference.

With frames normally distributed about the reference, x0 ~ N(r, s^2), and x = a x0 + b e (a^2 + b^2 = 1), the
expected velocity is

    v = a b (1 - s^2) / (a^2 s^2 + b^2) (x - a r) - b r

and its error has the standard deviation s / sqrt(a^2 s^2 + b^2). A network that predicts this error, scaled to unit
variance, starts as a copy of the reference and learns what changes: the preconditioning of Karras et al. (2022,
arXiv:2206.00364), with the reference in the place of zero. At s = 1 and r = 0 nothing is left of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mitds.baselines.diffusion import scheduler


class ReferencePrior(nn.Module):
    """Turns a network's output into a velocity.

    Args:
        spread: s, the standard deviation of latents about the reference's, against 1 of latents themselves; 0 leaves
            the output as it is.
    """

    kept_S: Tensor

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread
        self.register_buffer("kept_S", scheduler().alphas_cumprod.float(), persistent=False)

    def forward(
        self, out_BTLHW: Tensor, noisy_BTLHW: Tensor, step_B: Tensor, shown_BTLHW: Tensor, keep_B: Tensor
    ) -> Tensor:
        """Return velocity_BTLHW; a sample whose reference is dropped keeps the network's output.

        Args:
            out_BTLHW: Output of the network.
            noisy_BTLHW: x.
            step_B: Diffusion step.
            shown_BTLHW: r, the reference for each frame; zero where it is dropped.
            keep_B: Which samples know their reference.
        """
        if not self.spread:
            return out_BTLHW
        axes = (-1, 1, 1, 1, 1)
        known = keep_B.view(axes).float()
        variance = torch.where(known > 0, self.spread**2, 1.0)
        kept = self.kept_S[step_B].view(axes)
        a, b = kept.sqrt(), (1 - kept).sqrt()
        total = kept * variance + 1 - kept
        expected = a * b * (1 - variance) / total * (noisy_BTLHW - a * shown_BTLHW) - b * shown_BTLHW
        return expected + (variance / total).sqrt() * out_BTLHW.float()


def repeated(reference_BLHW: Tensor, frames: int) -> Tensor:
    """Return reference_BTLHW, the same for all frames."""
    return reference_BLHW[:, None].expand(-1, frames, -1, -1, -1)


def shown(reference_BLHW: Tensor, moved_BTLHW: Tensor, looks_B: Tensor, pose_B: Tensor) -> Tensor:
    """Return what samples know of each frame's picture, BTLHW.

    That is the reference with its faces moved; as it is, where poses are dropped (boxes are poses); zero, where the
    reference is dropped.
    """
    axes = (-1, 1, 1, 1, 1)
    still_BTLHW = repeated(reference_BLHW, moved_BTLHW.shape[1])
    return torch.where(pose_B.view(axes), moved_BTLHW, still_BTLHW) * looks_B.view(axes)
