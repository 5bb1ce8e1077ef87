"""From a video to its shots in one decoding pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from mitds.annotators.contracts import Cut, ShotDetector
from mitds.manifests.records import Shot
from mitds.media import DecodeLog, Picture, pictures


@dataclass(slots=True)
class _Seen:
    """Notes what a detector is shown."""

    start: Fraction = Fraction(0)
    frames: int = 0
    log: DecodeLog = field(default_factory=DecodeLog)

    def passing(self, stream: Iterable[Picture]) -> Iterator[Picture]:
        for picture in stream:
            self.start = picture.pts if self.frames == 0 else self.start
            self.frames += 1
            yield picture


def detect_shots(path: Path, detector: ShotDetector, *, source_id: str) -> list[Shot]:
    """Decode a video once and cut it into shots, which follow each other without gap or overlap.

    Args:
        path: The video.
        detector: Any shot detector.
        source_id: The source's sha256; the shots' keys begin with its first 16 digits.

    Raises:
        NotVideo: There is no track of moving pictures.
        Undecodable: There is one, and none of its pictures decodes.
    """
    seen = _Seen()
    cuts = detector.detect(seen.passing(pictures(path, max_side=detector.max_side, log=seen.log)))
    end = seen.log.end if seen.log.end is not None else seen.start
    bounds = [Cut(seen.start, 0, 0.0), *cuts, Cut(end, seen.frames, 0.0)]
    return [
        Shot(
            key=f"{source_id[:16]}-s{index:04d}",
            source_id=source_id,
            index=index,
            start=opening.pts,
            end=following.pts,
            first_frame=opening.frame,
            frames=following.frame - opening.frame,
            cut_score=opening.score if index else None,
            detector=detector.name,
        )
        for index, (opening, following) in enumerate(pairwise(bounds))
    ]
