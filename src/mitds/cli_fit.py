"""Fitting the annotators' own networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mitds.cli_parts import Json, Quiet, Settings, counted, emit, print_rows, stdout_for_json
from mitds.errors import UsageError

if TYPE_CHECKING:
    from mitds.annotators.asd.rows import Watcher
    from mitds.annotators.asd.teach.footage import Clip
    from mitds.annotators.asd.teach.takes import Kind

fit_app = typer.Typer(no_args_is_help=True, help="Fit the annotators' own networks on footage.")

Footage = Annotated[
    list[Path] | None,
    typer.Option(
        help="Clips, or folders of clips, in each of which one person alone is heard; may be repeated."
    ),
]
Silent = Annotated[
    list[Path] | None, typer.Option(help="The same, with faces that never speak; their sound is not used.")
]


def register(app: typer.Typer) -> None:
    """Add the command group to the command line."""
    app.add_typer(fit_app, name="fit")


@fit_app.command("lip-net")
def lip_net(
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights file to write (.safetensors).")],
    also: Footage = None,
    silent: Silent = None,
    teacher: Annotated[
        str | None, typer.Option(help="Speaker scorer that labels clips of several people, such as lr-asd.")
    ] = None,
    settings: Settings = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Teach the speaker scorer lip-net on footage of the package index and on your own clips."""
    from mitds.annotators.asd.teach.course import teach
    from mitds.annotators.asd.teach.fitting import FitConfig
    from mitds.annotators.asd.teach.footage import catalogued
    from mitds.annotators.registries import ASD
    from mitds.config import override

    config = override(FitConfig(), settings or [])
    with stdout_for_json(), counted(quiet) as progress:
        own = [*_clips(also, "speaker"), *_clips(silent, "silent")]
        clips = [*catalogued(), *own]
        scorer = cast("Watcher", ASD.get(teacher)()) if teacher else None
        course = teach(clips, out, config, scorer, progress)
    if json_:
        emit({"out": str(out), "course": course})
        return
    row = {
        "clips": f"{len(course.clips)}",
        "face frames": f"{course.frames}",
        "AP, unseen people": f"{course.average_precision:.3f}",
        "calibration error, unseen people": f"{course.calibration_error:.3f}",
    }
    print_rows([row], list(row))


def _clips(paths: list[Path] | None, kind: Kind) -> list[Clip]:
    """Return the clips among files and folders, by name."""
    from mitds.annotators.asd.teach.footage import Clip

    found: list[Path] = []
    for path in paths or []:
        if not path.exists():
            raise UsageError(
                "there is no such file or folder", where=str(path), remedy="Name clips to learn from."
            )
        found += _inside(path) if path.is_dir() else [path]
    return [Clip(name=path.stem, path=path, kind=kind) for path in found]


def _inside(folder: Path) -> list[Path]:
    """Return the videos in a folder, and name on stderr what is left out."""
    from mitds.media.files import VIDEOS, videos_in

    videos, others = videos_in(folder)
    if not videos:
        raise UsageError(
            "the folder holds no videos", where=str(folder), remedy=f"Videos end in {', '.join(VIDEOS)}."
        )
    for path in others:
        typer.secho(f"left out, not a video by its name: {path}", fg="yellow", err=True)
    return videos
