"""What is known of a run before it begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run, as it is announced to whoever watches it.

    Attributes:
        command: What it does: "ingest", "annotate".
        stages: Names of its stages in the order the material passes through them.
        first: Stages whose jobs are not made by other stages; they know all of their work at the beginning.
        jobs: Number of jobs of each of the `first` stages; None where they are all added before anything is done.
    """

    command: str = ""
    stages: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    jobs: int | None = None
