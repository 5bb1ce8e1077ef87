"""Clips that show or say what a clip of another source does: asked in the order of the sources."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mitds.annotators.quality.fingerprints import Fingerprint
from mitds.annotators.quality.overlaps import OverlapIndex
from mitds.manifests.codec import pack_arrays, unpack_arrays
from mitds.pipeline.work import Work
from mitds.store import write_bytes

FOLDER = "fingerprints"


def write_fingerprint(work: Work, unit: str, made: Fingerprint) -> None:
    """Leave a clip's fingerprint in the work folder."""
    arrays: dict[str, NDArray[Any]] = {"picture_P": made.picture_P, "sound_F": made.sound_F}
    write_bytes(work.path(FOLDER, unit, ".npz"), pack_arrays(arrays))


def read_fingerprint(work: Work, unit: str) -> Fingerprint:
    """Read a clip's fingerprint from the work folder."""
    arrays = unpack_arrays(work.path(FOLDER, unit, ".npz").read_bytes())
    return Fingerprint(arrays["picture_P"], arrays["sound_F"])


class NearDuplicates:
    """Compares clips with those of other sources that came before them and were kept."""

    def __init__(self) -> None:
        self._index = OverlapIndex()
        self._kept: list[tuple[str, str]] = []

    def keep(self, key: str, source_id: str, made: Fingerprint) -> None:
        """Let later clips be compared with this one."""
        self._index.add(made)
        self._kept.append((key, source_id))

    def compare(self, source_id: str, own: Fingerprint) -> tuple[dict[str, float], str | None]:
        """Return the scores of a clip, and the key of the clip that shares most with it; None where none does.

        Scores, shares 0..1 of this clip: duplicate_picture, duplicate_sound, and duplicate_share, the larger of
        the two. A clip in which nothing moves and nothing is heard has none.
        """
        if not own.picture_P.any() and not own.sound_F.any():
            return {}, None
        best: tuple[float, float, str | None] = 0.0, 0.0, None
        for place, shared in self._index.find(own):
            key, other = self._kept[place]
            if other != source_id:
                found = shared.picture_share or 0.0, shared.sound_share or 0.0, key
                best = max(best, found, key=lambda f: max(f[:2]))
        picture, sound, twin = best
        scores = {
            "duplicate_picture": picture,
            "duplicate_sound": sound,
            "duplicate_share": max(picture, sound),
        }
        return scores, twin
