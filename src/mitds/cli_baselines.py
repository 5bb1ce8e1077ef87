"""The baselines' commands: train, generate, compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitds.cli_parts import Json, Out, Quiet, Settings, Shards, counted, emit, stdout_for_json
from mitds.errors import UsageError

if TYPE_CHECKING:
    from mitds.baselines.checkpoint import Description
    from mitds.baselines.recipe import Recipe
    from mitds.benchmark.evaluation.side_by_side import SideBySide

Counted = Callable[[str, int, int], None]


def register(app: typer.Typer) -> None:
    """Add the baselines' commands to the command line."""
    app.command("train")(train)
    app.command("generate")(generate)
    app.command("compare")(compare)


def train(
    shards: Shards,
    out: Out,
    model: Annotated[
        str, typer.Option(help="covog, animate-anyone, control-svd, or a variant of covog.")
    ] = "covog",
    preset: Annotated[str, typer.Option(help="tiny (two cores), small (one GPU) or sd15.")] = "tiny",
    release: Annotated[
        Path | None, typer.Option(help="Folder of a release: only the clips that it leaves for training.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with settings by section.")] = None,
    settings: Settings = None,
    autoencoder: Annotated[
        Path | None, typer.Option(help="Trained model whose autoencoder is used as it is.")
    ] = None,
    stage1: Annotated[
        Path | None, typer.Option(help="Trained model whose first stage is used as it is.")
    ] = None,
    save_every: Annotated[
        int, typer.Option(min=1, help="Steps between states to resume from, plots and samples.")
    ] = 500,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a baseline on annotated clips; the same command again goes on where it was stopped."""
    from mitds.baselines.checkpoint import describe
    from mitds.baselines.settings import resolve_recipe
    from mitds.baselines.training.data import released_keys
    from mitds.baselines.training.loop import train as step

    recipe = resolve_recipe(model, preset, file=config, settings=settings or [])
    keys = released_keys(release) if release else None
    with stdout_for_json(), counted(quiet) as progress:
        step(
            shards, out, recipe, keys=keys, autoencoder=autoencoder, stage1=stage1, progress=progress,
            device="cpu" if cpu else None, save_every=save_every,
        )  # fmt: skip
    if os.environ.get("RANK", "0") != "0":
        return  # Of several processes, the first one speaks.
    said = describe(out)
    if json_:
        emit({"out": str(out), "model": said.recipe.model, "preset": said.recipe.preset, **_short(said)})
    else:
        _print_trained(out, said, release)


def _short(said: Description) -> dict[str, Any]:
    about = said.about
    return {
        **{name: about[name] for name in ("parameters", "losses", "seconds", "data")},
        "clips": len(about["clips"]),
        "left_out": about["left_out"],
        "unused": about["unused"],
    }


def _print_trained(out: Path, said: Description, release: Path | None) -> None:
    about, model = said.about, said.recipe.model
    typer.echo(f"{model} ({said.recipe.preset}), {about['parameters'] / 1e6:.1f} M parameters: {out}")
    typer.echo(f"trained on {len(about['clips'])} clips in {about['seconds']:.0f} s")
    for stage, loss in about["losses"].items():
        typer.echo(f"last loss of {stage}: {loss:.4f}")
    if about["left_out"]:
        typer.secho(
            f"left out for their rights: {len(about['left_out'])} clips; see card.md "
            "(--set data.rights=ignore takes them)",
            fg="yellow",
        )
    if about["unused"]:
        typer.echo(f"too short for a stage, or nobody in view: {len(about['unused'])} clips; see card.md")
    shards = f"'{release}/test-*.tar'" if release else "'RELEASE/test-*.tar'"
    typer.echo(f"Next: mitds eval --model {model} --checkpoint {out} --shards {shards} --out {out}-eval")


def generate(
    checkpoint: Annotated[Path, typer.Option(help="Trained model: a folder that mitds train wrote.")],
    reference: Annotated[Path, typer.Option(help="Picture of everybody: PNG or JPEG.")],
    voices: Annotated[
        list[Path], typer.Option("--voices", help="Sound file of one person; one a person, in their order.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Film to write, .mp4.")],
    poses: Annotated[
        Path | None, typer.Option(help="npz with face_xyxy_NT4, pose_NTK3 and perhaps speaking_NT.")
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="Or an annotated clip to take poses from: 'clips-*.tar::KEY'.")
    ] = None,
    reference_frame: Annotated[
        int, typer.Option(min=0, help="Frame of the poses that the reference shows.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the noise that pictures are made from.")] = 0,
    settings: Settings = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a film with sound from a reference frame, poses and voices of your own."""
    from mitds.baselines.generation.inputs import poses_of_clip, read_poses
    from mitds.baselines.generation.own import generate as step

    if (poses is None) == (clip is None):
        raise UsageError("poses are needed, from one place", remedy="Give --poses or --clip.")
    with stdout_for_json(), counted(quiet) as progress:
        film = step(
            checkpoint, reference, read_poses(poses) if poses else poses_of_clip(str(clip)), voices, out,
            reference_frame=reference_frame, seed=seed, settings=settings or [], progress=progress,
        )  # fmt: skip
    shape = {"frames": film.frames, "width": film.width, "height": film.height, "persons": film.persons}
    if json_:
        emit({"out": str(out), **shape})
    else:
        typer.echo(f"{film.frames} frames of {film.width}x{film.height}, {film.persons} people: {out}")


def compare(
    shards: Shards,
    release: Annotated[
        Path, typer.Option(help="Folder of the release: trains on what it leaves, tests on it.")
    ],
    out: Out,
    model: Annotated[
        list[str] | None,
        typer.Option(help="May be repeated; the first is compared with the others. Default: all of them."),
    ] = None,
    preset: Annotated[str, typer.Option(help="tiny (two cores), small (one GPU) or sd15.")] = "tiny",
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="Metric id or short name; may be repeated.")
    ] = None,
    settings: Settings = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that make and score.")] = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train several baselines alike, evaluate all, and write one table with intervals and paired differences."""
    from mitds.baselines.presets import DESIGNS
    from mitds.baselines.settings import resolve_recipe
    from mitds.benchmark.evaluation.side_by_side import markdown

    models = model or list(DESIGNS)
    if len(set(models)) < len(models):
        raise UsageError("a model is named twice", remedy="Give each --model once.")
    recipes = {name: resolve_recipe(name, preset, settings=settings or []) for name in models}
    with stdout_for_json(), counted(quiet) as progress:
        _train_all(shards, release, out, recipes, progress)
        failed = _evaluate_all(release, out, recipes, metric or (), workers, progress)
        table = _tabled(release, out, models)
    written = out / "comparison.md"
    if json_:
        emit({"out": str(out), "table": str(written), "differences": table.differences, "failed": failed})
    else:
        typer.echo(markdown(table))
        for name, messages in failed.items():
            for item, message in sorted(messages.items()):
                typer.secho(f"failed  {name}, {item}: {message}", fg="red")
        typer.echo(f"Table: {written}; pages: {out}/results/*/index.html")
    raise typer.Exit(1 if failed else 0)


def _train_all(
    shards: Sequence[str], release: Path, out: Path, recipes: Mapping[str, Recipe], progress: Counted
) -> None:
    from mitds.baselines.training.data import released_keys
    from mitds.baselines.training.loop import train as step

    keys = released_keys(release)
    for name, chosen in recipes.items():
        step(shards, out / "models" / name, chosen, keys=keys, progress=_named(name, progress))


def _evaluate_all(
    release: Path,
    out: Path,
    recipes: Mapping[str, Recipe],
    metrics: Sequence[str],
    workers: int,
    progress: Counted,
) -> dict[str, dict[str, str]]:
    """Evaluate all models, with a page each; return what went wrong, by model and item."""
    from mitds.benchmark.evaluation.engine import EngineConfig
    from mitds.benchmark.evaluation.evaluate import evaluate as step
    from mitds.benchmark.evaluation.show import write_evaluation_page
    from mitds.config import plain

    failed = {}
    for name, chosen in recipes.items():
        results = out / "results" / name
        drawn = tuple(f"sampling.{field}={value}" for field, value in plain(chosen.sampling).items())
        found = step(
            [str(release)], results, model=name, checkpoint=out / "models" / name, metrics=metrics,
            config=EngineConfig(workers=workers, model_settings=drawn), progress=_named(name, progress),
        )  # fmt: skip
        write_evaluation_page([str(release)], results, found)
        if found.messages:
            failed[name] = found.messages
    return failed


def _tabled(release: Path, out: Path, models: Sequence[str]) -> SideBySide:
    """Write the comparison of the first model with the others, and with the copied reference if it was measured."""
    from mitds.benchmark.evaluation.side_by_side import control_folders, markdown, side_by_side
    from mitds.store import write_bytes, write_json

    controls = control_folders(release)
    rivals = [*models[1:], *(folder.name for folder in controls if folder.name == "copy")]
    table = side_by_side(release, [*(out / "results" / name for name in models), *controls], rivals)
    write_json(out / "comparison.json", table)
    write_bytes(out / "comparison.md", markdown(table).encode())
    return table


def _named(name: str, progress: Counted) -> Counted:
    """Return a progress that says whose it is."""
    return lambda what, done, of: progress(f"{name}: {what}", done, of)
