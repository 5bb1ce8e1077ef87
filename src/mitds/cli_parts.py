"""What all commands share: options, the guard of stdout, the one JSON line, progress of counted work."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitds.config import plain
from mitds.places import place

if TYPE_CHECKING:
    from mitds.pipeline.dry_run import StageForecast

Json = Annotated[bool, typer.Option("--json", help="Print one JSON summary as the only line of stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
Workers = Annotated[int | None, typer.Option(min=1, help="CPU cores to use; default: all.")]
Address = Annotated[str | None, typer.Option(help="Run on the Ray cluster at this address.")]
Shards = Annotated[list[str], typer.Option(help="Shard paths, globs or brace patterns; may be repeated.")]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        parser=place,
        metavar="FOLDER",
        help="Folder or URL (s3://bucket/run) to write to; made if missing.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65535,
        help="Serve Prometheus metrics on this port of 127.0.0.1 while it runs; 0 for any free one.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what is done and what would be done; change nothing.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, section.name=value; may be repeated.")
]


@contextlib.contextmanager
def stdout_for_json() -> Iterator[None]:
    """Send everything that libraries print to stderr, and say so when interrupted: stdout is for results alone."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        typer.secho("interrupted; what was there before is unchanged", fg="yellow", err=True)
        raise typer.Exit(130) from None


def emit(summary: dict[str, Any]) -> None:
    """Print one JSON line, the only one on stdout."""
    typer.echo(json.dumps(plain(summary), ensure_ascii=False))


@contextlib.contextmanager
def counted(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far counted work is, on stderr: a bar each on a terminal, nothing elsewhere or when quiet."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>28}"), BarColumn(32), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield progress


def print_rows(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> None:
    """Print a table of texts."""
    from rich.console import Console

    from mitds.pipeline.tables import rows_table

    Console().print(rows_table(rows, columns))


def print_forecast(rows: Sequence[StageForecast], json_: bool) -> None:
    """Print what a run would do."""
    if json_:
        emit({"forecast": rows, "to_do": sum(row.to_do for row in rows)})
        return
    texts = [
        {"stage": row.stage, "done": str(row.done), "to do": f"{row.to_do}{' or more' if row.open else ''}"}
        for row in rows
    ]
    print_rows(texts, ("stage", "done", "to do"))
