"""The command that tells how a run in another terminal stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from mitds.cli_parts import Json, emit, stdout_for_json
from mitds.places import place

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from mitds.pipeline.watching.status import Status, Watch

EVERY_S = 2.0
STATES = {
    "never_begun": "no run has begun here",
    "running": "running",
    "interrupted": "interrupted: the same command goes on from there",
    "complete": "complete",
}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(
    folder: Annotated[str, typer.Argument(help="Output folder (--out) of mitds ingest or annotate.")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run is over.")] = False,
    json_: Json = False,
) -> None:
    """Say how a run stands: what is done, what fails, how long it may take; it may run in another terminal."""
    from mitds.pipeline.watching.status import Watch

    watch = Watch(place(folder))
    with stdout_for_json():
        found = _followed(watch) if follow else watch.look()
    if json_:
        emit({"status": found})
        return
    _show(found)


def _followed(watch: Watch) -> Status:
    """Show a run on stderr, on a terminal alone, until it is over."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    found = watch.look()
    if not console.is_terminal:
        while found.state == "running":
            time.sleep(EVERY_S)
            found = watch.look()
        return found
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while found.state == "running":
            live.update(_renderable(found), refresh=True)
            time.sleep(EVERY_S)
            found = watch.look()
    return found


def _show(found: Status) -> None:
    from rich.console import Console

    Console().print(_renderable(found))


def _renderable(found: Status) -> Group:
    from rich.console import Group
    from rich.text import Text

    from mitds.pipeline.watching.table import run_table

    holder = found.holder
    by = f", process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= holder.keys() else ""
    parts: list[RenderableType] = [
        Text(f"{found.command or 'mitds'} in {found.out}: {STATES[found.state]}{by}")
    ]
    if found.reason:
        parts.append(Text(f"it ended with: {found.reason}", style="red"))
    if found.published and found.state != "complete":
        parts.append(Text("an earlier run has completed here; what it wrote stands"))
    times = [f"began {found.began}" if found.began else "", f"ended {found.ended}" if found.ended else ""]
    if any(times):
        parts.append(Text(", ".join(filter(None, times))))
    if found.view is not None:
        parts.append(run_table(found.view, over=found.state != "running"))
    return Group(*parts)
