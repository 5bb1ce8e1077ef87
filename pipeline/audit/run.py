"""``mitds audit``: annotated shards against truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mitds.errors import BadShard, UsageError
from mitds.manifests.truth import Truth, read_truth, truth_names
from mitds.pipeline.audit.binding import measure_binding
from mitds.pipeline.audit.bodies import PoseTruth, measure_bodies, read_pose_truth
from mitds.pipeline.audit.diarization import measure_diarization
from mitds.pipeline.audit.faces import measure_faces
from mitds.pipeline.audit.reading import folder_of, nothing, read_labels
from mitds.pipeline.audit.results import VERSION, Audit
from mitds.pipeline.audit.scenes import Labels, Scene, matched
from mitds.pipeline.audit.shots import measure_shots
from mitds.pipeline.audit.speaking import measure_speaking
from mitds.pipeline.audit.statistics import alone, measured

DRAWS, SEED = 1000, 0
FEW = 10


def audit(
    shards: Sequence[str],
    truth: Path,
    *,
    names: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Audit:
    """Measure the labels of shards against what is known of their sources.

    Labels are those of whole sources, from ``sources-*.tar`` beside the clips, so that nothing is judged by what
    was kept; bodies come from the clips. A source matches a truth by its file stem.

    Args:
        shards: Patterns of ``clips-*.tar``.
        truth: Folder of truth files (`mitds.manifests.truth`), and optionally ``NAME.pose.json``.
        names: Score these videos only; default: all that the folder knows.
        draws: Bootstrap draws; 0 for no intervals.
        seed: Of the draws.

    Raises:
        UsageError: If shards or truth are missing, or a name is not known.
        BadShard: If a shard or a truth file is damaged.
        MissingDependency: If pyannote.metrics is not installed.
    """
    truths = {name: read_truth(truth, name) for name in _chosen(truth, names)}
    labels, ignored = read_labels(shards, truths)
    scenes = [scene(truths[name], labels.get(name)) for name in truths]
    points = [read_pose_truth(truth, name) for name in truths]
    missing = tuple(name for name in truths if name not in labels)
    notes = _notes(scenes, points, missing, ignored, labels)
    return score(scenes, points, draws, seed, missing, _profile(folder_of(shards)), notes)


def scene(truth: Truth, labels: Labels | None) -> Scene:
    """Pair one video's labels with its truth; no labels are labels that say nothing."""
    labels = labels or nothing()
    if truth.faces is None:
        empty = labels.faces.frame_P[:0]
        return Scene(truth, labels, empty)
    faces = labels.faces
    return Scene(
        truth, labels, matched(truth.faces.frame_R, truth.faces.xyxy_R4, faces.frame_P, faces.xyxy_P4)
    )


def score(
    scenes: Sequence[Scene],
    points: Sequence[PoseTruth | None],
    draws: int,
    seed: int,
    missing: tuple[str, ...] = (),
    profile: str = "",
    notes: Sequence[str] = (),
) -> Audit:
    """Compute every measure of scenes, its interval, and its value for each video."""
    speaking, said = measure_speaking(scenes)
    binding, bound, curve = measure_binding(scenes)
    bodies, pck = measure_bodies(scenes, points)
    shots, diarization = measure_shots(scenes), measure_diarization(scenes)
    found = [*shots, *measure_faces(scenes), *speaking, *binding, bodies, *diarization, pck]
    names = tuple(s.truth.name for s in scenes)
    return Audit(
        version=VERSION,
        profile=profile,
        models={stage: model for s in scenes for stage, model in s.labels.models.items()},
        names=names,
        measures=tuple(measured(f, draws, seed) for f in found),
        per_video={
            name: {f.spec.id: alone(f, video) for f in found if not f.by} for video, name in enumerate(names)
        },
        reliability=tuple(d for d in (said.diagram("speaking"), bound.diagram("binding")) if d),
        abstention=curve,
        missing=missing,
        notes=tuple(notes),
    )


def _chosen(truth: Path, names: Sequence[str] | None) -> list[str]:
    known = truth_names(truth)
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise UsageError(
            f"there is no truth of {', '.join(unknown)}",
            where=str(truth),
            remedy=f"Known: {', '.join(known)}.",
        )
    return sorted(set(names)) if names else known


def _profile(folder: Path) -> str:
    """Return the profile that a run says it was made with; empty where no run is described."""
    path = folder / "run.json"
    if not path.is_file():
        return ""
    try:
        config = json.loads(path.read_text()).get("config", {})
    except (ValueError, AttributeError) as error:
        raise BadShard(f"not the description of a run: {error}", where=str(path)) from error
    return str(config.get("profile", ""))


def _notes(
    scenes: Sequence[Scene],
    points: Sequence[PoseTruth | None],
    missing: Sequence[str],
    ignored: Sequence[str],
    labels: Mapping[str, Labels],
) -> list[str]:
    """Say what a reader has to know to read the numbers rightly."""
    notes = []
    if 1 < len(scenes) < FEW:
        notes.append(
            f"Intervals resample {len(scenes)} videos; from so few they are rough, and rather too narrow."
        )
    if len(scenes) == 1:
        notes.append("One video: no intervals.")
    if missing:
        notes.append(f"No labels of {', '.join(missing)}: everything there counts as wrong.")
    if ignored:
        notes.append(f"Not scored, because nothing is known of them: {', '.join(ignored)}.")
    by_hand = [s.truth.name for s in scenes if s.truth.regions is not None]
    if by_hand:
        notes.append(f"Labelled by hand and scored in certain passages only: {', '.join(by_hand)}.")
    unkept = [name for name, found in labels.items() if found.bodies is None]
    if unkept:
        notes.append(f"Bodies are not judged where no clip was kept: {', '.join(sorted(unkept))}.")
    judges = sorted({p.by for p in points if p is not None})
    notes.append(
        f"Pose is measured against {', '.join(judges)}: agreement with a judge, which errs too."
        if judges
        else "Pose points are not scored: no NAME.pose.json among the truth."
    )
    if len({tuple(sorted(found.models.items())) for found in labels.values()}) > 1:
        notes.append("The sources were annotated by different models.")
    return notes
