"""Features of Whisper tiny.en's encoder (Radford et al., 2022), run by transformers' implementation of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from mitds.baselines.conditions.sound import LOADING, in_pieces
from mitds.errors import MissingWeights
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ
from mitds.weights import resolve

STATE = 384
STEPS = 2
"""Steps of the encoder a frame: it takes one every 20 ms."""
HALF_STEP = 160
"""Samples. Step i is centred on sample 320 i of what is heard; begun so much later, two steps halve a frame."""

_PARTS = {
    "blocks.": "layers.",
    "attn_ln.": "self_attn_layer_norm.",
    "attn.query.": "self_attn.q_proj.",
    "attn.key.": "self_attn.k_proj.",
    "attn.value.": "self_attn.v_proj.",
    "attn.out.": "self_attn.out_proj.",
    "mlp_ln.": "final_layer_norm.",
    "mlp.0.": "fc1.",
    "mlp.2.": "fc2.",
    "ln_post.": "layer_norm.",
    "positional_embedding": "embed_positions.weight",
}
"""Names of the released checkpoint, and what transformers calls them."""


class WhisperTiny:
    """The last layer of the encoder: two steps of 384 numbers a frame, centred on the halves of the frame."""

    name = "whisper-tiny.en"
    dim = STEPS * STATE

    def __call__(self, wave_S: Array, frames: int) -> Array:
        """Return feature_TD; sound of more than 28 s is heard in overlapping pieces.

        Raises:
            MissingWeights: If the weight cannot be had.
        """
        return in_pieces(wave_S, frames, self._piece)

    @torch.inference_mode()
    def _piece(self, piece_S: Array, frames: int) -> Array:
        # The front end fills up with silence to the 30 s that the encoder was trained on.
        mel = self._front(piece_S[HALF_STEP:], sampling_rate=AUDIO_HZ, return_tensors="np")["input_features"]
        state_1ID = self._encoder(torch.from_numpy(mel)).last_hidden_state
        heard_TD: Array = state_1ID[0, : frames * STEPS].reshape(frames, self.dim).numpy()
        return heard_TD

    @cached_property
    def _front(self) -> WhisperFeatureExtractor:
        return WhisperFeatureExtractor(feature_size=80)  # type: ignore[no-untyped-call]

    @property
    def _encoder(self) -> WhisperEncoder:
        with LOADING:
            return self._loaded

    @cached_property
    def _loaded(self) -> WhisperEncoder:
        return load_encoder(resolve("sound.whisper_tiny_en"))


def load_encoder(path: Path) -> WhisperEncoder:
    """Load the encoder of a released tiny.en checkpoint, every key of it.

    Raises:
        MissingWeights: If the file is no such checkpoint.
    """
    content: dict[str, dict[str, Tensor]] = torch.load(path, map_location="cpu", weights_only=True)
    named = content.get("model_state_dict", {})
    encoder = WhisperEncoder(
        WhisperConfig(d_model=STATE, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=4 * STATE)
    )
    known = {_renamed(name): t.float() for name, t in named.items() if name.startswith("encoder.")}
    try:
        encoder.load_state_dict(known)
    except RuntimeError as error:
        raise MissingWeights(
            f"not the checkpoint of Whisper tiny.en: {error}",
            where=str(path),
            remedy="Fetch the weight anew.",
        ) from error
    return cast(WhisperEncoder, encoder.train(False))


def _renamed(name: str) -> str:
    name = name.removeprefix("encoder.")
    for theirs, ours in _PARTS.items():
        name = name.replace(theirs, ours)
    return name
