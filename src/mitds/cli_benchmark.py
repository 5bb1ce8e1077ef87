"""The benchmark's commands: eval, metrics, release, submission, leaderboard, study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitds.cli_parts import (
    Json,
    Out,
    Quiet,
    Settings,
    Shards,
    counted,
    emit,
    print_rows,
    stdout_for_json,
)
from mitds.errors import UsageError

if TYPE_CHECKING:
    from mitds.benchmark.results import Results

metrics_app = typer.Typer(
    no_args_is_help=True, help="Metrics: what they are, one pair scored, their proof and cost."
)
release_app = typer.Typer(no_args_is_help=True, help="Test releases: frozen item lists and their anchors.")
submission_app = typer.Typer(no_args_is_help=True, help="Submissions: pack one, check one.")
leaderboard_app = typer.Typer(no_args_is_help=True, help="The leaderboard: a static site.")
study_app = typer.Typer(no_args_is_help=True, help="Human study: blind pairwise votes.")

MetricNames = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", help="Metric id or short name; may be repeated. Default: all."),
]
Processes = Annotated[
    int, typer.Option("--workers", min=1, help="Worker processes; no number depends on them.")
]
ReleaseDir = Annotated[Path, typer.Argument(help="Folder that mitds release build wrote.")]


def register(app: typer.Typer) -> None:
    """Add the benchmark's commands to the command line."""
    app.command("eval")(evaluate)
    app.add_typer(metrics_app, name="metrics")
    app.add_typer(release_app, name="release")
    app.add_typer(submission_app, name="submission")
    app.add_typer(leaderboard_app, name="leaderboard")
    app.add_typer(study_app, name="study")


def evaluate(
    shards: Shards,
    out: Out,
    model: Annotated[
        str | None,
        typer.Option(help="A registered model or control, or module:Class; it answers every item first."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights of a trained model: a folder that mitds train wrote.")
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Or a folder of somebody's answers, ITEM.mp4.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name shown; default: the model's or the folder's.")
    ] = None,
    metric: MetricNames = None,
    seed: Annotated[int, typer.Option(help="For models that draw random numbers.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="How a trained model draws: sampling.steps=20; may be repeated."),
    ] = None,
    workers: Processes = 1,
    page: Annotated[bool, typer.Option(help="Write index.html with the videos side by side.")] = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model, or somebody's videos, on a release: rows.parquet, results.json and a page."""
    from mitds.benchmark.evaluation.engine import EngineConfig
    from mitds.benchmark.evaluation.evaluate import evaluate as step
    from mitds.benchmark.evaluation.show import write_evaluation_page

    config = EngineConfig(workers=workers, seed=seed, model_settings=tuple(settings or ()))
    with stdout_for_json(), counted(quiet) as progress:
        found = step(
            shards,
            out,
            model=model,
            checkpoint=checkpoint,
            videos=videos,
            name=name,
            metrics=metric or (),
            config=config,
            progress=progress,
        )
        shown = write_evaluation_page(shards, out, found) if page else None
    results = found.results
    if json_:
        emit(
            {
                "out": str(out),
                "results": str(out / "results.json"),
                "page": str(shown or ""),
                **_short(results),
            }
        )
    else:
        _print_results(results)
        for item, message in sorted(found.messages.items()):
            typer.secho(f"failed  {item}: {message}", fg="red")
        typer.echo(f"\n{shown or out / 'results.json'}")
    raise typer.Exit(1 if found.messages else 0)


def _short(results: Results) -> dict[str, Any]:
    return {
        "system": results.system,
        "release": results.release,
        "outputs": results.outputs,
        "aggregate": results.aggregate.value if results.aggregate else None,
        "floor_band": results.floor_band,
        "axes": {axis: estimate.value for axis, estimate in results.axes.items()},
        "metrics": {m: r.raw.value if r.raw else None for m, r in results.metrics.items()},
        "unavailable": results.unavailable,
        "signature": results.signature,
    }


def _print_results(results: Results) -> None:
    from mitds.benchmark.words import interval_text, number_text

    rows = [
        {
            "metric": metric,
            "value": interval_text(found.raw),
            "score": interval_text(found.score),
            "coverage": number_text(found.coverage),
            "note": str(found.detail.get("note") or found.detail.get("reason") or ""),
        }
        for metric, found in results.metrics.items()
    ]
    print_rows(rows, ("metric", "value", "score", "coverage", "note"))
    _print_unavailable(results.unavailable)
    axes = "  ".join(f"{axis} {interval_text(e)}" for axis, e in results.axes.items())
    typer.echo(f"\naxes       {axes}")
    typer.echo(
        f"aggregate  {interval_text(results.aggregate)}   floor band up to {number_text(results.floor_band)}"
    )
    typer.echo(f"outputs    {', '.join(f'{n} {status}' for status, n in results.outputs.items())}")
    typer.echo(results.signature)


def _print_unavailable(unavailable: Mapping[str, str]) -> None:
    """Print what could not be had, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for metric, why in unavailable.items():
        reasons.setdefault(why, []).append(metric)
    for why, metrics in reasons.items():
        typer.secho(f"\nunavailable: {', '.join(metrics)}", fg="yellow")
        typer.echo(f"  {why}")


@metrics_app.command("list")
def metrics_list(json_: Json = False) -> None:
    """Say what each metric is."""
    from mitds.benchmark.cards import all_cards
    from mitds.config import plain

    cards = all_cards()
    if json_:
        emit({"metrics": [plain(card) for card in cards]})
        return
    rows = [
        {"metric": c.id, "better": c.better, "needs": c.needs, "axis": c.axis, "what it is": c.says}
        for c in cards
    ]
    print_rows(rows, ("metric", "better", "needs", "axis", "what it is"))


@metrics_app.command("compute")
def metrics_compute(
    generated: Annotated[Path, typer.Option(help="Video or picture to score.")],
    metric: Annotated[
        list[str], typer.Option("--metric", "-m", help="Metric id or short name; may be repeated.")
    ],
    reference: Annotated[Path | None, typer.Option(help="The real video or picture.")] = None,
    json_: Json = False,
) -> None:
    """Score one pair of videos or pictures, without any dataset."""
    from mitds.benchmark.compare import compare
    from mitds.benchmark.words import number_text

    with stdout_for_json():
        found = compare(reference, generated, metric)
    if json_:
        emit({"metrics": {c.metric: c for c in found}})
    else:
        rows = [
            {"metric": c.metric, "value": number_text(c.value, 6), "unit": c.unit, "note": c.reason}
            for c in found
        ]
        print_rows(rows, ("metric", "value", "unit", "note"))
    raise typer.Exit(1 if any(c.value is None for c in found) else 0)


@metrics_app.command("proof")
def metrics_proof(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page to write, docs/metrics.md.")] = None,
    release: Annotated[
        Path | None, typer.Option(help="Release whose floors and real values are shown.")
    ] = None,
    json_: Json = False,
) -> None:
    """Prove the numbers: every reference value, closed form and independent library, and by how much they differ."""
    from mitds.benchmark.proofs.page import prove, write_page

    with stdout_for_json():
        rows = prove()
        if out is not None:
            write_page(out, rows, release)
    if json_:
        emit({"proofs": [row.plain() for row in rows]})
    else:
        print_rows(
            [row.words() for row in rows], ("metric", "check", "expected", "measured", "difference", "holds")
        )
    raise typer.Exit(0 if all(row.holds for row in rows) else 1)


@metrics_app.command("cost")
def metrics_cost(
    release: ReleaseDir,
    items: Annotated[int, typer.Option(min=1, help="Items to measure.")] = 20,
    metric: MetricNames = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what each metric costs: CPU-seconds on some items, and so for 1,000 clips of 5 s."""
    from mitds.benchmark.cost import measure_cost

    with stdout_for_json(), counted(quiet) as progress:
        costs = measure_cost(release, items, metric or (), progress)
    if json_:
        emit({"costs": costs})
    else:
        print_rows(
            [cost.words() for cost in costs], ("metric", "CPU-s a clip", "CPU-h for 1,000", "measured on")
        )


@metrics_app.command("budget")
def metrics_budget(
    release: ReleaseDir,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Page to write, docs/error-budget.md.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Items to measure.")] = 2,
    metric: MetricNames = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what each step from decoding to the mean can move."""
    from mitds.benchmark.budget import measure_budget, write_budget

    with stdout_for_json(), counted(quiet) as progress:
        rows = measure_budget(release, items, metric or (), progress)
        if out is not None:
            write_budget(out, rows, release)
    if json_:
        emit({"budget": rows})
    elif out is not None:
        typer.echo(out)


@release_app.command("build")
def release_build(
    shards: Shards,
    out: Out,
    name: Annotated[str, typer.Option(help="Name of the release, mitds-bench-2026.1.")],
    settings: Settings = None,
    anchors: Annotated[
        bool, typer.Option(help="Measure the controls too; without them nothing can be scored.")
    ] = True,
    metric: MetricNames = None,
    workers: Processes = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Freeze a test release: items cut from annotated clips, split so that nobody is in train and test."""
    from mitds.benchmark.release import ReleaseConfig, build_release
    from mitds.config import override

    config = override(ReleaseConfig(name=name), settings or [])
    with stdout_for_json():
        built = build_release(shards, out, config)
    release = built.release
    if not json_:
        typer.echo(
            f"{release.name} ({release.digest}): {len(release.items)} items, {len(release.train)} clips to train on,"
            f" {len(release.held_out)} held out, {len(built.left_out)} left out"
        )
    if anchors:
        _anchor(out, metric, workers, quiet)
    if json_:
        emit(
            {
                "out": str(out),
                "release": release.name,
                "digest": release.digest,
                "items": len(release.items),
                "train": len(release.train),
                "held_out": len(release.held_out),
                "left_out": built.left_out,
            }
        )
    else:
        typer.echo(f"Next: mitds eval --model copy --shards '{out}/test-*.tar' --out {out}-copy")


@release_app.command("anchors")
def release_anchors(
    release: ReleaseDir,
    metric: MetricNames = None,
    workers: Processes = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure floor, real footage and the price of damage on a release, from its degenerate controls."""
    anchors = _anchor(release, metric, workers, quiet)
    if json_:
        emit({"release": str(release), "floor_band": anchors.floor_band, "metrics": sorted(anchors.metrics)})
        return
    from mitds.benchmark.words import number_text

    rows = [
        {"metric": metric, "floor": number_text(a.floor, 4), "real": number_text(a.real, 4)}
        for metric, a in anchors.metrics.items()
    ]
    print_rows(rows, ("metric", "floor", "real"))
    typer.echo(f"floor band up to {number_text(anchors.floor_band)}")


def _anchor(folder: Path, metrics: Sequence[str] | None, workers: int, quiet: bool) -> Any:
    from mitds.benchmark.evaluation.anchors import measure_anchors
    from mitds.benchmark.evaluation.engine import EngineConfig
    from mitds.benchmark.evaluation.evaluate import metrics_for
    from mitds.benchmark.release import open_release

    opened = open_release(folder)
    with stdout_for_json(), counted(quiet) as progress:
        return measure_anchors(
            opened.folder, opened.release, metrics_for(metrics or ()), EngineConfig(workers=workers), progress
        )


@submission_app.command("new")
def submission_new(
    release: Annotated[Path, typer.Option(help="Folder of the release.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("submission.json"),
    json_: Json = False,
) -> None:
    """Write a submission.json to fill in: who, on which track, trained on what."""
    import datetime
    import json

    from mitds.benchmark.release import open_release
    from mitds.benchmark.submission.pack import starter
    from mitds.store import write_bytes

    if out.exists():
        raise UsageError("there is such a file already", where=str(out), remedy="Choose another --out.")
    about = starter(open_release(release).release, datetime.datetime.now(datetime.UTC).date().isoformat())
    write_bytes(out, (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
    emit({"about": str(out)}) if json_ else typer.echo(out)


@submission_app.command("pack")
def submission_pack(
    videos: Annotated[Path, typer.Option(help="Folder of your answers, ITEM.mp4 (or ITEM-SEED.mp4).")],
    about: Annotated[Path, typer.Option(help="submission.json, written by you; docs/submission.md.")],
    release: Annotated[Path, typer.Option(help="Folder of the release.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle to write, NAME.tar.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="Folder that mitds eval wrote: your own rows.")
    ] = None,
    json_: Json = False,
) -> None:
    """Pack answers and rows into one bundle that can be checked."""
    from mitds.benchmark.submission import pack

    with stdout_for_json():
        path = pack(videos, evaluation, about, release, out)
    emit({"bundle": str(path)}) if json_ else typer.echo(path)


@submission_app.command("check")
def submission_check(
    bundle: Annotated[Path, typer.Argument(help="Bundle: .tar or folder.")],
    release: Annotated[Path, typer.Option(help="Folder of the release.")],
    other: Annotated[list[Path] | None, typer.Option(help="Other teams' bundles; may be repeated.")] = None,
    decode: Annotated[
        bool, typer.Option(help="Decode every video; --no-decode checks the rest in seconds.")
    ] = True,
    workers: Processes = 1,
    json_: Json = False,
) -> None:
    """Check a bundle as the host will: every problem with its code, place and remedy; exit 1 where there is one."""
    from mitds.benchmark.submission import check

    with stdout_for_json():
        problems = check(bundle, release, other_bundles=other or (), decode=decode, workers=workers)
    if json_:
        emit({"bundle": str(bundle), "problems": problems})
    else:
        for problem in problems:
            typer.secho(str(problem), fg="red")
        typer.echo(f"{len(problems)} problem(s)" if problems else "no problem found")
    raise typer.Exit(1 if problems else 0)


@leaderboard_app.command("build")
def leaderboard_build(
    bundles: Annotated[list[Path], typer.Argument(help="Submission bundles.")],
    release: Annotated[Path, typer.Option(help="Folder of the release, anchors measured.")],
    out: Out,
    rescore: Annotated[
        str,
        typer.Option(
            help="all: score every video; spot: some rows of every ability; none: show what teams claim."
        ),
    ] = "all",
    beacon: Annotated[
        str, typer.Option(help="Public randomness published after the uploads; picks the spot-checked rows.")
    ] = "",
    host: Annotated[
        Path | None, typer.Option(help="host.json: tiers and waivers that the host grants.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Headline of the site.")] = None,
    workers: Processes = 1,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check and score bundles, and write the board as a static site."""
    from mitds.benchmark.board import build_board

    if rescore not in ("all", "spot", "none"):
        raise UsageError(f"--rescore {rescore!r}", remedy="Choose all, spot or none.")
    with stdout_for_json(), counted(quiet) as progress:
        board = build_board(
            bundles, release, out, rescore=rescore, beacon=beacon, host=host, title=title, workers=workers,
            progress=progress,
        )  # fmt: skip
    if json_:
        emit({"site": str(board.site), "entries": board.entries, "refused": board.refused})
    else:
        for name, why in board.refused.items():
            typer.secho(f"refused  {name}: {why}", fg="red")
        typer.echo(f"{len(board.entries)} entries: {board.site}")
    raise typer.Exit(1 if board.refused else 0)


@study_app.command("build")
def study_build(
    first: Annotated[Path, typer.Option(help="Folder of one system's answers, ITEM.mp4.")],
    second: Annotated[Path, typer.Option(help="Folder of the other's.")],
    out: Out,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of real footage, shown above each pair.")
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option(help="What raters are asked; may be repeated.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Most items shown.")] = 30,
    seed: Annotated[
        int | None,
        typer.Option(help="Draws items, order and sides; as secret as the key. Default: a random one."),
    ] = None,
    json_: Json = False,
) -> None:
    """Write a static page on which raters compare two systems blindly: Good, Same or Bad."""
    import secrets

    from mitds.benchmark.study import build_study

    drawn = secrets.randbits(48) if seed is None else seed
    with stdout_for_json():
        page = build_study(
            out, first, second, questions=question or (), items=items, seed=drawn, reference=reference
        )
    if json_:
        emit({"page": str(page), "key": str(out / "key.json")})
    else:
        typer.echo(f"{page}\nPublish {page.parent}; keep {out / 'key.json'} to yourself.")


@study_app.command("score")
def study_score(
    votes: Annotated[list[Path], typer.Argument(help="Files that raters saved.")],
    key: Annotated[Path, typer.Option(help="key.json, which stayed with the host.")],
    json_: Json = False,
) -> None:
    """Count votes: GSB = (G+S)/(B+S), with its interval."""
    from mitds.benchmark.study import score_study

    with stdout_for_json():
        result = score_study(key, votes)
    emit({"result": result}) if json_ else typer.echo(result.words())
