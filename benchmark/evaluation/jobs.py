"""What runs inside an isolated worker: make one output, or score one. Arguments and answers are JSON-ready."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mitds.benchmark.contracts import Metric, Scene, Score, SetMetric
from mitds.benchmark.footage import Footage, Shape, WrongShape, read_footage
from mitds.benchmark.registries import CONTROLS, METRICS, MODELS
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.results import detail_text
from mitds.errors import EnvironmentFault, InputFault
from mitds.manifests.codec import pack_arrays
from mitds.manifests.items import Control, Model
from mitds.media import Sound, write_video
from mitds.store import write_bytes
from mitds.time import AUDIO_HZ, CLIP_FPS

OUTPUT_CRF = 12
"""Quality at which outputs of models and controls are written: high, so that the codec moves no metric much."""

GREY = 128


@cache
def _release(path: str) -> OpenRelease:
    return open_release(path)


@cache
def _metric(name: str) -> Metric | SetMetric:
    return METRICS.get(name)()


@cache
def _system(kind: str, name: str, checkpoint: str, settings: tuple[str, ...]) -> Any:
    found: Any = (CONTROLS if kind == "control" else MODELS).get(name)
    arguments: list[Any] = [Path(checkpoint)] if checkpoint else []
    return found(*arguments, settings) if settings else found(*arguments)


def _scene(release: str, item: str) -> Scene:
    scene = _release(release).scene(item)
    if scene.real.digest != _release(release).item(item).pixels:
        raise EnvironmentFault(
            "this machine decodes the real footage to other pixels than the release was frozen with",
            where=item,
            remedy="Use the pyav version that release.json names (config.pyav); numbers would not be comparable.",
        )
    return scene


def make(job: dict[str, Any]) -> dict[str, Any]:
    """Let a model or a control answer one item, and write the answer as mp4 with the item's sound.

    Args:
        job: "release", "item", "kind" ("model" or "control"), "system", "checkpoint" (folder, "" for none),
            "settings" (of how a trained model draws), "seed", "path".
    """
    release = _release(job["release"])
    request = release.request(job["item"], job["seed"])
    system: Model | Control = _system(job["kind"], job["system"], job["checkpoint"], tuple(job["settings"]))
    if job["kind"] == "control":
        pictures = system.spoil(request, release.scene(job["item"]).real.frames_THWC)  # type: ignore[union-attr]
    else:
        pictures = system.generate(request)  # type: ignore[union-attr]
    times = ((k / CLIP_FPS, picture) for k, picture in enumerate(pictures))
    sound = Sound(request.mix_S[None], AUDIO_HZ, Fraction(0))
    count = write_video(Path(job["path"]), times, sound=sound, crf=OUTPUT_CRF)
    return {"frames": count}


def score(job: dict[str, Any]) -> dict[str, Any]:
    """Score one output by all metrics.

    Args:
        job: "release", "item", "video" (path, or None for no output), "metrics" (ids), "observed" (folder where
            what set metrics see is written, as METRIC/{real,output}/ITEM.npz).

    Returns:
        "status" and "message" of the output, and "rows" of the item metrics where it is sound.
    """
    scene = _scene(job["release"], job["item"])
    status, message, footage = _footage(job["video"], scene)
    rows: list[dict[str, Any]] = []
    for name in job["metrics"]:
        metric = _metric(name)
        if metric.card.needs == "set":
            _observe(metric, scene, footage, Path(job["observed"]))  # type: ignore[arg-type]
        elif status == "ok":
            rows += [_row(name, one) for one in metric.score(scene, footage)]  # type: ignore[union-attr]
    return {"status": status, "message": message, "rows": rows}


def _footage(video: str | None, scene: Scene) -> tuple[str, str, Footage]:
    """Decode an output; a failed one is seen as uniform grey by the metrics of sets."""
    if video is None:
        return "missing", "there is no output for this item", _grey(scene)
    shape = scene.real.shape
    try:
        footage = read_footage(Path(video), shape)
    except WrongShape as error:
        return "wrong_shape", str(error), _grey(scene)
    except InputFault as error:
        return "unreadable", str(error), _grey(scene)
    footage.wave_S = scene.real.wave_S
    return "ok", "", footage


def _grey(scene: Scene) -> Footage:
    shape: Shape = scene.real.shape
    return Footage(np.full((shape.frames, shape.height, shape.width, 3), GREY, np.uint8))


def _observe(metric: SetMetric, scene: Scene, footage: Footage, folder: Path) -> None:
    for side, seen in (("real", scene.real), ("output", footage)):
        path = folder / metric.card.id / side / f"{scene.id}.npz"
        write_bytes(path, pack_arrays(metric.observe(scene, seen)))


def _row(metric: str, one: Score) -> dict[str, Any]:
    if one.value is not None and not math.isfinite(one.value):
        raise ValueError(f"{metric} gives {one.value}: a metric must say what is wrong by its status")
    return {
        "metric": metric,
        "person": one.person,
        "value": one.value,
        "status": one.status,
        "n": one.n,
        "detail": detail_text(one.detail),
    }
