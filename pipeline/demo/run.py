"""Runs the demo: fetch, compose, ingest, annotate, measure, show."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mitds.annotators.faces.yunet import YuNet
from mitds.manifests.dataset import LoadedClip, load
from mitds.manifests.ledger import FunnelRow
from mitds.pipeline import annotate as annotation
from mitds.pipeline import ingest as ingestion
from mitds.pipeline.demo.accuracy import measure
from mitds.pipeline.demo.scene import Part, compose
from mitds.pipeline.progress import StageProgress
from mitds.pipeline.report import write_report
from mitds.pipeline.runner import ray_session
from mitds.pipeline.settings import annotate_config
from mitds.store import write_bytes, write_json
from mitds.weights import catalog, resolve

SCENE_SECONDS = Fraction("10.4")
SCENE = [
    Part(
        media="media.introduction",
        speaks=(Fraction("0"), Fraction("5.6")),
        listens=(Fraction("5.04"), Fraction("5.72")),
        begins=Fraction(0),
    ),
    Part(
        media="media.interview",
        speaks=(Fraction("27.8"), Fraction("33.4")),
        listens=(Fraction("25.8"), Fraction("27.2")),
        begins=Fraction("4.4"),
    ),
]
LISTED = ("media.statement", "media.interview")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found."""

    report: Path
    clips: list[LoadedClip]
    funnel: list[FunnelRow]
    summary: dict[str, Any]
    failed: int

    def show(self) -> None:
        """Print the table of what was found, the report's path, and the next two commands."""
        from rich.console import Console

        from mitds.pipeline.demo.tables import clips_table, measures_table
        from mitds.pipeline.tables import funnel_table

        console = Console()
        console.print(clips_table(self.clips))
        console.print(funnel_table(self.funnel, "\nWhat became of everything"))
        console.print(measures_table(self.summary["accuracy"]))
        console.print(f"\nReport: {self.report}")
        console.print("\nNow your own list, one link or path a line:\n")
        console.print("  .venv/bin/mitds ingest urls.txt --out raw", soft_wrap=True)
        console.print("  .venv/bin/mitds annotate --shards 'raw/shots-*.tar' --out clips", soft_wrap=True)


def run_demo(out: Path, *, profile: str, workers: int | None = None, quiet: bool = False) -> DemoResult:
    """Run the main job on two real videos and one composed scene, into `out`."""
    scene = out / "conversation.mp4"
    truth = compose(SCENE, [resolve(p.media) for p in SCENE], YuNet(), SCENE_SECONDS, scene)
    sources = out / "sources.csv"
    write_bytes(sources, _list(scene.name).encode())
    config = annotate_config(profile)
    with ray_session(workers=workers):
        with StageProgress(ingestion.STAGES, quiet=quiet) as progress:
            raw = ingestion.ingest(sources, out / "raw", progress=progress)
        with StageProgress(annotation.STAGES, quiet=quiet) as progress:
            shards = [str(path) for path in raw.shards]
            result = annotation.annotate(shards, out / "clips", config, progress=progress)
    clips = list(load(str(result.out / "clips-*.tar")))
    accuracy = measure([c for c in clips if c.clip.source_name == scene.name], truth)
    write_json(result.out / "accuracy.json", {"tables": [accuracy]})
    report = write_report(result.out)
    summary = {
        "report": str(report),
        "ingested": raw.funnel,
        "annotated": result.funnel,
        "accuracy": accuracy,
    }
    return DemoResult(report, clips, result.funnel, summary, raw.failed + result.failed)


def _list(scene: str) -> str:
    """Write the list as a user would: links, and what is known of the rights."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["url", "licence", "consent", "note"])
    for name in LISTED:
        weight = catalog()[name]
        writer.writerow([weight.mirrors[0], weight.licence, "", weight.origin])
    writer.writerow([scene, "unstated", "", "composed by the demo from two single-speaker clips"])
    return text.getvalue()
