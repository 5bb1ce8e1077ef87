"""``--format hf``: a folder that ``datasets.load_dataset`` reads: the shards, and a dataset card.

The shards are hard links. Videos come as bytes and arrays as lists, so that nothing but ``datasets`` is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mitds.pipeline.export.folder import ExportFolder
from mitds.pipeline.export.provenance import Summary, write_provenance
from mitds.pipeline.export.rights_words import (
    COLLECTION,
    LIMITS,
    PERSONAL,
    USES,
    WITHDRAWAL,
    hub_licence,
    licence_counts,
    plain_line,
)

CARD = "README.md"
TABLE = "provenance.parquet"
_SHARD = "data/clips-{:06d}.tar"
_OWNED = r"data|README\.md|provenance\.parquet"


def _lists(dtype: str, depth: int) -> dict[str, Any]:
    """Return the card's spelling of nested lists."""
    inner: Any = dtype
    for _ in range(depth - 1):
        inner = {"list": inner}
    return {"list": inner}


_ARRAYS = {
    "face_xyxy_NT4": ("float32", 3),
    "face_score_NT": ("float32", 2),
    "speaking_NT": ("float32", 2),
    "pose_NTK3": ("float32", 4),
    "visible_NT": ("bool", 2),
    "pts_T": ("float64", 1),
}
_FEATURES: list[dict[str, Any]] = [
    {"name": "__key__", "dtype": "string"},
    {"name": "mp4", "dtype": {"video": {"decode": False}}},
    {"name": "wav", "dtype": "binary"},
    {"name": "json", "dtype": "json"},
    {"name": "npz", "struct": [{"name": n, **_lists(*of)} for n, of in _ARRAYS.items()]},
]
"""Video(decode=False) is the bytes and their name; the sound stays bytes, because Audio asks for torchcodec even so."""


def export_hf(shards: Sequence[Path], out: Path) -> ExportFolder:
    """Write the folder; shards of several runs are numbered anew, in the order given.

    Raises:
        UsageError: `out` holds something else.
        BadShard: A shard is damaged or of another kind, or a clip is there twice.
    """
    with ExportFolder.over(out, "hf", _OWNED) as folder:
        with folder.writing(TABLE) as path:
            summary = write_provenance(path, shards)
        names = [_SHARD.format(number) for number in range(len(shards))]
        folder.drop_others("data/clips-*.tar", set(names))
        for name, shard in zip(names, shards, strict=True):
            folder.place(name, shard)
        folder.write(CARD, _card(summary).encode())
    return folder


def _card(summary: Summary) -> str:
    head = yaml.safe_dump(_head(summary), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{head}---\n\n{_body(summary)}"


def _head(summary: Summary) -> dict[str, Any]:
    """Return what the hub and the library read of the card."""
    known = hub_licence(summary)
    licence = {"license": known} if known else {"license": "other", "license_name": "stated-by-clip"}
    return {
        **licence,
        "pretty_name": "Clips of several people talking",
        "tags": ["video", "multi-speaker", "talking-people", "webdataset"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/clips-*.tar"}],
            }
        ],
        "dataset_info": {"features": _FEATURES},
    }


def _body(summary: Summary) -> str:
    licences = "".join(f"| {name} | {n} |\n" for name, n in licence_counts(summary))
    people = ", ".join(f"{n} clips of {count}" for count, n in sorted(summary.persons.items()))
    tools = plain_line(", ".join(sorted(summary.tools))) or "not recorded"
    fetched = f" Fetched {plain_line(' to '.join(summary.fetched))}." if summary.fetched else ""
    return f"""# Clips of several people talking

{summary.clips} clips ({summary.hours:.2f} hours) from {len(summary.sources)} sources; by number of people: {people}.
One split, `train`: how to hold clips out is left to you; keep all clips of one `source_id` on one side.

    from datasets import load_dataset
    clips = load_dataset("PATH OF THIS FOLDER", split="train", streaming=True)

| column | what it is |
|---|---|
| `__key__` | the clip |
| `mp4` | `bytes` and `path` of the video: H.264, 25 frames a second, with its sound |
| `wav` | bytes of the sound, 16 kHz mono; null where the source has none |
| `json` | people, turns, scores, rights, provenance |
| `npz` | faces, who speaks, 133 body points and visibility, by person (N) and frame (T); NaN where absent |

Frame k of every array is picture k of the video, at k/25 s.

## Licence and consent

| stated licence | clips |
|---|---|
{licences}
Without a reference to consent: {summary.without_consent} of {summary.clips} clips. {LIMITS[1]}

## Provenance

{COLLECTION} That table is `{TABLE}`; the `json` column says the same.{fetched}
Made by {tools}; models: {plain_line(", ".join(sorted(summary.models)), 2000)}.

## People and their withdrawal

{" ".join(PERSONAL)}

{WITHDRAWAL}

## Use and limits

{USES} {LIMITS[0]}
"""
