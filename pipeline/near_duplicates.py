"""Clips that show or say what a clip of another source does: asked in the order of the sources, once all are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mitds.annotators.quality.fingerprints import Fingerprint
from mitds.annotators.quality.overlaps import OverlapIndex
from mitds.manifests.codec import pack_arrays, unpack_arrays
from mitds.manifests.records import Clip
from mitds.pipeline.work import Work
from mitds.store import write_bytes

_FOLDER = "fingerprints"


def write_fingerprint(work: Work, key: str, made: Fingerprint) -> None:
    """Leave a clip's fingerprint in the work folder."""
    arrays: dict[str, NDArray[Any]] = {"picture_P": made.picture_P, "sound_F": made.sound_F}
    write_bytes(work.path(_FOLDER, key, ".npz"), pack_arrays(arrays))


def read_fingerprint(work: Work, key: str) -> Fingerprint:
    """Read a clip's fingerprint from the work folder."""
    arrays = unpack_arrays(work.path(_FOLDER, key, ".npz").read_bytes())
    return Fingerprint(arrays["picture_P"], arrays["sound_F"])


class NearDuplicates:
    """Compares clips with those of other sources that came before them and were kept.

    Args:
        work: Where the fingerprints lie.
        clips: All clips, in the order that decides which of two stays.
    """

    def __init__(self, work: Work, clips: Sequence[Clip]) -> None:
        self._clips = clips
        self._prints = [read_fingerprint(work, clip.key) for clip in clips]
        self._index = OverlapIndex(self._prints)
        self._kept: set[int] = set()

    def keep(self, place: int) -> None:
        """Let later clips be compared with this one."""
        self._kept.add(place)

    def compare(self, place: int) -> tuple[dict[str, float], str | None]:
        """Return the scores of a clip, and the key of the clip that shares most with it; None where none does.

        Scores, shares 0..1 of this clip: duplicate_picture, duplicate_sound, and duplicate_share, the larger of
        the two. A clip in which nothing moves and nothing is heard has none.
        """
        own = self._prints[place]
        if not own.picture_P.any() and not own.sound_F.any():
            return {}, None
        best: tuple[float, float, str | None] = 0.0, 0.0, None
        for other, shared in self._index.find(own):
            if other in self._kept and self._clips[other].source_id != self._clips[place].source_id:
                found = shared.picture_share or 0.0, shared.sound_share or 0.0, self._clips[other].key
                best = max(best, found, key=lambda f: max(f[:2]))
        picture, sound, key = best
        scores = {
            "duplicate_picture": picture,
            "duplicate_sound": sound,
            "duplicate_share": max(picture, sound),
        }
        return scores, key
