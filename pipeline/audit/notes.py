"""What a reader of an audit has to know to read its numbers rightly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mitds.pipeline.audit.bodies import PoseTruth
from mitds.pipeline.audit.scenes import Scene, spans

FEW = 10


def notes_on(
    scenes: Sequence[Scene], points: Sequence[PoseTruth | None], ignored: Sequence[str]
) -> list[str]:
    """Return what has to be said of scenes, of who knows their poses, and of sources without truth."""
    return [*_on_intervals(scenes), *_on_labels(scenes, ignored), *on_truth(scenes), *_on_poses(points)]


def _on_intervals(scenes: Sequence[Scene]) -> Iterator[str]:
    if len(scenes) == 1:
        yield "One video: no intervals."
    elif len(scenes) < FEW:
        yield f"Intervals resample {len(scenes)} videos; from so few they are rough, and rather too narrow."


def _on_labels(scenes: Sequence[Scene], ignored: Sequence[str]) -> Iterator[str]:
    missing = [s.truth.name for s in scenes if s.missing]
    if missing:
        yield (
            f"No labels of {', '.join(missing)}: all cuts, faces, speech and frames there count as missed or wrong. "
            "What rates only what was said (precision, purity, switches, area under ROC, calibration, bound voices, "
            "bodies, pose) rests on the other videos."
        )
    if ignored:
        yield f"Not scored, because nothing is known of them: {_some(ignored)}."
    unkept = sorted(s.truth.name for s in scenes if s.labels.bodies is None and not s.missing)
    if unkept:
        yield f"Bodies are not judged where no clip was kept: {', '.join(unkept)}."
    if len({tuple(sorted(s.labels.models.items())) for s in scenes if not s.missing}) > 1:
        yield "The sources were annotated by different models."


def on_truth(scenes: Sequence[Scene]) -> Iterator[str]:
    """Yield what has to be said of truths that are partial, or silent."""
    by_hand = [s.truth.name for s in scenes if s.truth.regions is not None]
    if by_hand:
        yield f"Labelled by hand and scored in certain passages only: {', '.join(by_hand)}."
    silent = [f"{s.truth.name} ({_said_s(s):.1f} s said)" for s in scenes if s.truth.speech == ()]
    if silent:
        yield (
            f"Nobody speaks in {', '.join(silent)}: what is said there is false alarm over the speech of all videos; "
            "alone it has no rate."
        )


def _said_s(scene: Scene) -> float:
    return sum(end - start for own in spans(scene.labels.turns).values() for start, end in own)


def _on_poses(points: Sequence[PoseTruth | None]) -> Iterator[str]:
    judges = sorted({p.by for p in points if p is not None})
    yield (
        f"Pose is measured against {', '.join(judges)}: agreement with a judge, which errs too."
        if judges
        else "Pose points are not scored: no NAME.pose.json among the truth."
    )


def _some(names: Sequence[str], shown: int = 5) -> str:
    """List names; of more than `shown`, the first and how many follow."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
