"""How long a run may still take, by media seconds; unknown until every stage that has work before it was measured.

A stage whose work is made by the stage before it will have, in the end, what it has now divided by the share of its
forerunner's work that is over; the first stages know theirs. What that takes is told by what it has taken so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mitds.pipeline.watching.plan import RunPlan


@dataclass(frozen=True, slots=True)
class Load:
    """The work of a stage, in media seconds or in jobs.

    Attributes:
        added: All that was handed to it.
        ended: What of that is over, in this run or in an earlier one.
        worked: What of that this run has worked on.
        job_s: Seconds that workers have spent on it.
        by_jobs: Whether it is counted in jobs.
    """

    added: float
    ended: float
    worked: float
    job_s: float
    by_jobs: bool


def time_left_s(plan: RunPlan, loads: Mapping[str, Load]) -> float | None:
    """Return the seconds of one worker that a run still needs; None while they are not known."""
    used = [name for name in plan.stages if loads[name].added]
    if not plan.first or not used:
        return None
    over, total = 1.0, 0.0
    for name in used:
        load, first = loads[name], name in plan.first
        if over <= 0 and not first:
            return None
        expected = _known(plan, load) if first else load.added / over
        rest = max(0.0, expected - load.ended)
        if rest > 1e-6 * expected:
            if not load.worked:
                return None
            total += rest * load.job_s / load.worked
        share = min(1.0, load.ended / expected)
        over = min(over, share) if first else share
    all_begun = used[-1] == plan.stages[-1] or over >= 1 - 1e-6
    return total if all_begun else None


def _known(plan: RunPlan, load: Load) -> float:
    return max(load.added, plan.jobs) if plan.jobs is not None and load.by_jobs else load.added
