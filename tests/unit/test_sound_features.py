"""What a frame hears is what sounds in it, at the head of a clip and minutes later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mitds.baselines.conditions import sound
from mitds.baselines.conditions.logmel import FLOOR, MEAN, SPREAD, mel_filters
from mitds.baselines.conditions.sound import (
    FRAME,
    MARGIN,
    PIECE,
    features_of,
    hear,
    in_pieces,
    levelled,
    with_context,
)
from mitds.baselines.recipe import AudioConfig
from mitds.errors import MissingWeights, UnknownName, UsageError
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ

SILENCE = (np.log10(FLOOR) - MEAN) / SPREAD


def noise(samples: int, scale: float = 0.1) -> Array:
    return np.random.default_rng(3).normal(0, scale, samples).astype(np.float32)


# ---- log-mel


def test_a_click_is_heard_in_its_own_frame_and_hop_over_five_minutes() -> None:
    frames = 5 * 60 * 25
    places = [(0, 0), (20, 320), (40, 639), (3750, 0), (3780, 639), (7470, 100), (frames - 1, 639)]
    clicks = [frame * FRAME + sample for frame, sample in places]
    wave_S = np.zeros(frames * FRAME, np.float32)
    wave_S[clicks] = 0.9
    heard_TD = features_of("log-mel")(wave_S, frames)
    loud_T, loud_H = heard_TD.sum(axis=1), heard_TD.reshape(frames * 4, 80).sum(axis=1)
    for click in clicks:
        for loud, size in ((loud_T, FRAME), (loud_H, FRAME // 4)):
            first = max(0, click // size - 3)
            assert first + loud[first : first + 7].argmax() == click // size


def test_silence_is_finite_and_the_same_everywhere() -> None:
    for wave_S in (np.zeros(0, np.float32), np.zeros(10 * FRAME, np.float32)):
        heard_TD = features_of("log-mel")(wave_S, 10)
        assert heard_TD.shape == (10, 320)
        assert heard_TD.dtype == np.float32
        assert np.allclose(heard_TD, SILENCE)


def test_a_wave_is_cut_or_filled_up_with_silence() -> None:
    features, wave_S = features_of("log-mel"), noise(10 * FRAME)
    whole_TD = features(wave_S, 10)
    # Close, not equal: matrix products of another length may round otherwise on another processor.
    assert np.allclose(features(np.append(wave_S, noise(FRAME)), 10)[:9], whole_TD[:9], atol=1e-4)
    longer_TD = features(wave_S, 14)
    assert np.allclose(longer_TD[:9], whole_TD[:9], atol=1e-4)
    assert np.allclose(longer_TD[11:], SILENCE)


def test_a_tone_lights_its_band_in_all_four_hops() -> None:
    wave_S = np.sin(2 * np.pi * 1000 * np.arange(10 * FRAME) / AUDIO_HZ).astype(np.float32)
    heard_T4B = features_of("log-mel")(wave_S, 10).reshape(10, 4, 80)
    band = int(np.abs(mel_filters() @ np.eye(201)[25]).argmax())  # bin 25 of 40 Hz
    assert (heard_T4B[1:-1].argmax(axis=2) == band).all()


def test_filters_are_those_of_transformers() -> None:
    audio_utils = pytest.importorskip("transformers.audio_utils")
    theirs_FB = audio_utils.mel_filter_bank(201, 80, 0, 8000, AUDIO_HZ, norm="slaney", mel_scale="slaney")
    assert np.allclose(mel_filters(), theirs_FB.T, atol=1e-7)
    assert (mel_filters().sum(axis=1) > 0).all()


# ---- context and whole clips


def test_neighbours_come_from_the_whole_clip_and_edges_repeat() -> None:
    x_TD = np.arange(12, dtype=np.float32).reshape(6, 2)
    seen_TCD = with_context(x_TD, 2)
    assert seen_TCD.shape == (6, 5, 2)
    assert np.array_equal(seen_TCD[3], x_TD[1:6])
    assert np.array_equal(seen_TCD[0], x_TD[[0, 0, 0, 1, 2]])
    assert np.array_equal(seen_TCD[5], x_TD[[3, 4, 5, 5, 5]])
    assert np.array_equal(with_context(x_TD, 0)[:, 0], x_TD)


def test_each_voice_is_heard_apart() -> None:
    voices_NS = np.stack([noise(10 * FRAME), np.zeros(10 * FRAME, np.float32)])
    sound_NTCD, mix_TCD = hear(voices_NS, voices_NS[0], 10, AudioConfig(context=1))
    assert sound_NTCD.shape == (2, 10, 3, 320)
    assert np.array_equal(sound_NTCD[0], mix_TCD)
    assert np.allclose(sound_NTCD[1], SILENCE)
    assert sound_NTCD[0].min() > SILENCE
    nobody_NTCD, alone_TCD = hear(voices_NS[:0], voices_NS[0], 10, AudioConfig(context=1))
    assert nobody_NTCD.shape == (0, 10, 3, 320)
    assert np.array_equal(alone_TCD, mix_TCD)


# ---- kinds


def test_kinds_are_known_by_name_and_size_before_any_weight_is() -> None:
    with pytest.raises(UnknownName, match="log-mell"):
        features_of("log-mell")
    with pytest.raises(UsageError, match="no other weights"):
        features_of("log-mel", "folder")
    assert features_of("log-mel").dim == 320


def test_light_until_used() -> None:
    code = "import sys; from mitds.baselines.conditions.sound import features_of as f; f('log-mel'); "
    code += "sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- networks


@pytest.mark.parametrize("frames", [1, 30, PIECE, PIECE + 1, 3 * PIECE - 7])
def test_long_sound_is_heard_in_pieces_and_no_frame_near_an_edge(frames: int) -> None:
    wave_S = np.repeat(np.arange(1, frames + 1, dtype=np.float32), FRAME)

    def network(piece_S: Array, count: int) -> Array:
        assert len(piece_S) == count * FRAME <= 30 * AUDIO_HZ
        number_TD = piece_S[FRAME // 2 :: FRAME, None].copy()
        number_TD[:MARGIN] = number_TD[-MARGIN:] = np.nan
        return number_TD

    heard_TD = in_pieces(wave_S, frames, network)
    assert np.array_equal(heard_TD[:, 0], np.arange(1, frames + 1))


@pytest.fixture(scope="module")
def small_wav2vec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with a speech recogniser's head, as the released checkpoint has one."""
    pytest.importorskip("transformers")
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("wav2vec2")
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    return folder


def test_wav2vec_gives_all_layers_at_the_rate_of_frames(small_wav2vec: Path) -> None:
    features = features_of("wav2vec2-base", str(small_wav2vec))
    assert features.dim == 3 * 16
    wave_S = noise(12 * FRAME + 100)
    heard_TD = features(wave_S, 12)
    assert heard_TD.shape == (12, 48)
    assert heard_TD.dtype == np.float32
    assert np.isfinite(features(np.zeros(0, np.float32), 12)).all()
    assert np.array_equal(heard_TD, features(wave_S, 12))
    assert not np.allclose(heard_TD[:, :16], heard_TD[:, 16:32])


def test_wav2vec_refuses_a_checkpoint_that_lacks_layers(small_wav2vec: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    named = load_file(small_wav2vec / "model.safetensors")
    lacking = {name: array for name, array in named.items() if "layers.1.attention.k_proj" not in name}
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((small_wav2vec / "config.json").read_bytes())
    with pytest.raises(MissingWeights, match=r"missing \(encoder\.layers\.1\.attention\.k_proj"):
        features_of("wav2vec2-base", str(tmp_path))(noise(FRAME), 1)


def test_wav2vec_is_the_network_between_its_steps(small_wav2vec: Path) -> None:
    import torch
    from transformers import Wav2Vec2Model

    wave_S = noise(9 * FRAME)
    padded_S = np.pad((wave_S - wave_S.mean()) / np.sqrt(wave_S.var() + 1e-7), MARGIN * FRAME)
    with torch.inference_mode():
        network = Wav2Vec2Model.from_pretrained(small_wav2vec).eval()
        layers = network(torch.from_numpy(padded_S)[None], output_hidden_states=True).hidden_states
    last_ID = layers[3][0].numpy()
    # Step i hears samples 320 i .. 320 i + 399, and frame k is 640 k .. 640 k + 639.
    step = 2 * (MARGIN + 4)
    heard_TD = features_of("wav2vec2-base", str(small_wav2vec))(wave_S, 9)
    assert np.allclose(heard_TD[4, 32:], 0.625 * last_ID[step] + 0.375 * last_ID[step + 1], atol=1e-5)


def test_wav2vec_interpolates_to_the_middles_of_frames() -> None:
    pytest.importorskip("transformers")
    from transformers import Wav2Vec2Config

    from mitds.baselines.conditions.wav2vec import steps_at

    # Step i hears samples 320 i .. 320 i + 399, and frame k is 640 k .. 640 k + 639.
    assert np.allclose(steps_at(4, Wav2Vec2Config()), [0.375, 2.375, 4.375, 6.375])


def test_wav2vec_says_what_to_do_without_weights(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    assert features_of("wav2vec2-base").dim == 12 * 768
    with pytest.raises(MissingWeights, match=r"audio\.source"):
        features_of("wav2vec2-base", str(tmp_path))(noise(FRAME), 1)


def test_all_kinds_are_in_the_recipe() -> None:
    from typing import get_args

    from mitds.baselines.recipe import Features

    assert sound.FEATURES.names() == sorted(get_args(Features))


def test_a_louder_recording_of_the_same_voice_is_heard_alike() -> None:
    random = np.random.default_rng(3)
    voice_S = (random.standard_normal(25 * 640) * np.repeat(random.uniform(0.01, 0.3, 25), 640)).astype(
        np.float32
    )
    voice_S[:6400] = 0
    quiet, loud = (hear(gain * voice_S[None], gain * voice_S, 25, AudioConfig())[0] for gain in (0.1, 1.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-3)
    assert np.ptp(loud[0, 12:, 2].mean(axis=1)) > 0.3, "loud and soft words keep their difference"


def test_silence_stays_silence_at_any_level() -> None:
    silent_S = np.zeros(25 * 640, np.float32)
    assert levelled(silent_S) is silent_S
