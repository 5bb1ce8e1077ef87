"""Loading published weights, on small random checkpoints whose layout is compared with that of the real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    MotionAdapter,
    UNet2DConditionModel,
    UNetMotionModel,
    UNetSpatioTemporalConditionModel,
)
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from mitds.baselines.checkpoint import AUTOENCODER, open_checkpoint, save_checkpoint, write_tensors
from mitds.baselines.contracts import Batch, Keep
from mitds.baselines.diffusion import Diffusion
from mitds.baselines.networks import build_network
from mitds.baselines.networks.autoencoder import build_autoencoder
from mitds.baselines.networks.layouts import layouts
from mitds.baselines.networks.pretrained import load_image_encoder, load_svd_unet, load_unets
from mitds.baselines.networks.svd import ControlSvd
from mitds.baselines.presets import recipe
from mitds.baselines.recipe import AudioConfig, PoseConfig, TrunkConfig
from mitds.errors import InputFault, MissingWeights, UsageError
from tests import factories

SMALL, REAL = (32, 64, 96, 96), (320, 640, 1280, 1280)
UNET_FILE = "diffusion_pytorch_model.safetensors"


def sd15_unet(channels: tuple[int, ...], cross_dim: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64, block_out_channels=channels, cross_attention_dim=cross_dim, attention_head_dim=8
    )


def vision(projection_dim: int) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, projection_dim=projection_dim, num_hidden_layers=2,
        num_attention_heads=4, image_size=28, patch_size=14,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints as the hub has them: sd15/unet, motion, variations/image_encoder, clip, svd/{unet,image_encoder}."""
    root = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    sd15_unet(SMALL, 16).save_pretrained(root / "sd15" / "unet")
    motion = MotionAdapter(SMALL)
    for module in motion.modules():
        if hasattr(module, "proj_out"):
            nn.init.normal_(module.proj_out.weight)
    motion.save_pretrained(root / "motion")
    CLIPVisionModelWithProjection(vision(16)).save_pretrained(root / "variations" / "image_encoder")
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    whole = CLIPConfig(
        vision_config=vision(16).to_dict(), text_config=text | {"vocab_size": 9}, projection_dim=16
    )
    CLIPModel(whole).save_pretrained(root / "clip")
    svd = UNetSpatioTemporalConditionModel(
        block_out_channels=SMALL, cross_attention_dim=16, num_attention_heads=(2, 2, 4, 4), layers_per_block=1
    )
    svd.save_pretrained(root / "svd" / "unet")
    shutil.copytree(root / "variations" / "image_encoder", root / "svd" / "image_encoder")
    return root


def trunk(shelf: Path, **changes: Any) -> TrunkConfig:
    sources = {"source": "sd15", "motion_source": "motion", "image_source": "variations"}
    named = {name: str(shelf / folder) for name, folder in sources.items()}
    return replace(TrunkConfig(channels=SMALL, cross_dim=16, **named), **changes)


def svd_trunk(shelf: Path) -> TrunkConfig:
    svd = str(shelf / "svd")
    return trunk(shelf, source=svd, motion_source="", image_source=svd, layers=1)


def altered(folder: Path, target: Path, change: Callable[[dict[str, Tensor]], None]) -> str:
    """Copy a checkpoint folder with its weights changed."""
    shutil.copytree(folder, target)
    (path,) = target.rglob("*.safetensors")
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})
    return str(target)


def same(held: dict[str, Tensor], filed: dict[str, Tensor]) -> bool:
    return held.keys() == filed.keys() and all(torch.equal(held[key], filed[key]) for key in filed)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_both_unets_have_the_weights_of_the_files(shelf: Path) -> None:
    reference, denoiser = (unet.state_dict() for unet in load_unets(trunk(shelf)))
    spatial, motion = load_file(shelf / "sd15" / "unet" / UNET_FILE), load_file(shelf / "motion" / UNET_FILE)
    assert same(reference, spatial)
    assert same(denoiser, spatial | motion)


def test_the_layout_is_that_of_the_published_weights(shelf: Path) -> None:
    """Sizes as published: SD 1.5's U-Net has 859.52 M, AnimateDiff v2 453.21 M, v3 417.14 M (no middle block)."""
    with torch.device("meta"):
        unet, v2, v3 = sd15_unet(REAL, 768), MotionAdapter(), MotionAdapter(use_motion_mid_block=False)
        denoiser = UNetMotionModel.from_unet2d(unet, v2, load_weights=False)
    assert (parameters(unet), parameters(v2), parameters(v3)) == (859_520_964, 453_209_280, 417_137_600)
    assert parameters(denoiser) == parameters(unet) + parameters(v2)
    real = {key: tuple(value.shape) for key, value in unet.state_dict().items()}
    assert real["conv_in.weight"] == (320, 4, 3, 3)
    assert real["time_embedding.linear_1.weight"] == (1280, 320)
    assert real["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"] == (320, 768)
    assert real["mid_block.attentions.0.proj_in.weight"] == (1280, 1280, 1, 1)
    assert not any(key.startswith("down_blocks.3.attentions") for key in real)
    assert len(real) == 686
    assert load_file(shelf / "sd15" / "unet" / UNET_FILE).keys() == real.keys()
    assert load_file(shelf / "motion" / UNET_FILE).keys() == v2.state_dict().keys()


def test_what_the_preset_names_has_this_layout() -> None:
    wanted = recipe("covog", "sd15").trunk
    assert (wanted.channels, wanted.layers, wanted.heads, wanted.cross_dim, wanted.groups) == (
        REAL,
        2,
        8,
        768,
        32,
    )
    assert wanted.attention == (True, True, True, False)
    svd = recipe("control-svd", "sd15").trunk
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel()
    assert parameters(unet) == 1_524_623_082
    config = unet.config
    assert (svd.channels, svd.layers, svd.cross_dim) == (
        config.block_out_channels, config.layers_per_block, config.cross_attention_dim,
    )  # fmt: skip
    assert "video" in svd.source
    assert svd.image_source == svd.source


def test_unets_run_together(shelf: Path) -> None:
    reference, denoiser = load_unets(trunk(shelf))
    tokens = torch.zeros(1, 1, 16)
    with torch.no_grad():
        assert reference(torch.zeros(1, 4, 8, 8), 0, tokens).sample.shape == (1, 4, 8, 8)
        assert denoiser(torch.zeros(1, 4, 2, 8, 8), 0, tokens.expand(2, 1, 16)).sample.shape == (
            1,
            4,
            2,
            8,
            8,
        )


def test_a_missing_a_foreign_and_a_misshapen_key_are_each_named(shelf: Path, tmp_path: Path) -> None:
    def remove(weights: dict[str, Tensor]) -> None:
        del weights["conv_in.bias"]

    def add(weights: dict[str, Tensor]) -> None:
        weights["controlnet.weight"] = torch.zeros(1)

    def widen(weights: dict[str, Tensor]) -> None:
        weights["conv_out.bias"] = torch.zeros(9)

    faults = {
        r"1 missing \(conv_in\.bias\)": remove,
        r"1 not of this network \(controlnet\.weight\)": add,
        r"1 of another shape \(conv_out\.bias \(9,\) for \(4,\)\)": widen,
    }
    for i, (fault, change) in enumerate(faults.items()):
        source = altered(shelf / "sd15", tmp_path / str(i), change)
        with pytest.raises(MissingWeights, match=fault) as caught:
            load_unets(trunk(shelf, source=source))
        assert source in caught.value.where


def test_a_motion_adapter_is_checked_too(shelf: Path, tmp_path: Path) -> None:
    def remove(weights: dict[str, Tensor]) -> None:
        for key in [key for key in weights if "up_blocks.0" in key]:
            del weights[key]

    source = altered(shelf / "motion", tmp_path / "motion", remove)
    with pytest.raises(MissingWeights, match=r"\d+ missing \(up_blocks\.0\.motion_modules.*, \.\.\.\)"):
        load_unets(trunk(shelf, motion_source=source))
    MotionAdapter((32, 64, 64, 96)).save_pretrained(tmp_path / "narrow")
    with pytest.raises(UsageError, match=r"trunk\.channels is .* and the weights have \[32, 64, 64, 96\]"):
        load_unets(trunk(shelf, motion_source=str(tmp_path / "narrow")))


def test_pickles_are_not_read(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "sd15", tmp_path / "sd15")
    (tmp_path / "sd15" / "unet" / UNET_FILE).rename(
        tmp_path / "sd15" / "unet" / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(MissingWeights, match=r"only diffusion_pytorch_model\.bin.*Pickles are not read"):
        load_unets(trunk(shelf, source=str(tmp_path / "sd15")))


def test_a_torn_file_is_told(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "motion", tmp_path / "motion")
    path = tmp_path / "motion" / UNET_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MissingWeights, match="cannot be read"):
        load_unets(trunk(shelf, motion_source=str(tmp_path / "motion")))
    shutil.copytree(shelf / "variations", tmp_path / "variations")
    path = tmp_path / "variations" / "image_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MissingWeights, match="cannot be read"):
        load_image_encoder(trunk(shelf, image_source=str(tmp_path / "variations")))


@pytest.mark.parametrize(
    "change",
    [
        {"channels": REAL}, {"layers": 1}, {"heads": 4}, {"cross_dim": 768}, {"groups": 16},
        {"attention": (False, True, True, False)}, {"motion_heads": 4}, {"motion_length": 24},
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_that_states_other_sizes_is_refused(shelf: Path, change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(UsageError, match=rf"trunk\.{name} is "):
        load_unets(trunk(shelf, **change))


def test_settings_that_published_weights_cannot_have_are_refused(shelf: Path) -> None:
    with pytest.raises(UsageError, match="reference_input"):
        load_unets(trunk(shelf, reference_input=True))
    with pytest.raises(UsageError, match="names no motion_adapter weights"):
        load_unets(trunk(shelf, motion_source=""))


def test_hub_names_and_revisions_are_fetched_without_telemetry(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def snapshot(repo_id: str, **arguments: Any) -> str:
        asked.append({"repo_id": repo_id, **arguments})
        return str(shelf / repo_id.rpartition("/")[2])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    load_unets(trunk(shelf, source="owner/sd15@39593d5", motion_source="owner/motion"))
    assert [(a["repo_id"], a["revision"]) for a in asked] == [
        ("owner/sd15", "39593d5"),
        ("owner/motion", None),
    ]
    assert constants.HF_HUB_DISABLE_TELEMETRY
    assert "unet/diffusion_pytorch_model.safetensors" in asked[0]["allow_patterns"]
    assert not any(
        ".bin" in pattern or pattern.startswith("*") for a in asked for pattern in a["allow_patterns"]
    )


def test_without_the_hub_the_message_says_what_to_do(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"hub does not give it.*Unset HF_HUB_OFFLINE") as caught:
        load_unets(trunk(shelf, source="nobody/nothing"))
    assert caught.value.where == "nobody/nothing"
    with pytest.raises(MissingWeights, match="no such folder"):
        load_unets(trunk(shelf, source="./nowhere/at/all"))


@pytest.mark.parametrize("source", ["variations", "clip"])
def test_the_image_token_is_that_of_the_vision_model(shelf: Path, source: str) -> None:
    encoder = load_image_encoder(trunk(shelf, image_source=str(shelf / source)))
    picture = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    token = encoder(picture * 2 - 1, torch.zeros(2, 4, 7, 7))
    assert token.shape == (2, 1, 16)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    folder = shelf / source / "image_encoder" if source == "variations" else shelf / source
    vision_model = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = vision_model((picture - mean) / std).image_embeds
    torch.testing.assert_close(token[:, 0], wanted, atol=1e-5, rtol=1e-4)


def test_the_image_encoder_is_frozen_and_takes_any_picture(shelf: Path) -> None:
    encoder = load_image_encoder(trunk(shelf))
    token = encoder(torch.zeros(1, 3, 48, 80, requires_grad=True), torch.zeros(1, 4, 6, 10))
    assert token.shape == (1, 1, 16)
    assert not token.requires_grad
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    with pytest.raises(UsageError, match=r"trunk\.cross_dim is 64, and the weights have 16"):
        load_image_encoder(trunk(shelf, cross_dim=64))


def test_other_keys_than_those_of_clip_are_refused(shelf: Path, tmp_path: Path) -> None:
    def change(weights: dict[str, Tensor]) -> None:
        weights["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
        weights["vision_model.adapter.weight"] = torch.zeros(1)

    source = altered(shelf / "clip", tmp_path / "clip", change)
    with pytest.raises(MissingWeights, match=r"1 not of this network \(vision_model\.adapter\.weight\)"):
        load_image_encoder(trunk(shelf, image_source=source))


def test_control_svd_starts_from_stable_video_diffusion(shelf: Path) -> None:
    wanted = svd_trunk(shelf)
    network = ControlSvd(replace(recipe("control-svd", "sd15"), trunk=wanted))
    assert same(network.unet.state_dict(), load_file(shelf / "svd" / "unet" / UNET_FILE))
    assert not any(name.startswith("image.clip.") for stage in (1, 2) for name in network.parts(stage))
    with pytest.raises(MissingWeights, match="holds a UNet2DConditionModel, not a UNetSpatio"):
        load_svd_unet(replace(wanted, source=str(shelf / "sd15"), layers=2))


def test_stable_video_diffusion_sees_the_reference_as_it_is_used_to(shelf: Path) -> None:
    """Its autoencoder's latents, which it was trained with beside scaled noisy ones: 1 / 0.18215 as large as ours."""
    network = ControlSvd(replace(recipe("control-svd", "sd15"), trunk=svd_trunk(shelf)))
    nobody = torch.zeros(1, 1, 1, 3, 64, 64)
    batch = Batch(
        keys=("clip",), reference_BCHW=nobody[0, 0], reference_skeleton_BNCHW=nobody[0], skeleton_BNTCHW=nobody,
        region_BNHW=nobody[:, 0, 0, :1, :, 0], face_BNTHW=nobody[:, 0, :, :1], gate_BNT=nobody[..., 0, 0, 0],
        sound_BNTCD=nobody[..., 0], mix_BTCD=nobody[:, 0, ..., 0], present_BN=torch.ones(1, 1, dtype=torch.bool),
        inside_BHW=nobody[0, 0, :, 0], frames_BTCHW=None,
    )  # fmt: skip
    latent, step_B, on_B = torch.rand(1, 4, 8, 8), torch.tensor([999]), torch.tensor([True])
    seen: list[Tensor] = []
    network.unet.conv_in.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        given = network.prepare(batch, latent)
        network(torch.zeros(1, 1, 4, 8, 8), step_B, given, Keep(on_B, on_B, on_B))
    torch.testing.assert_close(seen[0], torch.cat([torch.zeros(1, 4, 8, 8), latent / 0.18215], dim=1))


def test_the_clock_of_stable_video_diffusion_is_kept(shelf: Path) -> None:
    """Its x0 at noise level sigma is ours: x / (s^2 + 1) - v s / sqrt(s^2 + 1), of x before it is scaled."""
    network = ControlSvd(replace(recipe("control-svd", "sd15"), trunk=svd_trunk(shelf)))
    sigma_S = (4 * network.clock_S).exp()
    assert (sigma_S.diff() >= 0).all()
    assert sigma_S[-1] == pytest.approx(700, rel=1e-3)
    signal, noise, step = torch.tensor(0.7), torch.tensor(-1.3), torch.tensor([400])
    ours = Diffusion()
    noisy, velocity = (f(signal.view(1, 1), noise.view(1, 1), step) for f in (ours.noisy, ours.velocity))
    sigma = sigma_S[400]
    unscaled = noisy * (sigma**2 + 1).sqrt()
    torch.testing.assert_close(unscaled, (signal + sigma * noise).view(1, 1))
    found = unscaled / (sigma**2 + 1) - velocity * sigma / (sigma**2 + 1).sqrt()
    torch.testing.assert_close(found, signal.view(1, 1))


@pytest.mark.parametrize("model", ["covog", "control-svd"])
def test_a_trained_model_opens_when_what_it_began_with_is_gone(
    shelf: Path, tmp_path: Path, model: str
) -> None:
    moved = tmp_path / "shelf"
    shutil.copytree(shelf, moved)
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4,
    ).save_pretrained(moved / "vae")  # fmt: skip
    wanted = recipe(model, "sd15")
    wanted = replace(
        wanted,
        trunk=svd_trunk(moved) if model == "control-svd" else trunk(moved),
        autoencoder=replace(wanted.autoencoder, source=str(moved / "vae")),
        pose=PoseConfig(channels=(8, 8, 8, 8)),
        audio=AudioConfig(tokens=2, token_dim=8, hidden=8),
    )
    network, autoencoder = build_network(wanted), build_autoencoder(wanted.autoencoder)
    write_tensors(tmp_path / AUTOENCODER, autoencoder.state_dict())
    kept = layouts(network, autoencoder)
    save_checkpoint(tmp_path, wanted, network.state_dict(), factories.ABOUT_TRAINING, kept)
    said = json.dumps(json.loads((tmp_path / "recipe.json").read_text())["layouts"])
    assert str(tmp_path) not in said
    shutil.rmtree(moved)
    found = open_checkpoint(tmp_path)
    assert same(found.network.state_dict(), network.state_dict())
    assert same(found.autoencoder.state_dict(), autoencoder.state_dict())
    assert layouts(found.network, found.autoencoder) == kept
    save_checkpoint(tmp_path, wanted, network.state_dict(), factories.ABOUT_TRAINING)
    with pytest.raises(InputFault, match="layout of its part unet is missing"):
        open_checkpoint(tmp_path)
