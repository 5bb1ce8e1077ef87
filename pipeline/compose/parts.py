"""What is known of the footage that scenes are made of: stretches in which one person is alone in view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mitds.manifests.records import Array
from mitds.runs import Run, runs_of
from mitds.time import CLIP_FPS, Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One single-speaker video as it was given.

    Attributes:
        person: Name that the user gave; None where the file's name is to serve.
        url: Where it came from, without credentials.
        licence: What is known of it; None where nothing is.
    """

    path: Path
    name: str
    sha256: str
    url: str
    person: str | None = None
    licence: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A run of 25 fps frames of a clip without a cut, with exactly one face in view throughout.

    Attributes:
        clip: The clip it lies in.
        start: Time of frame 0, seconds on the clip's clock.
        width: Of the frames as the composer reads them, px.
        height: Of the same frames, px.
        xyxy_T4: Smoothed face boxes, px of these frames.
        opening_T: Distance of the inner lips over the size of the face; NaN where there was no mesh.
        moving_T: Deviation of the opening over a fraction of a second around each frame; NaN likewise.
        speech: When the clip's one voice is heard, [start, end) s from frame 0; a run of lone speech each.
        noisy: Passages with several voices: neither speech to use nor silence, same clock.
        level_T: Level of the sound around the beginning of each frame, dB.
        agreement: Best correlation of lips and loudness in sync, and out of sync.
        embedding_D: Unit-norm identity of the face; None where no frame allowed one.
    """

    clip: Clip
    start: Fraction
    width: int
    height: int
    xyxy_T4: Array
    opening_T: Array
    moving_T: Array
    speech: tuple[tuple[float, float], ...]
    noisy: tuple[tuple[float, float], ...]
    level_T: Array
    agreement: tuple[float, float]
    embedding_D: Array | None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.xyxy_T4)

    @property
    def grid(self) -> Grid:
        """The instants of the frames on the clip's clock."""
        return Grid(self.start, self.frames)

    @cached_property
    def silent_T(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True where nobody is heard, with a frame to spare on either side."""
        silent_T = np.ones(self.frames, np.bool_)
        for start_s, end_s in (*self.speech, *self.noisy):
            first, end = int(start_s * CLIP_FPS) - 1, int(end_s * CLIP_FPS) + 2
            silent_T[max(0, first) : max(0, end)] = False
        return silent_T

    def quiet(self, moving: float, opening: float, least: int) -> list[Run]:
        """Return runs of at least `least` frames: nobody heard, the mouth measured and closed or still.

        Args:
            moving: Largest movement of the lips, in face sizes.
            opening: Largest opening of the lips, in face sizes.
            least: Shortest run, frames.
        """
        shut_T = self.silent_T & (self.moving_T <= moving) & (self.opening_T <= opening)  # NaN: not measured
        return [run for run in runs_of(shut_T) if run[1] - run[0] >= least]

    def plain(self) -> dict[str, Any]:
        """Return the JSON-ready form without the clip; numbers are rounded, so that a file gives back the same."""
        return {
            "start": str(self.start),
            "size": [self.width, self.height],
            "xyxy": np.round(self.xyxy_T4.astype(float), 2).tolist(),
            "opening": _nullable(self.opening_T),
            "moving": _nullable(self.moving_T),
            "speech": [[round(a, 3), round(b, 3)] for a, b in self.speech],
            "noisy": [[round(a, 3), round(b, 3)] for a, b in self.noisy],
            "level": np.round(self.level_T.astype(float), 1).tolist(),
            "agreement": [round(v, 4) for v in self.agreement],
            "embedding": None
            if self.embedding_D is None
            else np.round(self.embedding_D.astype(float), 5).tolist(),
        }

    @classmethod
    def of(cls, clip: Clip, known: Mapping[str, Any]) -> Stretch:
        """Rebuild a stretch from its JSON form."""
        embedding = known["embedding"]
        return cls(
            clip=clip,
            start=Fraction(known["start"]),
            width=known["size"][0],
            height=known["size"][1],
            xyxy_T4=np.array(known["xyxy"], np.float32).reshape(-1, 4),
            opening_T=_array(known["opening"]),
            moving_T=_array(known["moving"]),
            speech=tuple((a, b) for a, b in known["speech"]),
            noisy=tuple((a, b) for a, b in known["noisy"]),
            level_T=np.array(known["level"], np.float32),
            agreement=(known["agreement"][0], known["agreement"][1]),
            embedding_D=None if embedding is None else np.array(embedding, np.float32),
        )


def _nullable(values_T: Array) -> list[float | None]:
    return [round(float(v), 5) if np.isfinite(v) else None for v in values_T]


def _array(values: list[float | None]) -> Array:
    return np.array([np.nan if v is None else v for v in values], np.float32)
