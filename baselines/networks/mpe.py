"""Poses to features: the pose encoder, and MPE, which encodes each person apart with the same encoder.

The encoder is that of ControlNet, as in Animate Anyone: 3x3 convolutions down to latent cells, zero at the start.
"""

from __future__ import annotations

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn

from mitds.baselines.recipe import PoseConfig


class PoseEncoder(nn.Module):
    """Skeletons to what they add to the first feature map of a U-Net.

    A skeleton adds what it changes against an empty picture: empty space adds nothing, so that people who are
    not there, however many, change nothing, and a bias is never counted twice.

    Args:
        channels: Of the feature map.
        config: Widths of the encoder.
        mpe: Encode each person's skeleton apart and sum; else all skeletons are one picture.
        double_count: Published behaviour: what the encoder says of empty space is counted for each person.
    """

    def __init__(self, channels: int, config: PoseConfig, *, mpe: bool, double_count: bool = False) -> None:
        super().__init__()
        self.encoder = ControlNetConditioningEmbedding(channels, block_out_channels=config.channels)
        self.mpe, self.double_count = mpe, double_count

    def forward(self, skeleton_BNXCHW: Tensor) -> Tensor:
        """Return features_BXCHW of X pictures a sample.

        Args:
            skeleton_BNXCHW: One picture a person, 0..1 on black; a person's drawing holds nobody else.
        """
        b, n, x = skeleton_BNXCHW.shape[:3]
        empty_1CHW: Tensor = self.encoder(skeleton_BNXCHW.new_zeros(1, *skeleton_BNXCHW.shape[3:]))
        if not n:
            return torch.zeros_like(empty_1CHW).expand(b, x, -1, -1, -1)
        if not self.mpe:
            skeleton_BNXCHW, n = skeleton_BNXCHW.amax(dim=1, keepdim=True), 1
        said: Tensor = self.encoder(skeleton_BNXCHW.flatten(0, 2))
        if not self.double_count:
            said = said - empty_1CHW
        apart_BNXCHW = said.reshape(b, n, x, *said.shape[1:])
        return apart_BNXCHW.sum(dim=1)
