"""Ingest and annotate in this process: the real stages one after the other, without Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest

from mitds.annotators.asd.fake import FakeScorerConfig
from mitds.annotators.pose.fake import FakePoseConfig
from mitds.annotators.speech.fake import FakeDiarizerConfig
from mitds.pipeline.jobs import FollowUps, Job, Stage
from mitds.pipeline.pool import Host
from mitds.pipeline.selection import ClipRules
from mitds.pipeline.settings import AnnotateConfig, annotate_config
from mitds.pipeline.stages.quality import QualityConfig


class InlineRunner:
    """Stands in for `Runner`."""

    def __init__(self, stages: Sequence[Stage], *_: Any, **__: Any) -> None:
        self._hosts = {stage.name: Host(stage.worker, stage.arguments) for stage in stages}

    def run(self, jobs: Iterable[Job], follow_ups: FollowUps) -> None:
        """Run the jobs in order, and after them those that follow from them."""
        waiting = deque(jobs)
        while waiting:
            job = waiting.popleft()
            waiting.extend(follow_ups(job, self._hosts[job.stage].run(job.payload, job.done)))


@contextmanager
def inline() -> Iterator[None]:
    """Within it, `ingest` and `annotate` run here."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("ingest", "annotate"):
            patch.setattr(f"mitds.pipeline.{module}.Runner", InlineRunner)
            patch.setattr(f"mitds.pipeline.{module}.ray_session", lambda **_: nullcontext())
        yield


def with_fakes(faces: str) -> AnnotateConfig:
    """Return settings of annotate that keep every clip: a face tracker, "module:Class", and fakes for the rest."""
    fake = "mitds.annotators.{0}.fake:Fake{1}"
    backends = {
        "faces": faces,
        "speech": fake.format("speech", "Diarizer"),
        "asd": fake.format("asd", "Scorer"),
        "pose": fake.format("pose", "Pose"),
    }
    return replace(
        annotate_config("embedded", backends=backends),
        asd=FakeScorerConfig(),
        speech=FakeDiarizerConfig(turns=()),
        pose=FakePoseConfig(),
        rules=ClipRules(min_people=1, min_seconds=0.0, min_speaking_s=0.0, min_presence_s=0.0),
        quality=QualityConfig(measures=()),
    )
