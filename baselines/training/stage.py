"""One stage of training: its steps, and what is written between them."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from mitds.baselines.checkpoint import Checkpoint, read_tensors
from mitds.baselines.conditions.batch import collate_for
from mitds.baselines.contracts import Batch
from mitds.baselines.diffusion import Diffusion
from mitds.baselines.recipe import Recipe
from mitds.baselines.training.curves import write_curves
from mitds.baselines.training.grids import write_grid
from mitds.baselines.training.objective import Denoising, draw, loss_B, seed_of
from mitds.baselines.training.origin import STATE
from mitds.baselines.training.state import (
    Average,
    Losses,
    Position,
    fill_optimizer,
    fill_state,
    flat_optimizer,
    newest_state,
    read_position,
    save_state,
)
from mitds.baselines.training.windows import Windows
from mitds.errors import UsageError

SAMPLES = "samples"
_RENDERERS = 8
"""Threads that decode and render batches for a GPU."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Run:
    """What the stages of a training share.

    Attributes:
        out: Folder of the checkpoint.
        recipe: What is trained, and how.
        windows: Examples by stage, step and slot.
        autoencoder: Pictures to latents, fixed by now.
        accelerator: Devices, processes and precision.
        progress: Called with (what, done, of).
        save_every: Steps between states, plots and samples.
        began: Of this training, on the monotonic clock; earlier runs count as if they had just been.
    """

    out: Path
    recipe: Recipe
    windows: Windows
    autoencoder: nn.Module
    accelerator: Any
    progress: Progress
    save_every: int
    began: float


class Stage:
    """One stage under way; it goes on from the newest state of its own, if there is one.

    Args:
        run: What is trained, and where.
        number: 1 (single frames) or 2 (video).
        network: As the stage begins with it.

    Raises:
        UsageError: If there are more processes than samples a step.
    """

    def __init__(self, run: Run, number: int, network: nn.Module) -> None:
        self.run, self.number = run, number
        self.config = run.recipe.stage1 if number == 1 else run.recipe.stage2
        self.network = network.to(run.accelerator.device).train()
        self.parameters = trained(network, number, self.config.trains)
        self.diffusion = Diffusion(run.recipe.diffusion)
        optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=self.config.lr, betas=(0.9, 0.999), eps=1e-8,
            weight_decay=run.recipe.diffusion.weight_decay,
        )  # fmt: skip
        self.denoise, self.optimizer = run.accelerator.prepare(Denoising(network), optimizer)
        self.average = Average(self.parameters, run.recipe.diffusion.ema)
        self.rank, self.world = run.accelerator.process_index, run.accelerator.num_processes
        if self.world > self.config.batch:
            raise UsageError(
                f"stage {number} has {self.config.batch} samples a step for {self.world} processes",
                remedy=f"Use fewer processes, or --set stage{number}.batch={self.world}.",
            )
        self.workers = 1 if run.accelerator.device.type == "cpu" else _RENDERERS
        self.step = self._resumed()

    def finish(self) -> Self:
        """Do all steps that are left."""
        while self.step < self.config.steps:
            end = min(self.config.steps, (self.step // self.run.save_every + 1) * self.run.save_every)
            losses = Losses(self.run.out, self.number, self.step) if self.rank == 0 else None
            with contextlib.closing(losses) if losses else contextlib.nullcontext():
                for step, batch in ahead(self._batch, range(self.step, end), self.workers):
                    self._advance(step, batch, losses)
            self.step = end
            if self.rank == 0:
                self._save()
            self.run.accelerator.wait_for_everyone()
        return self

    def weights(self) -> dict[str, Tensor]:
        """Return the network's weights: averaged ones, where the recipe says so."""
        return {**self.network.state_dict(), **self.average.tensors}

    def _batch(self, step: int) -> Batch:
        examples = self.run.windows.examples(self.number, step, self.rank, self.world)
        return collate_for(examples, self.run.recipe)

    def _advance(self, step: int, batch: Batch, losses: Losses | None) -> None:
        """Do one optimiser step; gradients are the mean over all samples of all processes."""
        accelerator, recipe, config = self.run.accelerator, self.run.recipe, self.config
        rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # For networks that draw by themselves (dropout).
        torch.manual_seed(seed_of("step", recipe.seed, self.number, step, self.rank))
        draws = draw(recipe, self.number, step, range(self.rank, config.batch, self.world))
        batch = batch.to(accelerator.device)
        sum_ = loss_B(self.denoise, self.run.autoencoder, batch, draws, self.diffusion).sum()
        loss = float(accelerator.reduce(sum_.detach(), "sum")) / config.batch
        self._require_finite(loss, step)
        accelerator.backward(sum_ * (self.world / config.batch))
        norm = accelerator.clip_grad_norm_(list(self.parameters.values()), recipe.diffusion.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.parameters, step)
        if losses:
            losses.add(step + 1, loss, float(norm), rate)
            self.run.progress(f"stage {self.number}", step + 1, config.steps)

    def _require_finite(self, loss: float, step: int) -> None:
        if not torch.isfinite(torch.tensor(loss)):
            raise UsageError(
                f"the loss of stage {self.number}, step {step + 1}, is {loss}", where=str(self.run.out),
                remedy=f"Train with a lower stage{self.number}.lr, or another precision, into another folder.",
            )  # fmt: skip

    def _save(self) -> None:
        scaler = self.run.accelerator.scaler
        at = Position(
            stage=self.number, step=self.step, seconds=time.monotonic() - self.run.began,
            scaler=scaler.state_dict() if scaler else {},
        )  # fmt: skip
        optimizer = flat_optimizer(self.optimizer.optimizer, list(self.parameters))
        moving = {"network": self._moving(), "ema": self.average.tensors, "optimizer": optimizer}
        save_state(self.run.out / STATE, at, moving)
        write_curves(self.run.out)
        with self._averaged():
            picture = self.run.out / SAMPLES / f"stage{self.number}-{self.step:06d}.png"
            shown = Checkpoint(self.run.recipe, self.network, self.run.autoencoder, {}, {})
            write_grid(picture, shown, self.run.windows, self.run.recipe, self.step)

    def _resumed(self) -> int:
        """Take in the newest state of this stage, and return the steps done by then."""
        folder = newest_state(self.run.out / STATE)
        if folder is None or (at := read_position(folder)).stage != self.number:
            return 0
        fill_state(self._moving(), folder, "network")
        fill_state(self.average.tensors, folder, "ema")
        moments = read_tensors(folder / "optimizer.safetensors")
        fill_optimizer(self.optimizer.optimizer, list(self.parameters), moments)
        if at.scaler:
            self.run.accelerator.scaler.load_state_dict(at.scaler)
        return at.step

    def _moving(self) -> dict[str, Tensor]:
        """Return what this stage changes; the rest is what it began with."""
        fixed = {name for name, _ in self.network.named_parameters()} - self.parameters.keys()
        return {name: t for name, t in self.network.state_dict().items() if name not in fixed}

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Lend the network its averaged weights, for evaluation."""
        last = {name: self.parameters[name].detach().clone() for name in self.average.tensors}
        self.network.load_state_dict(self.average.tensors, strict=False)
        self.network.eval()
        try:
            yield
        finally:
            self.network.load_state_dict(last, strict=False)
            self.network.train()


def trained(network: nn.Module, stage: int, which: str) -> dict[str, nn.Parameter]:
    """Freeze all parameters but those that a stage trains, and return these by name.

    Args:
        network: A `contracts.Network`; parameters that it froze itself stay frozen.
        stage: 1 or 2.
        which: "stage" for what the network says the stage is for, "all" for all.
    """
    prefixes = tuple(cast(Any, network).parts(stage)) if which == "stage" else ("",)
    chosen = {
        name: p for name, p in network.named_parameters() if p.requires_grad and name.startswith(prefixes)
    }
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in chosen)
    return chosen


def ahead(make: Callable[[int], Batch], steps: range, workers: int) -> Iterator[tuple[int, Batch]]:
    """Yield each step with its batch, in order; the next ones are made meanwhile, one by each worker."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(make, step) for step in steps[:workers])
        for step in steps:
            batch = waiting.popleft().result()
            if step + workers in steps:
                waiting.append(pool.submit(make, step + workers))
            yield step, batch
