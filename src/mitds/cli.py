"""The command line: it only selects, calls and prints; everything it imports beyond typer it imports late."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitds import (
    cli_audit,
    cli_baselines,
    cli_benchmark,
    cli_compose,
    cli_fit,
    cli_rights,
    cli_scale,
    cli_status,
)
from mitds.cli_parts import (
    Address,
    DryRun,
    Json,
    MetricsPort,
    Out,
    Quiet,
    Settings,
    Shards,
    Workers,
    emit,
    print_forecast,
    print_rows,
    stdout_for_json,
)
from mitds.errors import MitdsError, UsageError
from mitds.places import place

if TYPE_CHECKING:
    from mitds.manifests.ledger import FunnelRow
    from mitds.weights import State

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Datasets and benchmarks for video of several people talking with each other.",
)
weights_app = typer.Typer(no_args_is_help=True, help="The networks' weights: list, fetch, check.")
app.add_typer(weights_app, name="weights")
cli_compose.register(app)
cli_audit.register(app)
cli_fit.register(app)
cli_status.register(app)
cli_rights.register(app)
cli_scale.register(app)
cli_benchmark.register(app)
cli_baselines.register(app)


def _progress(stages: Sequence[str], quiet: bool, metrics_port: int | None) -> Any:
    from mitds.pipeline.progress import StageProgress

    return StageProgress(stages, quiet=quiet, metrics_port=metrics_port)


def _print_funnel(rows: Sequence[FunnelRow], title: str) -> None:
    from rich.console import Console

    from mitds.pipeline.tables import funnel_table

    Console(stderr=False).print(funnel_table(rows, title))


@app.command()
def ingest(
    urls: Annotated[
        Path, typer.Argument(parser=place, metavar="LIST", help="List of links or paths: text, CSV or JSONL.")
    ],
    out: Out,
    shots: Annotated[str | None, typer.Option(help="Shot detector: pyscenedetect or transnetv2.")] = None,
    workers: Workers = None,
    address: Address = None,
    metrics_port: MetricsPort = None,
    removed: Annotated[
        list[Path] | None,
        typer.Option(
            "--removals",
            parser=place,
            metavar="FILE",
            help="Further records of what was withdrawn, or folders with them; may be repeated.",
        ),
    ] = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a list of links into sources, shots, provenance and rights."""
    from mitds.config import override
    from mitds.pipeline import ingest as step

    chosen = [f"split.detector={shots}"] if shots else []
    config = override(step.IngestConfig(), [*chosen, *(settings or [])])
    records = removed or []
    if dry_run:
        print_forecast(step.ingest_forecast(urls, out, config, removed=records), json_)
        return
    with stdout_for_json(), _progress(step.STAGES, quiet, metrics_port) as progress:
        result = step.ingest(
            urls, out, config, removed=records, address=address, workers=workers, progress=progress
        )
    if json_:
        emit({"out": str(out), "shots": result.shots, "funnel": result.funnel, "failed": result.failed})
    else:
        _print_funnel(result.funnel, "Sources")
        _list_failures([(s.url, s.detail) for s in result.sources if s.status == "failed"])
        typer.echo(f"\n{result.shots} shots in {len(result.shards)} shard(s): {out}/shots-*.tar")
    if result.shots and not json_:
        typer.echo(f"Next: mitds annotate --shards '{out}/shots-*.tar' --out {out}-clips")
    raise typer.Exit(1 if result.failed else 0)


def _list_failures(failures: Sequence[tuple[str, str]], shown: int = 20) -> None:
    """Print each failure's first line; items that failed for the same reason stand together."""
    items: dict[str, list[str]] = {}
    for item, detail in failures:
        items.setdefault(detail.partition("\n")[0], []).append(item)
    for detail, names in list(items.items())[:shown]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        typer.secho(f"failed  {names[0]}{more}", fg="red")
        typer.echo(f"        {detail}")
    if failures:
        typer.echo("All failures, with what led to them: ledger.jsonl")


@app.command()
def annotate(
    shards: Shards,
    out: Out,
    profile: Annotated[str, typer.Option(help="embedded, standard or full.")] = "standard",
    backend: Annotated[
        list[str] | None, typer.Option(help="Replace a backend: family=name (faces, speech, asd, pose).")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with settings by section.")] = None,
    settings: Settings = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Also write clips that break a rule.")] = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    address: Address = None,
    metrics_port: MetricsPort = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn shards of shots into clips with faces, voices, who speaks, poses and binding."""
    from mitds.pipeline import annotate as step
    from mitds.pipeline.report import write_report
    from mitds.pipeline.settings import annotate_config

    chosen = dict(_pair(b) for b in backend or [])
    resolved = annotate_config(
        profile, backends=chosen, file=config, settings=settings or [], keep_all=keep_all
    )
    if dry_run:
        print_forecast(step.annotate_forecast(shards, out, resolved), json_)
        return
    with stdout_for_json(), _progress(step.STAGES, quiet, metrics_port) as progress:
        result = step.annotate(shards, out, resolved, address=address, workers=workers, progress=progress)
        report = write_report(out)
    if json_:
        kept = sum(clip.status == "kept" for clip, _ in result.clips)
        emit(
            {
                "out": str(out),
                "clips": kept,
                "funnel": result.funnel,
                "failed": result.failed,
                "report": str(report),
            }
        )
    else:
        _print_funnel(result.funnel, "Annotated")
        _list_failures(result.failures)
        typer.echo(f"\nReport: {report}")
    raise typer.Exit(1 if result.failed else 0)


def _pair(text: str) -> tuple[str, str]:
    name, sep, value = text.partition("=")
    if not sep:
        raise UsageError(f"{text!r} has no '='", remedy="Write --backend family=name.")
    return name, value


@app.command()
def export(
    shards: Shards,
    out: Out,
    format_: Annotated[
        list[str],
        typer.Option("--format", "-f", help="Files: rttm, ava, cuts, coco. A folder: croissant, mit, hf."),
    ],
    timeline: Annotated[str, typer.Option(help="clip or source: whose clock the times are on.")] = "clip",
    json_: Json = False,
) -> None:
    """Write labels in the formats of the field, or clips in another dataset's layout (docs/export.md)."""
    from mitds.pipeline.export import export as step

    with stdout_for_json():
        done = [step(shards, name, out, timeline) for name in format_]
    written = [path for exported in done for path in exported.paths]
    renamed = {key: name for exported in done for key, name in exported.renamed.items()}
    sizes = {"written": sum(e.written for e in done), "linked": sum(e.linked for e in done)}
    if json_:
        emit({"out": str(out), "files": [str(p) for p in written], "renamed": renamed, **sizes})
    else:
        for path in written:
            typer.echo(path)
        typer.echo(f"{sizes['written']} bytes written, {sizes['linked']} bytes linked")
        for key, name in renamed.items():
            typer.echo(f"source {key[:16]} is called {name}: another source has its file name")


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(parser=place, metavar="FOLDER", help="Output folder of mitds annotate.")
    ],
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Show no picture of anybody.")] = False,
    json_: Json = False,
) -> None:
    """Write report.html anew from what lies in an annotated folder."""
    from mitds.pipeline.report import ReportConfig, write_report

    if not (folder / "run.json").is_file():
        raise UsageError("not a folder that mitds wrote", where=str(folder), remedy="Name annotate's --out.")
    with stdout_for_json():
        path = write_report(folder, ReportConfig(anonymous=anonymous))
    emit({"report": str(path)}) if json_ else typer.echo(path)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("demo-out"),
    profile: Annotated[str, typer.Option(help="embedded, standard or full.")] = "embedded",
    workers: Workers = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the main job on real talking video from the package index, and show what it found."""
    from mitds.pipeline.demo import run_demo

    with stdout_for_json():
        result = run_demo(out, profile=profile, workers=workers, quiet=quiet)
    if json_:
        emit(result.summary)
    else:
        result.show()
    raise typer.Exit(1 if result.failed else 0)


@weights_app.command("list")
def weights_list(json_: Json = False) -> None:
    """Show every weight: what it is, its licence, and whether it is here."""
    from mitds.weights import weights_table

    _show_rows(weights_table(), ("name", "state", "megabytes", "licence", "origin"), json_)


@weights_app.command("pull")
def weights_pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names from the list; none for all that can be fetched.")
    ] = None,
    json_: Json = False,
) -> None:
    """Fetch weights into the cache, each checked by its sha256."""
    from mitds.weights import pull

    _show_states(pull(names or ()), json_)


@weights_app.command("verify")
def weights_verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names from the list; none for all that are here.")
    ] = None,
    json_: Json = False,
) -> None:
    """Hash the weights that are here and compare them with the catalog; nothing is fetched."""
    from mitds.weights import verify

    _show_states(verify(names or ()), json_)


def _show_states(states: Sequence[State], json_: bool) -> None:
    rows = [
        {"name": s.weight.name, "state": s.state, "where": str(s.path or ""), "detail": s.detail}
        for s in states
    ]
    _show_rows(rows, ("name", "state", "where", "detail"), json_)
    raise typer.Exit(3 if any(s.state in ("wrong", "failed") for s in states) else 0)


def _show_rows(rows: Sequence[dict[str, str]], columns: Sequence[str], json_: bool) -> None:
    if json_:
        emit({"weights": rows})
        return
    print_rows(rows, columns)


@app.command()
def doctor(json_: Json = False) -> None:
    """Say what can and cannot run on this machine, and why."""
    from mitds.pipeline.doctor import examine

    with stdout_for_json():
        checks = examine()
    if json_:
        emit({"checks": checks})
    else:
        from rich.console import Console

        from mitds.pipeline.tables import doctor_table

        Console().print(doctor_table(checks))
    raise typer.Exit(3 if any(c.level == "fail" for c in checks) else 0)


def main() -> None:
    """Run the command line; every error a user may see leaves with its own exit code."""
    try:
        app()
    except MitdsError as error:
        _show(error)
        sys.exit(error.exit_code)


def _show(error: MitdsError) -> None:
    typer.secho(f"error[{error.code}]: {error.what}", fg="red", err=True)
    if error.where:
        typer.echo(f"  where: {error.where}", err=True)
    if error.remedy:
        typer.echo(f"  do:    {error.remedy}", err=True)


if __name__ == "__main__":
    main()
