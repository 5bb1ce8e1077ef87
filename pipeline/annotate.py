"""Annotate: shards of shots become shards of clips with faces, voices, who speaks, poses and binding.

faces (shot) ──┐
voices (source)┴─▶ speaking (shot) ─▶ people (source) ─▶ quality (clip) ─▶ poses (clip)
                                                                        └▶ clips (clip) ─▶ near duplicates ─▶ shards
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mitds.config import digest
from mitds.errors import MissingWeights, UsageError
from mitds.manifests.schemas import concat_sources
from mitds.manifests.shards import expand
from mitds.pipeline.annotate_run import AnnotateResult, AnnotateRun
from mitds.pipeline.claims import claim, keep_earlier
from mitds.pipeline.runner import Progress, Runner, Stage, ray_session
from mitds.pipeline.settings import AnnotateConfig
from mitds.pipeline.shot_shards import read_sources
from mitds.pipeline.stages.items import Backend
from mitds.pipeline.stages.people import PeopleConfig
from mitds.pipeline.work import Work
from mitds.store import write_json
from mitds.weights import digests, resolve

STAGES = ("faces", "voices", "speaking", "people", "quality", "poses", "clips")


def stages(config: AnnotateConfig, work: Work, weight_digests: dict[str, str]) -> list[Stage]:
    """Declare the stages, their workers and what each needs."""
    device_gpus = {name: _gpus(getattr(config, name)) for name in ("faces", "speech", "asd", "pose")}
    people = PeopleConfig(
        joining=config.joining,
        binder=config.binder,
        fusion=config.fusion,
        seen_speech=config.seen_speech,
        turns=config.turns,
        rules=config.rules,
        models=config.backends,
        digests={"config": digest(replace(config, keep_all=False)), **weight_digests},
    )

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
    """Annotate all shots of the shards that the patterns name; see the module's head for the stages."""
    sources = read_sources(shards)
    if not sources:
        raise UsageError(
            "the shards hold no source", where=", ".join(shards), remedy="Run mitds ingest first."
        )
    claim(out, "annotate")
    keep_earlier(out, "clips.parquet", "source_id", [s.source.id or "" for s in sources], "clips' sources")
    weight_digests = ready_weights(config)
    with Work.over(out) as work:
        run = AnnotateRun(sources, out, work, config)
        with ray_session(address=address, workers=workers):
            runner = Runner(stages(config, work, weight_digests), progress)
            runner.run(run.first_jobs(), run.follow_ups)
        result = run.finish()
    write_json(
        out / "run.json",
        {
            "command": "annotate",
            "shards": [Path(s).name for s in shards],
            "config": config,
            "config_digest": digest(replace(config, keep_all=False)),
            "weights": weight_digests,
            "funnel": result.funnel,
        },
    )
    copy_sources(shards, out)
    return result


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
