"""What a clip is: cuts shots into spans with the same people in view and judges each by the rules.

Every frame of every shot lies in exactly one candidate, and every candidate is kept or filtered with the
codes of the rules it breaks, so the funnel's sums hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mitds.config import require
from mitds.manifests.records import Array, FaceTrack, Status
from mitds.runs import bridge, runs_of
from mitds.time import CLIP_FPS

FPS = float(CLIP_FPS)
SPEAKING = 0.5

REASONS = {
    "no_face": "no face in view",
    "too_few_people": "fewer people in view than asked for",
    "too_many_people": "more people in view than asked for",
    "too_short": "the same people stay in view for too short a time",
    "small_face": "a face is too small in the frame",
    "few_pixels": "a face has too few pixels",
    "uneven_faces": "one face is much smaller than another: the people are not on equal terms",
    "nobody_speaks": "nobody in view is seen speaking",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRules:
    """The rules, after the MIT dataset's selection script, stated relative to the frame.

    Attributes:
        min_people: Fewest people in view throughout.
        max_people: Most people in view throughout.
        min_seconds: A clip is strictly longer.
        min_face_height: Mean face side (square root of box area) over the frame height; 64 px at 1080p.
        min_face_px: Absolute floor of the mean face side, px; 0 for none, so that a small upload is
            judged by its framing.
        min_area_ratio: Smallest over largest mean face area must exceed it.
        min_speaking_s: Seconds for which somebody in view speaks.
        max_absence_s: Shorter absences of a face (a hand, a turned head) do not end a clip.
        min_presence_s: Faces seen for less in a shot are passers-by: counted, not cast.
    """

    min_people: int = 2
    max_people: int = 4
    min_seconds: float = 5.0
    min_face_height: float = 64 / 1080
    min_face_px: float = 0.0
    min_area_ratio: float = 0.5
    min_speaking_s: float = 0.5
    max_absence_s: float = 1.0
    min_presence_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse rules that cannot hold."""
        for name in ("min_people", "max_people"):
            require(getattr(self, name) >= 1, f"rules.{name}", getattr(self, name), "1 or more")
        require(0 <= self.min_area_ratio < 1, "rules.min_area_ratio", self.min_area_ratio, "0 to below 1")
        for name in ("min_seconds", "min_face_height", "min_face_px", "min_speaking_s", "max_absence_s"):
            require(getattr(self, name) >= 0, f"rules.{name}", getattr(self, name), "0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A span of a shot's grid with the same people in view.

    Attributes:
        first: First grid frame.
        count: Number of frames.
        identities: The people in view, by order of appearance from left to right.
        status: "kept" or "filtered".
        reasons: Codes of the broken rules (keys of REASONS).
        scores: Measured numbers behind the judgement.
    """

    first: int
    count: int
    identities: tuple[str, ...]
    status: Status
    reasons: tuple[str, ...]
    scores: dict[str, float]


def candidates(
    frames: int,
    frame_height: int,
    tracks: Sequence[FaceTrack],
    speaking: Mapping[int, Array],
    rules: ClipRules,
) -> list[Candidate]:
    """Cut one shot into candidates.

    Args:
        frames: Frames of the shot's grid.
        frame_height: px.
        tracks: The shot's face tracks, identities joined.
        speaking: Speaking probability per track number, over the track's frames.
        rules: What a clip is.
    """
    by_identity: dict[str, list[FaceTrack]] = {}
    for track in tracks:
        if track.identity is not None:
            by_identity.setdefault(track.identity, []).append(track)
    seen = {name: _seen(own, frames) for name, own in by_identity.items()}
    cast = sorted(n for n, s in seen.items() if s.sum() >= rules.min_presence_s * FPS)
    presence = {name: _close_gaps(seen[name], round(rules.max_absence_s * FPS)) for name in cast}
    return [
        _judge(first, last - first, frame_height, presence, by_identity, speaking, seen, rules)
        for first, last in pairwise(_boundaries(presence, frames))
    ]


def _seen(tracks: Sequence[FaceTrack], frames: int) -> NDArray[np.bool_]:
    seen = np.zeros(frames, bool)
    for track in tracks:
        seen[track.first : track.last + 1] = True
    return seen


def _close_gaps(seen: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """Bridge absences of at most `longest` frames between two appearances."""
    closed = np.zeros_like(seen)
    for first, end in bridge(runs_of(seen), longest):
        closed[first:end] = True
    return closed


def _boundaries(presence: Mapping[str, NDArray[np.bool_]], frames: int) -> list[int]:
    changes = {0, frames}
    for row in presence.values():
        changes.update((np.flatnonzero(np.diff(row)) + 1).tolist())
    return sorted(changes)


def _judge(
    first: int,
    count: int,
    frame_height: int,
    presence: Mapping[str, NDArray[np.bool_]],
    by_identity: Mapping[str, Sequence[FaceTrack]],
    speaking: Mapping[int, Array],
    seen: Mapping[str, NDArray[np.bool_]],
    rules: ClipRules,
) -> Candidate:
    span = slice(first, first + count)
    present = [name for name, row in presence.items() if row[first] and seen[name][span].any()]
    boxes = {name: _boxes(by_identity[name], span) for name in present}
    people = sorted(present, key=lambda n: (float(np.nanmean(boxes[n][:, 0])), n))
    areas = np.array([_mean_area(boxes[name]) for name in people])
    speaking_s = _speaking_s(people, by_identity, speaking, span)
    scores = {
        "people": float(len(people)),
        "seconds": count / FPS,
        "min_face_side_px": float(np.sqrt(areas.min())) if len(people) else 0.0,
        "min_face_height": float(np.sqrt(areas.min()) / frame_height) if len(people) else 0.0,
        "face_area_ratio": float(areas.min() / areas.max()) if len(people) else 0.0,
        "speaking_s": speaking_s,
        "passers_by": float(sum(bool(s[span].any()) for n, s in seen.items() if n not in presence)),
    }
    reasons = _broken_rules(scores, rules)
    return Candidate(
        first=first,
        count=count,
        identities=tuple(people),
        status="filtered" if reasons else "kept",
        reasons=reasons,
        scores=scores,
    )


def _broken_rules(scores: Mapping[str, float], rules: ClipRules) -> tuple[str, ...]:
    people = scores["people"]
    if people == 0:
        return ("no_face",)
    broken = {
        "too_few_people": people < rules.min_people,
        "too_many_people": people > rules.max_people,
        "too_short": scores["seconds"] <= rules.min_seconds,
        "small_face": scores["min_face_height"] < rules.min_face_height,
        "few_pixels": scores["min_face_side_px"] < rules.min_face_px,
        "uneven_faces": scores["face_area_ratio"] <= rules.min_area_ratio and people > 1,
        "nobody_speaks": scores["speaking_s"] < rules.min_speaking_s,
    }
    return tuple(code for code, is_broken in broken.items() if is_broken)


def _boxes(tracks: Sequence[FaceTrack], span: slice) -> Array:
    """Return the boxes of one identity over a span, one row a seen frame."""
    rows = [
        track.xyxy_T4[max(span.start - track.first, 0) : max(span.stop - track.first, 0)] for track in tracks
    ]
    return np.concatenate(rows)


def _mean_area(boxes_T4: Array) -> float:
    sides = boxes_T4[:, 2:] - boxes_T4[:, :2]
    return float((sides[:, 0] * sides[:, 1]).mean())


def _speaking_s(
    people: Sequence[str],
    by_identity: Mapping[str, Sequence[FaceTrack]],
    speaking: Mapping[int, Array],
    span: slice,
) -> float:
    """Seconds of the span in which at least one of the people speaks."""
    anybody = np.zeros(span.stop - span.start, bool)
    for track in (t for name in people for t in by_identity[name]):
        first, last = max(track.first, span.start), min(track.last + 1, span.stop)
        if track.track in speaking and first < last:
            row = speaking[track.track][first - track.first : last - track.first]
            anybody[first - span.start : last - span.start] |= row > SPEAKING
    return float(anybody.sum()) / FPS
