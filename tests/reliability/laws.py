"""What must hold at the end of every run, whatever happened to it and to those before it."""

from __future__ import annotations

import json
from pathlib import Path

from mitds.manifests.schemas import read_table
from mitds.manifests.shards import read_shard
from mitds.store import sha256_file


def shards(folder: Path) -> dict[str, str]:
    """Return the sha256 of all that both commands leave for a reader."""
    found = {}
    for command in ("raw", "clips"):
        for path in sorted((folder / command).iterdir()):
            if path.suffix in (".tar", ".parquet") or path.name in ("ledger.jsonl", "run.json"):
                found[f"{command}/{path.name}"] = sha256_file(path)
    return found


def check_law(folder: Path, lines: int) -> None:
    """Inputs = kept + filtered + failed, for lines, sources, shots and clips; every clip in one shard, once."""
    raw, clips = (json.loads((folder / name / "run.json").read_text()) for name in ("raw", "clips"))
    assert raw["complete"] is clips["complete"] is True
    assert sum(row["count"] for row in raw["funnel"] if row["kind"] == "source") == lines
    kept_sources = sum(row["count"] for row in raw["funnel"] if row["status"] == "kept")
    assert sum(row["count"] for row in clips["funnel"] if row["kind"] == "source") == kept_sources
    table = read_table(folder / "clips" / "clips.parquet").to_pylist()
    ledger = [json.loads(line) for line in (folder / "clips" / "ledger.jsonl").read_text().splitlines()]
    assert len({(end["kind"], end["item"]) for end in ledger}) == len(ledger)
    assert {end["item"] for end in ledger if end["kind"] == "clip"} == {row["key"] for row in table}
    samples = [
        (path.name, sample.key)
        for path in sorted((folder / "clips").glob("clips-*.tar"))
        for sample in read_shard(path)
    ]
    assert sorted(samples) == sorted((row["shard"], row["key"]) for row in table if row["shard"]), (
        "lost or twice"
    )
    for name, record in (("raw", raw), ("clips", clips)):
        standing = {path.name: sha256_file(path) for path in (folder / name).glob("*.tar")}
        assert {shard["name"]: shard["sha256"] for shard in record["shards"]} == standing
    assert not list(folder.rglob(".tmp-*")), "half written files are left"
    assert not list(folder.rglob(".lock"))
