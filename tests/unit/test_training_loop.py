"""Training with a network of a few numbers on real shards: what it writes, resumes, refuses and leaves alone."""

from __future__ import annotations

import csv
import gc
import json
import shutil
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from mitds.baselines import checkpoint
from mitds.baselines.checkpoint import describe, load_weights, open_checkpoint, read_tensors, write_tensors
from mitds.baselines.presets import recipe
from mitds.baselines.settings import resolve_recipe
from mitds.baselines.training import data, loop, stage
from mitds.baselines.training.state import Average, fill_optimizer, flat_optimizer
from mitds.cli import app
from mitds.config import override
from mitds.errors import BadShard, InputFault, MissingDependency, UnknownName, UsageError
from mitds.manifests.codec import from_json, to_json
from mitds.manifests.items import Item, Release
from mitds.manifests.shards import ShardWriter
from mitds.store import sha256_file
from tests import factories

SETTINGS = (
    "autoencoder.factor=4", "autoencoder.latents=4", "autoencoder.fold=1", "autoencoder.steps=0",
    "height=32", "width=64",
    "data.reference_gap=5", "diffusion.ema=0.5",
    "stage1.steps=4", "stage1.batch=2", "stage1.warmup=2", "stage1.lr=0.01",
    "stage2.steps=3", "stage2.batch=2", "stage2.frames=3", "stage2.warmup=0", "stage2.lr=0.01",
)  # fmt: skip


class Network(nn.Module):
    """Adds pose, sound and motion to a 1x1 convolution; draws by itself, as dropout does."""

    def __init__(self, latents: int = 4) -> None:
        super().__init__()
        self.image = nn.Conv2d(latents, latents, 1)
        self.pose = nn.Linear(3, latents)
        self.motion = nn.Linear(latents, latents)
        self.voices = nn.Linear(1, latents)
        self.unused = nn.Linear(2, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.register_buffer("scale", torch.tensor(1.0))

    def prepare(self, batch: Any, reference_BLHW: torch.Tensor, moved_BTLHW: torch.Tensor | None) -> Any:
        pose_BTC = self.pose(batch.skeleton_BNTCHW.mean(dim=(1, 4, 5)))
        voice_BTC = self.voices(batch.gate_BNT.mean(dim=1)[..., None])
        return reference_BLHW, pose_BTC, voice_BTC

    def forward(self, noisy_BTLHW: torch.Tensor, step_B: torch.Tensor, given: Any, keep: Any) -> torch.Tensor:
        reference_BLHW, pose_BTC, voice_BTC = given
        image_BTLHW = self.image(noisy_BTLHW.flatten(0, 1)).unflatten(0, noisy_BTLHW.shape[:2])
        image_BTLHW = image_BTLHW + reference_BLHW[:, None] * keep.reference_B.view(-1, 1, 1, 1, 1)
        moved_BTL = self.motion(image_BTLHW.mean(dim=(3, 4)))
        told_BTL = pose_BTC * keep.pose_B.view(-1, 1, 1) + voice_BTC * keep.audio_B.view(-1, 1, 1)
        told_BTL = nn.functional.dropout(told_BTL + moved_BTL, 0.1, self.training)
        return image_BTLHW + told_BTL[..., None, None]

    def parts(self, stage: int) -> list[str]:
        return ["image", "pose"] if stage == 1 else ["motion", "voices"]


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def encode(self, frames_XCHW: torch.Tensor) -> torch.Tensor:
        small = nn.functional.avg_pool2d(frames_XCHW, 4) * self.gain
        return torch.cat([small, small[:, :1]], dim=1)


def network_of(recipe: Any) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Network()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    clips = [factories.clip(n, frames=30) for n in range(3)]
    return [str(p) for p in factories.write_clips(tmp_path_factory.mktemp("clips"), *clips)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace networks, pictures and card; return what was drawn."""
    drawn: list[str] = []
    monkeypatch.setattr("mitds.baselines.networks.build_network", network_of)
    monkeypatch.setattr("mitds.baselines.networks.autoencoder.build_autoencoder", lambda _: Autoencoder())
    monkeypatch.setattr(loop, "build_network", network_of)
    monkeypatch.setattr(loop, "train_autoencoder", lambda *_: Autoencoder())
    monkeypatch.setattr(loop, "write_curves", lambda *_: None)
    monkeypatch.setattr(loop, "write_card", lambda *_: None)
    monkeypatch.setattr(stage, "write_curves", lambda *_: None)
    monkeypatch.setattr(stage, "write_grid", lambda path, *_: drawn.append(path.name))
    return drawn


def settings(*more: str) -> Any:
    return override(recipe("covog", "tiny"), [*SETTINGS, *more])


def train(shards: list[str], out: Path, *more: str, **arguments: Any) -> Path:
    return loop.train(shards, out, settings(*more), device="cpu", **{"save_every": 2, **arguments})


def files(folder: Path) -> dict[str, bytes]:
    """All that must be alike; the time spent is not."""
    said = json.loads((folder / "recipe.json").read_bytes())
    said["about"].pop("seconds")
    weights = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    return weights | {"losses": (folder / "losses.csv").read_bytes(), "recipe": json.dumps(said).encode()}


class Killed(Exception):
    pass


def killer(stage: int, step: int) -> Any:
    def progress(what: str, done: int, of: int) -> None:
        if (what, done) == (f"stage {stage}", step):
            raise Killed

    return progress


@pytest.fixture(scope="module")
def whole() -> dict[str, Path]:
    return {}


@pytest.fixture
def unbroken(shards: list[str], whole: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training, made once."""
    if "out" not in whole:
        whole["out"] = train(shards, tmp_path_factory.mktemp("whole") / "out")
    return whole["out"]


def test_a_training_leaves_a_checkpoint_that_opens(unbroken: Path):
    found = open_checkpoint(unbroken)
    assert found.recipe == settings()
    assert not found.network.training
    assert not any(p.requires_grad for p in found.autoencoder.parameters())
    assert sorted(p.name for p in unbroken.iterdir()) == [
        "autoencoder.safetensors", "losses.csv", "network.safetensors", "recipe.json", "stage1.safetensors",
    ]  # fmt: skip
    assert found.about["clips"] == [f"{n:016x}" for n in range(3)]
    assert found.about["parameters"] == sum(p.numel() for p in Network().parameters())
    assert describe(unbroken).files == found.files


def test_losses_have_a_row_a_step_with_the_warm_up(unbroken: Path):
    rows = list(csv.DictReader((unbroken / "losses.csv").open()))
    assert [(int(r["stage"]), int(r["step"])) for r in rows] == [
        (1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3),
    ]  # fmt: skip
    assert [float(r["lr"]) for r in rows] == [0.005, *[0.01] * 6]
    assert all(float(r["loss"]) > 0 and float(r["grad_norm"]) > 0 for r in rows)


@pytest.mark.parametrize("kills", [[(1, 1), (1, 3), (2, 1)], [(1, 4), (2, 3)], [(2, 2), (2, 2)]])
def test_killed_and_resumed_equals_unbroken(
    shards: list[str], unbroken: Path, tmp_path: Path, kills: list[tuple[int, int]]
):
    for kill in kills:
        with pytest.raises(Killed):
            train(shards, tmp_path / "out", progress=killer(*kill))
    train(shards, tmp_path / "out")
    assert files(tmp_path / "out") == files(unbroken)


def test_it_goes_on_from_the_newest_state_and_not_from_the_start(shards: list[str], tmp_path: Path):
    with pytest.raises(Killed):
        train(shards, tmp_path, progress=killer(2, 3))
    seen: list[tuple[str, int]] = []
    train(shards, tmp_path, progress=lambda what, done, of: seen.append((what, done)))
    assert seen == [("stage 2", 3)]


def test_another_interval_of_saving_changes_nothing_but_the_pictures(
    shards: list[str], unbroken: Path, tmp_path: Path, small_parts: list[str]
):
    small_parts.clear()
    train(shards, tmp_path, save_every=3)
    assert files(tmp_path) == files(unbroken)
    assert small_parts == ["stage1-000003.png", "stage1-000004.png", "stage2-000003.png"]


def test_a_row_that_was_cut_off_is_written_anew(shards: list[str], unbroken: Path, tmp_path: Path):
    with pytest.raises(Killed):
        train(shards, tmp_path, progress=killer(1, 3))
    with (tmp_path / "losses.csv").open("a") as file:
        file.write("1,4,0.2")
    train(shards, tmp_path)
    assert files(tmp_path) == files(unbroken)


def test_another_seed_gives_other_weights_and_the_callers_random_numbers_stay(
    shards: list[str], unbroken: Path, tmp_path: Path
):
    random = torch.get_rng_state()
    train(shards, tmp_path, "seed=1")
    assert torch.equal(torch.get_rng_state(), random)
    assert open_checkpoint(tmp_path).digest != open_checkpoint(unbroken).digest


def test_a_finished_training_is_left_alone(shards: list[str], unbroken: Path):
    before = {path: path.stat().st_mtime_ns for path in unbroken.iterdir()}
    train(shards, unbroken, "data.cache_gb=1.5", progress=killer(1, 1))
    assert {path: path.stat().st_mtime_ns for path in unbroken.iterdir()} == before


def test_a_folder_of_another_recipe_or_of_other_clips_is_refused(
    shards: list[str], unbroken: Path, tmp_path: Path
):
    with pytest.raises(UsageError, match=r"recipe\.stage2\.lr is 0\.5, and was 0\.01"):
        train(shards, unbroken, "stage2.lr=0.5")
    with pytest.raises(Killed):
        train(shards, tmp_path, progress=killer(1, 1))
    with pytest.raises(UsageError, match="data is "):
        train(shards, tmp_path, keys=["0" * 16])
    with pytest.raises(UsageError, match=r"recipe\.model is 'animate-anyone', and was 'covog'"):
        loop.train(shards, tmp_path, replace(settings(), model="animate-anyone"), device="cpu")


def test_a_stage_trains_what_it_is_for_or_all_that_is_not_frozen():
    network = Network()
    assert {n.split(".")[0] for n in stage.trained(network, 1, "stage")} == {"image", "pose"}
    assert [n for n, p in network.named_parameters() if p.requires_grad] == [
        "image.weight", "image.bias", "pose.weight", "pose.bias",
    ]  # fmt: skip
    everything = {n.split(".")[0] for n in stage.trained(Network(), 2, "all")}
    assert everything == {"image", "pose", "motion", "voices", "unused"}


def test_stages_that_train_their_own_part_leave_the_rest(shards: list[str], tmp_path: Path):
    train(shards, tmp_path, "stage1.trains=stage", "stage2.trains=stage")
    start, final = network_of(settings()).state_dict(), read_tensors(tmp_path / "network.safetensors")
    first = read_tensors(tmp_path / "stage1.safetensors")
    changed = {name.split(".")[0] for name in start if not torch.equal(start[name], first[name])}
    later = {name.split(".")[0] for name in start if not torch.equal(first[name], final[name])}
    assert (changed, later) == ({"image", "pose"}, {"motion", "voices"})


def test_stage_2_starts_from_another_models_stage_1(shards: list[str], unbroken: Path, tmp_path: Path):
    train(shards, tmp_path, stage1=unbroken)
    assert read_tensors(tmp_path / "network.safetensors").keys() == Network().state_dict().keys()
    here, there = (path / "network.safetensors" for path in (tmp_path, unbroken))
    assert here.read_bytes() == there.read_bytes()
    assert not (tmp_path / "stage1.safetensors").exists()
    with pytest.raises(UsageError, match=r"stage1\.lr is 0\.5, and was 0\.01"):
        train(shards, tmp_path / "other", "stage1.lr=0.5", stage1=unbroken)


def test_stage_1_is_gone_when_stage_2_begins(
    shards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made: list[weakref.ref[Network]] = []
    alive: list[int] = []

    def build(recipe: Any) -> Network:
        gc.collect()
        alive.append(sum(network() is not None for network in made))
        made.append(weakref.ref(network := network_of(recipe)))
        return network

    monkeypatch.setattr(loop, "build_network", build)
    train(shards, tmp_path)
    assert alive == [0, 0]


def relabelled(folder: Path, copy: Path, **about: Any) -> Path:
    """Copy a trained model, with another autoencoder and other things said of it."""
    shutil.copytree(folder, copy)
    write_tensors(copy / "autoencoder.safetensors", {"gain": torch.tensor(2.0)})
    said = json.loads((copy / "recipe.json").read_bytes())
    said["files"]["autoencoder.safetensors"] = sha256_file(copy / "autoencoder.safetensors")
    said["about"] |= about
    (copy / "recipe.json").write_text(json.dumps(said))
    return copy


def test_an_autoencoder_that_stage_1_was_not_trained_with_is_refused(
    shards: list[str], unbroken: Path, tmp_path: Path
):
    other = relabelled(unbroken, tmp_path / "other")
    with pytest.raises(UsageError, match="not the one that the given stage 1 was trained with"):
        train(shards, tmp_path / "out", autoencoder=other, stage1=unbroken)
    train(shards, tmp_path / "out", autoencoder=unbroken, stage1=unbroken)
    said = describe(tmp_path / "out").about
    data = describe(unbroken).about["data"]
    assert said["lenders"] == {"autoencoder": data, "stage1": data}


@pytest.mark.parametrize("what", ["autoencoder", "stage1"])
def test_a_model_that_learned_from_clips_this_training_may_not_use_lends_nothing(
    shards: list[str], unbroken: Path, tmp_path: Path, what: str
):
    with pytest.raises(UsageError, match=f"learned from 2 clips .*{1:016x}, {2:016x}"):
        train(shards, tmp_path / "out", keys=[f"{0:016x}"], **{what: unbroken})
    assert not (tmp_path / "out").exists()


def test_another_models_autoencoder_is_taken_as_it_is(shards: list[str], unbroken: Path, tmp_path: Path):
    def not_again(*_: Any) -> Any:
        raise AssertionError("it was trained")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_autoencoder", not_again)
        train(shards, tmp_path, "seed=3", autoencoder=unbroken)
    assert (
        describe(tmp_path).about["origin"]["autoencoder"]
        == describe(unbroken).files["autoencoder.safetensors"]
    )
    with pytest.raises(UsageError, match="channels is 9, and was"):
        train(shards, tmp_path / "other", "autoencoder.channels=9", autoencoder=unbroken)


def test_a_loss_that_is_no_number_ends_the_training(shards: list[str], tmp_path: Path):
    with pytest.raises(UsageError, match="loss of stage 1"):
        train(shards, tmp_path, "stage1.lr=1e30", "stage1.steps=40", "stage1.warmup=0")


def test_clips_whose_rights_forbid_it_are_left_out_unless_told_otherwise(tmp_path: Path):
    bound = factories.rights(licence="CC BY-NC-ND 4.0")
    clips = [factories.clip(0, frames=30), factories.clip(1, frames=30, rights=bound)]
    shards = [str(p) for p in factories.write_clips(tmp_path, *clips)]
    stated, ignored = settings().data, settings("data.rights=ignore").data
    found = data.choose(shards, stated)
    assert found.keys == (clips[0].key,)
    assert "ND" in found.left_out[clips[1].key]
    assert data.choose(shards, ignored).keys == (clips[0].key, clips[1].key)
    with pytest.raises(UsageError, match="forbid") as error:
        data.choose(shards, stated, [clips[1].key])
    assert "data.rights=ignore" in error.value.remedy


def release(folder: Path, train: list[str], held_out: list[str], item: str) -> Path:
    about = Item(
        id="e" * 16, clip=item, source="s", cluster="c", people=("H0",), first=0, frames=25, width=48, height=32,
        reference_frame=0, subsets=(), files={}, pixels="",
    )  # fmt: skip
    said = Release(
        name="r", items=(about,), train=tuple(train), held_out=tuple(held_out), config={}, models={}
    )
    (folder / "release.json").write_text(to_json(said))
    return folder


def test_only_the_clips_that_a_release_leaves_are_learned_from(shards: list[str], tmp_path: Path):
    folder = release(tmp_path, ["0" * 16], [f"{1:016x}"], f"{2:016x}")
    assert data.choose(shards, settings().data, data.released_keys(folder)).keys == ("0" * 16,)
    with pytest.raises(UsageError, match="none of the clips"):
        data.choose(shards, settings().data, ["f" * 16])
    with pytest.raises(BadShard, match="both for training and for testing"):
        data.released_keys(release(tmp_path, ["0" * 16], [], "0" * 16))
    with pytest.raises(UsageError, match="no release"):
        data.released_keys(tmp_path / "nowhere")


def test_items_of_a_release_are_no_training_data(tmp_path: Path):
    clip = factories.clip(frames=30)
    with ShardWriter("test-%06d.tar", tmp_path) as writer:
        writer.add(clip.key, factories.clip_sample(clip) | {"png": b"x", "flac": b"x"})
    with pytest.raises(UsageError, match="items of a release, for tests alone"):
        data.choose([str(tmp_path / "test-000000.tar")], settings().data)


def test_clips_that_do_not_fit_the_memory_are_told_of_once(shards: list[str], tmp_path: Path):
    seen: list[str] = []
    train(shards, tmp_path, "data.cache_gb=1e-6", progress=lambda what, *_: seen.append(what))
    assert sum("clips do not fit data.cache_gb" in what for what in seen) == 1


def test_a_machine_without_bf16_says_so(shards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("accelerate.utils.is_bf16_available", lambda _: False)
    with pytest.raises(UsageError, match="does not compute in bf16"):
        train(shards, tmp_path, "precision=bf16")


@pytest.fixture
def copied(unbroken: Path, tmp_path: Path) -> Path:
    for path in unbroken.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_checkpoint_that_was_torn_or_changed_is_refused(copied: Path):
    weights = copied / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(InputFault, match="not the one the recipe lists"):
        open_checkpoint(copied)
    with pytest.raises(InputFault, match="not readable weights"):
        load_weights(Network(), weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "mitds.baseline/9"}, "of version 'mitds.baseline/9'"),
        ({"recipe": {"model": "covog", "colour": 1}}, "colour"),
        ({"recipe": []}, "not a readable recipe"),
        ({"files": []}, "files is no mapping"),
        ({"files": {"../network.safetensors": "0" * 64}}, r"files are \.\./network\.safetensors"),
        ({"files": {"network.safetensors": "0" * 64, "autoencoder.safetensors": "0"}}, "has no sha256"),
        ({"about": {}}, r"about\.origin is missing"),
        ({"about": []}, "about is no mapping"),
        ({"layouts": "x"}, "layouts is no mapping"),
    ],
)
def test_a_recipe_of_another_kind_is_refused(copied: Path, change: dict[str, Any], message: str):
    path = copied / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises((InputFault, UsageError), match=message):
        describe(copied)


def test_a_list_is_no_recipe(copied: Path):
    (copied / "recipe.json").write_text("[1]")
    with pytest.raises(InputFault, match="not a readable recipe"):
        describe(copied)


def test_a_folder_without_a_finished_training_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(UsageError, match="no trained model"):
        describe(tmp_path)
    (tmp_path / checkpoint.RECIPE).write_text("{")
    with pytest.raises(InputFault, match="not a readable recipe"):
        describe(tmp_path)


def test_weights_of_another_shape_or_name_are_refused(tmp_path: Path):
    good = Network().state_dict()
    write_tensors(tmp_path / "a.safetensors", good | {"image.bias": torch.zeros(5)})
    with pytest.raises(InputFault, match=r"image\.bias is float32\[5\], not float32\[4\]"):
        load_weights(Network(), tmp_path / "a.safetensors")
    write_tensors(tmp_path / "b.safetensors", good | {"extra": torch.zeros(1)})
    with pytest.raises(InputFault, match=r"extra is float32\[1\], not absent"):
        load_weights(Network(), tmp_path / "b.safetensors")


def test_an_optimiser_comes_back_even_where_a_parameter_never_had_a_gradient():
    def one_step(network: Network, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        network.image(torch.ones(1, 4, 2, 2)).sum().backward()
        optimizer.step()

    first, names = Network(), [n for n, _ in Network().named_parameters()]
    optimizer = torch.optim.AdamW(first.parameters(), lr=0.1)
    one_step(first, optimizer)
    flat = {name: value.clone() for name, value in flat_optimizer(optimizer, names).items()}
    assert sorted(flat) == sorted(
        f"{what}/image.{name}" for what in ("exp_avg", "exp_avg_sq", "step") for name in ("bias", "weight")
    )
    second = Network()
    second.load_state_dict(first.state_dict())
    other = torch.optim.AdamW(second.parameters(), lr=0.1)
    fill_optimizer(other, names, flat)
    one_step(first, optimizer)
    one_step(second, other)
    assert torch.equal(first.image.weight, second.image.weight)


@pytest.mark.parametrize("workers", [1, 3, 9])
def test_batches_come_in_order_each_once(workers: int):
    made: list[int] = []

    def make(step: int) -> Any:
        made.append(step)
        return step * 10

    assert list(stage.ahead(make, range(4, 9), workers)) == [(k, k * 10) for k in range(4, 9)]
    assert sorted(made) == list(range(4, 9))


def test_average_warms_up_and_then_decays():
    value = {"w": torch.tensor([0.0])}
    average = Average(value, 0.9)
    for step, new in enumerate([10.0, 20.0]):
        average.update({"w": torch.tensor([new])}, step)
    assert float(average.tensors["w"]) == pytest.approx((9.0 * 2 + 20 * 9) / 11)
    assert not Average(value, 0.0).tensors


def test_a_missing_package_is_named_with_what_installs_it(
    shards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingDependency, match=r"accelerate.*pip install 'mitds\[train\]'"):
        train(shards, tmp_path)


def test_settings_come_from_preset_then_file_then_command(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("trunk:\n  layers: 3\n  heads: 2\nprecision: bf16\n")
    found = resolve_recipe("animate-anyone", "tiny", file=file, settings=["trunk.heads=8"])
    assert (found.trunk.layers, found.trunk.heads, found.precision, found.design.mpe) == (3, 8, "bf16", False)
    with pytest.raises(UsageError, match="one of 'no', 'bf16', 'fp16'"):
        resolve_recipe("covog", "tiny", settings=["precision=fp8"])
    with pytest.raises(UnknownName, match="leyers"):
        resolve_recipe("covog", "tiny", settings=["trunk.leyers=2"])


def test_settings_are_judged_together(tmp_path: Path):
    size = ["height=48", "width=80", "trunk.channels=[16,32]", "trunk.attention=[true,true]"]
    assert resolve_recipe("covog", "tiny", settings=size).height == 48
    file = tmp_path / "c.yaml"
    file.write_text("height: 48\nwidth: 80\n")
    assert resolve_recipe("covog", "tiny", file=file, settings=size[2:]).height == 48
    with pytest.raises(UsageError, match="height is 48, and must be a multiple of 32"):
        resolve_recipe("covog", "tiny", file=file)
    whole = resolve_recipe("covog", "tiny", settings=['pose={"channels":[4,8]}', "pose.channels=[8,8]"])
    assert whole.pose.channels == (8, 8)
    with pytest.raises(UsageError, match=r"trunk\.layers\.x leads into a plain value"):
        resolve_recipe("covog", "tiny", settings=["trunk.layers.x=1"])


@pytest.mark.parametrize(("name", "value"), [("model", "animate-anyone"), ("preset", "small")])
def test_model_and_preset_are_no_settings(tmp_path: Path, name: str, value: str):
    (tmp_path / "c.yaml").write_text(f"{name}: {value}\n")
    for given in ({"settings": [f"{name}={value}"]}, {"file": tmp_path / "c.yaml"}):
        with pytest.raises(UsageError, match=f"{name} is no setting") as error:
            resolve_recipe("covog", "tiny", **given)
        assert f"--{name}" in error.value.remedy


@pytest.mark.parametrize(
    "setting",
    [
        "autoencoder.fold=0", "autoencoder.lr=0", "trunk.channels=[]", "trunk.channels=[64,96,100]",
        "trunk.attention=[true]", "trunk.iad_down=[3]", "trunk.iad_up=[0,0]", "audio.context=-1", "stage1.batch=0",
        "stage1.frames=0", "stage1.frames=33", "stage2.frames=33", "stage2.strides=[]", "stage2.strides=[0]",
        "stage1.lr=0", "diffusion.drop=0.34", "diffusion.least_step=1000", "diffusion.ema=1", "data.zoom=0.9",
        "data.flip=1.1", "data.cache_gb=0", "sampling.window=33",
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(setting: str):
    name = setting.partition("=")[0].replace("stage1.strides", "strides").rpartition(".")[2]
    with pytest.raises(UsageError, match=rf"{name}.* is .*, and must be "):
        resolve_recipe("covog", "tiny", settings=[setting])


def test_the_command_trains_and_says_what_came_of_it(shards: list[str], tmp_path: Path):
    def call(*arguments: str) -> Any:
        chosen = [x for s in SETTINGS for x in ("--set", s)]
        given = [x for s in shards for x in ("--shards", s)]
        return CliRunner().invoke(
            app, ["train", *given, "--out", str(tmp_path / "m"), "--cpu", *chosen, *arguments]
        )

    released = str(release(tmp_path, ["0" * 16], [], f"{1:016x}"))
    done = call("--release", released, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["clips"] == 1
    assert said["losses"].keys() == {"stage 1", "stage 2"}
    whole = from_json(Release, (Path(released) / "release.json").read_bytes()).digest
    assert describe(tmp_path / "m").about["release"] == {"name": "r", "digest": whole}
    again = call("--release", released)
    assert f"mitds eval --model covog --checkpoint {tmp_path / 'm'}" in again.stdout
