"""What a training leaves for people: the model card, the plot of its losses, and its sample grids."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mitds.baselines.checkpoint import Checkpoint
from mitds.baselines.conditions.placement import Placement
from mitds.baselines.contracts import Example
from mitds.baselines.generation import sampler
from mitds.baselines.presets import DESIGNS, recipe
from mitds.baselines.settings import resolve_recipe
from mitds.baselines.training.card import command, facts_of, public, terms, write_card
from mitds.baselines.training.card_page import page
from mitds.baselines.training.curves import read_losses, running_mean, write_curves
from mitds.baselines.training.data import Chosen, choose
from mitds.baselines.training.grids import compose, moments, skeletons, write_grid
from mitds.baselines.training.windows import Windows
from mitds.config import override
from mitds.errors import MissingDependency
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.records import Rights
from tests import factories

RECIPE = override(recipe("covog", "tiny"), ["seed=7", "stage1.steps=20", "data.flip=0.25"])
ABOUT: dict[str, Any] = {
    "origin": {"data": "d" * 16, "autoencoder": "", "stage1": ""},
    "parameters": 1234567,
    "parts": {"reference": 234567, "denoiser": 1000000},
    "losses": {"stage 0": 0.03, "stage 1": 0.25},
    "seconds": 12.5,
    "device": "cpu",
    "processes": 1,
    "versions": {"mitds": "0.1.0", "torch": "2.13.0"},
    "unused": {"f" * 16: "nobody is in view"},
}
CC = Rights(licence="CC BY-NC 4.0", consent="signed", note=None)
NONE = Rights(licence=None, consent=None, note=None)


@pytest.fixture
def chosen(tmp_path: Path) -> Chosen:
    """Two clips of one source and one of a local file of unknown rights; a fourth forbids derived works."""
    clips = [
        factories.clip(0, rights=CC),
        factories.clip(1, rights=CC),
        factories.clip(
            2, persons=3, rights=NONE, source_id="e" * 64, source_name="home | <b>.mp4", source_url="/home/ann/f.mp4"
        ),
        factories.clip(3, rights=replace(CC, licence="CC BY-ND 4.0")),
    ]  # fmt: skip
    paths = factories.write_clips(tmp_path / "private", *clips)
    return choose([str(path) for path in paths], RECIPE.data)


def test_the_card_states_data_rights_and_settings(tmp_path: Path, chosen: Chosen) -> None:
    write_card(tmp_path, RECIPE, chosen, ABOUT)
    said = json.loads((tmp_path / "card.json").read_text())
    data = said["data"]
    assert data["clips"] == [f"{n:016x}" for n in range(3)]
    assert list(data["left_out"]) == [f"{3:016x}"]
    assert data["unused"] == ABOUT["unused"]
    assert data["digest"] == chosen.digest
    assert data["shards"] == [
        {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted((tmp_path / "private").glob("*.tar"))
    ]
    known, unknown = data["sources"]
    assert (known["identities"], known["clips"], known["seconds"]) == (["P0", "P1"], 2, 4.0)
    assert known["url"] == "https://example.org/talk.mp4"
    assert (unknown["identities"], unknown["url"], unknown["licence"]) == (["P0", "P1", "P2"], "", None)
    assert said["rights"]["licences"] == {"CC BY-NC 4.0": 2, "unstated": 1}
    assert said["rights"]["consents"] == {"signed": 2, "unstated": 1}
    assert said["rights"]["unstated"] == 1
    assert (said["seed"], said["recipe"]["data"]["flip"], said["seconds"]) == (7, 0.25, 12.5)


def test_the_page_says_what_the_facts_say(tmp_path: Path, chosen: Chosen) -> None:
    text = page(facts_of(tmp_path, RECIPE, chosen, ABOUT))
    for phrase in (
        "# covog, preset tiny",
        "no licence beyond research use is implied where rights are unstated",
        "Not for commercial use: CC BY-NC 4.0.",
        "| parameters of the network | 1,234,567 |",
        "| of these, denoiser | 1,000,000 |",
        "| last loss, stage 1 | 0.25000 |",
        "| data.flip | `0.25` |",
        "| home \\| &lt;b>.mp4 | a file | unstated | unstated | P0, P1, P2 | 1 |",
        "its licence forbids derived works",
        "160 x 96 px",
    ):
        assert phrase in text


def test_no_folder_of_this_machine_is_in_the_card(tmp_path: Path, chosen: Chosen) -> None:
    write_card(tmp_path, RECIPE, chosen, ABOUT)
    for name in ("card.json", "card.md"):
        text = (tmp_path / name).read_text()
        assert str(tmp_path) not in text
        assert "private" not in text
        assert "/home" not in text


def test_equal_trainings_give_equal_cards(tmp_path: Path, chosen: Chosen) -> None:
    for folder in ("a", "b"):
        write_card(tmp_path / folder, RECIPE, chosen, ABOUT)
    for name in ("card.json", "card.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_command_gives_the_same_recipe_again() -> None:
    words = shlex.split(command(RECIPE, ["clips-000000.tar"]))
    said = {
        word: [words[i + 1] for i, w in enumerate(words) if w == word] for word in words if word[0] == "-"
    }
    assert said["--shards"] == ["clips-000000.tar"]
    settings = said["--set"]
    assert len(settings) == 3
    assert resolve_recipe(said["--model"][0], said["--preset"][0], settings=settings) == RECIPE


def test_the_command_says_what_else_was_given(tmp_path: Path) -> None:
    release, began = (
        {"name": "my-bench", "digest": "e" * 16},
        {"data": "d", "autoencoder": "a" * 64, "stage1": ""},
    )
    assert " --release my-bench --autoencoder MODEL " in command(RECIPE, ["a.tar"], release, began)
    words = command(RECIPE, ["a.tar"], None, began | {"stage1": "b" * 64}).split()
    assert ("--stage1" in words, "--autoencoder" in words, "--release" in words) == (True, False, False)


def test_shards_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    paths = [
        path
        for n in (1, 2)
        for path in factories.write_clips(tmp_path / str(n), factories.clip(n, rights=CC))
    ]
    facts = facts_of(tmp_path, RECIPE, choose([str(path) for path in paths], RECIPE.data), ABOUT)
    wanted = ["FOLDER1/clips-000000.tar", "FOLDER2/clips-000000.tar"]
    assert [shard["name"] for shard in facts["data"]["shards"]] == wanted
    assert "--shards FOLDER1/clips-000000.tar --shards FOLDER2/clips-000000.tar" in facts["command"]


def test_the_page_names_the_release_and_whose_clips_came_with_a_given_model(
    tmp_path: Path, chosen: Chosen
) -> None:
    more = {"lenders": {"stage1": "c" * 16}, "release": {"name": "my-bench", "digest": "e" * 16}}
    text = page(facts_of(tmp_path, RECIPE, chosen, ABOUT | more))
    assert f"| digest of the clips of the model that gave its stage1 | `{'c' * 16}` |" in text
    assert f"| clips left for training by the release | my-bench, `{'e' * 16}` |" in text


@pytest.mark.parametrize("model", DESIGNS)
def test_every_model_has_a_page(tmp_path: Path, chosen: Chosen, model: str) -> None:
    assert page(facts_of(tmp_path, recipe(model, "small"), chosen, ABOUT)).startswith(
        f"# {model}, preset small"
    )


def test_ignored_rights_are_confessed(tmp_path: Path, chosen: Chosen) -> None:
    ignoring = override(RECIPE, ["data.rights=ignore"])
    everything = choose([str(chosen.index.path(i)) for i in (0, 3)], ignoring.data)
    text = page(facts_of(tmp_path, ignoring, everything, ABOUT))
    assert "**Stated rights were ignored on request" in text
    assert "Left out for their rights: none." in text
    assert "**Stated rights" not in page(facts_of(tmp_path, RECIPE, chosen, ABOUT))


def test_how_well_the_autoencoder_is_is_told_where_it_was_trained(tmp_path: Path, chosen: Chosen) -> None:
    assert "| autoencoder |" not in page(facts_of(tmp_path, RECIPE, chosen, ABOUT))
    (tmp_path / "autoencoder.json").write_text('{"psnr_db":31.5,"frames":16}')
    text = page(facts_of(tmp_path, RECIPE, chosen, ABOUT))
    assert "| autoencoder | 31.5 dB over 16 frames of these clips |" in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a.mp4", "https://example.org/a.mp4"),
        ("https://ann:secret@example.org/a.mp4", "https://example.org/a.mp4"),
        ("s3://bucket/a.mp4", "s3://bucket/a.mp4"),
        ("/home/ann/a.mp4", ""),
        ("file:///home/ann/a.mp4", ""),
        ("C:\\videos\\a.mp4", ""),
        ("videos/a.mp4", ""),
    ],
)
def test_addresses_of_the_own_machine_are_not_told(url: str, shown: str) -> None:
    assert public(url) == shown


def test_the_strictest_licence_governs() -> None:
    said = list(terms(["CC BY-SA 4.0", "CC0", "unstated"], 0))
    assert [line.split(":")[0] for line in said] == [
        "Whatever is derived is to be shared under the same licence",
        "The sources are to be named",
        "The strictest of all stated licences governs these weights",
    ]
    assert list(terms([], 0)) == []
    assert "implied where rights are unstated" in " ".join(terms(["unstated"], 4))


def losses(folder: Path, *stages: int, steps: int = 40) -> None:
    rows = [f"{stage},{step},{1 / step:.4f},0.5,0.001" for stage in stages for step in range(1, steps + 1)]
    (folder / "losses.csv").write_text("\n".join(["stage,step,loss,grad_norm,lr", *rows]) + "\n")


def test_losses_are_plotted_stage_by_stage(tmp_path: Path) -> None:
    widths = []
    for stages in ((0,), (0, 1, 2)):
        losses(tmp_path, *stages)
        write_curves(tmp_path)
        picture_HWC = cv2.imread(str(tmp_path / "losses.png"))
        assert picture_HWC is not None
        assert picture_HWC.std() > 5
        widths.append(picture_HWC.shape[1])
    assert widths[1] == pytest.approx(3 * widths[0], abs=3)


def test_losses_are_read_by_stage(tmp_path: Path) -> None:
    losses(tmp_path, 0, 2, steps=3)
    found = read_losses(tmp_path / "losses.csv")
    assert list(found) == [0, 2]
    assert [array_X.tolist() for array_X in found[2]] == [[1, 2, 3], [1.0, 0.5, 0.3333]]


def test_the_running_mean_looks_back_only() -> None:
    assert running_mean(np.array([4.0, 2.0, 0.0, 6.0]), 2).tolist() == [4, 3, 1, 3]
    assert running_mean(np.array([4.0, 2.0]), 9).tolist() == [4, 3]


def test_without_losses_there_is_no_plot(tmp_path: Path) -> None:
    write_curves(tmp_path)
    (tmp_path / "losses.csv").write_text("stage,step,loss,grad_norm,lr\n")
    write_curves(tmp_path)
    assert not (tmp_path / "losses.png").exists()


def test_plots_say_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match="matplotlib"):
        write_curves(tmp_path)


def flat(level: int) -> np.ndarray:
    return np.full((30, 60, 3), level, np.uint8)


def test_pictures_lie_in_rows_and_columns_under_captions() -> None:
    sheet_HWC = compose([[flat(10), flat(20)], [flat(30), flat(40)]], ("one", "two"))
    height, width = 30 * 6, 60 * 6
    assert sheet_HWC.shape == (22 + 2 * (height + 4) + 4, 2 * (width + 4) + 4, 3)
    found = [
        sheet_HWC[22 + r * (height + 4) + 90, 4 + c * (width + 4) + 180, 0] for r in (0, 1) for c in (0, 1)
    ]
    assert found == [10, 20, 30, 40]
    assert sheet_HWC[:22, : width // 2].min() < 100
    assert sheet_HWC[:22, width // 2 : width].min() == 255
    assert sheet_HWC[22 + height + 2].min() == 255


@pytest.mark.parametrize(("frames", "shown"), [(1, [0]), (2, [0, 1]), (8, [0, 4, 7]), (15, [0, 7, 14])])
def test_moments_are_spread_over_the_frames(frames: int, shown: list[int]) -> None:
    assert moments(frames) == shown


class Negative:
    """Answers with the negative of its reference, and notes what it was asked."""

    asked: list[Example] = []  # noqa: RUF012

    def __init__(self, checkpoint: Checkpoint) -> None:
        pass

    def frames(self, example: Example, seed: int) -> Iterator[np.ndarray]:
        self.asked.append(example)
        return (255 - example.reference_HWC for _ in range(example.told.frames))


def test_grids_show_the_same_examples_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "Sampler", Negative)
    small = override(
        RECIPE,
        [
            "height=64",
            "width=96",
            "stage2.frames=5",
            "stage2.batch=3",
            "data.reference_gap=5",
            "data.flip=1.0",
        ],
    )
    windows = Windows(ClipIndex(factories.write_clips(tmp_path, factories.clip(frames=20))), small)
    model = Checkpoint(small, None, None, {}, {})  # type: ignore[arg-type]
    sheets = []
    for step in (10, 500):
        write_grid(tmp_path / "samples" / f"{step}.png", model, windows, small, step)
        sheets.append(cv2.imread(str(tmp_path / "samples" / f"{step}.png")))
    assert sheets[0].shape == (22 + 6 * (64 * 4 + 4) + 4, 4 * (96 * 4 + 4) + 4, 3)
    assert (sheets[0][22:] == sheets[1][22:]).all()
    assert (sheets[0][:22] != sheets[1][:22]).any()
    reference_HWC, generated_HWC = (sheets[0][30:270, 4 + c * 388 : 4 + c * 388 + 384] for c in (0, 3))
    assert np.abs(255 - reference_HWC.astype(int) - generated_HWC).max() <= 2
    rendered: list[int] = []
    one = windows.example
    monkeypatch.setattr(
        windows, "example", lambda stage, step, slot: rendered.append(slot) or one(stage, step, slot)
    )
    write_grid(tmp_path / "again.png", model, windows, small, 10)
    assert rendered == [0, 1]
    assert all((e.frames_THWC, e.flip, e.zoom) == (None, False, 1.0) for e in Negative.asked)


def test_skeletons_of_all_people_are_on_one_picture(tmp_path: Path) -> None:
    small = override(RECIPE, ["height=64", "width=96", "stage2.frames=5", "data.zoom=1.0"])
    windows = Windows(ClipIndex(factories.write_clips(tmp_path, factories.clip(frames=20))), small)
    told = windows.examples(2, 0)[0].told
    placement = Placement.fit(told.width, told.height, (64, 96))
    both_HWC = skeletons(told, 2, placement)
    one, other = (skeletons(replace(told, pose_NTK3=told.pose_NTK3[n : n + 1]), 2, placement) for n in (0, 1))
    assert one.any()
    assert other.any()
    assert (both_HWC == np.maximum(one, other)).all()
