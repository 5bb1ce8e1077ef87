"""Where a training stands, on disk: enough to go on as if it had never been stopped.

Nothing of chance is stored, since every draw is a function of seed, stage, step and slot. A state is a folder of its
own that appears under its name only when complete; the newest counts, and the others go.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mitds.baselines.checkpoint import read_tensors, write_tensors
from mitds.config import build
from mitds.errors import InputFault
from mitds.store import storage_errors, write_bytes, write_json

LOSSES = "losses.csv"
_STAGES = ("autoencoder", "stage 1", "stage 2")
_COLUMNS = ("stage", "step", "loss", "grad_norm", "lr")
_RESTART = "Remove the state folder to start the stage anew."


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a training is.

    Attributes:
        stage: 1 or 2.
        step: Optimiser steps done in it.
        seconds: Spent since the training began, over all its runs.
        scaler: State of the loss scaling of half precision; empty without it.
    """

    stage: int
    step: int
    seconds: float
    scaler: dict[str, Any] = field(default_factory=dict)


class Average:
    """Exponential moving average of parameters; its decay warms up with the steps, so it holds no state of its own.

    Args:
        parameters: By name.
        decay: Of the average; 0 keeps none, and the last weights count.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.tensors = {name: p.detach().clone() for name, p in parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, parameters: Mapping[str, Tensor], step: int) -> None:
        """Take in the parameters after step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, averaged in self.tensors.items():
            averaged.lerp_(parameters[name].detach(), 1 - decay)


class Losses:
    """`losses.csv`, a row for each step done: stage, step from 1, loss, norm of the gradient, learning rate.

    Args:
        folder: Where it lies.
        stage: Stage that goes on now; 0 is the autoencoder's.
        step: Steps done in it; rows after that are dropped, for they will be written again, alike.
    """

    def __init__(self, folder: Path, stage: int, step: int) -> None:
        path = folder / LOSSES
        kept = [row for row in _rows(path) if (int(row[0]), int(row[1])) <= (stage, step)]
        write_bytes(path, "".join(",".join(row) + "\n" for row in [_COLUMNS, *kept]).encode())
        self._file = path.open("a")
        self._stage = stage

    def add(self, step: int, loss: float, grad_norm: float, lr: float) -> None:
        """Append the row of a step; it is on disk when this returns, unless the machine itself fails."""
        self._file.write(f"{self._stage},{step},{loss:.9g},{grad_norm:.9g},{lr:.9g}\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        os.fsync(self._file.fileno())
        self._file.close()


def last_losses(folder: Path, over: int = 100) -> dict[str, float]:
    """Return the mean loss of each stage's last steps, by "autoencoder", "stage 1" and "stage 2"."""
    found: dict[str, list[float]] = {}
    for stage, _, loss, *_ in _rows(folder / LOSSES):
        found.setdefault(_STAGES[int(stage)], []).append(float(loss))
    return {stage: sum(last := losses[-over:]) / len(last) for stage, losses in found.items()}


def _rows(path: Path) -> list[list[str]]:
    """Return the whole rows; the last one may have been cut off."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")[1:-1]
    return [row for line in lines if len(row := line.split(",")) == len(_COLUMNS)]


def flat_optimizer(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """Return an optimiser's state as "quantity/parameter": tensor.

    Args:
        optimizer: Of one group; parameters without a gradient so far have no state.
        names: Of its parameters, in order.
    """
    state = optimizer.state_dict()["state"]
    return {
        f"{what}/{names[i]}": torch.as_tensor(v) for i, values in state.items() for what, v in values.items()
    }


def fill_optimizer(optimizer: torch.optim.Optimizer, names: list[str], flat: Mapping[str, Tensor]) -> None:
    """Restore what `flat_optimizer` returned."""
    places = {name: i for i, name in enumerate(names)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        what, _, name = key.partition("/")
        state.setdefault(places[name], {})[what] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def save_state(root: Path, at: Position, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write a state, then drop all older ones.

    Args:
        root: Folder of the states.
        at: How far the training is.
        tensors: By file (network, ema, optimizer) and name.
    """
    folder = root / f"stage{at.stage}-{at.step:07d}"
    fresh = root / f".tmp-{secrets.token_hex(6)}"
    with storage_errors(root):
        fresh.mkdir(parents=True)
        for name, values in tensors.items():
            write_tensors(fresh / f"{name}.safetensors", values)
        write_json(fresh / "state.json", at)
        fresh.replace(folder)
        for other in root.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)


def newest_state(root: Path) -> Path | None:
    """Return the folder of the newest state; None where there is none."""
    return max(root.glob("stage?-*"), default=None, key=lambda folder: folder.name)


def read_position(folder: Path) -> Position:
    """Read how far a state is.

    Raises:
        InputFault: If it is damaged.
    """
    path = folder / "state.json"
    try:
        return build(Position, json.loads(path.read_bytes()), where=path.name)
    except (OSError, ValueError, TypeError) as error:
        raise InputFault(f"not a readable state: {error}", where=str(path), remedy=_RESTART) from error


def fill_state(targets: Mapping[str, Tensor], folder: Path, name: str) -> None:
    """Copy one file of a state, network or ema, into tensors.

    Raises:
        InputFault: If it is torn, or holds other tensors.
    """
    path = folder / f"{name}.safetensors"
    found = read_tensors(path)
    if found.keys() != targets.keys():
        raise InputFault("this state is of another network", where=str(path), remedy=_RESTART)
    with torch.no_grad():
        for key, target in targets.items():
            target.copy_(found[key])
