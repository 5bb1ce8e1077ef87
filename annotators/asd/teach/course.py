"""The whole course of `mitds fit lip-net`: footage, networks judged on unseen people, the final one, its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

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
from mitds.errors import StorageFault
from mitds.manifests.records import Array
from mitds.store import storage_errors

Progress = Callable[[str, int, int], None]
Judged = tuple[Array, Array]
"""Scores and truth of frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What came of a course.

    Attributes:
        clips: Names of the clips.
        frames: Face frames in all.
        average_precision: On examples of people whom the judging networks never saw.
        calibration_error: Expected calibration error on the same, each fold after Platt's map of the other folds.
        calibration: Platt's map fitted on all of them; the file's.
    """

    clips: tuple[str, ...]
    frames: int
    average_precision: float
    calibration_error: float
    calibration: Calibration


def teach(
    clips: Sequence[Clip], out: Path, config: FitConfig, teacher: Watcher | None, progress: Progress
) -> Course:
    """Teach lip-net on clips and write its weights (see `graduated`).

    Raises:
        StorageFault: Nothing can be written to `out`; found before anything is looked at.
    """
    _try(out)
    single_threaded()
    studio, takes = Studio(teacher), list[Take]()
    for n, clip in enumerate(clips):
        takes += studio.takes(clip)
        progress("clips", n + 1, len(clips))
    return graduated(takes, out, config, progress)


def graduated(takes: Sequence[Take], out: Path, config: FitConfig, progress: Progress) -> Course:
    """Judge by folds, teach on all takes, and write the weights.

    Raises:
        UsageError: There are too few voices (see `folds`).
    """
    said = _unseen(takes, config, progress)
    logit_N, truth_N = _joined(said)
    calibration = calibrated(logit_N, truth_N)
    panel = fit(takes, config, lambda step, _: progress("all", step, config.members * config.steps))
    panel.platt_2.copy_(torch.tensor([calibration.scale, calibration.offset]))
    course = Course(
        clips=tuple(sorted({take.clip for take in takes})),
        frames=sum(take.frames for take in takes),
        average_precision=average_precision(logit_N, truth_N),
        calibration_error=calibration_error(*_joined(_crossed(said))),
        calibration=calibration,
    )
    save(panel, out, {"config": canonical(plain(config)), "course": canonical(plain(course))})
    return course


def _try(out: Path) -> None:
    """Refuse a path that nothing can be written to: a course takes many minutes."""
    if out.is_dir():
        raise StorageFault(
            "cannot write: a folder stands where the file is needed",
            where=str(out),
            remedy="Name a file: --out FILE.",
        )
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass


def _unseen(takes: Sequence[Take], config: FitConfig, progress: Progress) -> list[Judged]:
    """Return, by fold, scores and truth of examples whose people the scoring network never saw."""
    groups, said = folds(takes, config), list[Judged]()
    total = config.members * config.steps
    for n, group in enumerate(groups):
        others = [take for k, other in enumerate(groups) if k != n for take in other]

        def report(step: int, _: float, fold: str = f"fold {n + 1}") -> None:
            progress(fold, step, total)

        said.append(judged(fit(others, config, report), group, config))
    return said


def _crossed(said: Sequence[Judged]) -> list[Judged]:
    """Return each fold's log odds after Platt's map of the other folds, and its truth."""
    others = [_joined([*said[:n], *said[n + 1 :]]) for n in range(len(said))]
    return [
        (calibrated(*other).log_odds(logit_N), truth_N)
        for other, (logit_N, truth_N) in zip(others, said, strict=True)
    ]


def _joined(said: Sequence[Judged]) -> Judged:
    return np.concatenate([logit_N for logit_N, _ in said]), np.concatenate([truth_N for _, truth_N in said])
