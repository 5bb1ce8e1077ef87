"""The stage that says what a source is, before anybody spends time on it."""

from __future__ import annotations

from pathlib import Path

from mitds.manifests.records import Probe
from mitds.media import probe


class ProbeStage:
    """Worker of the stage "probe"."""

    def __call__(self, path: Path) -> Probe:
        """Probe one source; raises NotVideo or Undecodable where it is no usable video."""
        return probe(path)
