"""From stretches of clips to people: who is who, what each can say, and how each can listen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mitds.pipeline.compose.config import ScriptConfig
from mitds.pipeline.compose.parts import Stretch
from mitds.runs import Run
from mitds.store import safe_name
from mitds.time import CLIP_FPS

SAME_PERSON = 0.40
"""Cosine of SFace embeddings from which two faces are taken for one person (its authors say .363)."""

LEAST_SPEECH_S = 1.0
ENOUGH_S = 4.0
"""Speech over which chance agreement of lips and loudness averages out, seconds."""

NO_AGREEMENT, AGREEMENT = 0.05, 0.2
"""Correlations of lips and loudness: below the first, a voice is not the face's; from the second, it may be."""

LEAST_QUIET = 6
"""Frames: shorter quiet runs are no listening."""

SPEECH_MOVES = 0.012
"""Median movement of the lips, in face sizes, below which heard speech is not seen, and so is not used."""

BREATH = 5
"""Frames that a turn may begin before its speech and end after it."""

DIP_DB = 12.0
"""How far below the loud parts of speech a moment is soft enough to end a turn in."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody to cast.

    Attributes:
        name: Unique among all people.
        stretches: Footage.
        openings: For each stretch, frames at which a turn may begin.
        closings: For each stretch, frames at which a turn may end (exclusive).
        quiet: Runs of closed mouths: number of the stretch, first frame, end.
    """

    name: str
    stretches: tuple[Stretch, ...]
    openings: tuple[tuple[int, ...], ...]
    closings: tuple[tuple[int, ...], ...]
    quiet: tuple[tuple[int, int, int], ...]

    @property
    def speaks(self) -> bool:
        """Whether there is speech to give a turn."""
        return any(self.openings)

    @property
    def listens(self) -> bool:
        """Whether there is footage with a closed mouth."""
        return bool(self.quiet)


def people_of(stretches: Iterable[Stretch], config: ScriptConfig) -> list[Person]:
    """Gather stretches by person: by the name that was given, else by face; in the order given."""
    groups: list[tuple[str, list[Stretch]]] = []
    for stretch in stretches:
        group = next((g for g in groups if _belongs(stretch, g)), None)
        if group is None:
            groups.append((_free_name(stretch, [name for name, _ in groups]), [stretch]))
        else:
            group[1].append(stretch)
    return [_person(name, tuple(own), config) for name, own in groups]


def _belongs(stretch: Stretch, group: tuple[str, list[Stretch]]) -> bool:
    members = group[1]
    if stretch.clip.person is not None or members[0].clip.person is not None:
        return stretch.clip.person == members[0].clip.person
    known = [m.embedding_D for m in members if m.embedding_D is not None]
    if stretch.embedding_D is None or not known:
        return False
    return float(np.mean([stretch.embedding_D @ other for other in known])) >= SAME_PERSON


def _free_name(stretch: Stretch, taken: list[str]) -> str:
    stem = safe_name(stretch.clip.person or stretch.clip.name.rsplit(".", 1)[0], 40)
    names = [stem, *(f"{stem}-{k}" for k in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _person(name: str, stretches: tuple[Stretch, ...], config: ScriptConfig) -> Person:
    edges = [_edges(stretch) if _own(stretch) else ((), ()) for stretch in stretches]
    quiet = [
        (number, first, end)
        for number, stretch in enumerate(stretches)
        for first, end in stretch.quiet(config.lips_moving, config.lips_apart, LEAST_QUIET)
    ]
    return Person(
        name=name,
        stretches=stretches,
        openings=tuple(opening for opening, _ in edges),
        closings=tuple(closing for _, closing in edges),
        quiet=tuple(quiet),
    )


def _own(stretch: Stretch) -> bool:
    """Tell whether the voice is the face's: long speech must not speak against it, short speech must speak for it."""
    said = sum(b - a for a, b in stretch.speech)
    inside, outside = stretch.agreement
    if said >= ENOUGH_S:
        return inside >= NO_AGREEMENT and not (outside > AGREEMENT and inside < outside / 2)
    return said >= LEAST_SPEECH_S and inside >= max(AGREEMENT, 0.6 * outside)


def _edges(stretch: Stretch) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where turns may begin and end: in pauses, a breath away from speech, and where speech is soft."""
    begin, end = set[int](), set[int]()
    runs = [(int(a * CLIP_FPS), -int(-b * CLIP_FPS // 1)) for a, b in stretch.speech]
    before = [0, *(b for _, b in runs)]
    after = [*(a for a, _ in runs[1:]), stretch.frames]
    for (first, last), earlier, later in zip(runs, before, after, strict=False):
        begin.add(max(first - BREATH, (earlier + first) // 2, 0))
        end.add(min(last + BREATH, (last + later + 1) // 2, stretch.frames))
        dips = _dips(stretch, (first, last))
        begin |= dips
        end |= dips
    return tuple(sorted(begin)), tuple(sorted(end))


def _dips(stretch: Stretch, run: Run) -> set[int]:
    """Return frames within a run at whose beginning the voice is softest, and far softer than its loud parts."""
    level_T = stretch.level_T[run[0] : run[1]]
    if len(level_T) < 3:
        return set()
    soft = float(np.quantile(level_T, 0.9)) - DIP_DB
    inner = range(1, len(level_T) - 1)
    return {
        run[0] + k
        for k in inner
        if level_T[k] < soft and level_T[k] <= level_T[k - 1] and level_T[k] <= level_T[k + 1]
    }
