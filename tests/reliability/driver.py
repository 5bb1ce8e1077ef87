"""What tests kill: `mitds ingest` and `mitds annotate`, one after the other, with backends that are quick to start.

Its arguments: the list, the folder for both outputs, the number of workers, and settings of annotate. MITDS_TEST_ENGINE
says who runs the workers, "ray" or "forks"; MITDS_TEST_DEADLINE_S shortens all deadlines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitds.errors import MitdsError
from mitds.pipeline.annotate import annotate
from mitds.pipeline.annotate import stages as annotate_stages
from mitds.pipeline.ingest import IngestConfig, ingest
from mitds.pipeline.jobs import Stage
from mitds.pipeline.settings import AnnotateConfig, annotate_config
from mitds.pipeline.stages.split import SplitConfig
from tests.reliability import forks

BACKENDS = {
    "faces": "tests.reliability.backends:Faces",
    "speech": "tests.reliability.backends:Diarizer",
    "asd": "tests.reliability.backends:Scorer",
    "pose": "tests.reliability.backends:Pose",
}
SETTINGS = (
    'quality.measures=["stills","exposure","duplicates"]',
    "rules.min_seconds=0.9",
    "rules.min_speaking_s=0.2",
    "rules.min_presence_s=0.0",
)
INGEST = IngestConfig(split=SplitConfig(detector="tests.reliability.backends:Cutter"))


def config(settings: Sequence[str] = ()) -> AnnotateConfig:
    """Return annotate's settings."""
    return annotate_config("embedded", backends=BACKENDS, settings=[*SETTINGS, *settings])


def run(list_path: Path, folder: Path, workers: int, settings: Sequence[str]) -> None:
    """Do both commands."""
    ingest(list_path, folder / "raw", INGEST, workers=workers)
    annotate([str(folder / "raw" / "shots-*.tar")], folder / "clips", config(settings), workers=workers)


def hurry(allowed_s: float) -> None:
    """Shorten all deadlines of annotate."""
    module, real = sys.modules[annotate.__module__], annotate_stages

    def stages(*arguments: Any) -> list[Stage]:
        return [replace(s, deadline_s=allowed_s, deadline_per_media_s=0.0) for s in real(*arguments)]

    module.stages = stages  # type: ignore[attr-defined]


if __name__ == "__main__":
    if os.environ["MITDS_TEST_ENGINE"] == "forks":
        forks.install()
    if "MITDS_TEST_DEADLINE_S" in os.environ:
        hurry(float(os.environ["MITDS_TEST_DEADLINE_S"]))
    listed, where, number, *more = sys.argv[1:]
    try:
        run(Path(listed), Path(where), int(number), more)
    except MitdsError as error:
        sys.stderr.write(f"error[{error.code}]: {error}\n")
        sys.exit(error.exit_code)
