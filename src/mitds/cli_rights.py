"""The commands of rights: verify and remove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitds.cli_parts import Json, emit, print_rows, stdout_for_json

if TYPE_CHECKING:
    from mitds.pipeline.rights.remove import Removed


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("verify")(verify)
    app.command("remove")(remove)


def verify(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Outputs of ingest or annotate, or releases.")
    ] = None,
    shards: Annotated[
        list[str] | None, typer.Option(help="Shard paths, globs or brace patterns; may be repeated.")
    ] = None,
    json_: Json = False,
) -> None:
    """Prove that shards are whole, and that labels, pictures, sound, tables and ledgers belong together."""
    from mitds.pipeline.rights.verify import verify as step

    with stdout_for_json():
        found = step(shards or (), folders or ())
    if json_:
        emit(
            {
                "shards": found.shards,
                "samples": found.samples,
                "sound": found.sound,
                "findings": found.findings,
            }
        )
    else:
        rows = [
            {"level": f.level, "check": f.check, "where": f.where, "what": f.what} for f in found.findings
        ]
        if rows:
            print_rows(rows, ("level", "check", "where", "what"))
        faults = sum(f.level == "fault" for f in found.findings)
        typer.echo(f"{found.samples} samples in {found.shards} shard(s): {faults or 'no'} fault(s)")
    raise typer.Exit(0 if found.sound else 1)


def remove(
    dirs: Annotated[
        list[Path], typer.Option("--dir", help="Folder that ingest, annotate, release build or export wrote.")
    ],
    by: Annotated[str, typer.Option(help="Who signs the removal off; stands in the record.")],
    source: Annotated[
        list[str] | None, typer.Option(help="sha256 of a source, or its first 16 digits; may be repeated.")
    ] = None,
    url: Annotated[list[str] | None, typer.Option(help="Address of a source; may be repeated.")] = None,
    identity: Annotated[
        list[str] | None, typer.Option(help="SOURCE:P0, one person of a source; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option(help="On what ground; stands in the record.")] = "",
    signature: Annotated[
        Path | None, typer.Option(help="A letter or signature, of which the record keeps the sha256.")
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Write reports without pictures of anybody.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Withdraw a source or a person from everything that was written, and record it."""
    from mitds.pipeline.rights.remove import Asked
    from mitds.pipeline.rights.remove import remove as step

    with stdout_for_json():
        asked = Asked(
            sources=tuple(source or ()),
            urls=tuple(url or ()),
            identities=tuple(identity or ()),
            by=by,
            why=reason,
            signature=signature,
            anonymous=anonymous,
        )
        done = step(dirs, asked, dry_run=dry_run)
    if json_:
        emit({"dry_run": dry_run, "folders": [_summary(one) for one in done]})
    else:
        _show(done, dry_run)
    raise typer.Exit(1 if any(one.left for one in done) else 0)


def _summary(one: Removed) -> dict[str, object]:
    return {
        "folder": str(one.folder),
        "counts": one.plan.counts,
        "shards": sorted(one.plan.shards),
        "left": one.left,
    }


def _show(done: list[Removed], dry_run: bool) -> None:
    for one in done:
        counts = ", ".join(f"{count} {kind}" for kind, count in one.plan.counts.items() if count)
        typer.echo(
            f"{one.folder}: {'would go' if dry_run else 'withdrawn'}: {counts or 'nothing of it is here'}"
        )
        for name in sorted(one.plan.shards):
            typer.echo(f"  {'touches' if dry_run else 'written anew or gone'}: {name}")
        for name in one.left:
            typer.secho(f"  still names it, and is not mitds's to change: {name}", fg="red")
    if not dry_run:
        typer.echo("Trained weights, and copies that others made, are not reached: see docs/rights.md.")
