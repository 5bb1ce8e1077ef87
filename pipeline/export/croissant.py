"""``--format croissant``: a folder of clips described in Croissant 1.1 (MLCommons, 2026), JSON-LD.

The description stands beside the shards: either annotate's own folder, where nothing else is written, or another
one, where shards and tables become hard links.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mitds.errors import UsageError
from mitds.lock import output_lock
from mitds.pipeline.export.croissant_parts import (
    CONTEXT,
    column_fields,
    field,
    file_object,
    file_set,
    is_ours,
    licences,
    record_set,
    responsibility,
)
from mitds.pipeline.export.folder import ExportFolder
from mitds.pipeline.export.provenance import DESCRIPTIONS, SCHEMA, Summary, write_provenance
from mitds.store import sha256_file

NAME = "croissant.json"
TABLE = "provenance.parquet"
_CLIPS = "clips.parquet"
_OWNED = r"croissant\.json|provenance\.parquet|clips\.parquet|[\w.-]+\.tar"
_MEMBERS = {
    "mp4": ("videos", "video/mp4", "sc:VideoObject", "The clip: 25 frames a second, with its sound."),
    "wav": (
        "sounds",
        "audio/x-wav",
        "sc:AudioObject",
        "The sound alone, 16 kHz mono; not every clip has one.",
    ),
    "json": ("labels", "application/json", None, "The clip's record: people, turns, scores, provenance."),
    "npz": ("arrays", "application/zip", None, "Faces, who speaks and poses, frame by frame (NumPy npz)."),
}


def export_croissant(shards: Sequence[Path], out: Path) -> ExportFolder:
    """Describe the clips of shards.

    Args:
        shards: ``clips-*.tar`` of one folder, where ``clips.parquet`` lies too.
        out: That folder, or one for the description with hard links to shards and table.

    Raises:
        UsageError: The shards lie in several folders, without their table, or `out` holds something else.
        BadShard: A shard is damaged or of another kind.
    """
    (home, *others) = dict.fromkeys(path.parent for path in shards)
    if others or not (home / _CLIPS).is_file():
        raise UsageError(
            "the shards lie in several folders" if others else "there is no clips.parquet beside the shards",
            where=str(home),
            remedy="Describe one folder that annotate wrote at a time.",
        )
    with _folder(home, out) as folder:
        with folder.writing(TABLE) as path:
            summary = write_provenance(path, shards)
        if out.resolve() != home.resolve():
            for path in (*shards, home / _CLIPS):
                folder.place(path.name, path)
            folder.drop_others("*.tar", {path.name for path in shards})
        distribution = [_described(path, "application/x-tar") for path in shards]
        digest = hashlib.sha256("".join(f["sha256"] for f in distribution).encode()).hexdigest()
        distribution += [
            _described(out / TABLE, "application/x-parquet"),
            _described(home / _CLIPS, "application/x-parquet"),
        ]
        folder.write(NAME, _text(_metadata(summary, digest, distribution, shards, home / _CLIPS)))
    return folder


@contextmanager
def _folder(home: Path, out: Path) -> Iterator[ExportFolder]:
    """Hold the folder to describe; one that is not annotate's own gets links to what is described."""
    if out.exists() and out.samefile(home):
        if (out / NAME).exists() and not is_ours(out / NAME):
            raise UsageError(
                "the folder has a description that mitds did not write",
                where=str(out / NAME),
                remedy="Move it away, or export to another folder.",
            )
        with output_lock(out, "export --format croissant"):
            yield ExportFolder(out, "croissant")
        return
    with ExportFolder.over(out, "croissant", _OWNED) as folder:
        yield folder


def _described(path: Path, kind: str) -> dict[str, Any]:
    return file_object(path.name, kind, path.stat().st_size, sha256_file(path))


def _text(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def _metadata(
    summary: Summary, digest: str, files: list[dict[str, Any]], shards: Sequence[Path], clips: Path
) -> dict[str, Any]:
    name = f"mitds-{digest[:12]}"
    url = f"urn:mitds:sha256:{digest}"
    about = (
        f"{summary.clips} clips ({summary.hours:.2f} h) of {len(summary.sources)} videos of several people talking, "
        "with faces, voices, who speaks, who is whose voice, and whole-body poses on every frame."
    )
    dates = (
        {"dateCreated": summary.fetched[1], "datePublished": summary.fetched[1]} if summary.fetched else {}
    )
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": name,
        "description": about,
        "url": url,
        "version": "1.0.0",
        "creator": {"@type": "sc:Organization", "name": "not stated"},
        **dates,
        "license": licences(summary),
        "citeAs": f"@misc{{{name}, title = {{{about}}}, howpublished = {{{url}}}}}",
        "keywords": ["talking people", "video", "speaker diarization", "active speaker", "human pose"],
        "isLiveDataset": False,
        **responsibility(summary),
        "distribution": [*files, *_file_sets(shards)],
        "recordSet": _record_sets(clips),
    }


def _file_sets(shards: Sequence[Path]) -> list[dict[str, Any]]:
    return [
        file_set(name, [path.name for path in shards], f"*.{ext}", kind, about)
        for ext, (name, kind, _, about) in _MEMBERS.items()
    ]


def _record_sets(clips: Path) -> list[dict[str, Any]]:
    """Describe the two tables, and the media by clip."""
    sets = [
        record_set(
            "clips",
            "One record a candidate; `shard` is null where it was not written, `reasons` says why.",
            column_fields("clips", _CLIPS, pq.read_schema(clips), {}),
        ),
        record_set(
            "provenance",
            "One record an exported clip: where it comes from, its rights, and what made it.",
            column_fields("provenance", TABLE, SCHEMA, DESCRIPTIONS, references={"key": "clips/key"}),
        ),
    ]
    for ext, (name, _, kind, about) in _MEMBERS.items():
        if kind is not None:
            sets.append(record_set(name, about, _member_fields(name, ext, kind, about)))
    return sets


def _member_fields(name: str, ext: str, kind: str, about: str) -> list[dict[str, Any]]:
    key = {
        "fileSet": {"@id": f"{name}-files"},
        "extract": {"fileProperty": "filename"},
        "transform": {"regex": rf"^(?:.*/)?([A-Za-z0-9_-]+)(?:\.{ext})?$"},
    }
    content = {"fileSet": {"@id": f"{name}-files"}, "extract": {"fileProperty": "content"}}
    return [
        field(f"{name}/key", "sc:Text", "The clip.", source=key, references={"field": {"@id": "clips/key"}}),
        field(f"{name}/content", kind, about, source=content),
    ]
