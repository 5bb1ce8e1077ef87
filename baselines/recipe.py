"""The recipe of a baseline: every setting that decides its weights. `presets` has those that are named."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from mitds.config import require

Features = Literal["log-mel", "whisper-tiny.en", "wav2vec2-base"]

DIFFUSION_STEPS = 1000
"""Steps of noise; drawing takes fewer."""


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
        _at_least(1, self, "autoencoder", "fold", "channels", "batch")
        _at_least(0, self, "autoencoder", "blocks", "steps", "noise")
        require(self.lr > 0, "autoencoder.lr", self.lr, "above 0")


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
        reference_moved: What is given beside the noisy latent is the reference with each face moved and scaled to its
            box in the frame (`conditions.moving`). Such a trunk cannot learn in minutes to carry a face elsewhere.
        reference_spread: Let the networks predict what differs from the reference's latent, which frames scatter about
            with this standard deviation (`networks.prior`); 0 lets them predict everything, as the papers do.
        iad_down: Down blocks after which voices come in.
        iad_up: Up blocks after which voices come in.
        checkpointing: Compute activations anew for the gradient instead of keeping them: less memory, more time, and
            the same gradients.
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
    reference_moved: bool = False
    reference_spread: float = 0.0
    iad_down: tuple[int, ...] = (0, 1, 2)
    iad_up: tuple[int, ...] = (0, 1)
    checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse shapes that have no network; whether voices have their blocks is `Recipe`'s to check."""
        _at_least(1, self, "trunk", "layers", "heads", "cross_dim", "groups", "motion_heads", "motion_length")
        _at_least(0, self, "trunk", "reference_spread")
        fit = bool(self.channels) and all(c > 0 and c % self.groups == 0 for c in self.channels)
        require(fit, "trunk.channels", self.channels, f"at least one, each a multiple of {self.groups}")
        levels = len(self.channels)
        require(
            len(self.attention) == levels, "trunk.attention", self.attention, f"as many as channels, {levels}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseConfig:
    """The pose encoder: 3x3 convolutions, halving until a cell is a latent cell.

    Attributes:
        channels: Of its layers.
    """

    channels: tuple[int, ...] = (16, 32, 96, 256)

    def __post_init__(self) -> None:
        """Refuse layers without channels."""
        fit = bool(self.channels) and min(self.channels) > 0
        require(fit, "pose.channels", self.channels, "at least one, each above 0")


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

    def __post_init__(self) -> None:
        """Refuse what is no number of things."""
        _at_least(0, self, "audio", "context")
        _at_least(1, self, "audio", "tokens", "token_dim", "hidden")


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

    def __post_init__(self) -> None:
        """Refuse what is no number of things."""
        _at_least(0, self, "a stage's", "steps", "warmup")
        _at_least(1, self, "a stage's", "batch", "frames")
        fit = bool(self.strides) and min(self.strides) >= 1
        require(fit, "a stage's strides", self.strides, "at least one, each at least 1")
        require(self.lr > 0, "a stage's lr", self.lr, "above 0")


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

    def __post_init__(self) -> None:
        """Refuse what is no probability, step or weight."""
        _at_least(0, self, "diffusion", "noise_offset", "face_weight", "weight_decay")
        require(0 <= self.least_step <= 999, "diffusion.least_step", self.least_step, "0 to 999")
        require(0 <= self.drop <= 1 / 3, "diffusion.drop", self.drop, "0 to 1/3, for it is taken three times")
        require(0 <= self.ema < 1, "diffusion.ema", self.ema, "at least 0 and below 1")
        require(self.min_snr > 0, "diffusion.min_snr", self.min_snr, "above 0")
        require(self.grad_clip > 0, "diffusion.grad_clip", self.grad_clip, "above 0")


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

    def __post_init__(self) -> None:
        """Refuse what is no probability, enlargement or memory."""
        require(0 <= self.flip <= 1, "data.flip", self.flip, "0 to 1")
        _at_least(1, self, "data", "zoom")
        _at_least(0, self, "data", "reference_gap")
        require(self.cache_gb > 0, "data.cache_gb", self.cache_gb, "above 0")


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

    def __post_init__(self) -> None:
        """Refuse numbers of steps that cannot be drawn in."""
        check_steps(self.steps)


def check_steps(steps: int) -> None:
    """Refuse numbers of denoising steps at which diffusers' DDIM with trailing spacing leaves noise in the pictures.

    It steps from 1000 down by 1000 / steps, rounds each place, and jumps from each by the whole part of 1000 / steps:
    the last place must be no further from zero than that, and rounding must not add a place.

    Raises:
        UsageError: Naming numbers that can be.
    """
    name = "sampling.steps"
    require(1 <= steps <= DIFFUSION_STEPS, name, steps, f"1 to {DIFFUSION_STEPS}")
    spacing = DIFFUSION_STEPS / steps
    ends_clean = round(spacing) <= int(spacing) and math.ceil(DIFFUSION_STEPS / spacing) == steps
    require(ends_clean, name, steps, "such that the last step leaves no noise: 5, 10, 20, 30, 50, ...")


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
        """Refuse sections that do not fit each other."""
        cell = self.cell * 2 ** (len(self.trunk.channels) - 1)
        require(self.height % cell == 0 and self.height > 0, "height", self.height, f"a multiple of {cell}")
        require(self.width % cell == 0 and self.width > 0, "width", self.width, f"a multiple of {cell}")
        for name, frames in {
            "sampling.window": self.sampling.window,
            "stage1.frames": self.stage1.frames,
            "stage2.frames": self.stage2.frames,
        }.items():
            most = self.trunk.motion_length
            require(1 <= frames <= most, name, frames, f"1 to trunk.motion_length, {most}")
        require(
            0 <= self.sampling.overlap < self.sampling.window, "sampling.overlap", self.sampling.overlap,
            f"0 to {self.sampling.window - 1}",
        )  # fmt: skip

        if self.design.iad:
            self._require_places()

    def _require_places(self) -> None:
        levels = len(self.trunk.channels)
        for name in ("iad_down", "iad_up"):
            places = getattr(self.trunk, name)
            fit = len(set(places)) == len(places) and all(0 <= place < levels for place in places)
            require(fit, f"trunk.{name}", places, f"blocks, 0 to {levels - 1}, each once")

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


def _at_least(least: int, section: object, where: str, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        require(value >= least, f"{where}.{name}".replace("'s.", "'s "), value, f"at least {least}")
