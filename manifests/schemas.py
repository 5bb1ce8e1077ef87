"""The parquet tables: ``sources.parquet`` (one row an input line) and ``clips.parquet`` (one row a clip)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mitds.config import plain
from mitds.manifests.records import Clip, Probe, Source
from mitds.store import atomic_path

TEXTS = pa.list_(pa.string())

RIGHTS = [("licence", pa.string()), ("consent", pa.string()), ("note", pa.string())]

SOURCES = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("url", pa.string()),
        ("name", pa.string()),
        ("title", pa.string()),
        *RIGHTS,
        ("fetched_at", pa.string()),
        ("bytes", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("notes", TEXTS),
        ("container", pa.string()),
        ("start", pa.string()),
        ("start_s", pa.float64()),
        ("duration", pa.string()),
        ("duration_s", pa.float64()),
        ("fps", pa.string()),
        ("vfr", pa.bool_()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("rotation", pa.int64()),
        ("sample_aspect", pa.string()),
        ("interlaced", pa.bool_()),
        ("video_codec", pa.string()),
        ("pixel_format", pa.string()),
        ("video_tracks", pa.int64()),
        ("audio_codec", pa.string()),
        ("audio_rate", pa.int64()),
        ("audio_channels", pa.int64()),
        ("audio_tracks", pa.int64()),
    ]
)
"""Rational numbers stand as "num/den" text; columns ending in _s repeat them as seconds for queries."""

CLIPS = pa.schema(
    [
        ("key", pa.string()),
        ("source_id", pa.string()),
        ("source_name", pa.string()),
        ("source_url", pa.string()),
        *RIGHTS,
        ("shot", pa.string()),
        ("start", pa.string()),
        ("start_s", pa.float64()),
        ("end", pa.string()),
        ("end_s", pa.float64()),
        ("frames", pa.int64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("persons", pa.int64()),
        ("identities", TEXTS),
        ("voices", TEXTS),
        ("status", pa.string()),
        ("reasons", TEXTS),
        ("shard", pa.string()),
        ("config_digest", pa.string()),
        ("speech_share", pa.float64()),
        ("overlap_share", pa.float64()),
        ("duplicate_of", pa.string()),
    ]
)
"""`voices` is parallel to `identities`, null where nothing is bound. Other scores have columns score_NAME."""

_OWN_SCORES = ("speech_share", "overlap_share")


def read_table(
    path: Path, *, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> pa.Table:
    """Read a parquet file, wherever it lies."""
    with path.open("rb") as file:
        return pq.read_table(file, columns=columns and list(columns), schema=schema)


def write_sources(path: Path, sources: Iterable[Source]) -> None:
    """Write ``sources.parquet``, rows in the order of the user's list."""
    rows = [_source_row(source) for source in sorted(sources, key=lambda s: s.row)]
    _write(path, rows, SOURCES)


def concat_sources(paths: Sequence[Path], path: Path) -> None:
    """Write one ``sources.parquet`` from those of several ingest runs, in their order."""
    _write_table(path, pa.concat_tables([read_table(p, schema=SOURCES) for p in paths]))


def write_clips(path: Path, clips: Sequence[tuple[Clip, str | None]]) -> None:
    """Write ``clips.parquet``.

    Args:
        path: The file.
        clips: Each clip with the name of its shard beside the table; None where it was not written.
    """
    names = sorted({name for clip, _ in clips for name in clip.scores} - set(_OWN_SCORES))
    schema = CLIPS
    for name in names:
        schema = schema.append(pa.field(f"score_{name}", pa.float64()))
    _write(path, [_clip_row(clip, shard, names) for clip, shard in clips], schema)


def _seconds(time: Fraction | None) -> float | None:
    return None if time is None else float(time)


def _source_row(source: Source) -> dict[str, Any]:
    values = plain(source)
    probe: Probe | None = source.probe
    return {
        **{k: v for k, v in values.items() if k not in ("rights", "probe")},
        **values["rights"],
        **(values["probe"] or {}),
        "start_s": _seconds(probe.start if probe else None),
        "duration_s": _seconds(probe.duration if probe else None),
    }


def _clip_row(clip: Clip, shard: str | None, names: Sequence[str]) -> dict[str, Any]:
    values = plain(clip)
    return {
        **{k: v for k, v in values.items() if k in CLIPS.names},
        **values["rights"],
        "start_s": float(clip.start),
        "end_s": float(clip.end),
        "persons": len(clip.persons),
        "identities": [p.identity for p in clip.persons],
        "voices": [p.voice for p in clip.persons],
        "shard": shard,
        "config_digest": clip.digests.get("config"),
        **{name: clip.scores.get(name) for name in _OWN_SCORES},
        **{f"score_{name}": clip.scores.get(name) for name in names},
    }


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    _write_table(path, pa.Table.from_pylist(rows, schema=schema))


def _write_table(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
