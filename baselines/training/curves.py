"""Plots of losses: `losses.csv` as `losses.png`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.baselines.training.state import LOSSES
from mitds.errors import MissingDependency
from mitds.store import atomic_path

PICTURE = "losses.png"
_TITLES = {0: "Autoencoder", 1: "Stage 1: single frames", 2: "Stage 2: video"}
_SMOOTH = 0.03
"""Share of a stage's steps that the running mean is taken over."""

Floats = NDArray[np.float64]


def write_curves(out: Path) -> None:
    """Plot the losses of a training so far, a panel a stage; without a row there is no plot.

    Args:
        out: Folder that `losses.csv` lies in.

    Raises:
        MissingDependency: If matplotlib cannot be imported.
        StorageFault: If the plot cannot be written.
    """
    stages = read_losses(out / LOSSES)
    if not stages:
        return
    figure_type = _figure_type()
    figure = figure_type(figsize=(4.8 * len(stages), 3.6), layout="constrained")
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for axes, (stage, (step_X, loss_X)) in zip(panels, stages.items(), strict=True):
        window = max(1, round(_SMOOTH * len(loss_X)))
        axes.plot(step_X, loss_X, color="#b9c6d3", linewidth=0.6, label="each step")
        axes.plot(step_X, running_mean(loss_X, window), color="#12507b", label=f"mean of {window} steps")
        axes.set(title=_TITLES[stage], xlabel="Optimiser step", ylabel="Training loss", yscale="log")
        axes.grid(alpha=0.3, which="both", linewidth=0.4)
        axes.legend(frameon=False, fontsize="small")
    with atomic_path(out / PICTURE) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None})


def read_losses(path: Path) -> dict[int, tuple[Floats, Floats]]:
    """Return steps and losses by stage; empty where nothing has been written."""
    if not path.is_file():
        return {}
    found: dict[int, list[tuple[float, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(int(row["stage"]), []).append((float(row["step"]), float(row["loss"])))
    return {stage: tuple(np.array(rows).T) for stage, rows in sorted(found.items())}


def running_mean(values_X: Floats, window: int) -> Floats:
    """Return the mean of each value and those before it, `window` at most."""
    sums_X = np.concatenate([[0.0], np.cumsum(values_X)])
    end_X = np.arange(1, len(values_X) + 1)
    start_X = np.maximum(end_X - window, 0)
    means_X: Floats = (sums_X[end_X] - sums_X[start_X]) / (end_X - start_X)
    return means_X


def _figure_type() -> Any:
    """Return matplotlib's figure, which draws without a screen and without state of its module."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency(
            f"plots need the package 'matplotlib', which cannot be imported: {error}",
            remedy="Install it: pip install 'mitds[train]'.",
        ) from error
    return Figure
