"""Films that kill, hang or swell whoever looks at them: each is given up alone, with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mitds.manifests.schemas import read_table
from mitds.manifests.shards import read_shard
from tests.reliability.drawing import film, listing
from tests.reliability.laws import check_law
from tests.reliability_tools import Whole

REASONS = {"segfault": "crashed", "memory": "out_of_memory", "sleep": "timeout"}


def samples(folder: Path) -> dict[tuple[str, str], object]:
    """Return the members of all samples that annotate wrote."""
    return {
        (path.name.partition("-")[0], sample.key): sample.members
        for path in sorted((folder / "clips").glob("*.tar"))
        for sample in read_shard(path)
    }


def check_poison(
    whole: Whole, folder: Path, reasons: dict[str, str], allowed_s: float, engine: str = "forks"
) -> None:
    """Take films with poison in; they end with these reasons, and everybody else as without them."""
    films = sorted(whole.command.list_path.parent.glob("film*.mp4"))
    bad = [film(folder / f"{name}.mp4", 40 + n, 1.4, poison=name) for n, name in enumerate(reasons)]
    listed = listing(folder / "list.jsonl", [*films, *bad])
    env = {"MITDS_TEST_DEADLINE_S": str(allowed_s)}
    command = replace(whole.command, list_path=listed, folder=folder / "out", env=env, engine=engine)
    command.finish()
    check_law(command.folder, len(films) + len(bad) + 3)
    assert ends(command.folder, {path.name for path in bad}) == {f"{n}.mp4": r for n, r in reasons.items()}
    harmless, all_ = samples(whole.command.folder), samples(command.folder)
    assert {key: all_.get(key) for key in harmless} == harmless
    assert {key for kind, key in all_ if kind == "clips"} == {
        key for kind, key in harmless if kind == "clips"
    }


def ends(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the reason for which the shots of some sources failed."""
    ids = {
        Path(row["url"]).name: row["id"] for row in read_table(folder / "raw" / "sources.parquet").to_pylist()
    }
    lines = [json.loads(line) for line in (folder / "clips" / "ledger.jsonl").read_text().splitlines()]
    failed = {
        line["item"][:16]: line["reason"]
        for line in lines
        if line["kind"] == "shot" and line["status"] == "failed" and "2 attempts" in line["detail"]
    }
    return {name: failed.get(ids[name][:16], "") for name in names}


def test_who_harms_its_worker_is_given_up_alone(whole: Whole, tmp_path: Path) -> None:
    check_poison(whole, tmp_path, REASONS, 15.0)
