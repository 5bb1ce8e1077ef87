"""Driving the workers: outputs of a system are made or found, scored item by item in isolation, and gathered."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from mitds.benchmark.cards import card_of
from mitds.benchmark.contracts import Arrays, Card, SetMetric, SetScore
from mitds.benchmark.evaluation.summary import Measured
from mitds.benchmark.isolation import Limits, Outcome, isolated_map
from mitds.benchmark.registries import METRICS
from mitds.benchmark.results import Row
from mitds.errors import (
    BadShard,
    EnvironmentFault,
    MissingDependency,
    MissingWeights,
    MitdsError,
    StorageFault,
)
from mitds.manifests.codec import unpack_arrays
from mitds.manifests.items import Release
from mitds.weights import resolve

Progress = Callable[[str, int, int], None]
"""Called with (what, done, of)."""

_JOBS = "mitds.benchmark.evaluation.jobs"

_OUR_FAULTS = {
    fault.code: fault
    for fault in (EnvironmentFault, MissingDependency, MissingWeights, StorageFault, BadShard)
}
"""Errors that are no fault of an output: the run ends, saying what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How outputs are made and scored; nothing here changes how an output is scored.

    Attributes:
        workers: Processes.
        memory_bytes: Address space of one worker.
        deadline_s: Time for one item.
        seed: Of systems that draw random numbers.
        model_settings: How a trained model draws, where it differs from its checkpoint: "sampling.steps=5".
    """

    workers: int = 1
    memory_bytes: int = 12 << 30
    deadline_s: float = 1800.0
    seed: int = 0
    model_settings: tuple[str, ...] = ()

    def making(self) -> Limits:
        """Return the limits of making one output: the code is trusted, and drivers of GPUs reserve much memory."""
        return Limits(memory_bytes=None, cpu_s=self.deadline_s, wall_s=self.deadline_s, network=True)

    def scoring(self) -> Limits:
        """Return the limits of scoring one output: the file is not trusted."""
        return Limits(memory_bytes=self.memory_bytes, cpu_s=self.deadline_s, wall_s=self.deadline_s)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The metrics of a run: those that can be had, and why the others cannot.

    Attributes:
        cards: By metric id, of those that can run.
        unavailable: By metric id, what is missing and what to do.
    """

    cards: dict[str, Card]
    unavailable: dict[str, str] = field(default_factory=dict)


def choose(names: Sequence[str]) -> Chosen:
    """Look metrics up and see which ones have their judges' weights."""
    cards = {name: card_of(name) for name in names}
    missing = {
        weight for weight in sorted({w for c in cards.values() for w in c.weights}) if not _there(weight)
    }
    lacking = {name: sorted(missing & set(card.weights)) for name, card in cards.items()}
    return Chosen(
        {name: card for name, card in cards.items() if not lacking[name]},
        {name: _remedy(weights) for name, weights in lacking.items() if weights},
    )


def _there(weight: str) -> bool:
    try:
        resolve(weight)
    except MissingWeights:
        return False
    return True


def _remedy(weights: Sequence[str]) -> str:
    return f"weights missing: run 'mitds weights pull {' '.join(weights)}', which says what else can be done"


def make_outputs(
    folder: Path,
    release: Release,
    kind: Literal["model", "control"],
    system: str,
    out: Path,
    config: EngineConfig,
    progress: Progress,
    checkpoint: Path | None = None,
) -> dict[str, str]:
    """Let a system answer every item, as `out`/ITEM.mp4.

    Args:
        folder: The release.
        release: Its record.
        kind: Which registry knows the system.
        system: Its name.
        out: Folder for the answers; made if missing.
        config: Workers, limits, seed.
        progress: Told how far it is.
        checkpoint: Weights of a trained model.

    Returns:
        What went wrong, by item; an answer that could not be made is absent.
    """
    out.mkdir(parents=True, exist_ok=True)
    jobs: list[dict[str, Any]] = [
        {
            "release": str(folder),
            "item": item.id,
            "kind": kind,
            "system": system,
            "checkpoint": str(checkpoint.resolve()) if checkpoint else "",
            "settings": list(config.model_settings),
            "seed": config.seed,
            "path": str(out / f"{item.id}.mp4"),
        }
        for item in release.items
    ]
    run = _run("make", jobs, config.workers, config.making(), f"{system}: making", progress)
    return {jobs[n]["item"]: f"{o.status}: {o.what}" for n, o in run if o.status != "value"}


def score_outputs(
    folder: Path,
    release: Release,
    videos: Mapping[str, Path],
    chosen: Chosen,
    config: EngineConfig,
    progress: Progress,
    label: str,
) -> Measured:
    """Score the outputs of one system.

    Args:
        folder: The release.
        release: Its record.
        videos: Output by item; items without one are missing.
        chosen: The metrics.
        config: Workers and limits.
        progress: Told how far it is.
        label: The system's name, for the progress display.
    """
    with _scratch() as observed:
        jobs = [_score_job(folder, item.id, videos.get(item.id), chosen, observed) for item in release.items]
        answers = dict(_answers(jobs, config, progress, f"{label}: scoring"))
        sets = {m: _reduce(m, observed, release) for m, card in chosen.cards.items() if card.needs == "set"}
    return Measured(
        outputs={item: answer["status"] for item, answer in sorted(answers.items())},
        messages={item: answer["message"] for item, answer in sorted(answers.items()) if answer["message"]},
        rows=tuple(
            Row(item=item, charged=None, **row)
            for item, answer in sorted(answers.items())
            for row in answer["rows"]
        ),
        sets=sets,
        unavailable=chosen.unavailable,
    )


def _score_job(folder: Path, item: str, video: Path | None, chosen: Chosen, observed: Path) -> dict[str, Any]:
    return {
        "release": str(folder),
        "item": item,
        "video": str(video) if video is not None else None,
        "metrics": sorted(chosen.cards),
        "observed": str(observed),
    }


def _answers(
    jobs: list[dict[str, Any]], config: EngineConfig, progress: Progress, what: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run all jobs; an output that kills its worker, or overruns, is seen as absent by the metrics of sets."""
    broken: list[dict[str, Any]] = []
    for number, outcome in _run("score", jobs, config.workers, config.scoring(), what, progress):
        if outcome.status == "value":
            yield jobs[number]["item"], outcome.value
            continue
        status = "timeout" if outcome.status == "timeout" else "crashed"
        yield jobs[number]["item"], {"status": status, "message": outcome.what, "rows": []}
        broken.append({**jobs[number], "video": None})
    absent = _run("score", broken, config.workers, config.scoring(), what, progress) if broken else iter(())
    for number, outcome in absent:
        if outcome.status != "value":
            raise MitdsError(
                f"item {broken[number]['item']} cannot be scored even as absent: {outcome.what}",
                remedy="This is a fault of the release or of mitds, not of the output: see the message.",
            )


def _run(
    function: str, jobs: list[dict[str, Any]], workers: int, limits: Limits, what: str, progress: Progress
) -> Iterator[tuple[int, Outcome]]:
    progress(what, 0, len(jobs))
    ended = isolated_map(f"{_JOBS}:{function}", jobs, workers, limits)
    for done, (number, outcome) in enumerate(ended, 1):
        if outcome.code in _OUR_FAULTS:
            raise _OUR_FAULTS[outcome.code](outcome.what, where=outcome.where, remedy=outcome.remedy)
        progress(what, done, len(jobs))
        yield number, outcome


def _reduce(metric: str, observed: Path, release: Release) -> SetScore:
    found = cast(SetMetric, METRICS.get(metric)())
    sides: dict[str, list[Arrays]] = {
        side: [
            unpack_arrays((observed / metric / side / f"{item.id}.npz").read_bytes())
            for item in release.items
        ]
        for side in ("real", "output")
    }
    return found.reduce(sides["real"], sides["output"])


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mitds-eval-") as folder:
        yield Path(folder)
