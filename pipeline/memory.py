"""What earlier runs have done: a job whose value lies in the work folder is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mitds.errors import BadShard
from mitds.manifests.codec import from_json
from mitds.pipeline.jobs import Job, Outcome
from mitds.pipeline.work import Work
from mitds.places import listing

SUFFIX = ".done"


class Memory:
    """Knows the finished jobs of a work folder.

    Args:
        work: The work folder.
        results: What a stage's workers return, by stage; a stage that is not named is not remembered.
    """

    def __init__(self, work: Work, results: Mapping[str, type]) -> None:
        self._work, self._results = work, results
        self._there = {stage: listing(work.folder(stage)) for stage in results}

    def job(self, stage: str, item: str, payload: Any, *, key: str, media_s: float = 0.0) -> Job:
        """Make a job that leaves its value under `key`, which says all that the result depends on besides settings."""
        done = self._work.path(stage, key, SUFFIX)
        return Job(stage=stage, item=item, payload=payload, media_s=media_s, done=done)

    def recall(self, job: Job) -> Outcome | None:
        """Return a finished job's outcome; a value that cannot be read is as good as none."""
        if job.done is None or job.done.name not in self._there.get(job.stage, ()):
            return None
        result: type[Any] = self._results[job.stage]
        try:
            return Outcome(value=from_json(result, job.done.read_bytes()))
        except (BadShard, OSError):
            return None
