"""``mitds audit``: annotated shards against truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mitds.errors import BadShard, UsageError
from mitds.manifests.truth import Truth, read_truth, truth_names
from mitds.pipeline.audit.binding import measure_binding
from mitds.pipeline.audit.bodies import PoseTruth, measure_bodies, read_pose_truth
from mitds.pipeline.audit.diarization import measure_diarization
from mitds.pipeline.audit.faces import measure_faces
from mitds.pipeline.audit.notes import notes_on
from mitds.pipeline.audit.reading import folder_of, nothing, read_labels
from mitds.pipeline.audit.results import VERSION, Audit
from mitds.pipeline.audit.scenes import Labels, Scene, matched
from mitds.pipeline.audit.shots import measure_shots
from mitds.pipeline.audit.speaking import measure_speaking
from mitds.pipeline.audit.statistics import alone, measured

DRAWS, SEED = 1000, 0


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
    was kept; bodies come from the clips. A source matches a truth by its file stem, as exports write it; where the
    truth names no frame rate, its frames are counted at the source's own.

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
    chosen = _chosen(truth, names)
    found, ignored = read_labels(shards, truth, chosen)
    missing = tuple(name for name in chosen if name not in found)
    scenes = [scene(*found[n]) if n in found else scene(read_truth(truth, n), None) for n in chosen]
    points = [read_pose_truth(truth, name) for name in chosen]
    notes = notes_on(scenes, points, ignored)
    return score(scenes, points, draws, seed, missing, _profile(folder_of(shards)), notes)


def scene(truth: Truth, labels: Labels | None) -> Scene:
    """Pair one video's labels with its truth; no labels are labels that say nothing."""
    said, true = labels or nothing(), truth.faces
    faces = said.faces
    if true is None:
        return Scene(truth, said, faces.frame_P[:0], labels is None)
    pair_R = matched(true.frame_R, true.xyxy_R4, faces.frame_P, faces.xyxy_P4)
    return Scene(truth, said, pair_R, labels is None)


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
