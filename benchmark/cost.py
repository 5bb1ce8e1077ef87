"""What metrics cost: CPU-seconds on real items, each metric on its own, and all together as `mitds eval` runs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mitds.benchmark.contracts import Metric, Scene, SetMetric
from mitds.benchmark.evaluation.engine import Progress, choose
from mitds.benchmark.footage import Footage, read_footage
from mitds.benchmark.isolation import Limits, run_isolated
from mitds.benchmark.registries import METRICS, metric_id
from mitds.benchmark.release import open_release
from mitds.errors import UsageError

CLIPS = 1000
SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU time of one metric.

    Attributes:
        metric: Metric id, "decode", or "all" (one pass that shares what judges see).
        seconds: CPU-seconds an item, scaled to 5 s of video: output alone, real footage's judges excluded.
        items: Items measured.
        frames: Frames measured.
    """

    metric: str
    seconds: float
    items: int
    frames: int

    def words(self) -> dict[str, str]:
        """Return the row as texts."""
        return {
            "metric": self.metric,
            "CPU-s a clip": f"{self.seconds:.2f}",
            "CPU-h for 1,000": f"{self.seconds * CLIPS / 3600:.2f}",
            "measured on": f"{self.items} items, {self.frames} frames",
        }


def measure_cost(folder: Path, items: int, names: Sequence[str], progress: Progress) -> list[Cost]:
    """Measure on the first items of a release, with the controls' outputs as what is scored.

    Each metric runs in a process of its own with one thread; loading of networks is not counted, nor is what judges see
    of the real footage, which is kept: it is the same for every system. What they see of the output is not kept.

    Args:
        folder: The release; its anchors have been measured, so that outputs of controls lie there.
        items: How many items.
        names: Metrics; all that can run by default.
        progress: Told how far it is.
    """
    chosen = sorted(choose([metric_id(n) for n in names] or METRICS.names()).cards)
    ids = [item.id for item in open_release(folder).release.items[:items]]
    wanted = [["decode"], *([name] for name in chosen), ["all", *chosen]]
    found: list[Cost] = []
    for done, group in enumerate(wanted):
        progress("measuring cost", done, len(wanted))
        job = {"release": str(folder), "items": ids, "metrics": group[1:] or group, "name": group[0]}
        outcome = run_isolated(
            "mitds.benchmark.cost:spend", job, Limits(memory_bytes=None, cpu_s=36_000, wall_s=36_000)
        )
        if outcome.status != "value":
            raise UsageError(f"{group[0]} cannot be measured: {outcome.what}", remedy=outcome.remedy)
        found.append(Cost(metric=group[0], **outcome.value))
    progress("measuring cost", len(wanted), len(wanted))
    return found


def spend(job: dict[str, Any]) -> dict[str, Any]:
    """Run metrics over items and count CPU time; runs in an isolated process."""
    release = open_release(job["release"])
    metrics = [METRICS.get(name)() for name in job["metrics"] if name != "decode"]
    seconds, frames = 0.0, 0
    for number, id in enumerate([job["items"][0], *job["items"]]):
        scene = release.scene(id)
        video = release.folder / "controls" / "wrong-voice" / "videos" / f"{id}.mp4"
        os.environ["MITDS_JUDGE_CACHE"] = "1"
        for metric in metrics:
            if metric.card.needs != "pair":
                _see(metric, scene, scene.real)
        os.environ["MITDS_JUDGE_CACHE"] = "0"
        spent, count = _timed(video, scene, metrics)
        if number:  # the first pass loads the networks
            seconds, frames = seconds + spent, frames + count
    return {"seconds": seconds / frames * SECONDS * 25, "items": len(job["items"]), "frames": frames}


def _timed(video: Path, scene: Scene, metrics: Sequence[Metric | SetMetric]) -> tuple[float, int]:
    begin = time.process_time()
    footage = read_footage(video, scene.real.shape)
    decoded = time.process_time()
    footage.wave_S = scene.real.wave_S
    for metric in metrics:
        _see(metric, scene, footage)
    end = time.process_time()
    return (end - decoded if metrics else decoded - begin), footage.shape.frames


def _see(metric: Metric | SetMetric, scene: Scene, footage: Footage) -> None:
    act: Callable[..., object]
    act = cast(SetMetric, metric).observe if metric.card.needs == "set" else cast(Metric, metric).score
    act(scene, footage)
