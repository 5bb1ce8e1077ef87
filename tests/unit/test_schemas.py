"""The parquet tables hold one row an item and have one form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from mitds.manifests.schemas import CLIPS, SOURCES, write_clips, write_sources
from tests import factories


def test_sources_table_has_a_row_an_input_line(tmp_path: Path) -> None:
    failed = factories.source(
        row=2, id=None, probe=None, status="failed", reason="unreachable", detail="No answer."
    )
    write_sources(tmp_path / "sources.parquet", [failed, factories.source(row=1)])
    table = pq.read_table(tmp_path / "sources.parquet")
    assert table.schema.equals(SOURCES)
    first, second = table.to_pylist()
    assert (first["row"], first["duration"], first["duration_s"], first["fps"]) == (1, "12/1", 12.0, "25/1")
    assert (first["licence"], first["consent"], first["note"]) == ("CC-BY-4.0", "broadcast", "synthetic")
    assert (second["id"], second["duration_s"], second["reason"]) == (None, None, "unreachable")


def test_clips_table_has_a_row_a_clip(tmp_path: Path) -> None:
    unbound = factories.person(1, voice=None, voice_probability=None, voice_status="none")
    second = factories.clip(2, persons=1, scores={"blur": 2.5}, status="filtered", reasons=("too_short",))
    first = factories.clip(1)
    first = replace(first, persons=(factories.person(0), unbound))
    write_clips(tmp_path / "clips.parquet", [(first, "a.tar"), (second, "b.tar")])
    table = pq.read_table(tmp_path / "clips.parquet")
    assert table.column_names == [*CLIPS.names, "score_blur", "score_min_face_side"]
    one, two = table.to_pylist()
    assert (one["start"], one["end_s"], one["persons"]) == ("1/3", 1 / 3 + 2, 2)
    assert (one["identities"], one["voices"], one["shard"]) == (["P0", "P1"], ["V0", None], "a.tar")
    assert (one["speech_share"], one["score_min_face_side"], one["score_blur"]) == (0.9, 30.0, None)
    assert (two["speech_share"], two["reasons"], two["config_digest"]) == (
        None,
        ["too_short"],
        "0123456789abcdef",
    )


def test_tables_have_one_form_and_may_be_empty(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_clips(tmp_path / name, [(factories.clip(n), "clips-000000.tar") for n in range(3)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_clips(tmp_path / "none", [])
    assert pq.read_table(tmp_path / "none").schema.equals(CLIPS)
