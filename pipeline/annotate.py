"""Annotate: shards of shots become shards of clips with faces, voices, who speaks, poses and binding.

faces (shot) ──┐
voices (source)┴─▶ speaking (shot) ─▶ people (source) ─▶ quality (clip) ─▶ poses (clip)
                                                                        └▶ clips (clip) ─▶ near duplicates ─▶ shards
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from mitds.config import digest
from mitds.errors import MissingWeights, UsageError
from mitds.manifests.removals import Removals, removals
from mitds.manifests.schemas import concat_sources
from mitds.manifests.shards import expand
from mitds.pipeline.annotate_run import AnnotateResult, AnnotateRun
from mitds.pipeline.claims import claim, keep_earlier
from mitds.pipeline.dry_run import StageForecast, forecast
from mitds.pipeline.fingerprints import annotate_fingerprints, libraries, tool
from mitds.pipeline.jobs import Progress, Stage
from mitds.pipeline.nodes import Needs
from mitds.pipeline.runner import Runner
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import AnnotateConfig
from mitds.pipeline.shot_shards import read_sources
from mitds.pipeline.stages.items import Backend, SourceItem
from mitds.pipeline.stages.people import PeopleConfig
from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.recorder import recorded
from mitds.pipeline.work import Work, run_on
from mitds.store import write_json
from mitds.weights import digests, resolve

STAGES = ("faces", "voices", "speaking", "people", "quality", "poses", "clips")
PLAN = RunPlan(command="annotate", stages=STAGES, first=("faces", "voices"))


def people_config(config: AnnotateConfig, weight_digests: dict[str, str]) -> PeopleConfig:
    """Return the settings of the stage that brings a source together, and what its clips say of their making."""
    return PeopleConfig(
        joining=config.joining,
        binder=config.binder,
        fusion=config.fusion,
        seen_speech=config.seen_speech,
        turns=config.turns,
        rules=config.rules,
        models=config.backends,
        digests={"config": digest(replace(config, keep_all=False)), **weight_digests},
        tool=tool(),
        libraries=libraries(),
    )


def stages(config: AnnotateConfig, work: Work, people: PeopleConfig) -> list[Stage]:
    """Declare the stages, their workers and what each needs."""
    device_gpus = {name: _gpus(getattr(config, name)) for name in ("faces", "speech", "asd", "pose")}

    def annotator(stage: str, family: str, module: str, **more: object) -> Stage:
        backend = Backend(config.backends[family], getattr(config, family))
        return Stage(
            name=stage,
            worker=f"mitds.pipeline.stages.{module}",
            arguments={"backend": backend, "work": work, **more},
            num_gpus=device_gpus[family],
        )

    return [
        annotator("faces", "faces", "faces:FacesStage"),
        annotator("voices", "speech", "voices:VoicesStage"),
        annotator("speaking", "asd", "speaking:SpeakingStage"),
        Stage(
            name="people",
            worker="mitds.pipeline.stages.people:PeopleStage",
            arguments={"config": people, "work": work},
        ),
        Stage(
            name="quality",
            worker="mitds.pipeline.stages.quality:QualityStage",
            arguments={"config": config.quality, "work": work},
        ),
        annotator("poses", "pose", "poses:PosesStage", occlusion=config.occlusion),
        Stage(
            name="clips",
            worker="mitds.pipeline.stages.clips:ClipsStage",
            arguments={"config": config.clip, "work": work},
        ),
    ]


def _gpus(settings: object) -> float:
    return 1.0 if str(getattr(settings, "device", "cpu")).startswith("cuda") else 0.0


def annotate(
    shards: Sequence[str],
    out: Path,
    config: AnnotateConfig,
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AnnotateResult:
    """Annotate all shots of the shards that the patterns name; see the module's head for the stages.

    What an earlier run with the same output has done already is not done again.
    """
    claim(out, "annotate")
    with run_on(out, "annotate") as (root, hold), recorded(out, PLAN, progress) as told:
        gone = _withdrawn(out, shards)
        sources = _sources(shards, gone)
        keep_earlier(
            out, "clips.parquet", "source_id", [s.source.id or "" for s in sources], "clips' sources"
        )
        weight_digests = ready_weights(config)
        people = people_config(config, weight_digests)
        work = Work(root, annotate_fingerprints(config, weight_digests, people))
        with closing(AnnotateRun(sources, out, work, config, gone)) as run:
            with ExitStack() as session:
                needs = Needs(work=root, inputs=expand(shards)[:1], weights=config.weights())
                workforce = ray_session(address=address, workers=workers, needs=needs)
                runner = Runner(
                    stages(config, work, people),
                    told,
                    run.recall,
                    lambda: session.enter_context(workforce),
                )
                runner.run(run.first_jobs(), run.follow_ups)
            result = run.finish(hold)
            told.published(result.shards)
        copy_sources(shards, out)
        write_json(
            out / "run.json",
            {
                "command": "annotate",
                "complete": True,
                "inputs": [Path(s).name for s in shards],
                "config": config,
                "config_digest": digest(replace(config, keep_all=False)),
                "weights": weight_digests,
                "funnel": result.funnel,
                "shards": result.shards,
            },
        )
    return result


def annotate_forecast(shards: Sequence[str], out: Path, config: AnnotateConfig) -> list[StageForecast]:
    """Say what `annotate` would do with the same arguments: what is done, what is to be done; nothing is changed."""
    gone = _withdrawn(out, shards)
    sources = _sources(shards, gone)
    weight_digests = ready_weights(config)
    people = people_config(config, weight_digests)
    work = Work(out / ".work", annotate_fingerprints(config, weight_digests, people))
    with closing(AnnotateRun(sources, out, work, config, gone, rehearsal=True)) as run:
        return forecast(STAGES, run.first_jobs(), run.follow_ups, run.recall)


def _withdrawn(out: Path, shards: Sequence[str]) -> Removals:
    """Return what the records of the output and of the inputs' folders withdraw."""
    folders = {path.parent for path in expand(shards)} | ({out} if out.is_dir() else set())
    return removals(*folders)


def _sources(shards: Sequence[str], gone: Removals) -> list[SourceItem]:
    """Return the shards' sources, without those that were withdrawn."""
    sources = [item for item in read_sources(shards) if not gone.refuses(item.source.id or "")]
    if not sources:
        raise UsageError(
            "the shards hold no source", where=", ".join(shards), remedy="Run mitds ingest first."
        )
    return sources


def ready_weights(config: AnnotateConfig) -> dict[str, str]:
    """Fetch what the backends need before any work begins, and return the sha256 by name.

    Raises:
        MissingWeights: One cannot be had; says which profile does without it.
    """
    try:
        for name in config.weights():
            resolve(name)
    except MissingWeights as error:
        if config.profile == "embedded":
            raise
        other = " Or run with --profile embedded, which needs the package index alone."
        raise MissingWeights(error.what, where=error.where, remedy=error.remedy + other) from error
    return digests(config.weights())


def copy_sources(shards: Sequence[str], out: Path) -> None:
    """Keep the list's record (sources.parquet) of every ingest run beside the clips, for the report."""
    folders = dict.fromkeys(path.parent for path in expand(shards))
    tables = [f / "sources.parquet" for f in folders if (f / "sources.parquet").is_file()]
    if tables:
        concat_sources(tables, out / "sources.parquet")
