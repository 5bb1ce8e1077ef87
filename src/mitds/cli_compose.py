"""The command that composes scenes with exact truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mitds.cli_parts import Json, Out, Quiet, Settings, counted, emit, stdout_for_json
from mitds.errors import UsageError

if TYPE_CHECKING:
    from mitds.pipeline.compose import Composed


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("compose")(compose)


def compose(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Clips of single speakers: videos, folders, lists, URLs, media.* names; NAME=SOURCE names a person."
        ),
    ],
    out: Out,
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the first scene; the next ones count on.")] = 1,
    people: Annotated[
        str | None, typer.Option(help="People in view over a scene: 3, or 2-4. [default: 2-4]")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a scene. [default: 40]")] = None,
    preset: Annotated[str, typer.Option(help="plain, mixed, hard, room or lips.")] = "mixed",
    settings: Settings = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compose scenes with exact truth from clips of single speakers."""
    from mitds.pipeline.compose import clips_of, compose_config
    from mitds.pipeline.compose import compose as step

    chosen = [f"people={_people(people)}"] if people else []
    chosen += [f"seconds={seconds}"] if seconds is not None else []
    config = compose_config(preset, [*chosen, *(settings or [])])
    with stdout_for_json(), counted(quiet) as progress:
        result = step(clips_of(sources), out, config, seed=seed, scenes=scenes, progress=progress)
    if json_:
        emit({
            "out": str(out),
            "scenes": [str(path) for path, _ in result.scenes],
            "people": [person.name for person in result.people],
            "left_out": [list(pair) for pair in result.left_out],
        })  # fmt: skip
    else:
        _print(result)


def _people(text: str) -> str:
    low, _, high = text.partition("-")
    if not (low.isdigit() and (high or low).isdigit()):
        raise UsageError(f"--people is {text!r}", remedy="Write 3, or 2-4.")
    return f"[{low},{high or low}]"


def _print(result: Composed) -> None:
    for name, reason in result.left_out:
        typer.secho(f"left out  {name}: {reason}", fg="yellow")
    for path, truth in result.scenes:
        spoken = sum(turn.end_s - turn.start_s for turn in truth.speech or ())
        typer.echo(
            f"{path}  {truth.duration_s:.0f} s, {len(truth.about['shots'])} shots, {spoken:.0f} s of speech"
        )
    typer.echo(
        f"Next: mitds ingest a list of these, annotate, then mitds audit --truth {result.scenes[0][0].parent}"
    )
