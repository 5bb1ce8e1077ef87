"""``mitds verify``: shards, labels, pictures, tables, ledgers and lists say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mitds.config import plain
from mitds.errors import BadShard, MitdsError, UsageError
from mitds.manifests.codec import from_json
from mitds.manifests.items import Release
from mitds.manifests.ledger import read_ledger
from mitds.manifests.records import Clip
from mitds.manifests.removals import PENDING, RECORDS, chain_faults, removals
from mitds.manifests.shards import expand, index_shard, read_member
from mitds.pipeline.rights.findings import Finding, fault, note
from mitds.pipeline.rights.survey import shards_of
from mitds.pipeline.rights.tables import counted
from mitds.pipeline.rights.verify_shards import Seen, check_shards
from mitds.store import sha256_file


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check found.

    Attributes:
        shards: Number of shards read.
        samples: Number of samples in them.
        findings: Faults and notes.
    """

    shards: int
    samples: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """True where nothing is wrong."""
        return all(found.level == "note" for found in self.findings)


def verify(shards: Sequence[str] = (), folders: Sequence[Path] = ()) -> Verified:
    """Check shards by themselves, and folders with all that is in them.

    Args:
        shards: Patterns; of these, only what lies in the shards is checked.
        folders: Outputs of ingest or annotate, or releases.

    Raises:
        UsageError: Nothing is named, a pattern matches nothing, or a folder holds no shard and no run.
    """
    if not (shards or folders):
        raise UsageError("nothing is named", remedy="Give --shards, or the folder that a command wrote.")
    seen, paths = Seen(), expand(shards) if shards else []
    findings = list(check_shards(paths, seen))
    for folder in folders:
        here, own = shards_of(folder), Seen()
        if not here and not (folder / "run.json").is_file() and not (folder / RECORDS).is_file():
            raise UsageError(
                "there is nothing that mitds wrote", where=str(folder), remedy="Check the folder."
            )
        findings += check_shards(here, own)
        findings += check_folder(folder, here, own)
        seen.samples |= own.samples
    return Verified(len(seen.samples), sum(seen.samples.values()), tuple(findings))


def check_folder(folder: Path, paths: Sequence[Path], seen: Seen) -> Iterator[Finding]:
    """Check a folder's list of shards, tables, ledger, removals and release against its shards."""
    run = folder / "run.json"
    try:
        about = json.loads(run.read_bytes()) if run.is_file() else {}
        yield from _listed(folder, about, paths, seen)
        yield from _table(folder, seen)
        yield from _ledger(folder, about, seen)
        yield from _removals(folder, seen)
        yield from _release(folder, paths)
    except ValueError as error:
        yield fault("list", run, f"not JSON: {error}")
    except MitdsError as error:
        yield fault("list", error.where or folder, error.what)


def _listed(folder: Path, run: dict[str, Any], paths: Sequence[Path], seen: Seen) -> Iterator[Finding]:
    entries = [entry for entry in run.get("shards", ()) if isinstance(entry, dict) and "sha256" in entry]
    if not entries:
        if not (folder / "release.json").is_file():
            yield note(
                "list", folder / "run.json", "it does not list the shards: it was written before it did"
            )
        return
    listed = {entry["name"]: entry for entry in entries}
    there = {path.name: path for path in paths}
    yield from (
        fault("list", folder / n, "it is in run.json and not there") for n in sorted(listed.keys() - there)
    )
    yield from (
        fault("list", folder / n, "it is there and not in run.json") for n in sorted(there.keys() - listed)
    )
    for name in sorted(there.keys() & listed):
        if sha256_file(there[name]) != listed[name]["sha256"]:
            yield fault("list", there[name], "its sha256 is not the one in run.json")
        if listed[name].get("samples", seen.samples[there[name]]) != seen.samples[there[name]]:
            yield fault("list", there[name], "it does not hold as many samples as run.json says")


def _table(folder: Path, seen: Seen) -> Iterator[Finding]:
    """Hold every row of clips.parquet against the record in the shard it names, and every record against a row."""
    path = folder / "clips.parquet"
    if not path.is_file():
        return
    rows = {row["key"]: row for row in pq.read_table(path).to_pylist()}
    for key, row in rows.items():
        if row["shard"] is None:
            continue
        if key not in seen.clips:
            yield fault("table", f"{path}:{key}", f"it is not in {row['shard']}, or is damaged there")
        elif wrong := _differing(row, *seen.clips[key]):
            yield fault("table", f"{path}:{key}", f"row and record differ in {', '.join(wrong)}")
    for key in sorted(seen.clips.keys() - {k for k, row in rows.items() if row["shard"]}):
        yield fault(
            "table", f"{seen.clips[key][1]}:{key}", "clips.parquet has no row that says it lies there"
        )


def _differing(row: dict[str, Any], clip: Clip, shard: Path) -> list[str]:
    record = plain(clip)
    own = (
        "source_id",
        "source_url",
        "shot",
        "start",
        "end",
        "frames",
        "width",
        "height",
        "status",
        "reasons",
    )
    said = {**{name: record[name] for name in own}, **record["rights"], "shard": shard.name}
    said["config_digest"] = clip.digests.get("config")
    said["identities"] = [p.identity for p in clip.persons]
    return [name for name, value in said.items() if row[name] != value]


def _ledger(folder: Path, run: dict[str, Any], seen: Seen) -> Iterator[Finding]:
    """Hold the ledger's sums against run.json, the table of sources and the clips."""
    path = folder / "ledger.jsonl"
    if not path.is_file():
        if run:
            yield fault("ledger", path, "it is missing")
        return
    ends = read_ledger(path)
    sums = sorted(json.dumps(row, sort_keys=True) for row in plain(counted(ends)))
    if "funnel" in run and sums != sorted(json.dumps(row, sort_keys=True) for row in run["funnel"]):
        yield fault("ledger", path, "its sums are not those of run.json")
    lines = folder / "sources.parquet"
    if run.get("command") == "ingest" and lines.is_file():
        rows = {
            str(r["row"]): r["status"] for r in pq.read_table(lines, columns=["row", "status"]).to_pylist()
        }
        if rows != {end.item: end.status for end in ends if end.kind == "source"}:
            yield fault("ledger", path, "its sources do not end as sources.parquet says")
    kept = {end.item for end in ends if end.kind == "clip" and end.status == "kept"}
    there = {key for key, (clip, _) in seen.clips.items() if clip.status == "kept"}
    for key in sorted(kept ^ there):
        what = (
            "the ledger says kept, and no shard holds it" if key in kept else "the ledger does not say kept"
        )
        yield fault("ledger", f"{path}:{key}", what)


def _removals(folder: Path, seen: Seen) -> Iterator[Finding]:
    path = folder / RECORDS
    if (folder / PENDING).is_file():
        yield fault("removal", folder, "a removal was stopped: give the same mitds remove again")
    yield from (fault("removal", path, what) for what in chain_faults(path))
    gone = removals(folder)
    for source in sorted(seen.sources & gone.sources):
        yield fault("removal", folder, f"source {source[:16]} was withdrawn and is there")
    for key in sorted(
        key for key, (clip, _) in seen.clips.items() if gone.hidden(clip.source_id) and gone.shown(clip)
    ):
        yield fault("removal", f"{folder}:{key}", "it shows a person who was withdrawn")


def _release(folder: Path, paths: Sequence[Path]) -> Iterator[Finding]:
    path = folder / "release.json"
    if not path.is_file():
        return
    wanted = {
        (i.id, ext): sha256
        for i in from_json(Release, path.read_bytes()).items
        for ext, sha256 in i.files.items()
    }
    found = {}
    for shard in paths:
        try:
            for entry in index_shard(shard):
                found[entry.key, entry.ext] = hashlib.sha256(read_member(shard, entry)).hexdigest()
        except BadShard as error:
            yield fault("release", shard, error.what)
    for key, ext in sorted(wanted.keys() | found.keys()):
        if wanted.get((key, ext)) != found.get((key, ext)):
            yield fault("release", f"{path}:{key}.{ext}", "it is not the file that the release lists")
