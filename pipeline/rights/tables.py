"""Tables, ledger and run.json without what goes; the sums hold, and no word about it is left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mitds.config import canonical, digest, plain
from mitds.manifests.ledger import KINDS, End, funnel, read_ledger
from mitds.manifests.removals import REASON, WITHDRAWN, withdrawn_source
from mitds.pipeline.rights.files import mentions
from mitds.pipeline.rights.plan import Plan, Withdrawal
from mitds.pipeline.rights.shards import samples
from mitds.store import atomic_path, sha256_file, write_bytes, write_json

_CLIP_COLUMNS = ("source_id", "key")


def rows_of(folder: Path, what: Withdrawal) -> tuple[str, ...]:
    """Return the lines of the list that go."""
    path = folder / "sources.parquet"
    rows = pq.read_table(path, columns=["row", "id", "url"]).to_pylist() if path.is_file() else []
    return tuple(str(row["row"]) for row in rows if row["id"] in what.sources or row["url"] in what.urls)


def blank_sources(folder: Path, plan: Plan) -> None:
    """Let the lines of the list that go say nothing but their number and their end."""
    path = folder / "sources.parquet"
    if not rows_of(folder, plan.what):
        return
    table, rows = pq.read_table(path), []
    for row in table.to_pylist():
        goes = row["id"] in plan.what.sources or row["url"] in plan.what.urls
        values = plain(withdrawn_source(row["row"]))
        blank = {k: v for k, v in values.items() if k not in ("rights", "probe")}
        rows.append({**dict.fromkeys(row), **{k: blank[k] for k in row if k in blank}} if goes else row)
    _write(path, pa.Table.from_pylist(rows, schema=table.schema))


def drop_rows(folder: Path, plan: Plan) -> None:
    """Take rows out of all other tables: by source and key in tables of clips, by any text of theirs elsewhere."""
    for path in sorted(folder.rglob("*.parquet")):
        if path.name == "sources.parquet":
            continue
        table = pq.read_table(path)
        texts = [
            f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        own = [name for name in _CLIP_COLUMNS if name in texts]
        gone = frozenset((*plan.what.sources, *plan.what.urls, *plan.what.keys, *plan.what.prefixes))
        mask = _mentions(table, own if len(own) == len(_CLIP_COLUMNS) else texts, gone)
        if any(mask):
            _write(path, table.filter(pa.array([not drop for drop in mask])))


def _mentions(table: pa.Table, columns: Iterable[str], words: frozenset[str]) -> list[bool]:
    mask = [False] * len(table)
    for name in columns:
        mask = [m or v in words for m, v in zip(mask, table[name].to_pylist(), strict=True)]
    return mask


def _write(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


# ---- the ledger, and the run's own summary


def end_in_ledgers(folder: Path, plan: Plan) -> None:
    """End everything that goes as filtered, removed; names that tell of the source are replaced by digests."""
    for path in sorted(folder.rglob("ledger.jsonl")):
        ends, rows = read_ledger(path), frozenset(plan.rows)
        kept = [_ended(end) if _goes(end, plan.what, rows) else end for end in ends]
        if kept != ends:
            write_bytes(path, "".join(canonical(end) + "\n" for end in kept).encode())


def _goes(end: End, what: Withdrawal, rows: frozenset[str]) -> bool:
    return what.ends(end, rows) or mentions(end.detail.encode(), what)


def _ended(end: End) -> End:
    telling = end.kind == "shot" or len(end.item) == 16
    item = f"{WITHDRAWN}-{digest(end.item)}" if telling and end.kind != "clip" else end.item
    return replace(end, item=item, status="filtered", reason=REASON, detail=WITHDRAWN)


def sum_up(folder: Path, plan: Plan) -> None:
    """Let run.json list the shards as they are now, and count the ends as the ledger does."""
    path = folder / "run.json"
    if not path.is_file():
        return
    run = json.loads(path.read_bytes())
    changed = dict(run)
    if isinstance(run.get("shards"), list):
        changed["shards"] = [entry for old in run["shards"] if (entry := _listed(folder, old, plan))]
    if "funnel" in run and (folder / "ledger.jsonl").is_file():
        changed["funnel"] = plain(counted(read_ledger(folder / "ledger.jsonl")))
    if changed != run:
        write_json(path, changed)


def counted(ends: list[End]) -> list[Any]:
    """Count ends by stage and reason."""
    return list(funnel(ends, {kind: sum(end.kind == kind for end in ends) for kind in KINDS}))


def _listed(folder: Path, entry: Any, plan: Plan) -> Any:
    """Return a shard's entry as the shard is now; None where it has vanished."""
    if not isinstance(entry, Mapping) or entry.get("name") not in plan.shards:
        return entry
    path = folder / str(entry["name"])
    if not path.exists():
        return None
    return {
        **entry,
        "sha256": sha256_file(path),
        "bytes": path.stat().st_size,
        "samples": sum(1 for _ in samples(path)),
    }
