"""Pictures of 8K go through ingest in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

pytestmark = pytest.mark.long

GROWTH_MIB = 1382
"""What a worker may need beyond its modules, which take some 150 MiB: 1.5 GiB in all."""

INGEST = """
import resource, sys
from pathlib import Path
from mitds.pipeline.ingest import ingest
from tests.inline import inline

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
with inline():
    (source,) = ingest(Path(sys.argv[1]), Path(sys.argv[2])).sources
print(source.status, source.probe.width, source.probe.height, peak() - before)
"""


def test_8k_is_ingested_in_bounded_memory(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "8k.mp4"), "w") as container:
        track = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "threads": "1"})
        track.width, track.height, track.pix_fmt = 7680, 4320, "yuv420p"
        coarse_HWC = np.random.default_rng(0).integers(0, 256, (540, 960, 3), np.uint8)
        picture_HWC = coarse_HWC.repeat(8, 0).repeat(8, 1)
        for k in range(10):
            shifted_HWC = np.ascontiguousarray(np.roll(picture_HWC, 2 * k, 1))
            frame = av.VideoFrame.from_ndarray(shifted_HWC, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    (tmp_path / "list.txt").write_text("8k.mp4\n")
    command = [sys.executable, "-c", INGEST, str(tmp_path / "list.txt"), str(tmp_path / "raw")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, width, height, growth = done.stdout.split()
    assert (status, width, height) == ("kept", "7680", "4320")
    assert float(growth) <= GROWTH_MIB
