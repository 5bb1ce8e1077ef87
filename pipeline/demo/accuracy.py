"""How right the labels of the composed scene are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.dataset import LoadedClip
from mitds.pipeline.demo.scene import Truth
from mitds.time import CLIP_FPS


def average_precision(speaking_N: NDArray[np.bool_], score_N: NDArray[np.floating[Any]]) -> float:
    """Return the area under precision over recall, a sum over distinct scores; NaN scores rank last."""
    order = np.argsort(-np.nan_to_num(score_N, nan=-np.inf), kind="stable")
    hits_N, score_N = np.cumsum(speaking_N[order]), score_N[order]
    last_N = np.append(score_N[1:] != score_N[:-1], True)
    precision = hits_N[last_N] / (np.flatnonzero(last_N) + 1)
    recall = hits_N[last_N] / max(int(speaking_N.sum()), 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def measure(clips: Sequence[LoadedClip], truth: Truth) -> dict[str, Any]:
    """Compare the clips cut from the scene with its truth, and return a table for the report.

    A face belongs to the panel that its centre lies in; the panels are equally wide.
    """
    labels, scores, found, wanted, right_voice, voices = [], [], 0, 0, 0, 0
    panels = len(truth.speaking_NT)
    for clip in clips:
        first = round(Fraction(clip.clip.start) * CLIP_FPS)
        wanted += panels * clip.clip.frames
        for n, person in enumerate(clip.clip.persons):
            centre_T = clip.arrays.face_xyxy_NT4[n][:, [0, 2]].mean(axis=1)
            panel = int(np.nanmedian(centre_T) * panels / clip.clip.width)
            truth_T = truth.speaking_NT[panel][first : first + clip.clip.frames]
            seen_T = clip.arrays.visible_NT[n][: len(truth_T)]
            found += int(seen_T.sum())
            labels.append(truth_T[seen_T])
            scores.append(clip.arrays.speaking_NT[n][: len(truth_T)][seen_T])
            voices += 1
            right_voice += person.voice_status == "bound"
    label_N, score_N = np.concatenate(labels), np.concatenate(scores)
    rows = [
        ["face boxes on people in view", f"{found / max(wanted, 1):.3f}", f"{wanted} people x frames"],
        [
            "who speaks: frames right at probability .5",
            f"{((score_N > 0.5) == label_N).mean():.3f}",
            f"{len(label_N)} face frames",
        ],
        [
            "who speaks: average precision",
            f"{average_precision(label_N, score_N):.3f}",
            f"{int(label_N.sum())} speaking",
        ],
        ["people to whom a voice was bound", f"{right_voice} of {voices}", ""],
    ]
    return {
        "title": "The conversation composed for this demo",
        "columns": ["measure", "value", "over"],
        "rows": rows,
        "note": "Two single-speaker clips side by side: who speaks when is known by construction. "
        "One short scene is an example, not an estimate of accuracy on other footage.",
    }
