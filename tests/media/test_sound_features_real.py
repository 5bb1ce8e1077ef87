"""Whisper's encoder on real speech: the published network, and each frame heard where it sounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d, gelu, layer_norm, linear, scaled_dot_product_attention

from mitds.baselines.conditions.sound import FRAME, PIECE, SoundFeatures, features_of
from mitds.errors import MissingWeights
from mitds.manifests.records import Array
from mitds.media import read_sound
from mitds.weights import resolve

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def whisper() -> SoundFeatures:
    return features_of("whisper-tiny.en")


@pytest.fixture(scope="module")
def speech_S() -> Array:
    """About 8.7 s of a man who speaks nearly all the time."""
    return read_sound(resolve("media.statement")).mono()


def published(mel_1MF: Tensor) -> Tensor:
    """The encoder as the paper has it, on the released names: two convolutions, four pre-norm blocks of six heads."""
    named = torch.load(resolve("sound.whisper_tiny_en"), map_location="cpu", weights_only=True)[
        "model_state_dict"
    ]
    w = {name.removeprefix("encoder."): tensor.float() for name, tensor in named.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (384,), w[f"{name}.weight"], w[f"{name}.bias"])

    def full(x: Tensor, name: str) -> Tensor:
        return linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    x = gelu(conv1d(mel_1MF, w["conv1.weight"], w["conv1.bias"], padding=1))
    x = gelu(conv1d(x, w["conv2.weight"], w["conv2.bias"], stride=2, padding=1))
    x = x.transpose(1, 2) + w["positional_embedding"]
    for block in (f"blocks.{n}" for n in range(4)):
        y = norm(x, f"{block}.attn_ln")
        heads = [
            full(y, f"{block}.attn.{p}").unflatten(2, (6, 64)).transpose(1, 2)
            for p in ("query", "key", "value")
        ]
        x = x + full(scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2), f"{block}.attn.out")
        x = x + full(gelu(full(norm(x, f"{block}.mlp_ln"), f"{block}.mlp.0")), f"{block}.mlp.2")
    return norm(x, "ln_post")


def test_the_encoder_is_the_published_one(speech_S: Array) -> None:
    from transformers import WhisperFeatureExtractor

    from mitds.baselines.conditions.whisper import load_encoder

    front = WhisperFeatureExtractor(feature_size=80)
    mel = torch.from_numpy(front(speech_S, sampling_rate=16000, return_tensors="np")["input_features"])
    with torch.inference_mode():
        ours = load_encoder(resolve("sound.whisper_tiny_en"))(mel).last_hidden_state
        difference = (ours - published(mel)).abs().max()
    assert difference < 1e-3 < float(ours.std())


def test_another_checkpoint_is_refused() -> None:
    from mitds.baselines.conditions.whisper import load_encoder

    with pytest.raises(MissingWeights, match=r"Whisper tiny\.en"):
        load_encoder(resolve("shots.transnetv2"))


def test_a_burst_is_heard_in_its_own_half_frame_however_late(whisper: SoundFeatures, speech_S: Array) -> None:
    frames = 1000
    wave_S = np.resize(speech_S, frames * FRAME) * np.float32(0.1)
    bursts = [9600, 250 * FRAME + 100, PIECE * FRAME - 320, PIECE * FRAME + 6400, frames * FRAME - 640]
    spoilt_S = wave_S.copy()
    for at in bursts:
        spoilt_S[at : at + 160] += 0.5 * np.sin(np.arange(160))
    change_TD = np.abs(whisper(spoilt_S, frames) - whisper(wave_S, frames))
    change_I = change_TD.reshape(2 * frames, 384).mean(axis=1)
    for at in bursts:
        first = at // 320 - 6
        assert first + change_I[first : at // 320 + 7].argmax() == at // 320


def test_speech_is_unlike_silence_and_silence_like_itself(whisper: SoundFeatures, speech_S: Array) -> None:
    frames = len(speech_S) // FRAME
    heard_TD, silent_TD = whisper(speech_S, frames), whisper(np.zeros(0, np.float32), frames)
    assert heard_TD.shape == silent_TD.shape == (frames, whisper.dim) == (frames, 768)
    assert np.array_equal(heard_TD, whisper(speech_S, frames))
    apart_T = np.linalg.norm(heard_TD - silent_TD, axis=1) / np.linalg.norm(silent_TD, axis=1)
    assert np.median(apart_T) > 0.7


def test_log_mel_of_speech_is_about_standard(speech_S: Array) -> None:
    heard_TD = features_of("log-mel")(speech_S, len(speech_S) // FRAME)
    assert abs(heard_TD.mean()) < 0.9
    assert 0.8 < heard_TD.std() < 1.3
