"""What all commands share: options, the guard of stdout, the one JSON line, progress of counted work."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mitds.config import plain

Json = Annotated[bool, typer.Option("--json", help="Print one JSON summary as the only line of stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
Workers = Annotated[int | None, typer.Option(min=1, help="CPU cores to use; default: all.")]
Address = Annotated[str | None, typer.Option(help="Run on the Ray cluster at this address.")]
Shards = Annotated[list[str], typer.Option(help="Shard paths, globs or brace patterns; may be repeated.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; made if missing.")]
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
