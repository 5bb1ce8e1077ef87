"""Runs the demo: fetch, compose, ingest, annotate, measure, show."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitds.manifests.dataset import LoadedClip, load
from mitds.manifests.ledger import FunnelRow
from mitds.pipeline import annotate as annotation
from mitds.pipeline import ingest as ingestion
from mitds.pipeline.audit.results import Audit, write_audit
from mitds.pipeline.audit.run import audit
from mitds.pipeline.compose import clips_of, compose, compose_config
from mitds.pipeline.progress import StageProgress
from mitds.pipeline.report import write_report
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import annotate_config
from mitds.store import write_bytes
from mitds.weights import catalog

SPEAKERS = ["host=media.introduction", "guest=media.podium"]
SCENE = compose_config(
    "plain",
    [
        "seconds=12",
        "people=[2,2]",
        "script.room=1",
        "script.shot_s=[12,14]",
        "script.turn_s=[1,3]",
        "script.muted=0.5",
    ],
)
SEED = 1
LISTED = ("media.statement", "media.interview")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found."""

    report: Path
    clips: list[LoadedClip]
    funnel: list[FunnelRow]
    audit: Audit
    summary: dict[str, Any]
    failed: int

    def show(self) -> None:
        """Print the table of what was found, the report's path, and the next two commands."""
        from rich.console import Console

        from mitds.pipeline.audit.table import audit_table
        from mitds.pipeline.demo.tables import clips_table
        from mitds.pipeline.tables import funnel_table

        console = Console()
        console.print(clips_table(self.clips))
        console.print(funnel_table(self.funnel, "\nWhat became of everything"))
        console.print(audit_table(self.audit))
        console.print(f"\nReport: {self.report}")
        console.print("\nNow your own list, one link or path a line:\n")
        console.print("  .venv/bin/mitds ingest urls.txt --out raw", soft_wrap=True)
        console.print("  .venv/bin/mitds annotate --shards 'raw/shots-*.tar' --out clips", soft_wrap=True)


def run_demo(out: Path, *, profile: str, workers: int | None = None, quiet: bool = False) -> DemoResult:
    """Run the main job on two real videos and one composed scene, into `out`."""
    composed = compose(clips_of(SPEAKERS), out / "truth", SCENE, seed=SEED)
    ((scene, _),) = composed.scenes
    sources = out / "sources.csv"
    write_bytes(sources, _list(str(scene.relative_to(out))).encode())
    config = annotate_config(profile)
    with ray_session(workers=workers):
        with StageProgress(ingestion.STAGES, quiet=quiet) as progress:
            raw = ingestion.ingest(sources, out / "raw", progress=progress)
        with StageProgress(annotation.STAGES, quiet=quiet) as progress:
            shards = [str(path) for path in raw.shards]
            result = annotation.annotate(shards, out / "clips", config, progress=progress)
    clips = list(load(str(result.out / "clips-*.tar")))
    found = audit([str(result.out / "clips-*.tar")], scene.parent)
    write_audit(result.out / "audit.json", found)
    report = write_report(result.out)
    summary = {
        "report": str(report),
        "ingested": raw.funnel,
        "annotated": result.funnel,
        "accuracy": found,
    }
    return DemoResult(report, clips, result.funnel, found, summary, raw.failed + result.failed)


def _list(scene: str) -> str:
    """Write the list as a user would: links, and what is known of the rights."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["url", "licence", "consent", "note"])
    for name in LISTED:
        weight = catalog()[name]
        writer.writerow([weight.mirrors[0], weight.licence, "", weight.origin])
    writer.writerow([scene, "unstated", "", "composed by mitds compose from two single-speaker clips"])
    return text.getvalue()
