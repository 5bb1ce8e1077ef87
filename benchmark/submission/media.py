"""M: every video decoded to its last frame, each call in an isolated process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mitds.benchmark.isolation import Limits, Outcome, isolated_map
from mitds.benchmark.submission.bundle import VIDEOS, Bundle
from mitds.benchmark.submission.completeness import asked_for
from mitds.benchmark.submission.likeness import FOLLOWS, MIN_CORRELATION
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents, VideoRow
from mitds.errors import BadShard, EnvironmentFault, MissingDependency, StorageFault
from mitds.manifests.items import Item, Release
from mitds.time import CLIP_FPS

LIMITS = Limits(
    memory_bytes=6 << 30, cpu_s=120, wall_s=240, files=64, file_bytes=1 << 30, reply_bytes=1 << 20
)
"""Of decoding one video. A 5 s item of 640 px takes about a second of processor time and 300 MB."""

_JOB = "mitds.benchmark.submission.media_job:inspect"
_PIXELS = "mitds.benchmark.submission.media_job:pixels"
_CODES = {
    "not_accepted": "M-CONTAINER",
    "codec_not_accepted": "M-CODEC",
    "not_video": "M-CONTAINER",
    "wrong_shape": "M-SHAPE",
}
_OUR_FAULTS = {fault.code: fault for fault in (BadShard, EnvironmentFault, MissingDependency, StorageFault)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What decoding a video showed.

    Attributes:
        row: Its row.
        pixels: Digest of its pictures.
    """

    row: VideoRow
    pixels: str


def check_rows(contents: Contents, release: Release) -> Iterator[Problem]:
    """Compare what the rows say of the videos with what the items ask for, without decoding."""
    items = {item.id: item for item in release.items}
    for row in contents.videos:
        item = items.get(row.item)
        if item is None:
            continue
        said = (row.frames, row.width, row.height)
        if said != (item.frames, item.width, item.height) or Fraction(row.fps) != CLIP_FPS:
            what = f"it says {row.frames} frames of {row.width}x{row.height} at {row.fps}"
            yield problem("M-ROW", what, VIDEOS, row.line)
        if row.audio not in (None, item.files["wav"]):
            yield problem("M-SOUND", "the sound that was muxed is not the item's .wav", VIDEOS, row.line)


def check_media(
    bundle: Bundle, contents: Contents, release: Release, folder: Path, workers: int
) -> tuple[list[Seen], list[Problem]]:
    """Decode every video that is asked for, once.

    Args:
        bundle: The bundle.
        contents: What it says.
        release: The release's list.
        folder: The release's folder.
        workers: Processes at once.

    Returns:
        What was seen of the sound videos, and what is wrong with the others, both in the order of rows.

    Raises:
        BadShard: If the release itself is damaged.
        EnvironmentFault: If no process can be started here.
    """
    items = {item.id: item for item in release.items}
    rows = asked_for(bundle, contents, release)
    ended = _ended(_JOB, bundle, rows, folder, workers)
    seen = [Seen(row, ended[k].value["pixels"]) for k, row in enumerate(rows) if ended[k].status == "value"]
    problems = [p for k, row in enumerate(rows) for p in _judged(row, items[row.item], ended[k])]
    return seen, problems


def see_again(bundle: Bundle, rows: Sequence[VideoRow], folder: Path, workers: int) -> frozenset[str]:
    """Return the digests of the pictures of videos that passed before; a video that decodes no more has none."""
    ended = _ended(_PIXELS, bundle, rows, folder, workers).values()
    return frozenset(outcome.value["pixels"] for outcome in ended if outcome.status == "value")


def _ended(
    function: str, bundle: Bundle, rows: Sequence[VideoRow], folder: Path, workers: int
) -> dict[int, Outcome]:
    with tempfile.TemporaryDirectory(prefix="mitds-check-") as scratch:
        jobs = [_job(bundle, row, folder, Path(scratch) / f"{k}.mp4") for k, row in enumerate(rows)]
        return dict(isolated_map(function, jobs, workers, LIMITS))


def _job(bundle: Bundle, row: VideoRow, folder: Path, scratch: Path) -> dict[str, Any]:
    place = bundle.places[row.file]
    return {
        "release": str(folder),
        "item": row.item,
        "path": str(place.path),
        "offset": place.offset,
        "size": place.size,
        "scratch": str(scratch),
    }


def _judged(row: VideoRow, item: Item, outcome: Outcome) -> Iterator[Problem]:
    if outcome.status == "value":
        yield from _compared(row, item, outcome.value)
        return
    if outcome.code in _OUR_FAULTS:
        raise _OUR_FAULTS[outcome.code](outcome.what, where=outcome.where, remedy=outcome.remedy)
    codes = {"crashed": "M-CRASH", "timeout": "M-TIMEOUT"}
    code = codes.get(outcome.status) or _CODES.get(outcome.code, "M-UNREADABLE")
    yield problem(code, outcome.what, row.file, row.line)


def _compared(row: VideoRow, item: Item, found: dict[str, Any]) -> Iterator[Problem]:
    if found["sound"] is not None and found["sound"][0] < MIN_CORRELATION:
        what = f"the best correlation with the item's sound within 80 ms is {found['sound'][0]:.3f}"
        yield problem("M-SOUND", what, row.file, row.line)
    if (found["sound"] is None) != (row.audio is None):
        there = "no sound track" if found["sound"] is None else "a sound track"
        yield problem("M-ROW", f"it has {there}, and its row says otherwise", row.file, row.line)
    if found["pixels"] == item.pixels:
        yield problem(
            "I-REFERENCE", "its pictures are those of the real footage, bit by bit", row.file, row.line
        )
    elif found["wrong"] is not None and found["wrong"] < FOLLOWS:
        what = f"it gets {found['wrong']:.3f} of the unforeseeable wrong, less than {FOLLOWS}"
        yield problem("I-REFERENCE", what, row.file, row.line)
