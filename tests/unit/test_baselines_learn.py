"""Networks learn what they are for: a batch by heart, and whose mouth a voice moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from mitds.baselines.checkpoint import Checkpoint
from mitds.baselines.conditions.batch import collate
from mitds.baselines.conditions.told import select
from mitds.baselines.contracts import Example
from mitds.baselines.diffusion import Diffusion
from mitds.baselines.generation import model as trained
from mitds.baselines.generation.sampler import Sampler
from mitds.baselines.networks import build_network
from mitds.baselines.networks.autoencoder import Autoencoder
from mitds.baselines.presets import DESIGNS
from mitds.baselines.recipe import (
    AudioConfig,
    AutoencoderConfig,
    DiffusionConfig,
    PoseConfig,
    Recipe,
    SamplingConfig,
    StageConfig,
    TrunkConfig,
)
from mitds.baselines.training.autoencoder import fit_autoencoder
from mitds.baselines.training.objective import Denoising, draw, loss_B
from mitds.manifests.items import Request
from mitds.manifests.records import Array, Turn
from mitds.time import AUDIO_HZ, CLIP_FPS

HEIGHT, WIDTH, RADIUS = 32, 48, 10
FACES = ((12, 15), (36, 15))
"""Middles of the two faces: x, y px."""
MOUTH = (8, 6)
"""Width and height of a mouth, px."""
RECIPE = Recipe(
    model="covog",
    preset="tiny",
    height=HEIGHT,
    width=WIDTH,
    autoencoder=AutoencoderConfig(factor=2, latents=4, fold=2, channels=8, steps=0),
    trunk=TrunkConfig(
        channels=(16, 32), attention=(True, True), layers=1, heads=2, cross_dim=16, groups=8, motion_heads=2,
        reference_input=True, reference_spread=0.5, iad_down=(0, 1), iad_up=(0, 1),
    ),
    pose=PoseConfig(channels=(8, 8, 8)),
    audio=AudioConfig(context=0, tokens=2, token_dim=16, hidden=32),
    diffusion=DiffusionConfig(noise_offset=0.0, drop=0.0, face_weight=4.0),
    stage1=StageConfig(batch=8),
    stage2=StageConfig(batch=1, frames=4),
    sampling=SamplingConfig(steps=5, window=25, overlap=5, reference_scale=1.0, audio_scale=1.0),
)  # fmt: skip


def autoencoder(frames_THWC: np.ndarray, recipe: Recipe) -> Autoencoder:
    """The untrained autoencoder: the principal components of these frames."""
    frames_XCHW = torch.from_numpy(frames_THWC).permute(0, 3, 1, 2).float() / 127.5 - 1
    return fit_autoencoder(lambda step: frames_XCHW, recipe.autoencoder, 0)


def learned(
    recipe: Recipe,
    codec: Autoencoder,
    stage: int,
    steps: int,
    lr: float,
    examples: Callable[[int], list[Example]],
) -> Checkpoint:
    """Train all of a random network by the real loss."""
    network = build_network(recipe).train()
    denoise, diffusion = Denoising(network), Diffusion(recipe.diffusion, recipe.autoencoder.fold)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 20) * min(1, 4 * (1 - step / steps))
        batch = collate(examples(step), (recipe.height, recipe.width))
        draws = draw(recipe, stage, step, range(len(batch.keys)))
        optimizer.zero_grad()
        loss_B(denoise, codec, batch, draws, diffusion).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return Checkpoint(recipe, network.eval(), codec, {}, {})


# ---- two faces, each with a mouth of its own


def conversation(seed: int, frames: int) -> tuple[Request, np.ndarray]:
    """Two people who speak in short bursts at random; returns what is asked, and level_NT of their voices.

    Both are in their turn all the time, and nobody knows how surely they speak: only sound tells who does.
    """
    rng = np.random.default_rng(seed)
    level_NT = np.repeat(rng.integers(0, 2, (2, frames // 2 + 1)), 2, axis=1)[:, :frames].astype(np.float32)
    noise_NS = rng.uniform(-0.5, 0.5, (2, frames * AUDIO_HZ // int(CLIP_FPS)))
    voices_NS = np.float32(noise_NS * np.repeat(level_NT, AUDIO_HZ // int(CLIP_FPS), axis=1))
    boxes_N4 = np.float32([[x - 10, y - 10, x + 10, y + 12] for x, y in FACES])
    pose_NTK3 = np.full((2, frames, 133, 3), np.nan, np.float32)
    pose_NTK3[..., 2] = 0
    for n, (x, y) in enumerate(FACES):
        pose_NTK3[n, :, [5, 6]] = [[[x + 9, y + 14, 1]], [[x - 9, y + 14, 1]]]
    request = Request(
        item=f"i{seed}", frames=frames, width=WIDTH, height=HEIGHT, reference_HWC=picture(np.zeros(2)),
        reference_frame=0, face_xyxy_NT4=np.repeat(boxes_N4[:, None], frames, axis=1),
        visible_NT=np.ones((2, frames), bool), pose_NTK3=pose_NTK3,
        speaking_NT=np.full((2, frames), np.nan, np.float32),
        turns=((Turn(start_s=0, end_s=frames / 25),),) * 2, voices_NS=voices_NS, mix_S=voices_NS.sum(axis=0),
        seed=0,
    )  # fmt: skip
    return request, level_NT


def picture(opening_N: np.ndarray) -> np.ndarray:
    """Two discs on grey; a mouth is dark from its upper lip down to as far as it is open."""
    y_HW, x_HW = np.mgrid[:HEIGHT, :WIDTH]
    frame_HWC = np.full((HEIGHT, WIDTH, 3), 70, np.float32)
    for n, (x, y) in enumerate(FACES):
        frame_HWC[np.hypot(x_HW - x, y_HW - y) < RADIUS] = (230, 180, 150) if n else (200, 190, 120)
        box = mouth(n)
        frame_HWC[box] = (1 - opening_N[n]) * frame_HWC[box] + opening_N[n] * np.float32([40, 10, 20])
    return frame_HWC.astype(np.uint8)


def mouth(n: int) -> tuple[slice, slice]:
    x, y = FACES[n]
    return slice(y + 1, y + 1 + MOUTH[1]), slice(x - MOUTH[0] // 2, x + MOUTH[0] // 2)


def openings_NT(frames: list[np.ndarray]) -> np.ndarray:
    """How dark each mouth is in each frame."""
    return np.array([[255.0 - frame_HWC[mouth(n)].mean() for frame_HWC in frames] for n in range(2)])


def correlations(request: Request, level_NT: Array, checkpoint: Checkpoint) -> np.ndarray:
    """How each person's mouth, by row, moves with each voice, by column."""
    asked = trained.question(request, checkpoint.recipe.audio)
    moved_NT = openings_NT(list(Sampler(checkpoint).frames(asked, request.seed)))
    return np.corrcoef(moved_NT, level_NT)[:2, 2:]


@pytest.fixture(scope="module")
def heard() -> dict[str, Checkpoint]:
    """CovOG and the rival without voices, trained alike on pictures of one conversation."""
    request, level_NT = conversation(0, 60)
    real_THWC = np.stack([picture(opening_N) for opening_N in level_NT.T])
    asked, codec = trained.question(request, RECIPE.audio), autoencoder(real_THWC, RECIPE)

    def examples(step: int) -> list[Example]:
        frames = np.random.default_rng(step).integers(0, 60, 8)
        return [replace(asked, told=select(asked.told, [t]), frames_THWC=real_THWC[[t]]) for t in frames]

    names = ("covog", "animate-anyone")
    recipes = {name: replace(RECIPE, model=name, design=DESIGNS[name]) for name in names}
    return {name: learned(recipes[name], codec, 1, 40, 7e-3, examples) for name in names}


def test_a_voice_moves_its_owners_mouth_and_swapping_two_voices_changes_whose_mouth_moves(
    heard: dict[str, Checkpoint],
) -> None:
    request, level_NT = conversation(1, 60)  # other voices, at other times
    swapped = trained.with_voices_swapped(request, 0, 1)
    for asked, own in ((request, [0, 1]), (swapped, [1, 0])):
        found_NN = correlations(asked, level_NT, heard["covog"])
        for n in range(2):
            assert found_NN[n, own[n]] > 0.9
            assert found_NN[n, own[n]] > found_NN[n, own[1 - n]] + 0.5


def test_without_voices_mouths_follow_nobody_and_swapping_changes_nothing(
    heard: dict[str, Checkpoint],
) -> None:
    request, level_NT = conversation(1, 60)
    before_NN = correlations(request, level_NT, heard["animate-anyone"])
    swapped = trained.with_voices_swapped(request, 0, 1)
    assert np.abs(before_NN).max() < 0.5
    assert np.array_equal(correlations(swapped, level_NT, heard["animate-anyone"]), before_NN)


# ---- one batch by heart


def scene(t: int) -> np.ndarray:
    """Two soft blobs that move apart, one up and one down."""
    y_HW, x_HW = np.mgrid[:HEIGHT, :WIDTH]
    frame_HWC = np.stack([60 + 2 * x_HW, 160 - 3 * y_HW, 90 + x_HW + y_HW], axis=-1).astype(np.float32)
    for n, (x, y) in enumerate(blobs(t)):
        near_HW1 = np.exp(-((x_HW - x) ** 2 + (y_HW - y) ** 2) / 50)[..., None]
        frame_HWC += near_HW1 * (np.float32([(20, 190, 220), (230, 180, 60)][n]) - frame_HWC)
    return frame_HWC.astype(np.uint8)


def blobs(t: int) -> list[tuple[float, float]]:
    return [(x + 3 * t - 4, y + (4 * t - 6) * (1 - 2 * n)) for n, (x, y) in enumerate(FACES)]


def by_heart() -> Example:
    """Four frames, and a reference of another moment."""
    request, _ = conversation(0, 4)
    told = trained.question(request, RECIPE.audio).told
    for t in range(4):
        for n, (x, y) in enumerate(blobs(t)):
            told.pose_NTK3[n, t, [5, 6], :2] = [[x + 9, y], [x - 9, y]]
    return Example("k", scene(7), select(told, [0]), told, np.stack([scene(t) for t in range(4)]))


def psnr_T(checkpoint: Checkpoint, example: Example) -> np.ndarray:
    """How near each frame that is drawn from noise comes to the real one, dB."""
    assert example.frames_THWC is not None
    asked = replace(example, frames_THWC=None)
    error_THWC = np.stack(list(Sampler(checkpoint).frames(asked, 0))) - np.float32(example.frames_THWC)
    return 10 * np.log10(255**2 / (error_THWC**2).mean(axis=(1, 2, 3)))


def test_one_batch_is_learned_by_heart() -> None:
    recipe = replace(
        RECIPE,
        autoencoder=replace(RECIPE.autoencoder, factor=4, latents=8, fold=1),
        trunk=replace(RECIPE.trunk, channels=(32, 32)),
        diffusion=replace(RECIPE.diffusion, face_weight=1.0),
        stage2=StageConfig(batch=2, frames=4),
        sampling=replace(RECIPE.sampling, steps=2),
    )
    example = by_heart()
    codec = autoencoder(np.concatenate([example.frames_THWC, [example.reference_HWC]]), recipe)
    untrained = Checkpoint(recipe, build_network(recipe).eval(), codec, {}, {})
    assert psnr_T(untrained, example).max() < 21
    assert psnr_T(learned(recipe, codec, 2, 60, 1e-2, lambda step: [example] * 2), example).min() > 29
