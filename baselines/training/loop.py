"""Training: the autoencoder, stage 1 on single frames, stage 2 on video; exact to resume, and one result a recipe."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from mitds.baselines.checkpoint import (
    AUTOENCODER,
    load_weights,
    need_packages,
    open_autoencoder,
    save_checkpoint,
    write_tensors,
)
from mitds.baselines.networks import build_network
from mitds.baselines.networks.layouts import layouts
from mitds.baselines.recipe import Recipe
from mitds.baselines.training.autoencoder import train_autoencoder
from mitds.baselines.training.card import write_card
from mitds.baselines.training.curves import write_curves
from mitds.baselines.training.data import Chosen, Released, choose
from mitds.baselines.training.origin import (
    STAGE1,
    STATE,
    Origin,
    claim,
    lent,
)
from mitds.baselines.training.stage import Progress, Run, Stage
from mitds.baselines.training.state import last_losses, newest_state, read_position
from mitds.baselines.training.windows import Windows
from mitds.errors import UsageError
from mitds.store import write_bytes


def train(
    shards: Sequence[str],
    out: Path,
    recipe: Recipe,
    *,
    keys: Collection[str] | None = None,
    autoencoder: Path | None = None,
    stage1: Path | None = None,
    progress: Progress | None = None,
    device: Literal["cpu"] | None = None,
    save_every: int = 500,
) -> Path:
    """Train a baseline, or go on where an earlier call with the same arguments was stopped.

    The weights are a function of clips, recipe and machine: a training that was stopped and went on gives the same
    bits as an unbroken one (on a CPU; GPUs sum in changing order). Clips whose stated rights forbid it are left out.

    Args:
        shards: Annotated clips: paths, globs or brace patterns.
        out: Folder of the checkpoint. A finished one is left as it is.
        recipe: What is trained, and how.
        keys: Only these clips.
        autoencoder: Trained model whose autoencoder is used.
        stage1: Trained model whose weights after stage 1, and whose autoencoder, are used.
        progress: Called with (what, done, of).
        device: "cpu" leaves GPUs alone.
        save_every: Steps between states to resume from, plots and samples.

    Returns:
        `out`.

    Raises:
        UsageError: If the settings do not fit each other or what lies in `out`, if no clip may be used, if a given
            model learned from clips that this training may not use, or if the loss diverges.
        InputFault: If a shard or a file to start from is damaged.
        MissingDependency: If a package is missing.
    """
    need_packages("matplotlib")
    began, report = time.monotonic(), progress or _silent
    chosen = choose(shards, recipe.data, keys)
    given, lenders = lent({"autoencoder": autoencoder, "stage1": stage1}, recipe, chosen.keys)
    origin = Origin(recipe=recipe, data=chosen.digest, **given)
    accelerator = _accelerator(recipe, device)
    with accelerator.main_process_first():
        finished = claim(out, origin)
    if finished:
        return out
    at = newest_state(out / STATE)
    began -= read_position(at).seconds if at else 0.0
    with _reproducible(accelerator.device.type):
        windows = _windows(chosen, recipe, report)
        fixed = _autoencoder(out, autoencoder or stage1, windows, recipe, report, accelerator)
        run = Run(out, recipe, windows, fixed, accelerator, report, save_every, began)
        _finish(run, chosen, {**_origin(origin, keys), "lenders": lenders}, _stages(run, stage1))
    accelerator.free_memory()
    return out


def _windows(chosen: Chosen, recipe: Recipe, report: Progress) -> Windows:
    """Return where examples come from, after saying which clips are left out, and whether they fit the memory."""
    if chosen.left_out:
        report("left out for their rights", len(chosen.left_out), len(chosen.left_out))
    windows = Windows(chosen.index, recipe, chosen.keys)
    if windows.needed_gb > recipe.data.cache_gb:
        report(
            f"clips do not fit data.cache_gb: decoding again and again ({windows.needed_gb:.1f} GB would hold them)",
            1, 1,
        )  # fmt: skip
    return windows


def _origin(origin: Origin, keys: Collection[str] | None) -> dict[str, Any]:
    """Return what a checkpoint says of what it came from."""
    released = {"name": keys.name, "digest": keys.digest} if isinstance(keys, Released) else None
    begun = {"data": origin.data, "autoencoder": origin.autoencoder, "stage1": origin.stage1}
    return {"origin": begun, "release": released}


def _silent(_what: str, _done: int, _of: int) -> None:
    pass


def _accelerator(recipe: Recipe, device: str | None) -> Any:
    from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
    from accelerate.utils import is_bf16_available

    if recipe.precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise UsageError("half precision needs a GPU", remedy="Use --set precision=no, or bf16.")
    if recipe.precision == "bf16" and not is_bf16_available(True):
        raise UsageError("this machine does not compute in bf16", remedy="Use --set precision=fp16, or no.")
    # Stage 1 leaves the motion modules alone, and a batch that drops all references leaves their U-Net alone.
    spread = DistributedDataParallelKwargs(find_unused_parameters=True)
    # All others wait while the first process trains the autoencoder.
    patient = InitProcessGroupKwargs(timeout=timedelta(hours=12))
    try:
        return Accelerator(
            mixed_precision=recipe.precision, cpu=device == "cpu", kwargs_handlers=[spread, patient]
        )
    except ValueError as error:
        raise UsageError(
            f"this process has computed in another precision or on another device already: {error}",
            remedy="Train in a process of its own.",
        ) from error


@contextlib.contextmanager
def _reproducible(device: str) -> Iterator[None]:
    """Compute deterministically where that costs little, and leave the caller's random numbers as they were."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    with torch.random.fork_rng(devices=[]):
        if device == "cpu":
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _autoencoder(
    out: Path, source: Path | None, windows: Windows, recipe: Recipe, progress: Progress, accelerator: Any
) -> nn.Module:
    """Return the autoencoder of the folder; if it is not there, it is another model's, or trained now."""
    path, device = out / AUTOENCODER, accelerator.device
    with accelerator.main_process_first():
        if source and not path.is_file():
            write_bytes(path, (source / AUTOENCODER).read_bytes())
        elif not path.is_file():
            write_tensors(path, train_autoencoder(windows, recipe, out, progress, device).state_dict())
    return open_autoencoder(out, recipe).to(accelerator.device)


def _stages(run: Run, stage1: Path | None) -> Stage:
    """Train what is left to train; stage 2 begins with what stage 1 wrote, here or elsewhere."""
    first = (stage1 or run.out) / STAGE1
    if not first.is_file():
        stage = Stage(run, 1, build_network(run.recipe)).finish()
        if run.accelerator.is_main_process:
            write_tensors(first, stage.weights())
        run.accelerator.wait_for_everyone()
        # Model and optimiser are known to the accelerator too, and to each other in circles.
        del stage
        run.accelerator.free_memory()
        gc.collect()
    network: nn.Module = build_network(run.recipe)
    load_weights(network, first)
    return Stage(run, 2, network).finish()


def _finish(run: Run, chosen: Chosen, origin: dict[str, Any], last: Stage) -> None:
    """Write the checkpoint with its card, by one process for all; what only a training under way needs goes."""
    accelerator = run.accelerator
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        return
    about = {
        **origin,
        "data": chosen.digest,
        "clips": chosen.keys,
        "left_out": chosen.left_out,
        "unused": run.windows.left_out,
        "parameters": _size(last.network),
        "parts": {name: _size(part) for name, part in last.network.named_children()},
        "losses": last_losses(run.out),
        "seconds": round(time.monotonic() - run.began, 1),
        "device": accelerator.device.type,
        "processes": accelerator.num_processes,
        "versions": {name: importlib.metadata.version(name) for name in ("mitds", "torch", "diffusers")},
    }
    write_curves(run.out)
    write_card(run.out, run.recipe, chosen, about)
    save_checkpoint(run.out, run.recipe, last.weights(), about, _layouts(run, last.network))
    shutil.rmtree(run.out / STATE)
    accelerator.wait_for_everyone()


def _layouts(run: Run, network: nn.Module) -> dict[str, Any]:
    """Return the layouts of what began with published weights."""
    trunk, autoencoder = run.recipe.trunk, run.recipe.autoencoder
    began = {network: trunk.source or trunk.image_source, run.autoencoder: autoencoder.source}
    return layouts(*(module for module, source in began.items() if source))


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
