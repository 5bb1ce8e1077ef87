"""The commands that tell how annotate grows: scale measure, scale page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mitds.cli_parts import Json, Quiet, Settings, Shards, emit, stdout_for_json
from mitds.errors import UsageError

app = typer.Typer(
    no_args_is_help=True, help="How annotate grows: what stages cost, what a cluster makes of it."
)


def register(root: typer.Typer) -> None:
    """Add the commands to the command line."""
    root.add_typer(app, name="scale")


@app.command()
def measure(
    shards: Shards,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    profile: Annotated[str, typer.Option(help="embedded, standard or full.")] = "standard",
    settings: Settings = None,
    workers: Annotated[
        list[int] | None, typer.Option(min=1, help="Numbers of workers; default: 1 and 2.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Annotate the same shards with one and with two workers, and write down what each stage took."""
    from mitds.pipeline.annotate import STAGES
    from mitds.pipeline.progress import StageProgress
    from mitds.pipeline.scaling.measuring import measure as step
    from mitds.pipeline.settings import annotate_config
    from mitds.store import write_json

    config = annotate_config(profile, settings=settings or [], keep_all=True)
    with stdout_for_json(), StageProgress(STAGES, quiet=quiet) as progress:
        found = step(shards, config, workers or (1, 2), progress)
        write_json(out, found)
    if json_:
        emit({"out": str(out), "measured": found})
    else:
        typer.echo(out)


@app.command()
def page(
    measured: Annotated[Path, typer.Argument(help="What mitds scale measure wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Markdown file to write.")],
    settings: Settings = None,
) -> None:
    """Write the page of scaling: costs, arithmetic, and a simulated cluster (--set nodes=100)."""
    from mitds.config import override
    from mitds.manifests.codec import from_plain
    from mitds.pipeline.scaling.measuring import Measured
    from mitds.pipeline.scaling.page import page as step
    from mitds.pipeline.scaling.simulation import ClusterConfig
    from mitds.store import write_bytes

    try:
        found = from_plain(Measured, json.loads(measured.read_bytes()))
    except (OSError, ValueError) as error:
        raise UsageError(f"the measurement cannot be read: {error}", where=str(measured)) from error
    write_bytes(out, step(found, cluster=override(ClusterConfig(), settings or [])).encode())
    typer.echo(out)
