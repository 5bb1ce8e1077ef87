"""Workers for tests of the runner: each does one thing that a real worker may do."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitds.errors import MissingWeights, NotVideo


@dataclass
class Fake:
    """Obeys its payload: ("say", value), ("refuse",), ("lack",), ("bug",), ("die", marker) or ("sleep", s).

    ("die", marker) kills the process once, leaving the marker file, and works at the second attempt;
    with marker None it always dies. ("count",) returns how many jobs this worker has had.
    """

    prefix: str = ""
    jobs: list[str] = field(default_factory=list)

    def __call__(self, payload: tuple[Any, ...]) -> Any:
        """Do what the payload says."""
        verb, *rest = payload
        self.jobs.append(verb)
        return getattr(self, f"_{verb}")(*rest)

    def _say(self, value: Any) -> str:
        return f"{self.prefix}{value}"

    def _count(self) -> tuple[int, int]:
        return os.getpid(), len(self.jobs)

    def _refuse(self) -> None:
        raise NotVideo("these bytes are no video", where="clip.mp4")

    def _lack(self) -> None:
        raise MissingWeights("no mirror has the file", remedy="Fetch it.")

    def _bug(self) -> None:
        raise ZeroDivisionError("one item too few")

    def _die(self, marker: Path | None) -> str:
        if marker is None or not marker.exists():
            if marker is not None:
                marker.touch()
            os._exit(7)
        return "second attempt"

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
