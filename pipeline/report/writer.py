"""Writes ``report.html`` from what a run left in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

import mitds
from mitds.config import canonical
from mitds.manifests.dataset import clip_from_sample
from mitds.manifests.shards import Entry, Sample, index_shard, read_member
from mitds.pipeline.audit.page.section import section
from mitds.pipeline.report import gather
from mitds.pipeline.report.reasons import explain
from mitds.pipeline.report.views import ClipView, clip_view
from mitds.store import atomic_open
from mitds.weights.catalog import catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """How much the page shows; what is left out is counted.

    Attributes:
        max_clips: Clips with pictures, taken evenly from all; about 150 kB each.
        max_sources: Rows of the table of sources.
        max_failures: Failures listed one by one.
        anonymous: Show no picture of anybody: boxes and skeletons on a blank ground.
    """

    max_clips: int = 24
    max_sources: int = 200
    max_failures: int = 100
    anonymous: bool = False


def write_report(folder: Path, config: ReportConfig = ReportConfig()) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    The page is one file without scripts or outside resources. It is made from whatever of these the folder
    has: ``clips-*.tar``, ``sources-*.tar``, ``clips.parquet``, ``sources.parquet``, ``ledger.jsonl``,
    ``run.json`` and ``audit.json``.

    Raises:
        BadShard: If one of them is damaged.
        StorageFault: If the page cannot be written.
    """
    page = environment().get_template("report.html").generate(**_content(folder, config))
    path = folder / "report.html"
    with atomic_open(path) as file:
        for piece in page:
            file.write(piece.encode())
    return path


def environment() -> jinja2.Environment:
    """Return the templates; everything is escaped, and a missing value is an error."""
    package = files(__package__)
    names = ("report.html", "clip.html", "audit.html", "report.css")
    texts = {name: package.joinpath(name).read_text("utf-8") for name in names}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(texts),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": gather.clock, "explain": explain, "canonical": canonical}
    return environment


def _content(folder: Path, config: ReportConfig) -> dict[str, Any]:
    run, ends = gather.read_json(folder / "run.json"), gather.read_ends(folder)
    lines = gather.read_table(folder / "sources.parquet")
    rows = gather.read_table(folder / "clips.parquet")
    kept = [row for row in rows if row["status"] == "kept"]
    sources, by_item = gather.sources(folder, ends, lines, rows)
    listed = gather.listed(lines, ends)
    failures = [end for end in (*listed, *ends) if end.status == "failed"]
    audit = section(folder / "audit.json")
    places = _places(folder)
    chosen = _evenly(places, config.max_clips)
    return {
        "version": mitds.__version__,
        "run": run,
        "tables": audit.tables if audit else [],
        "audit": audit,
        "funnels": gather.funnels(ends, listed),
        "sources": sources[: config.max_sources],
        "sources_left": max(0, len(sources) - config.max_sources),
        "source_count": len(sources),
        "kept": kept,
        "kept_s": sum(row["end_s"] - row["start_s"] for row in kept),
        "clips": _clips(chosen, config.anonymous),
        "clips_shown": len(chosen),
        "clips_left": len(places) - len(chosen),
        "source_of": lambda end: gather.name_of(by_item, end),
        "failures": failures[: config.max_failures],
        "failures_left": max(0, len(failures) - config.max_failures),
        "weights": _weights(run),
        "rights": _rights(kept),
    }


def _places(folder: Path) -> list[tuple[Path, list[Entry]]]:
    """Return where every clip lies."""
    places: list[tuple[Path, list[Entry]]] = []
    for path in sorted(folder.glob("clips-*.tar")):
        entries: dict[str, list[Entry]] = {}
        for entry in index_shard(path):
            entries.setdefault(entry.key, []).append(entry)
        places += [(path, members) for members in entries.values()]
    return places


def _evenly(places: list[Any], count: int) -> list[Any]:
    if len(places) <= count:
        return places
    return [places[k * len(places) // count] for k in range(count)]


def _clips(places: Sequence[tuple[Path, list[Entry]]], anonymous: bool) -> Iterator[ClipView]:
    for path, entries in places:
        sample = Sample(entries[0].key, {e.ext: read_member(path, e) for e in entries})
        yield clip_view(clip_from_sample(sample), path.name, anonymous=anonymous)


def _weights(run: gather.Row) -> list[dict[str, Any]]:
    """Return the weights a run used, with the catalogue's word on whose they are."""
    known = catalog()
    return [
        {"name": name, "sha256": sha256}
        | (asdict(known[name]) if name in known else {"licence": "unknown", "origin": ""})
        | {"sha256": sha256}
        for name, sha256 in sorted(run.get("weights", {}).items())
    ]


def _rights(kept: list[gather.Row]) -> list[dict[str, Any]]:
    """Count kept clips by what the user stated about their sources."""
    stated: dict[tuple[str | None, ...], list[float]] = {}
    for row in kept:
        key = (row["licence"], row["consent"], row["note"])
        stated.setdefault(key, []).append(row["end_s"] - row["start_s"])
    return [
        {"licence": k[0], "consent": k[1], "note": k[2], "clips": len(v), "seconds": sum(v)}
        for k, v in sorted(stated.items(), key=lambda item: -len(item[1]))
    ]
