"""The models and presets that have a name."""

from __future__ import annotations

from dataclasses import replace

from mitds.baselines.recipe import (
    AudioConfig,
    AutoencoderConfig,
    DataConfig,
    DesignConfig,
    DiffusionConfig,
    PoseConfig,
    PublishedConfig,
    Recipe,
    SamplingConfig,
    StageConfig,
    TrunkConfig,
)
from mitds.registry import unknown

PUBLISHED = PublishedConfig(
    audio_off=True, regions_to_bottom=True, masks_from_clip_head=True, reference_in_both=True,
    tail_keeps_first=True, double_count=True,
)  # fmt: skip

DESIGNS: dict[str, DesignConfig] = {
    "covog": DesignConfig(),
    "covog-without-mpe": DesignConfig(mpe=False),
    "covog-without-iad": DesignConfig(iad=False),
    "covog-published": DesignConfig(published=PUBLISHED),
    "animate-anyone": DesignConfig(mpe=False, iad=False),
    "control-svd": DesignConfig(kind="svd", mpe=False, iad=False),
}

_TINY = Recipe(
    model="covog",
    preset="tiny",
    height=96,
    width=160,
    autoencoder=AutoencoderConfig(fold=2),
    trunk=TrunkConfig(
        channels=(64, 96, 128), attention=(False, True, True), layers=1, heads=4, cross_dim=64, groups=16,
        motion_heads=4, reference_input=True, reference_moved=True, reference_spread=0.2,
        iad_down=(0, 1), iad_up=(0, 1),
    ),
    pose=PoseConfig(channels=(8, 16, 32, 64)),
    audio=AudioConfig(tokens=4, token_dim=64, hidden=128),
    data=DataConfig(flip=0.5, zoom=1.3, reference_gap=10),
    diffusion=DiffusionConfig(least_step=400, drop=0.05, face_weight=4.0, ema=0.99),
    stage1=StageConfig(steps=400, batch=8, lr=1e-3, warmup=50, trains="all"),
    stage2=StageConfig(steps=240, batch=2, frames=8, lr=5e-4, warmup=50, trains="all"),
    sampling=SamplingConfig(steps=2, window=16, overlap=4, reference_scale=1.0, audio_scale=2.0),
)  # fmt: skip

_SMALL = replace(
    _TINY,
    preset="small",
    height=192,
    width=320,
    precision="bf16",
    data=replace(_TINY.data, cache_gb=24.0),
    autoencoder=AutoencoderConfig(
        channels=64, blocks=2, steps=6000, batch=32, crop=128, factor=8, latents=16
    ),
    trunk=replace(
        _TINY.trunk,
        channels=(128, 256, 384),
        attention=(True, True, True),
        layers=2,
        heads=8,
        cross_dim=128,
        groups=32,
    ),
    pose=PoseConfig(channels=(16, 32, 64, 128)),
    diffusion=replace(_TINY.diffusion, least_step=0, drop=0.1, ema=0.999),
    audio=AudioConfig(features="whisper-tiny.en", tokens=8, token_dim=256, hidden=256),
    stage1=StageConfig(steps=6000, batch=64, lr=3e-4, warmup=200, trains="stage"),
    stage2=StageConfig(steps=6000, batch=8, frames=16, strides=(1, 2), lr=2e-4, warmup=200, trains="all"),
    sampling=SamplingConfig(steps=20, window=16, overlap=4, reference_scale=1.5, audio_scale=2.5),
)

_SD15 = Recipe(
    model="covog",
    preset="sd15",
    height=384,
    width=640,
    seed=12580,
    precision="bf16",
    autoencoder=AutoencoderConfig(
        kind="kl", source="stabilityai/sd-vae-ft-mse", factor=8, latents=4, steps=0
    ),
    trunk=TrunkConfig(
        source="stable-diffusion-v1-5/stable-diffusion-v1-5",
        motion_source="guoyww/animatediff-motion-adapter-v1-5-2",
        image_source="openai/clip-vit-large-patch14",
        checkpointing=True,
    ),
    audio=AudioConfig(features="wav2vec2-base", context=0),
    stage1=StageConfig(steps=30_000, batch=4, lr=1e-5),
    stage2=StageConfig(steps=30_000, batch=4, frames=15, strides=(1, 2), lr=1e-5, warmup=1),
    data=DataConfig(cache_gb=48.0),
)

_SVD = "stabilityai/stable-video-diffusion-img2vid"
_SVD_TRUNK = replace(_SD15.trunk, source=_SVD, motion_source="", image_source=_SVD, cross_dim=1024)

PRESETS: dict[str, Recipe] = {"tiny": _TINY, "small": _SMALL, "sd15": _SD15}


def recipe(model: str, preset: str) -> Recipe:
    """Return the recipe of a model at a preset.

    Raises:
        UnknownName: If there is no such model or preset.
    """
    if model not in DESIGNS:
        raise unknown("model", model, sorted(DESIGNS))
    if preset not in PRESETS:
        raise unknown("preset", preset, sorted(PRESETS))
    chosen = replace(PRESETS[preset], model=model, design=DESIGNS[model])
    if chosen.design.kind == "svd" and chosen.trunk.source:
        return replace(chosen, trunk=_SVD_TRUNK)
    return chosen
