"""Features of wav2vec 2.0 base (Baevski et al., 2020), all twelve layers, run by transformers' implementation."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2Config, Wav2Vec2Model

from mitds.baselines.conditions.sound import FRAME, LOADING, fitted, in_pieces
from mitds.errors import MissingWeights
from mitds.manifests.records import Array

HUB = "facebook/wav2vec2-base-960h"
DIM = 12 * 768
# A speech recogniser's head; and what inputs are masked with in training, which the released checkpoint lacks.
_BESIDE_ENCODER = re.compile(r"lm_head\..*|masked_spec_embed")


class Wav2Vec2:
    """The hidden layers, each interpolated to the middles of frames, one layer after the other.

    The network runs at the 50 Hz it was trained at, and its layers are interpolated, not its input.

    Args:
        source: Folder or hub name of a checkpoint; "" is facebook/wav2vec2-base-960h.
    """

    name = "wav2vec2-base"

    def __init__(self, source: str = "") -> None:
        self._source = source

    @property
    def dim(self) -> int:
        """D: 12 * 768, or what a named checkpoint has."""
        if not self._source:
            return DIM
        config = self._config
        return int(config.num_hidden_layers * config.hidden_size)

    def __call__(self, wave_S: Array, frames: int) -> Array:
        """Return feature_TD; sound of more than 28 s is heard in overlapping pieces.

        Raises:
            MissingWeights: If the checkpoint cannot be had.
        """
        kept_S = fitted(wave_S, frames)
        # Zero mean and unit variance, as in the network's training; silence stays silence.
        even_S = (kept_S - kept_S.mean()) / np.sqrt(kept_S.var() + 1e-7)
        return in_pieces(even_S, frames, self._piece)

    @torch.inference_mode()
    def _piece(self, piece_S: Array, frames: int) -> Array:
        layers = self._network(torch.from_numpy(piece_S)[None], output_hidden_states=True).hidden_states[1:]
        heard_ID = torch.cat(layers, dim=2)[0].numpy()
        at_T = np.clip(steps_at(frames, self._config), 0, len(heard_ID) - 1)
        before_T = np.minimum(at_T.astype(int), len(heard_ID) - 2)
        share_T1 = (at_T - before_T).astype(np.float32)[:, None]
        heard_TD: Array = heard_ID[before_T] * (1 - share_T1) + heard_ID[before_T + 1] * share_T1
        return heard_TD

    @property
    def _config(self) -> Wav2Vec2Config:
        return self._network.config

    @property
    def _network(self) -> Wav2Vec2Model:
        with LOADING:
            return self._loaded

    @cached_property
    def _loaded(self) -> Wav2Vec2Model:
        from mitds.baselines.networks.pretrained import load

        try:
            network: Any = load(Wav2Vec2Model, self._place, "encoder", beside=_BESIDE_ENCODER)
        except MissingWeights as error:
            raise MissingWeights(
                f"the weights of wav2vec 2.0 cannot be had: {error.what}", where=error.where,
                remedy=f"{error.remedy} Or set audio.source to a folder with {HUB} (config.json, model.safetensors), "
                "or choose audio.features=log-mel.",
            ) from error  # fmt: skip
        return cast(Wav2Vec2Model, network.train(False))

    @property
    def _place(self) -> str:
        return self._source or HUB


def steps_at(frames: int, config: Wav2Vec2Config) -> NDArray[np.float64]:
    """Return step_T: which step of the network, as a fraction, lies in the middle of each frame.

    Args:
        frames: T.
        config: Whose strides and kernels say which samples a step hears.
    """
    hop, field = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field, hop = field + (kernel - 1) * hop, hop * stride
    return (np.arange(frames) * FRAME + (FRAME - field) / 2) / hop
