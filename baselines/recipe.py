"""The recipe of a baseline: every setting that decides its weights, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from mitds.config import require
from mitds.registry import unknown

Features = Literal["log-mel", "whisper-tiny.en", "wav2vec2-base"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderConfig:
    """Pictures to latents and back.

    Attributes:
        kind: "tiny" is trained from scratch on the clips; "kl" is loaded (`source`).
        source: Folder or hub name of a diffusers autoencoder; "" trains one.
        factor: Px a cell of its latents, a power of two.
        latents: Channels of its latents.
        fold: Cells a side that are folded into the channels of one: the U-Nets then see a quarter of the cells, or
            less, with as many numbers.
        channels: Width of the "tiny" one.
        blocks: Residual blocks a resolution of the "tiny" one.
        steps: Training steps.
        batch: Crops a step.
        crop: Side of a crop, px.
        lr: Learning rate at its highest.
        noise: Standard deviation of noise on the latents in training, over that of the latents.
    """

    kind: Literal["tiny", "kl"] = "tiny"
    source: str = ""
    factor: int = 4
    latents: int = 8
    fold: int = 1
    channels: int = 32
    blocks: int = 1
    steps: int = 3000
    batch: int = 8
    crop: int = 64
    lr: float = 2e-3
    noise: float = 0.15

    def __post_init__(self) -> None:
        """Refuse shapes that have no network."""
        whole = self.factor > 1 and self.factor & (self.factor - 1) == 0
        require(whole, "autoencoder.factor", self.factor, "a power of two above 1")
        most = 3 * self.factor**2
        require(0 < self.latents <= most, "autoencoder.latents", self.latents, f"1 to {most}")
        require(self.crop >= self.factor, "autoencoder.crop", self.crop, f"at least {self.factor}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig:
    """The two U-Nets.

    Attributes:
        source: Folder or hub name of a Stable Diffusion 1.5 U-Net; "" starts from random weights.
        motion_source: Folder or hub name of an AnimateDiff motion adapter; "".
        image_source: Folder or hub name of a CLIP vision model for the image embedding; "" trains a small one.
        channels: By resolution, finest first.
        attention: Whether a resolution attends (to the reference, to the image embedding).
        layers: Residual blocks a resolution.
        heads: Attention heads.
        cross_dim: Numbers of an image token.
        groups: Of group normalisation.
        motion_heads: Heads of the motion modules.
        motion_length: Most frames that motion modules see at once.
        reference_input: Also give the reference's latent to the denoiser's first layer, beside the noisy one. A
            trunk that starts from random weights has no notion of "the same place in another picture", and
            minutes of training do not teach it one; all models that start so get it alike.
        reference_spread: Let the networks predict what differs from the reference's latent, which frames scatter about
            with this standard deviation (`networks.prior`); 0 lets them predict everything, as the papers do.
        iad_down: Down blocks after which voices come in.
        iad_up: Up blocks after which voices come in.
    """

    source: str = ""
    motion_source: str = ""
    image_source: str = ""
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    attention: tuple[bool, ...] = (True, True, True, False)
    layers: int = 2
    heads: int = 8
    cross_dim: int = 768
    groups: int = 32
    motion_heads: int = 8
    motion_length: int = 32
    reference_input: bool = False
    reference_spread: float = 0.0
    iad_down: tuple[int, ...] = (0, 1, 2)
    iad_up: tuple[int, ...] = (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseConfig:
    """The pose encoder: 3x3 convolutions, halving until a cell is a latent cell.

    Attributes:
        channels: Of its layers.
    """

    channels: tuple[int, ...] = (16, 32, 96, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig:
    """What is heard of a voice.

    Attributes:
        features: What a frame of sound is turned into.
        source: Folder or hub name of the weights of "wav2vec2-base"; "" takes facebook/wav2vec2-base-960h.
        context: Frames before and after that a frame hears as well (C = 2 * context + 1).
        tokens: Audio tokens a frame.
        token_dim: Numbers a token.
        hidden: Width of the projector.
    """

    features: Features = "log-mel"
    source: str = ""
    context: int = 2
    tokens: int = 32
    token_dim: int = 1024
    hidden: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedConfig:
    """The behaviour of the published code, defect by defect, so that each repair can be measured.

    Attributes:
        audio_off: Voices never come in.
        regions_to_bottom: Regions reach the picture's lower edge.
        masks_from_clip_head: Faces, gates and voices are read from the clip's first frame on, wherever the
            window lies.
        reference_in_both: Guidance shows the reference's features to both of its branches.
        tail_keeps_first: Windows advance, keep their first frames, and the last one is moved back without notice.
        double_count: Regions that overlap count a skeleton twice, and each person adds the encoder's answer to
            an empty picture.
    """

    audio_off: bool = False
    regions_to_bottom: bool = False
    masks_from_clip_head: bool = False
    reference_in_both: bool = False
    tail_keeps_first: bool = False
    double_count: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignConfig:
    """Which model it is.

    Attributes:
        kind: "reference-unet" is the trunk of AnimateAnyone and CovOG; "svd" an image-to-video U-Net.
        mpe: Encode each person's pose apart (else all skeletons are one picture).
        iad: Let voices in, by person, gate and face.
        published: Which published defects it has.
    """

    kind: Literal["reference-unet", "svd"] = "reference-unet"
    mpe: bool = True
    iad: bool = True
    published: PublishedConfig = field(default_factory=PublishedConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """One stage of training.

    Attributes:
        steps: Optimiser steps.
        batch: Samples a step, over all processes.
        frames: T of a sample.
        strides: Steps between frames, one drawn for each sample.
        lr: Learning rate, constant after the warm-up.
        warmup: Steps.
        trains: "stage" trains what the stage is for (1: all but motion and voices; 2: motion and voices), "all"
            trains everything that runs.
    """

    steps: int = 30_000
    batch: int = 4
    frames: int = 1
    strides: tuple[int, ...] = (1,)
    lr: float = 1e-5
    warmup: int = 100
    trains: Literal["stage", "all"] = "stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionConfig:
    """The forward process, the loss, and the optimiser.

    Attributes:
        noise_offset: Scale of the noise that is constant over a channel's cells.
        min_snr: Gamma of min-SNR weighting (v form).
        least_step: Lowest of the 1000 diffusion steps that is trained; 0 trains all, as published. A model that draws
            in two steps never meets the low ones, and minutes are short.
        drop: Probability of dropping everything; of dropping poses and voices; of dropping voices alone.
        face_weight: Weight of latent cells inside faces, against 1 elsewhere; 1 is the published loss.
        grad_clip: Largest norm of the gradient.
        weight_decay: Of AdamW.
        ema: Decay of the averaged weights that are saved; 0 saves the last ones.
    """

    noise_offset: float = 0.05
    min_snr: float = 5.0
    least_step: int = 0
    drop: float = 0.1
    face_weight: float = 1.0
    grad_clip: float = 1.0
    weight_decay: float = 1e-2
    ema: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which clips are learned from, and how they are varied.

    Attributes:
        rights: "stated" refuses clips whose licence or consent forbids derived works or generation; "ignore" takes
            all, and the model card says so.
        flip: Probability of mirroring an example.
        zoom: Largest enlargement about a random point; 1 is none.
        reference_gap: Frames that the reference is away from a target at least, where the clip is long enough.
        cache_gb: Memory for decoded pictures.
    """

    rights: Literal["stated", "ignore"] = "stated"
    flip: float = 0.0
    zoom: float = 1.0
    reference_gap: int = 50
    cache_gb: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How pictures are drawn from a trained model.

    Attributes:
        steps: Denoising steps.
        window: Frames denoised together.
        overlap: Frames that neighbouring windows share; their predictions are averaged.
        reference_scale: Guidance by the reference: 1 none, 0 ignores it.
        pose_scale: Guidance by poses.
        audio_scale: Guidance by voices.
    """

    steps: int = 30
    window: int = 25
    overlap: int = 10
    reference_scale: float = 3.5
    pose_scale: float = 1.0
    audio_scale: float = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every setting that decides a baseline's weights and pictures.

    Attributes:
        model: Its name.
        preset: The preset it started from.
        height: Of the model's picture, px.
        width: Of the model's picture, px.
        seed: Of weights, data order and noise.
        precision: Of the training arithmetic.
    """

    model: str
    preset: str
    height: int
    width: int
    seed: int = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    design: DesignConfig = field(default_factory=DesignConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    data: DataConfig = field(default_factory=DataConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    stage1: StageConfig = field(default_factory=StageConfig)
    stage2: StageConfig = field(default_factory=StageConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        """Refuse shapes that the U-Nets cannot halve."""
        cell = self.cell * 2 ** (len(self.trunk.channels) - 1)
        require(self.height % cell == 0 and self.height > 0, "height", self.height, f"a multiple of {cell}")
        require(self.width % cell == 0 and self.width > 0, "width", self.width, f"a multiple of {cell}")
        longest = max(self.sampling.window, self.stage2.frames)
        require(
            longest <= self.trunk.motion_length, "sampling.window or stage2.frames", longest,
            f"at most trunk.motion_length, {self.trunk.motion_length}",
        )  # fmt: skip
        require(
            0 <= self.sampling.overlap < self.sampling.window, "sampling.overlap", self.sampling.overlap,
            f"0 to {self.sampling.window - 1}",
        )  # fmt: skip

    @property
    def cell(self) -> int:
        """Px a cell of what the U-Nets see."""
        return self.autoencoder.factor * self.autoencoder.fold

    @property
    def latents(self) -> int:
        """L of what the U-Nets see."""
        return self.autoencoder.latents * self.autoencoder.fold**2

    @property
    def latent_size(self) -> tuple[int, int]:
        """Height and width of a latent."""
        return self.height // self.cell, self.width // self.cell


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
        motion_heads=4, reference_input=True, reference_spread=0.2, iad_down=(0, 1), iad_up=(0, 1),
    ),
    pose=PoseConfig(channels=(8, 16, 32, 64)),
    audio=AudioConfig(tokens=4, token_dim=64, hidden=128),
    data=DataConfig(flip=0.5, zoom=1.3, reference_gap=10),
    diffusion=DiffusionConfig(least_step=400, drop=0.05, face_weight=4.0, ema=0.995),
    stage1=StageConfig(steps=800, batch=8, lr=1e-3, warmup=50, trains="all"),
    stage2=StageConfig(steps=400, batch=2, frames=8, lr=5e-4, warmup=50, trains="all"),
    sampling=SamplingConfig(steps=2, window=16, overlap=4, reference_scale=1.0, audio_scale=2.0),
)  # fmt: skip

_SMALL = replace(
    _TINY,
    preset="small",
    height=192,
    width=320,
    precision="bf16",
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
    ),
    audio=AudioConfig(features="wav2vec2-base", context=0),
    stage1=StageConfig(steps=30_000, batch=4, lr=1e-5),
    stage2=StageConfig(steps=30_000, batch=4, frames=15, strides=(1, 2), lr=1e-5, warmup=1),
    data=DataConfig(cache_gb=8.0),
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
