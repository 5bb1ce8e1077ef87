"""``mitds export``: one file a source in another tool's format, or a folder of clips in another dataset's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.manifests.shards import expand
from mitds.manifests.source_labels import SourceLabels
from mitds.pipeline.export import ava, coco, croissant, cuts, hf, mit, rttm
from mitds.pipeline.export.croissant import export_croissant
from mitds.pipeline.export.folder import ExportFolder
from mitds.pipeline.export.hf import export_hf
from mitds.pipeline.export.mit import export_mit
from mitds.pipeline.export.names import Names
from mitds.pipeline.export.reading import SourceClips, clips_by_source, source_labels, source_shards
from mitds.registry import unknown
from mitds.store import atomic_open

FORMATS = {"rttm": ".rttm", "ava": ".asd.csv", "cuts": ".cuts.txt", "coco": ".coco.json"}
"""File suffix by format."""

FOLDERS: dict[str, tuple[Callable[[Sequence[Path], Path], ExportFolder], str]] = {
    "croissant": (export_croissant, croissant.NAME),
    "mit": (export_mit, mit.LIST),
    "hf": (export_hf, hf.CARD),
}
"""Formats that are a whole folder of clips, which each needs for itself, and the file to begin reading at."""

TIMELINES = ("clip", "source")

_FROM_CLIPS: dict[str, Callable[[str, SourceClips], Iterator[str]]] = {
    "rttm": rttm.clip_lines,
    "ava": ava.clip_lines,
    "coco": coco.clip_lines,
}
_FROM_SOURCES: dict[str, Callable[[str, SourceLabels], Iterator[str]]] = {
    "rttm": rttm.source_lines,
    "ava": ava.source_lines,
    "cuts": cuts.source_lines,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        paths: One file a source, or the file of a folder of clips to begin reading at.
        renamed: New file name by source id, for sources whose stem another one had taken.
        written: Bytes written; hard links take none.
        linked: Bytes of files that are hard links to the shards.
    """

    paths: list[Path]
    renamed: dict[str, str]
    written: int = 0
    linked: int = 0


def export(shards: Sequence[str], format: str, out: Path, timeline: str = "clip") -> Exported:
    """Write the labels of shards, one file a source, named after the source file's stem; or a folder of clips.

    Args:
        shards: Patterns of ``clips-*.tar``.
        format: "rttm", "ava", "cuts" or "coco"; or, for a folder of clips, "croissant", "mit" or "hf".
        out: Folder for the files.
        timeline: "clip": times count from each clip's first frame. "source": everything that was seen and
            heard, on the source's own clock, from ``sources-*.tar`` in the folder of the shards. Cuts exist on
            the source's clock only, COCO images carry both times, and folders of clips the clip's: for these it
            makes no difference.

    Raises:
        UnknownName: If there is no such format or timeline.
        UsageError: If shards are missing.
        BadShard: If a shard is damaged or of another kind.
    """
    if format not in FORMATS and format not in FOLDERS:
        raise unknown("export format", format, [*FORMATS, *FOLDERS])
    if timeline not in TIMELINES:
        raise unknown("timeline", timeline, list(TIMELINES))
    if format in FOLDERS:
        write, entry = FOLDERS[format]
        folder = write(expand(shards), out)
        return Exported([out / entry], {}, folder.written, folder.linked)
    names = Names()
    paths = [
        _write(out / f"{name}{FORMATS[format]}", lines)
        for name, lines in _files(expand(shards), format, timeline, names)
    ]
    return Exported(paths, names.renamed, sum(path.stat().st_size for path in paths))


def _files(
    paths: list[Path], format: str, timeline: str, names: Names
) -> Iterator[tuple[str, Iterator[str]]]:
    if format in _FROM_CLIPS and (timeline == "clip" or format not in _FROM_SOURCES):
        for source in clips_by_source(paths):
            name = names.of(source.source_id, source.source_name)
            yield name, _FROM_CLIPS[format](name, source)
    else:
        for labels in source_labels(source_shards(paths)):
            name = names.of(labels.source.id or labels.key, labels.source.name)
            yield name, _FROM_SOURCES[format](name, labels)


def _write(path: Path, lines: Iterable[str]) -> Path:
    with atomic_open(path) as file:
        for line in lines:
            file.write(line.encode())
    return path
