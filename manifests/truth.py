"""What is known of a video for certain, in plain files side by side, so that labels can be measured against it.

====================  =====================================================================================
``NAME.cuts.txt``     ``FRAME SECONDS`` of each new shot's first frame; ``soft FIRST LAST`` for a gradual one
``NAME.rttm``         who speaks when: one SPEAKER line a turn, called by the person's name
``NAME.asd.csv``      columns of AVA-ActiveSpeaker, then the person's name; one row a face and frame
``NAME.json``         fps, frames, duration, and whatever else the maker of the truth has to say
``NAME.scored.txt``   labels by hand: ``START END all|diar|face``, the passages that are certain
``NAME.bindframes.json``  labels by hand: the frames in which the speaker is certain
====================  =====================================================================================

Any of them may be missing: what is not known is not scored. An RTTM without lines says that nobody speaks. Times are
seconds from the first frame; frames are counted at the json's fps, and where it names none, at the video's own.

NAME is the video's file name without its suffix. Names are compared as they are exported, made safe by
`mitds.store.safe_name`: ``Interview 1.rttm`` is about ``Interview 1.mp4``, and its lines, in which names hold no
spaces, are about ``Interview-1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from mitds.errors import UsageError
from mitds.manifests.records import SpeechTurn
from mitds.manifests.truth_about import about_of, bind_frames_of, count_of, duration_of, fps_of, lips_of
from mitds.manifests.truth_files import (
    SILENT,
    SPEAKING,
    Kind,
    Region,
    TruthFaces,
    cuts_of,
    faces_of,
    own_speech_of,
    regions_of,
    speech_of,
)
from mitds.store import write_bytes, write_json

__all__ = [
    "SILENT",
    "SPEAKING",
    "Kind",
    "Region",
    "Truth",
    "TruthFaces",
    "read_truth",
    "speech_of",
    "truth_names",
    "write_truth",
]

SUFFIXES = (".cuts.txt", ".rttm", ".asd.csv")
HEADER = (
    "video_id,frame_timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,label,entity_id,person"
)
USUAL_FPS = Fraction(25)


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


def read_truth(folder: Path, name: str, fps: Fraction | None = None) -> Truth:
    """Read all that a folder knows of one video.

    Args:
        folder: Where the files are.
        name: The video's file stem.
        fps: The video's own rate, which counts where the json names none; 25 where neither is known.

    Raises:
        UsageError: A file is there and cannot be understood; says which, and which line.
    """
    path = folder / f"{name}.json"
    about = about_of(path)
    fps = fps_of(about, path) or fps or USUAL_FPS
    cuts, soft = cuts_of(folder / f"{name}.cuts.txt")
    return Truth(
        name=name,
        fps=fps,
        frames=count_of(about, "frames", path),
        width=count_of(about, "width", path),
        height=count_of(about, "height", path),
        duration_s=duration_of(about, path),
        cuts=cuts,
        soft=soft,
        speech=own_speech_of(folder / f"{name}.rttm", name),
        faces=faces_of(folder / f"{name}.asd.csv", fps),
        moving_lips=lips_of(about, path),
        regions=regions_of(folder / f"{name}.scored.txt"),
        bind_frames=bind_frames_of(folder / f"{name}.bindframes.json"),
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
        recording = "-".join(truth.name.split())
        spoken = [line.format(recording, t.start_s, t.end_s - t.start_s, t.voice) for t in turns]
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
