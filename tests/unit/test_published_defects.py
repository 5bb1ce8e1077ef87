"""The defects of CovOG's published code, one by one: what ours does instead, and what its flag brings back.

Flags are the fields of `PublishedConfig`; the model `covog-published` has all of them. Defects that only stop a
program (2, 3, 5, 7) have none.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
import typer
from torch import Tensor

from mitds.baselines.checkpoint import (
    AUTOENCODER,
    NETWORK,
    load_weights,
    open_checkpoint,
    read_tensors,
    save_checkpoint,
    write_tensors,
)
from mitds.baselines.conditions.batch import collate
from mitds.baselines.conditions.sound import hear
from mitds.baselines.contracts import Batch, Example, Told
from mitds.baselines.diffusion import Diffusion
from mitds.baselines.generation.guidance import terms
from mitds.baselines.generation.windows import plan
from mitds.baselines.networks import build_network
from mitds.baselines.networks.autoencoder import build_autoencoder
from mitds.baselines.networks.covog import Covog
from mitds.baselines.presets import DESIGNS, PRESETS, PUBLISHED, recipe
from mitds.baselines.recipe import DesignConfig, PublishedConfig, Recipe
from mitds.baselines.settings import resolve_recipe
from mitds.baselines.training.objective import Denoising, draw, loss_B
from mitds.baselines.training.windows import Windows
from mitds.cli import app
from mitds.errors import InputFault
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.records import Turn
from mitds.manifests.shards import ShardWriter
from tests import factories

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 60
TINY = recipe("covog", "tiny")
RECIPE = replace(
    TINY,
    height=48,
    width=80,
    autoencoder=replace(TINY.autoencoder, factor=4, latents=4, fold=1, steps=0),
    trunk=replace(
        TINY.trunk, channels=(16, 32), attention=(True, True), heads=2, cross_dim=16, groups=8, motion_heads=2,
        iad_down=(0,), iad_up=(0,),
    ),
    pose=replace(TINY.pose, channels=(8, 8, 8)),
    audio=replace(TINY.audio, context=1, tokens=2, token_dim=8, hidden=16),
    data=replace(TINY.data, flip=0.0, zoom=1.0),
    stage1=replace(TINY.stage1, batch=2),
    stage2=replace(TINY.stage2, batch=4, frames=3, strides=(1, 2)),
)  # fmt: skip
SIZE = (RECIPE.height, RECIPE.width)


def published(flag: str) -> DesignConfig:
    return DesignConfig(published=PublishedConfig(**{flag: True}))


# ---- clips whose every part says which frame it is of


def numbered(frame: int) -> np.ndarray:
    """A picture with its number burned in: seven blocks, white for the ones of the binary number."""
    frame_HWC = np.full((96, 160, 3), 90, np.uint8)
    for bit in range(7):
        frame_HWC[72:88, 8 + 20 * bit : 24 + 20 * bit] = 255 if frame >> bit & 1 else 0
    return frame_HWC


def number(frame_CHW: Tensor) -> int:
    """Read it off the model's picture, -1..1."""
    rows_W = frame_CHW[:, 38:42].mean(dim=(0, 1))
    return sum(1 << bit for bit in range(7) if rows_W[(16 + 20 * bit) // 2] > 0)


def film(folder: Path) -> bytes:
    path = folder / "numbers.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for k in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(k), "rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ClipIndex:
    """One person, who moves 2 px right and down a frame and speaks more and more surely, in a real mp4."""
    folder = tmp_path_factory.mktemp("numbered")
    person = factories.person(0, turns=(Turn(start_s=0, end_s=FRAMES / 25),))
    clip = factories.clip(frames=FRAMES, persons=1)
    clip = replace(clip, persons=(person,), offscreen=(), unassigned=())
    number_T = np.arange(FRAMES, dtype=np.float32)
    arrays = factories.clip_arrays(clip)
    arrays.visible_NT[:], arrays.speaking_NT[0] = True, (number_T + 1) / 100
    arrays.face_xyxy_NT4[0] = np.stack(
        [2 * number_T + 12, number_T * 0 + 20, 2 * number_T + 32, number_T * 0 + 44], 1
    )
    arrays.pose_NTK3[0] = (np.nan, np.nan, 0)
    arrays.pose_NTK3[0, :, [5, 6]] = np.stack([number_T * 0 + 90, number_T + 21, number_T * 0 + 1], axis=1)
    arrays.pose_NTK3[0, :, 6, 0] = 50
    members = {"mp4": film(folder), "json": to_json(clip).encode(), "npz": clip_arrays_to_npz(arrays)}
    with ShardWriter("clips-%06d.tar", folder) as writer:
        writer.add(clip.key, members | {"wav": factories.wav_bytes(FRAMES)})
    return ClipIndex(folder / "clips-*.tar")


def batch_of(index: ClipIndex, stage: int, step: int, recipe: Recipe = RECIPE) -> Batch:
    """What training sees."""
    return collate(Windows(index, recipe).examples(stage, step), SIZE, recipe.design.published)


def network(design: DesignConfig = DESIGNS["covog"]) -> Covog:
    """A random network in which the layers that start at zero have learned something."""
    net = build_network(replace(RECIPE, design=design))
    assert isinstance(net, Covog)
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return net.eval()


@torch.no_grad()
def velocity(net: Covog, batch: Batch, reference: float = 0.5, *, guided_by: bool = True) -> Tensor:
    """Answer to a fixed noise; or, where not guided, that of guidance's unconditional branch."""
    samples, _, frames = batch.gate_BNT.shape
    noisy = torch.randn(
        1, frames, RECIPE.latents, *RECIPE.latent_size, generator=torch.Generator().manual_seed(1)
    )
    noisy_BTLHW = noisy.expand(samples, -1, -1, -1, -1)
    reference_BLHW = torch.full((samples, RECIPE.latents, *RECIPE.latent_size), reference)
    passes = terms(replace(RECIPE.sampling, reference_scale=3.5), net.design)
    keep = passes[-1 if guided_by else 0].keep(samples, noisy.device)
    step_B = torch.full((samples,), 500)
    answer: Tensor = net(noisy_BTLHW, step_B, net.prepare(batch, reference_BLHW), keep)
    return answer


# ---- 1: voices are off: the flag that lets them in is read nowhere


@pytest.mark.parametrize("preset", PRESETS)
def test_1_voices_are_on_in_every_preset(preset: str) -> None:
    chosen = recipe("covog", preset)
    assert chosen.design.iad
    assert chosen.design.published == PublishedConfig()
    assert chosen.trunk.iad_down
    assert chosen.trunk.iad_up
    assert terms(chosen.sampling, chosen.design)[-1].audio


def test_1_other_voices_make_another_picture_but_for_the_published_flag(index: ClipIndex) -> None:
    for design, heard in ((DESIGNS["covog"], True), (published("audio_off"), False)):
        net, batch = network(design), batch_of(index, 2, 0)
        before = velocity(net, batch)
        batch.sound_BNTCD = -batch.sound_BNTCD
        assert (not torch.equal(velocity(net, batch), before)) == heard
        assert bool([name for name, _ in net.named_parameters() if name.startswith("voices.")]) == heard


# ---- 2: stage 1 crashes, for the poses of the reference are used before they are made


def test_2_stage_1_runs_there_and_back_with_the_references_poses(index: ClipIndex) -> None:
    net, codec = network().train(), build_autoencoder(RECIPE.autoencoder)
    draws = draw(replace(RECIPE, diffusion=replace(RECIPE.diffusion, drop=0.0)), 1, 0, [0, 1])
    loss = loss_B(Denoising(net), codec, batch_of(index, 1, 0), draws, Diffusion(RECIPE.diffusion))
    loss.mean().backward()
    for name in ("reference_pose", "pose", "reference"):
        gradients = [p.grad for p in net.get_submodule(name).parameters() if p.grad is not None]
        assert any(gradient.any() for gradient in gradients), name


# ---- 3: pictures are resized to (height, width) where (width, height) is meant: squashed


@pytest.mark.parametrize(("width", "height"), [(320, 180), (192, 192), (90, 160)])
def test_3_a_circle_stays_a_circle_and_no_sides_change_places(width: int, height: int) -> None:
    radius = min(width, height) // 3
    frame_HWC = np.zeros((height, width, 3), np.uint8)
    cv2.circle(frame_HWC, (width // 2, height // 2), radius, (255, 255, 255), -1)
    batch = collate([example(told(width, height, np.zeros(4)), frame_HWC)], SIZE)
    assert batch.frames_BTCHW is not None
    assert batch.frames_BTCHW.shape == (1, 1, 3, RECIPE.height, RECIPE.width)
    for shown_CHW in (batch.frames_BTCHW[0, 0], batch.reference_BCHW[0]):
        white_HW = shown_CHW.mean(dim=0) > 0
        across, down = int(white_HW.any(dim=0).sum()), int(white_HW.any(dim=1).sum())
        scale = min(RECIPE.width / width, RECIPE.height / height)
        assert (across, down) == pytest.approx((2 * radius * scale,) * 2, abs=1.6)


def told(width: int, height: int, face_4: np.ndarray) -> Told:
    """One person of one frame, of whom the face is known."""
    pose_1TK3 = np.full((1, 1, 133, 3), np.nan, np.float32)
    pose_1TK3[..., 2] = 0
    sound_1TCD = np.zeros((1, 1, 3, 320), np.float32)
    face_1T4 = np.float32(face_4)[None, None]
    return Told(width, height, face_1T4, pose_1TK3, np.ones((1, 1), np.float32), sound_1TCD, sound_1TCD[0])


def example(of: Told, frame_HWC: np.ndarray) -> Example:
    return Example("k", frame_HWC, of, of, frame_HWC[None])


# ---- 4: in stage 1 and in generation, a person's region always reaches the picture's lower edge


def test_4_regions_end_where_the_person_ends_but_for_the_published_flag() -> None:
    asked = example(told(160, 96, np.array([60, 20, 80, 44])), np.zeros((96, 160, 3), np.uint8))
    ours = collate([asked], SIZE).region_BNHW[0, 0].any(dim=1)
    theirs = collate([asked], SIZE, PublishedConfig(regions_to_bottom=True)).region_BNHW[0, 0].any(dim=1)
    assert ours[12:20].all()
    assert not ours[40:].any()
    assert theirs[12:].all()
    in_generation = collate([replace(asked, frames_THWC=None)], SIZE).region_BNHW[0, 0].any(dim=1)
    assert torch.equal(in_generation, ours)


# ---- 5: generation loads the pose encoder's weights into that of the reference's poses


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights."""
    made = tmp_path_factory.mktemp("checkpoint")
    write_tensors(made / AUTOENCODER, build_autoencoder(RECIPE.autoencoder).state_dict())
    save_checkpoint(made, RECIPE, network().state_dict(), factories.ABOUT_TRAINING)
    return made


def test_5_both_pose_encoders_come_back_each_with_weights_of_its_own(folder: Path) -> None:
    kept, opened = network().state_dict(), open_checkpoint(folder).network.state_dict()
    names = [name for name in kept if name.startswith("pose.")]
    assert names
    for name in names:
        for each in (name, f"reference_{name}"):
            assert torch.equal(opened[each], kept[each])
    assert not torch.equal(
        opened["pose.encoder.conv_in.weight"], opened["reference_pose.encoder.conv_in.weight"]
    )


def test_5_encoders_that_changed_places_or_stand_for_both_are_refused(folder: Path, tmp_path: Path) -> None:
    tensors = read_tensors(folder / NETWORK)
    own = {name: t for name, t in tensors.items() if not name.startswith(("pose.", "reference_pose."))}
    poses = {name: t for name, t in tensors.items() if name.startswith("pose.")}
    others = {f"pose.{name}": tensors[f"reference_pose.{name}"] for name in _tails(poses)}
    exchanged = own | others | {f"reference_{name}": t for name, t in poses.items()}
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_tensors(tmp_path / NETWORK, exchanged)
    with pytest.raises(InputFault, match="is not the one the recipe lists"):
        open_checkpoint(tmp_path)
    write_tensors(tmp_path / NETWORK, own | poses)
    with pytest.raises(InputFault, match=r"reference_pose\..* is absent"):
        load_weights(network(), tmp_path / NETWORK)


def _tails(tensors: dict[str, Tensor]) -> list[str]:
    return [name.removeprefix("pose.") for name in tensors]


# ---- 6: masks and voices are those of the clip's first frames, wherever the window lies


def places(batch: Batch, sample: int) -> dict[str, list[int]]:
    """Read off each part of a sample which frame it is of."""
    assert batch.frames_BTCHW is not None
    first_T = batch.face_BNTHW[sample, 0].amax(dim=1).argmax(dim=1)
    ink_TH = batch.skeleton_BNTCHW[sample, 0].sum(dim=(1, 3))
    row_T = (ink_TH * (torch.arange(RECIPE.height) + 0.5)).sum(dim=1) / ink_TH.sum(dim=1)
    return {
        "frames": [number(frame_CHW) for frame_CHW in batch.frames_BTCHW[sample]],
        # A face's mask begins a tenth of its width before its box.
        "faces": (first_T - 5).tolist(),
        "poses": [round(2 * row - 21) for row in row_T.tolist()],
        "gates": [round(gate * 100) - 1 for gate in batch.gate_BNT[sample, 0].tolist()],
    }


def test_6_everything_told_of_a_window_is_of_its_own_frames(index: ClipIndex) -> None:
    wave_S = index.load(0).wave()
    assert wave_S is not None
    _, heard_TCD = hear(wave_S[None], wave_S, FRAMES, RECIPE.audio)
    starts = set()
    for step in range(3):
        batch = batch_of(index, 2, step)
        for sample in range(len(batch.keys)):
            found = places(batch, sample)
            assert found == dict.fromkeys(found, found["frames"])
            assert np.array_equal(batch.mix_BTCD[sample].numpy(), heard_TCD[found["frames"]])
            starts.add(found["frames"][0])
    assert len(starts - {0}) > 6


def test_6_the_published_flag_tells_of_the_clips_head(index: ClipIndex) -> None:
    design = published("masks_from_clip_head")
    batch = batch_of(index, 2, 0, replace(RECIPE, design=design))
    for sample in range(len(batch.keys)):
        found = places(batch, sample)
        head = [frame - found["frames"][0] for frame in found["frames"]]
        assert found == {"frames": found["frames"], "poses": found["frames"], "faces": head, "gates": head}


# ---- 7: documented commands name files and options that do not exist

COMMAND = re.compile(r"\bmitds (train|generate|compare|eval)\b(.*)")
ROOMS = ("docs/", "baselines/", "tests/", "benchmark/", "pipeline/", "annotators/", "manifests/", "src/")


def documented(path: Path) -> list[tuple[str, list[str]]]:
    """Return the commands in a page's blocks of code, and the words that follow each."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [match for line in lines if (match := COMMAND.search(line))]
    return [(match[1], shlex.split(match[2], comments=True)) for match in found]


def parsed(name: str, words: list[str]) -> dict[str, Any]:
    """Return the options of a command as the command line itself reads them."""
    group: Any = typer.main.get_command(app)
    context = group.commands[name].make_context(name, [*words])
    return dict(context.params)


@pytest.mark.parametrize("page", ["README.md", "docs/baselines.md"])
def test_7_documented_commands_parse_and_their_settings_exist(page: str) -> None:
    commands = documented(ROOT / page)
    assert {name for name, _ in commands} >= {"train", "eval"}
    for name, words in commands:
        options = parsed(name, words)
        model, settings = options.get("model") or "covog", options.get("settings") or []
        if name in ("train", "compare"):
            for each in [model] if isinstance(model, str) else model:
                resolve_recipe(each, options["preset"], settings=settings)
        if name == "generate":
            assert all(setting.startswith("sampling.") for setting in settings)


@pytest.mark.parametrize("page", ["README.md", "docs/baselines.md"])
def test_7_files_that_pages_and_their_commands_name_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    words = [word for _, words in documented(ROOT / page) for word in words if word.startswith(ROOMS)]
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing + [word for word in words if not (ROOT / word).exists()] == []


# ---- 8: guidance shows the reference to both of its branches, but for a batch of exactly 2


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 3])
def test_8_the_unconditional_branch_sees_no_reference(index: ClipIndex, samples: int, frames: int) -> None:
    sized = replace(RECIPE, stage2=replace(RECIPE.stage2, batch=samples, frames=frames))
    batch = batch_of(index, 2, 0, sized)
    other = batch_of(index, 2, 0, sized)
    other.reference_BCHW = -batch.reference_BCHW
    for design, sees in ((DESIGNS["covog"], False), (published("reference_in_both"), True)):
        net = network(design)
        unconditional = velocity(net, batch, 0.5, guided_by=False)
        assert (not torch.equal(unconditional, velocity(net, other, -0.5, guided_by=False))) == sees
        assert not torch.equal(velocity(net, batch, 0.5), velocity(net, other, -0.5))


# ---- the tail: the last window is moved back to fit, but keeps its first frames


def test_the_last_frames_of_a_film_are_made_from_their_own_conditions_but_for_the_published_flag() -> None:
    made = {}
    for keep_first in (False, True):
        made_P = np.full(60, -1)
        for window in plan(47, 25, 10, keep_first=keep_first):
            counts_T = np.flatnonzero(window.weight_T > 0)
            made_P[window.place + counts_T] = window.told + counts_T
        made[keep_first] = made_P[:47].tolist()
    assert made[False] == list(range(47))
    assert made[True] == [*range(30), *range(22, 39)]


def test_the_published_model_has_every_flag() -> None:
    assert recipe("covog-published", "tiny").design.published == PUBLISHED
    assert all(getattr(PUBLISHED, flag) for flag in PublishedConfig.__slots__)
