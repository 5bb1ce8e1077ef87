"""Reads the text files of a truth; what cannot be right is refused with the file and the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mitds.errors import UsageError
from mitds.manifests.records import Array, SpeechTurn
from mitds.manifests.truth_checks import choice, line_of, named, seconds, text_of, turn
from mitds.store import safe_name

SPEAKING, SILENT = "SPEAKING_AUDIBLE", "NOT_SPEAKING"
LABELS = (SPEAKING, SILENT, "SPEAKING_NOT_AUDIBLE")
"""The labels of AVA-ActiveSpeaker; only the first is speech that can be heard."""

FARTHEST = 1.5
"""No corner of a box lies farther out, as a share of the picture; pixels do."""

Kind = Literal["all", "diar", "face"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A passage that is certain, seconds: "all" of it, "diar" who speaks only, "face" the faces only."""

    start_s: float
    end_s: float
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthFaces:
    """One row a face and frame, R rows in the order of frames.

    Attributes:
        frame_R: Frame numbers.
        person_R: Names.
        xyxy_R4: Boxes as shares of the picture's width and height, 0..1.
        speaking_R: Whether the person speaks audibly in this frame.
    """

    frame_R: NDArray[np.int64]
    person_R: tuple[str, ...]
    xyxy_R4: Array
    speaking_R: NDArray[np.bool_]


def cuts_of(path: Path) -> tuple[tuple[int, ...] | None, tuple[tuple[int, int], ...]]:
    """Return hard cuts, None where there is no such file, and gradual transitions."""
    hard, soft = set[int](), list[tuple[int, int]]()
    if not path.is_file():
        return None, ()
    for number, words in _words(path):
        with line_of(path, number):
            frames = [int(word) for word in (words[1:3] if words[0] == "soft" else words[:1])]
            if min(frames) < 0:
                raise ValueError("frames count from 0")
            if words[0] == "soft":
                first, last = frames
                if last < first:
                    raise ValueError(f"the transition ends at {last}, before {first}")
                soft.append((first, last))
            elif frames[0] > 0:
                hard.add(frames[0])
    return tuple(sorted(hard)), tuple(soft)


def speech_of(path: Path, name: str | None = None) -> tuple[SpeechTurn, ...]:
    """Read the turns of an RTTM file: those of the recording `name`, or of all where none is named.

    Raises:
        UsageError: A line cannot be understood; says which.
    """
    turns = []
    for number, words in _spoken(path):
        with line_of(path, number):
            if name is None or _same(words[1], name):
                start_s = seconds(words[3])
                turns.append(turn(words[7], start_s, start_s + seconds(words[4])))
    return tuple(turns)


def own_speech_of(path: Path, name: str) -> tuple[SpeechTurn, ...] | None:
    """Read the turns of ``NAME.rttm``: None where there is no such file, nobody speaks where it has no line.

    Raises:
        UsageError: A line cannot be understood, or all lines are about other recordings; says which.
    """
    if not path.is_file():
        return None
    turns = speech_of(path, name)
    about = sorted({words[1] for _, words in _spoken(path)})
    if about and not any(_same(other, name) for other in about):
        raise UsageError(
            f"no line is about {name}, but about {', '.join(about)}",
            where=str(path),
            remedy=f"Write {'-'.join(name.split())} in the second column of each SPEAKER line.",
        )
    return turns


def faces_of(path: Path, fps: Fraction) -> TruthFaces | None:
    """Read ``NAME.asd.csv``, whose times are laid on frames at `fps`; None where there is no such file."""
    text = text_of(path)
    if text is None:
        return None
    frames, people, boxes, speaking = [], [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        with line_of(path, number):
            row = next(csv.reader([line]), [])
            if not row or (number == 1 and row[1:2] == ["frame_timestamp"]):
                continue
            frames.append(round(seconds(row[1]) * float(fps)))
            boxes.append(_box(row[2:6]))
            speaking.append(choice(row[6].strip(), LABELS) == SPEAKING)
            people.append(named(row[8].strip()))
    order = np.argsort(frames, kind="stable")
    return TruthFaces(
        frame_R=np.array(frames, np.int64)[order],
        person_R=tuple(people[k] for k in order),
        xyxy_R4=np.array(boxes, np.float32).reshape(-1, 4)[order],
        speaking_R=np.array(speaking, bool)[order],
    )


def regions_of(path: Path) -> tuple[Region, ...] | None:
    """Read ``NAME.scored.txt``; None where there is no such file."""
    if not path.is_file():
        return None
    regions = []
    for number, words in _words(path):
        with line_of(path, number):
            kind: Kind = choice(words[2], get_args(Kind))  # type: ignore[assignment]
            start_s, end_s = seconds(words[0]), seconds(words[1])
            if end_s < start_s:
                raise ValueError(f"the passage ends at {end_s:g} s, before it starts")
            regions.append(Region(start_s=start_s, end_s=end_s, kind=kind))
    return tuple(regions)


def _spoken(path: Path) -> Iterator[tuple[int, list[str]]]:
    return ((number, words) for number, words in _words(path) if words[0] == "SPEAKER")


def _same(recording: str, name: str) -> bool:
    """Say whether an RTTM's name of a recording, which holds no spaces, means a video."""
    return recording == name or safe_name(recording) == safe_name(name)


def _words(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of every line that says something."""
    for number, line in enumerate((text_of(path) or "").splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield number, words


def _box(corners: list[str]) -> list[float]:
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    if not all(isfinite(v) and abs(v) <= FARTHEST for v in (x1, y1, x2, y2)):
        raise ValueError("corners of boxes are shares of the picture, 0 to 1, not pixels")
    if x2 < x1 or y2 < y1:
        raise ValueError("the box ends before it starts; corners are x1, y1, x2, y2")
    return [x1, y1, x2, y2]
