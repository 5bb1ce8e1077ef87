"""The commands that measure labels: audit, audit-voices, audit-page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitds.cli_parts import Json, Out, Quiet, Shards, counted, emit, stdout_for_json

if TYPE_CHECKING:
    from mitds.pipeline.audit.results import Audit


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("audit")(audit)
    app.command("audit-voices")(audit_voices)
    app.command("audit-page")(audit_page)


def audit(
    shards: Shards,
    truth: Annotated[
        Path, typer.Option(help="Folder with NAME.rttm, NAME.asd.csv, NAME.cuts.txt, NAME.json.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write to; default: the shards' folder.")
    ] = None,
    names: Annotated[str | None, typer.Option(help="Score these videos only: NAME,NAME.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Bootstrap draws for intervals; 0 for none.")] = 1000,
    json_: Json = False,
) -> None:
    """Say how right labels are: measure annotated shards against exact or hand-made truth."""
    from mitds.pipeline.audit.run import audit as step
    from mitds.pipeline.audit.writing import write

    chosen = [name for name in names.split(",") if name] if names else None
    with stdout_for_json():
        found = step(shards, truth, names=chosen, draws=samples)
        path, report = write(found, shards, out)
    if json_:
        emit({"audit": str(path), "report": str(report) if report else None, "result": found})
    else:
        _show(found, path, report)


def audit_voices(
    recordings: Annotated[Path, typer.Argument(help="Folder with NAME.wav and NAME.rttm.")],
    out: Out,
    profile: Annotated[str, typer.Option(help="embedded, standard or full: whose diarizer.")] = "standard",
    samples: Annotated[int, typer.Option(min=0, help="Bootstrap draws for intervals; 0 for none.")] = 1000,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say how right the diarizer is on recordings without pictures."""
    from dataclasses import replace

    from mitds.annotators.registries import SPEECH
    from mitds.annotators.registries import profile as backends
    from mitds.pipeline.audit.results import write_audit
    from mitds.pipeline.audit.voices import audit_voices as step

    diarizer = SPEECH.get(backends(profile)["speech"])()
    with stdout_for_json(), counted(quiet) as progress:
        found = replace(step(recordings, diarizer, draws=samples, progress=progress), profile=profile)
        write_audit(out / "audit.json", found)
    if json_:
        emit({"audit": str(out / "audit.json"), "result": found})
    else:
        _show(found, out / "audit.json", None)


def audit_page(
    runs: Annotated[list[str], typer.Argument(help="NAME@SET=PATH of each audit.json; NAME is a profile.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Page to write.")] = Path("docs/accuracy.md"),
) -> None:
    """Put audits side by side on one page, beside the reference toolchain's numbers and the targets."""
    from mitds.pipeline.audit.page import parse_run, write_page

    write_page([parse_run(run) for run in runs], out)
    typer.echo(f"Page: {out}")


def _show(found: Audit, path: Path, report: Path | None) -> None:
    from rich.console import Console

    from mitds.pipeline.audit.page.words import unmeasured
    from mitds.pipeline.audit.table import audit_table

    Console().print(audit_table(found))
    for note in filter(None, [*found.notes, unmeasured(found)]):
        typer.echo(f"note  {note}")
    typer.echo(f"\nAudit: {path}")
    if report:
        typer.echo(f"Report: {report}")
