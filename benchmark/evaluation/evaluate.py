"""`mitds eval`: one system on one release, from outputs to results on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mitds.benchmark.evaluation.anchors import read_anchors
from mitds.benchmark.evaluation.engine import (
    Chosen,
    EngineConfig,
    Progress,
    choose,
    make_outputs,
    score_outputs,
)
from mitds.benchmark.evaluation.summary import Anchors, Measured, charged, summarise
from mitds.benchmark.registries import CONTROLS, METRICS, MODELS, metric_id
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.results import Results, Row, write_results, write_rows
from mitds.config import plain
from mitds.errors import UsageError
from mitds.manifests.items import Release
from mitds.registry import unknown


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        results: The summary.
        rows: All charged rows.
        videos: Output by item.
        messages: What went wrong, by item.
        chosen: The metrics.
    """

    results: Results
    rows: tuple[Row, ...]
    videos: dict[str, Path]
    messages: dict[str, str]
    chosen: Chosen


def system_kind(name: str) -> Literal["model", "control"]:
    """Tell whether a name is a control's or a model's.

    Raises:
        UnknownName: If it is neither.
    """
    if name in CONTROLS.names():
        return "control"
    if name in MODELS.names() or ":" in name:
        return "model"
    raise unknown("model", name, [*MODELS.names(), *CONTROLS.names()])


def weights_digest(model: str | None, checkpoint: Path | None, settings: Sequence[str] = ()) -> str:
    """Return the digest of the weights that a trained model is to run with; "" for whatever needs none.

    Args:
        model: Name of a model or control; None for videos.
        checkpoint: Folder of the weights.
        settings: How the model is to draw.

    Raises:
        UnknownName: If there is no such model, control or setting.
        UsageError: If a checkpoint is missing, of another model, or given where none is needed; or if a setting does
            not fit, or is given where none is taken.
        InputFault: If the weights are damaged.
    """
    trained = model is not None and system_kind(model) == "model"
    identify = getattr(MODELS.get(str(model)), "identify", None) if trained else None
    if identify is None and checkpoint is not None:
        raise UsageError(
            f"{model or 'a folder of videos'} has no weights to load",
            where=str(checkpoint),
            remedy="Leave --checkpoint out.",
        )
    if identify is None and settings:
        raise UsageError(
            f"{model or 'a folder of videos'} takes no settings: {', '.join(settings)}",
            remedy="Leave --set out.",
        )
    if identify is None:
        return ""
    if checkpoint is None:
        raise UsageError(
            f"{model} is a trained model: it needs its weights",
            remedy=f"Train it, mitds train --model {model}, and give --checkpoint DIR.",
        )
    return str(identify(model, checkpoint, settings))


def metrics_for(names: Sequence[str]) -> Chosen:
    """Return the metrics asked for; all there are where none is named."""
    return choose([metric_id(name) for name in names] or METRICS.names())


def evaluate(
    shards: Sequence[str],
    out: Path,
    *,
    model: str | None = None,
    checkpoint: Path | None = None,
    videos: Path | None = None,
    name: str | None = None,
    metrics: Sequence[str] = (),
    config: EngineConfig = EngineConfig(),
    progress: Progress = lambda what, done, of: None,
) -> Evaluation:
    """Score a system on a release, and write rows.parquet and results.json.

    Args:
        shards: The release's test shards, its folder or its release.json.
        out: Folder to write to.
        model: A registered model or control, or "module:Class"; its outputs are made first.
        checkpoint: Weights of a trained model; results.json names them by their digest.
        videos: Or a folder of ITEM.mp4 files.
        name: Name shown; the model's or the folder's by default.
        metrics: Ids or short names; all by default.
        config: Workers, limits, seed.
        progress: Told how far it is.

    Raises:
        UsageError: If not exactly one of `model` and `videos` is given, the release has no anchors, or checkpoint and
            settings do not fit the model; all before anything runs.
    """
    weights = weights_digest(_one_of(model, videos), checkpoint, config.model_settings)
    release = open_release(shards)
    anchors = read_anchors(release.folder, release.release)
    chosen = metrics_for(metrics)
    made = _outputs(release, out, model, checkpoint, videos, config, progress)
    label = name or model or str(videos and videos.name)
    measured = score_outputs(release.folder, release.release, made.paths, chosen, config, progress, label)
    measured = replace(measured, messages=measured.messages | made.failed)
    settings = plain(config) | {"model": model or "", "weights": weights, "metrics": sorted(chosen.cards)}
    results, rows = _written(out, label, release.release, anchors, measured, chosen, settings)
    return Evaluation(results, rows, made.paths, measured.messages, chosen)


def _one_of(model: str | None, videos: Path | None) -> str | None:
    if (model is None) == (videos is None):
        raise UsageError(
            "a model or a folder of videos is needed, not both", remedy="Give --model or --videos."
        )
    return model


def _written(
    out: Path,
    label: str,
    release: Release,
    anchors: Anchors,
    measured: Measured,
    chosen: Chosen,
    settings: Mapping[str, Any],
) -> tuple[Results, tuple[Row, ...]]:
    """Charge and sum up what was measured, and write it."""
    kind = system_kind(settings["model"]) if settings["model"] else "videos"
    rows = charged(measured, chosen.cards, anchors)
    results = summarise(label, kind, release, anchors, measured, rows, chosen.cards, settings)
    write_rows(out / "rows.parquet", rows)
    write_results(out / "results.json", results)
    return results, tuple(rows)


@dataclass(frozen=True, slots=True)
class _Outputs:
    paths: dict[str, Path]
    failed: dict[str, str]


def _outputs(
    release: OpenRelease,
    out: Path,
    model: str | None,
    checkpoint: Path | None,
    videos: Path | None,
    config: EngineConfig,
    progress: Progress,
) -> _Outputs:
    folder, failed = videos, {}
    if folder is None:
        folder = out / "videos"
        kind = system_kind(str(model))
        failed = make_outputs(
            release.folder, release.release, kind, str(model), folder, config, progress, checkpoint
        )
    elif not folder.is_dir():
        raise UsageError(
            "no such folder of videos", where=str(folder), remedy="Name a folder of ITEM.mp4 files."
        )
    paths = {item.id: folder / f"{item.id}.mp4" for item in release.release.items}
    there = {item: path for item, path in paths.items() if path.is_file() and item not in failed}
    if not there and videos is not None:
        raise UsageError(
            "not one output is named after an item of the release",
            where=str(folder),
            remedy=f"Name the files ITEM.mp4; the first item is {release.release.items[0].id}.",
        )
    return _Outputs(there, failed)
