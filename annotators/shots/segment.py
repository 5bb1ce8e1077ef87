"""From a video to its shots in one decoding pass."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil

from mitds.annotators.contracts import ShotDetector
from mitds.errors import Undecodable
from mitds.manifests.records import Shot
from mitds.media import DecodeLog, Picture
from mitds.media.stretches import joined, marked_pictures
from mitds.media.tracks import Footage

_LONGEST_GAP_S = 1800


@dataclass(frozen=True, slots=True)
class Segments:
    """The shots of a video, which follow each other without gap or overlap.

    Attributes:
        shots: In order.
        marks: What the pictures of each shot add up to, for whoever decodes it later (`mitds.media.stretches`).
        log: What was wrong with the track.
    """

    shots: tuple[Shot, ...]
    marks: tuple[int, ...]
    log: DecodeLog


@dataclass(slots=True)
class _Seen:
    """Notes what a detector is shown."""

    where: str
    times: list[Fraction] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    def passing(self, stream: Iterable[tuple[Picture, int]]) -> Iterator[Picture]:
        for picture, mark in stream:
            gap = picture.pts - self.times[-1] if self.times else 0
            if gap > _LONGEST_GAP_S:
                raise Undecodable(
                    f"the pictures jump ahead by {int(gap)} s", where=self.where, remedy="Re-encode the file."
                )
            self.times.append(picture.pts)
            self.marks.append(mark)
            yield picture


@dataclass(frozen=True, slots=True)
class _Border:
    """Where a shot opens: at a cut, or inside of what is one shot, which is too long to be one piece."""

    pts: Fraction
    frame: int
    score: float | None
    continues: bool = False


def detect_shots(
    footage: Footage, detector: ShotDetector, *, source_id: str, max_shot_s: float | None = None
) -> list[Shot]:
    """Decode a video once and cut it into shots; see `segment`."""
    return list(segment(footage, detector, source_id=source_id, max_shot_s=max_shot_s).shots)


def segment(
    footage: Footage, detector: ShotDetector, *, source_id: str, max_shot_s: float | None = None
) -> Segments:
    """Decode a video once and cut it into shots.

    Args:
        footage: The video.
        detector: Any shot detector.
        source_id: The source's sha256; the shots' keys begin with its first 16 digits.
        max_shot_s: A longer shot becomes pieces of about equal length, none longer than this by more than a picture,
            s; all but its first are marked as continuing it.

    Raises:
        NotVideo: There is no track of moving pictures.
        Undecodable: There is one, and none of its pictures decodes, or one follows half an hour after another.
    """
    seen, log = _Seen(str(footage)), DecodeLog()
    cuts = detector.detect(seen.passing(marked_pictures(footage, max_side=detector.max_side, log=log)))
    end = log.end if log.end is not None else seen.times[0]
    borders = [_Border(seen.times[0], 0, None), *(_Border(cut.pts, cut.frame, cut.score) for cut in cuts)]
    closing = _Border(end, len(seen.times), None)
    if max_shot_s is not None:
        longest = Fraction(max_shot_s).limit_denominator(1000)
        whole = pairwise([*borders, closing])
        borders = [piece for first, last in whole for piece in _pieces(first, last, longest, seen.times)]
    pairs = list(pairwise([*borders, closing]))
    shots = tuple(_shot(index, *pair, source_id, detector.name) for index, pair in enumerate(pairs))
    return Segments(shots, tuple(joined(seen.marks[a.frame : b.frame]) for a, b in pairs), log)


def _pieces(first: _Border, last: _Border, longest: Fraction, times: Sequence[Fraction]) -> Iterator[_Border]:
    """Yield the opening of a shot, and the first picture after each of the equal parts that it is too long for."""
    yield first
    count, opened = ceil((last.pts - first.pts) / longest), first.frame
    for number in range(1, count):
        ideal = first.pts + (last.pts - first.pts) * number / count
        frame = bisect_left(times, ideal, opened + 1, last.frame)
        if frame >= last.frame:
            return
        yield _Border(times[frame], frame, None, continues=True)
        opened = frame


def _shot(index: int, opening: _Border, following: _Border, source_id: str, detector: str) -> Shot:
    return Shot(
        key=f"{source_id[:16]}-s{index:04d}",
        source_id=source_id,
        index=index,
        start=opening.pts,
        end=following.pts,
        first_frame=opening.frame,
        frames=following.frame - opening.frame,
        cut_score=opening.score,
        detector=detector,
        continues=opening.continues,
    )
