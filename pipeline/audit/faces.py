"""Faces found, tracks that stay on one person, people who keep one identity, and how many people there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mitds.pipeline.audit.scenes import Ints, Scene, frames_of, in_one_shot
from mitds.pipeline.audit.statistics import Found, Spec, shares

RECALL = Spec(
    "faces.recall", "Faces found", "True faces, frame by frame, with a box of IoU .5 or more.", "face frames"
)
PRECISION = Spec(
    "faces.precision",
    "Boxes that are faces",
    "Boxes that are matched to a true face, in frames that have true faces; where all faces are known. Frames of "
    "gradual transitions are left out: two shots are in view at once.",
    "boxes",
)
PURITY = Spec(
    "faces.purity",
    "Track purity",
    "Matched boxes that show the person whom most of their track shows.",
    "face frames",
)
SWITCHES = Spec(
    "faces.switches",
    "Identity switches a person",
    "How often the identity of a person changes from one frame in which the face was found to the next, "
    "through the whole video.",
    "people",
    "lower",
)
PEOPLE = Spec(
    "people.exact",
    "Right number of people",
    "Frames with as many boxes as true faces; where all faces are known. Frames of gradual transitions are left out: "
    "two shots are in view at once.",
    "frames",
)


def measure_faces(scenes: Sequence[Scene]) -> list[Found]:
    """Score the faces of every scene whose faces are known."""
    return [
        Found(RECALL, shares([_recall(s) for s in scenes])),
        Found(PRECISION, shares([_precision(s) for s in scenes])),
        Found(PURITY, shares([_purity(s) for s in scenes])),
        Found(SWITCHES, shares([_switches(s) for s in scenes])),
        Found(PEOPLE, shares([_people(s) for s in scenes])),
    ]


def _recall(scene: Scene) -> tuple[int, int]:
    return int((scene.pair_R >= 0).sum()), len(scene.pair_R)


def _precision(scene: Scene) -> tuple[int, int]:
    true, said = scene.truth.faces, scene.labels.faces
    if true is None or scene.truth.regions is not None:
        return 0, 0
    there = np.isin(said.frame_P, true.frame_R) & in_one_shot(scene.truth, said.frame_P)
    found = (scene.pair_R >= 0) & in_one_shot(scene.truth, true.frame_R)
    return int(found.sum()), int(there.sum())


def names_of(scene: Scene) -> tuple[list[str], Ints]:
    """Return the true people, and for each true face row which of them it shows."""
    if scene.truth.faces is None:
        return [], np.zeros(0, np.int64)
    names = sorted(set(scene.truth.faces.person_R))
    return names, np.array([names.index(p) for p in scene.truth.faces.person_R], np.int64)


def owners(group_P: Ints, scene: Scene) -> dict[int, tuple[str, int]]:
    """Return, by track or identity, the person that most of its matched boxes show, and how many do."""
    names, person_R = names_of(scene)
    found_R = scene.pair_R >= 0
    group_M, person_M = group_P[scene.pair_R[found_R]], person_R[found_R]
    most = {int(g): np.bincount(person_M[group_M == g]) for g in np.unique(group_M)}
    return {g: (names[int(counts.argmax())], int(counts.max())) for g, counts in most.items()}


def _purity(scene: Scene) -> tuple[int, int]:
    most = owners(scene.labels.faces.track_P, scene)
    return sum(count for _, count in most.values()), int((scene.pair_R >= 0).sum())


def _switches(scene: Scene) -> tuple[int, int]:
    """Count changes of identity; where labels are missing there is nobody to keep apart."""
    if scene.missing:
        return 0, 0
    names, person_R = names_of(scene)
    found_R = scene.pair_R >= 0
    identity_M, person_M = scene.labels.faces.identity_P[scene.pair_R[found_R]], person_R[found_R]
    changes = sum(int((np.diff(identity_M[person_M == p]) != 0).sum()) for p in range(len(names)))
    return changes, len(names)


def _people(scene: Scene) -> tuple[int, int]:
    """Compare counts in all frames; labels by hand leave out faces that are uncertain, and tell no number."""
    faces = scene.truth.faces
    if faces is None or scene.truth.regions is not None:
        return 0, 0
    frame_F = frames_of(scene.truth)
    length, judged_F = len(frame_F), in_one_shot(scene.truth, frame_F)
    true_F = np.bincount(faces.frame_R[faces.frame_R < length], minlength=length)
    said = scene.labels.faces.frame_P
    said_F = np.bincount(said[said < length], minlength=length)
    right_F = judged_F & (true_F == said_F)
    return 0 if scene.missing else int(right_F.sum()), int(judged_F.sum())
