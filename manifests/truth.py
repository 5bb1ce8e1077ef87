"""What is known of a video for certain, in plain files side by side, so that labels can be measured against it.

====================  =====================================================================================
``NAME.cuts.txt``     ``FRAME SECONDS`` of each new shot's first frame; ``soft FIRST LAST`` for a gradual one
``NAME.rttm``         who speaks when: one SPEAKER line a turn, called by the person's name
``NAME.asd.csv``      columns of AVA-ActiveSpeaker, then the person's name; one row a face and frame
``NAME.json``         fps, frames, duration, and whatever else the maker of the truth has to say
``NAME.scored.txt``   labels by hand: ``START END all|diar|face``, the passages that are certain
``NAME.bindframes.json``  labels by hand: the frames in which the speaker is certain
====================  =====================================================================================

Any of them may be missing: what is not known is not scored. Times are seconds from the first frame.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mitds.errors import UsageError
from mitds.manifests.records import Array, SpeechTurn
from mitds.store import write_bytes, write_json

SUFFIXES = (".cuts.txt", ".rttm", ".asd.csv")
SPEAKING, SILENT = "SPEAKING_AUDIBLE", "NOT_SPEAKING"
HEADER = (
    "video_id,frame_timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,label,entity_id,person"
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of one video; None where something is not known.

    Attributes:
        name: The video's file stem.
        fps: Frames a second that frame numbers count.
        cuts: First frame of every new shot but the first.
        soft: Gradual transitions, first and last frame.
        speech: Who speaks when; `voice` is the person's name.
        faces: Every face on every frame.
        moving_lips: When the lips of somebody silent move; `voice` is the person's name.
        regions: The passages that are certain; None where everything is.
        bind_frames: The frames in which the speaker is certain; None where all are.
        about: Everything that stands in the json.
    """

    name: str
    fps: Fraction = Fraction(25)
    frames: int | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    cuts: tuple[int, ...] | None = None
    soft: tuple[tuple[int, int], ...] = ()
    speech: tuple[SpeechTurn, ...] | None = None
    faces: TruthFaces | None = None
    moving_lips: tuple[SpeechTurn, ...] = ()
    regions: tuple[Region, ...] | None = None
    bind_frames: frozenset[int] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def truth_names(folder: Path) -> list[str]:
    """Return the names of the videos that a folder holds truth of."""
    names = {p.name[: -len(s)] for s in SUFFIXES for p in folder.glob(f"*{s}")}
    if not names:
        raise UsageError(
            "the folder holds no truth",
            where=str(folder),
            remedy="Put NAME.rttm, NAME.asd.csv or NAME.cuts.txt there; mitds compose writes them.",
        )
    return sorted(names)


def read_truth(folder: Path, name: str) -> Truth:
    """Read all that a folder knows of one video.

    Raises:
        UsageError: A file is there and cannot be understood; says which line.
    """
    about = _json(folder / f"{name}.json") or {}
    fps = Fraction(str(about.get("fps", 25))).limit_denominator(1001)
    faces = _lines(folder / f"{name}.asd.csv")
    cuts = _lines(folder / f"{name}.cuts.txt")
    speech = folder / f"{name}.rttm"
    regions = _lines(folder / f"{name}.scored.txt")
    bind_frames = _json(folder / f"{name}.bindframes.json")
    hard, soft = _cuts(cuts, folder / f"{name}.cuts.txt") if cuts is not None else (None, ())
    return Truth(
        name=name,
        fps=fps,
        frames=about.get("frames"),
        width=about.get("width"),
        height=about.get("height"),
        duration_s=about.get("duration"),
        cuts=hard,
        soft=soft,
        speech=speech_of(speech, name) if speech.is_file() else None,
        faces=_faces(faces, folder / f"{name}.asd.csv", fps) if faces is not None else None,
        moving_lips=_moving_lips(about),
        regions=_regions(regions, folder / f"{name}.scored.txt") if regions is not None else None,
        bind_frames=frozenset(bind_frames) if bind_frames is not None else None,
        about=about,
    )


def write_truth(folder: Path, truth: Truth) -> None:
    """Write what is known of one video: cuts, turns, faces and the json, the json last."""
    if truth.cuts is not None:
        lines = [f"{frame} {float(frame / truth.fps):.3f}" for frame in truth.cuts]
        lines += [f"soft {first} {last}" for first, last in truth.soft]
        _write(folder / f"{truth.name}.cuts.txt", lines)
    if truth.speech is not None:
        turns = sorted(truth.speech, key=lambda t: (t.start_s, t.voice))
        line = "SPEAKER {} 1 {:.3f} {:.3f} <NA> <NA> {} <NA> <NA>"
        spoken = [line.format(truth.name, t.start_s, t.end_s - t.start_s, t.voice) for t in turns]
        _write(folder / f"{truth.name}.rttm", spoken)
    if truth.faces is not None:
        _write(folder / f"{truth.name}.asd.csv", [HEADER, *_face_lines(truth, truth.faces)])
    known = {
        "name": truth.name,
        "fps": float(truth.fps) if truth.fps.denominator > 1 else int(truth.fps),
        "frames": truth.frames,
        "width": truth.width,
        "height": truth.height,
        "duration": truth.duration_s,
        "moving_lips": [{"person": t.voice, "start": t.start_s, "end": t.end_s} for t in truth.moving_lips],
    }
    write_json(folder / f"{truth.name}.json", {**truth.about, **known})


def _face_lines(truth: Truth, faces: TruthFaces) -> Iterable[str]:
    rows = zip(faces.frame_R, faces.person_R, faces.xyxy_R4, faces.speaking_R, strict=True)
    for frame, person, box_4, speaks in rows:
        corners = ",".join(f"{v:.4f}" for v in box_4)
        label = SPEAKING if speaks else SILENT
        time_s = float(int(frame) / truth.fps)
        yield f"{truth.name},{time_s:.3f},{corners},{label},{truth.name}:{person},{person}"


def _write(path: Path, lines: Sequence[str]) -> None:
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def _lines(path: Path) -> list[str] | None:
    """Return a file's lines; None where there is no such file."""
    return path.read_text().splitlines() if path.is_file() else None


def _json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"the truth is not JSON: {error}", where=str(path)) from error


def _words(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of every line that says something."""
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield number, words


@contextmanager
def _understood(path: Path, number: int) -> Iterator[None]:
    """Turn a line that cannot be read into an error that names it."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise UsageError(
            f"line {number} of the truth cannot be understood: {error}", where=str(path)
        ) from error


def _cuts(lines: Sequence[str], path: Path) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    hard, soft = set[int](), list[tuple[int, int]]()
    for number, words in _words(lines):
        with _understood(path, number):
            if words[0] == "soft":
                soft.append((int(words[1]), int(words[2])))
            elif int(words[0]) > 0:
                hard.add(int(words[0]))
    return tuple(sorted(hard)), tuple(soft)


def speech_of(path: Path, name: str | None = None) -> tuple[SpeechTurn, ...]:
    """Read the turns of an RTTM file: those of the recording `name`, or of all where none is named.

    Raises:
        UsageError: A line cannot be understood; says which.
    """
    turns = []
    for number, words in _words(path.read_text().splitlines()):
        if words[0] == "SPEAKER" and (name is None or words[1:2] == [name]):
            with _understood(path, number):
                start_s = float(words[3])
                turns.append(SpeechTurn(voice=words[7], start_s=start_s, end_s=start_s + float(words[4])))
    return tuple(turns)


def _faces(lines: Sequence[str], path: Path, fps: Fraction) -> TruthFaces:
    frames, people, boxes, speaking = [], [], [], []
    for number, row in enumerate(csv.reader(lines), 1):
        if number == 1 and row[1:2] == ["frame_timestamp"]:
            continue
        with _understood(path, number):
            frames.append(round(float(row[1]) * float(fps)))
            boxes.append([float(v) for v in row[2:6]])
            speaking.append(row[6] == SPEAKING)
            people.append(row[8])
    order = np.argsort(frames, kind="stable")
    return TruthFaces(
        frame_R=np.array(frames, np.int64)[order],
        person_R=tuple(people[k] for k in order),
        xyxy_R4=np.array(boxes, np.float32).reshape(-1, 4)[order],
        speaking_R=np.array(speaking, bool)[order],
    )


def _regions(lines: Sequence[str], path: Path) -> tuple[Region, ...]:
    regions = []
    for number, words in _words(lines):
        with _understood(path, number):
            if words[2] not in get_args(Kind):
                raise ValueError(f"{words[2]!r} is none of {', '.join(get_args(Kind))}")
            kind: Kind = words[2]  # type: ignore[assignment]
            regions.append(Region(start_s=float(words[0]), end_s=float(words[1]), kind=kind))
    return tuple(regions)


def _moving_lips(about: Mapping[str, Any]) -> tuple[SpeechTurn, ...]:
    """Return where silent lips move; in scenes whose listeners are muted talkers, that is throughout."""
    if "moving_lips" not in about and about.get("listen_mode") == "muted":
        everybody = about.get("persons", {})
        return tuple(SpeechTurn(voice=p, start_s=0.0, end_s=float(about["duration"])) for p in everybody)
    return tuple(
        SpeechTurn(voice=span["person"], start_s=span["start"], end_s=span["end"])
        for span in about.get("moving_lips", ())
    )
