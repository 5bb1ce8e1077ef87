"""Faces and who speaks, frame by frame, in the columns of AVA-ActiveSpeaker plus identity and score.

Boxes are relative to the picture, 0..1. `score` is the logit of the speaking probability: 0 is the decision
boundary, `SCORE_LIMIT` and its negative are certainty, and `ABSTAINED`, below all of them, says that the
scorer gave no answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mitds.errors import BadShard
from mitds.manifests.records import Array, Probe
from mitds.manifests.source_labels import SourceLabels
from mitds.pipeline.export.reading import SourceClips

SCORE_LIMIT = 20.0
ABSTAINED = -99.0
HEADER = (
    "video_id,frame_timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,"
    "label,entity_id,identity,score\n"
)


def clip_lines(name: str, source: SourceClips) -> Iterator[str]:
    """Yield the rows of each clip on its own clock; the video id is the clip's key."""
    yield HEADER
    for ref in source.clips:
        clip, arrays = ref.clip(), ref.arrays()
        for n, person in enumerate(clip.persons):
            xyxy_T4 = relative(arrays.face_xyxy_NT4[n], clip.width, clip.height)
            entity = f"{clip.key}:{person.track},{person.identity}"
            yield from _rows(clip.key, entity, arrays.pts_T, xyxy_T4, arrays.speaking_NT[n])


def source_lines(name: str, labels: SourceLabels) -> Iterator[str]:
    """Yield the rows of all face tracks of all shots on the source's clock."""
    yield HEADER
    probe = probe_of(labels)
    for track in labels.tracks:
        shot = labels.shots[track.shot]
        time_T = float(shot.start) + (track.first + np.arange(len(track.score_T))) / 25
        xyxy_T4 = relative(track.xyxy_T4, probe.width, probe.height)
        entity = f"{shot.key}:{track.track},{track.identity or ''}"
        yield from _rows(name, entity, time_T, xyxy_T4, track.speaking_T)


def probe_of(labels: SourceLabels) -> Probe:
    """Return what the source's container says of itself, or fail naming the source."""
    if labels.source.probe is None:
        raise BadShard(f"the labels of source {labels.key} lack the size of its picture")
    return labels.source.probe


def relative(xyxy_T4: Array, width: int, height: int) -> NDArray[np.float64]:
    """Divide boxes by the picture's size and clip them to it; NaN stays NaN."""
    size_4 = np.array([width, height, width, height], np.float64)
    return np.clip(xyxy_T4 / size_4, 0, 1)


def score(probability_T: Array) -> NDArray[np.float64]:
    """Return logits of probabilities, within ± `SCORE_LIMIT`; `ABSTAINED` for NaN."""
    p_T = probability_T.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit_T = np.log(p_T) - np.log1p(-p_T)
    return np.where(np.isnan(p_T), ABSTAINED, np.clip(logit_T, -SCORE_LIMIT, SCORE_LIMIT))


def _rows(
    video: str, entity: str, time_T: NDArray[np.float64], xyxy_T4: NDArray[np.float64], probability_T: Array
) -> Iterator[str]:
    for time, box, value in zip(time_T, xyxy_T4, score(probability_T), strict=True):
        if np.isnan(box).any():
            continue
        label = "SPEAKING_AUDIBLE" if value >= 0 else "NOT_SPEAKING"
        corners = ",".join(f"{v:.6f}" for v in box)
        yield f"{video},{time:.6f},{corners},{label},{entity},{value:.4f}\n"
