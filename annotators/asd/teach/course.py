"""The whole course of `mitds fit lip-net`: footage, networks judged on unseen people, the final one, its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mitds.annotators.asd.lip_net_model import save
from mitds.annotators.asd.rows import Calibration, Watcher
from mitds.annotators.asd.teach.fitting import (
    FitConfig,
    average_precision,
    calibrated,
    calibration_error,
    fit,
    folds,
    judged,
)
from mitds.annotators.asd.teach.footage import Clip, Studio
from mitds.annotators.asd.teach.takes import Take
from mitds.annotators.runtime import single_threaded
from mitds.config import canonical, plain
from mitds.errors import UsageError
from mitds.manifests.records import Array

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What came of a course.

    Attributes:
        clips: Names of the clips.
        frames: Face frames in all.
        average_precision: On examples of people whom the judging networks never saw.
        calibration_error: Expected calibration error on the same.
        calibration: Platt's map fitted on the same.
    """

    clips: tuple[str, ...]
    frames: int
    average_precision: float
    calibration_error: float
    calibration: Calibration


def teach(
    clips: Sequence[Clip], out: Path, config: FitConfig, teacher: Watcher | None, progress: Progress
) -> Course:
    """Teach lip-net on clips and write its weights (see `graduated`)."""
    single_threaded()
    studio, takes = Studio(teacher), list[Take]()
    for n, clip in enumerate(clips):
        takes += studio.takes(clip)
        progress("clips", n + 1, len(clips))
    return graduated(takes, out, config, progress)


def graduated(takes: Sequence[Take], out: Path, config: FitConfig, progress: Progress) -> Course:
    """Judge by folds, teach on all takes, and write the weights.

    Raises:
        UsageError: A fold would hold fewer than two voices, so that none is foreign to another.
    """
    if len({take.clip for take in takes if take.voiced and take.exact}) < 2 * config.folds:
        raise UsageError(
            f"fewer than {2 * config.folds} clips hold one speaker's voice",
            remedy="Add clips of other people, one who speaks in each: --also DIR.",
        )
    logit_N, truth_N = _unseen(takes, config, progress)
    calibration = calibrated(logit_N, truth_N)
    panel = fit(takes, config, lambda step, _: progress("all", step, config.members * config.steps))
    panel.platt_2.copy_(torch.tensor([calibration.scale, calibration.offset]))
    course = Course(
        clips=tuple(sorted({take.clip for take in takes})),
        frames=sum(take.frames for take in takes),
        average_precision=average_precision(logit_N, truth_N),
        calibration_error=calibration_error(logit_N, truth_N, calibration),
        calibration=calibration,
    )
    save(panel, out, {"config": canonical(plain(config)), "course": canonical(plain(course))})
    return course


def _unseen(takes: Sequence[Take], config: FitConfig, progress: Progress) -> tuple[Array, Array]:
    """Return scores and truth of examples whose people the scoring network never saw."""
    groups, said = folds(takes, config.folds), list[tuple[Array, Array]]()
    total = config.members * config.steps
    for n, group in enumerate(groups):
        others = [take for k, other in enumerate(groups) if k != n for take in other]

        def report(step: int, _: float, fold: str = f"fold {n + 1}") -> None:
            progress(fold, step, total)

        said.append(judged(fit(others, config, report), group, config))
    return np.concatenate([logit for logit, _ in said]), np.concatenate([truth for _, truth in said])
