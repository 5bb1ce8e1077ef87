"""From annotated real video to a trained model, its scores and a film of one's own, through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from mitds.baselines.checkpoint import open_checkpoint
from mitds.benchmark.evaluation.anchors import measure_anchors
from mitds.benchmark.evaluation.engine import EngineConfig, choose
from mitds.benchmark.release import ReleaseConfig, build_release
from mitds.benchmark.results import read_results, read_rows
from mitds.cli import app
from mitds.manifests.clip_index import ClipIndex
from mitds.media import pictures, read_sound
from mitds.time import CLIP_FPS

pytestmark = pytest.mark.media

SETTINGS = (
    "trunk.channels=[16,32]", "trunk.attention=[false,true]", "trunk.heads=2", "trunk.groups=8",
    "trunk.cross_dim=16", "trunk.motion_heads=2", "trunk.iad_down=[0]", "trunk.iad_up=[0]", "height=48", "width=80",
    "data.cache_gb=0.2", "diffusion.ema=0.5", "autoencoder.steps=30", "autoencoder.batch=2",
    "stage1.steps=3", "stage1.batch=4", "stage2.steps=2", "stage2.batch=1", "stage2.frames=4",
    "sampling.steps=2", "sampling.audio_scale=1.0",
)  # fmt: skip
METRICS = ("psnr@1", "ssim@1")


def called(*words: str) -> Any:
    """Run a command of the command line, and return the JSON that it prints."""
    done = CliRunner().invoke(app, [*words, "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shards(demo_clips: Path) -> str:
    return str(demo_clips / "clips-*.tar")


@pytest.fixture(scope="module")
def checkpoint(shards: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps of training on all clips of the demo."""
    out = tmp_path_factory.mktemp("trained") / "covog"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    said = called(
        "train",
        "--model",
        "covog",
        "--preset",
        "tiny",
        "--shards",
        shards,
        "--out",
        str(out),
        "--cpu",
        *settings,
    )
    assert said["model"] == "covog"
    assert said["clips"] == len(ClipIndex(shards).keys)
    assert said["left_out"] == {}
    return out


def test_a_checkpoint_says_what_it_learned_from_and_under_which_rights(checkpoint: Path, shards: str) -> None:
    index, card = ClipIndex(shards), (checkpoint / "card.md").read_text()
    for record in map(index.record, range(len(index.keys))):
        assert record.source_name in card
        assert record.rights.licence in card
    assert json.loads((checkpoint / "card.json").read_bytes())
    opened = open_checkpoint(checkpoint)
    assert set(opened.about["clips"]) == set(index.keys)
    assert opened.recipe.design.iad


def test_losses_and_samples_of_every_stage_are_on_disk(checkpoint: Path) -> None:
    with (checkpoint / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [(int(row["stage"]), int(row["step"])) for row in rows]
    assert steps == [(stage, k) for stage, count in ((0, 30), (1, 3), (2, 2)) for k in range(1, count + 1)]
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    for path in (checkpoint / "losses.png", *(checkpoint / "samples").glob("*.png")):
        shown_HWC = cv2.imread(str(path))
        assert shown_HWC is not None, path
        assert shown_HWC.std() > 5, path
    assert {path.name[:6] for path in (checkpoint / "samples").iterdir()} == {"stage1", "stage2"}


def test_the_model_is_evaluated_and_its_weights_are_named(
    checkpoint: Path, shards: str, tmp_path: Path
) -> None:
    release, out = tmp_path / "release", tmp_path / "scored"
    config = ReleaseConfig(name="test", seconds=1.0, max_side=160, items_per_clip=1, test_share=1.0)
    built = build_release([shards], release, config).release
    measure_anchors(release, built, choose(METRICS), EngineConfig(workers=1), lambda what, done, of: None)
    items = built.items
    called(
        "eval", "--model", "covog", "--checkpoint", str(checkpoint), "--shards", str(release / "test-*.tar"),
        "--out", str(out), *(f"--metric={name}" for name in METRICS),
    )  # fmt: skip
    results = read_results(out / "results.json")
    assert results.outputs == {"ok": len(items)}
    assert open_checkpoint(checkpoint).digest in (out / "results.json").read_text()
    scores = [row.value for row in read_rows(out / "rows.parquet") if row.metric == "psnr@1"]
    assert len(scores) == len(items)
    assert all(score is not None and score > 8 for score in scores)
    for item in items:
        shown = [p.frame_HWC.shape for p in pictures(out / "videos" / f"{item.id}.mp4")]
        assert shown == [(item.height, item.width, 3)] * item.frames
        assert item.id in (out / "index.html").read_text()


def test_a_film_of_ones_own_has_the_clips_length_and_all_voices(
    checkpoint: Path, shards: str, tmp_path: Path
) -> None:
    index, out = ClipIndex(shards), tmp_path / "film.mp4"
    place = min(range(len(index.keys)), key=lambda i: index.record(i).frames)
    clip = index.record(place)
    words = ["--clip", f"{shards}::{clip.key}", "--reference", str(tmp_path / "reference.png")]
    first_HWC = next(index.load(place).frames())
    cv2.imwrite(str(tmp_path / "reference.png"), cv2.cvtColor(first_HWC, cv2.COLOR_RGB2BGR))
    for n in range(len(clip.persons)):
        voice = tmp_path / f"{n}.wav"
        soundfile.write(voice, 0.2 * np.sin(np.arange(16_000) * 0.05 * (n + 1)), 16_000)
        words += ["--voices", str(voice)]
    said = called("generate", "--checkpoint", str(checkpoint), "--out", str(out), *words)
    assert said["frames"] == clip.frames
    assert said["persons"] == len(clip.persons)
    assert [p.frame_HWC.shape for p in pictures(out)] == [(clip.height, clip.width, 3)] * clip.frames
    sound = read_sound(out)
    assert sound is not None
    assert float(sound.end) == pytest.approx(clip.frames / float(CLIP_FPS), abs=0.05)
    wave_S = sound.mono()
    assert np.abs(wave_S[: len(wave_S) // 20]).max() > 0.1
