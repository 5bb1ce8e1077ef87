"""Pictures of every size go through ingest and annotate, and come out at their size."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mitds import load
from mitds.annotators.faces.fake import FakeFaceTrackerConfig
from mitds.pipeline.annotate import annotate
from mitds.pipeline.ingest import ingest
from tests.inline import inline, with_fakes

pytestmark = pytest.mark.media

SIZES = [(16, 16), (47, 63), (63, 48), (2, 2), (1, 1), (5, 600)]
COUNT = 12


def film(path: Path, width: int, height: int) -> None:
    """Write grey pictures that get brighter, without loss."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = width, height, "yuv444p"
        for k in range(COUNT):
            grey_HWC = np.full((height, width, 3), 40 + 15 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey_HWC, "rgb24").reformat(format="yuv444p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))


def test_tiny_odd_and_narrow_pictures_come_out_as_they_went_in(tmp_path: Path) -> None:
    for width, height in SIZES:
        film(tmp_path / f"{width}x{height}.mkv", width, height)
    (tmp_path / "list.txt").write_text("".join(f"{w}x{h}.mkv\n" for w, h in SIZES))
    settings = replace(
        with_fakes("mitds.annotators.faces.fake:FakeFaceTracker"),
        faces=FakeFaceTrackerConfig(boxes=((0.0, 0.0, 1.0, 1.0),)),
        keep_all=True,
    )
    with inline():
        raw = ingest(tmp_path / "list.txt", tmp_path / "raw")
        result = annotate([str(shard) for shard in raw.shards], tmp_path / "clips", settings)
    assert [(s.status, s.detail) for s in raw.sources] == [("kept", "")] * len(SIZES)
    assert [(s.probe.width, s.probe.height) for s in raw.sources if s.probe] == SIZES
    assert not result.failures
    shards = [
        str(path) for kind in ("clips", "rejected") for path in (tmp_path / "clips").glob(f"{kind}-*.tar")
    ]
    clips = {clip.clip.source_name: clip for clip in load(shards)}
    for width, height in SIZES:
        shown = [frame_HWC.copy() for frame_HWC in clips[f"{width}x{height}.mkv"].frames()]
        assert {frame_HWC.shape for frame_HWC in shown} == {(height, width, 3)}
        assert [frame_HWC.mean() for frame_HWC in shown] == pytest.approx(40 + 15 * np.arange(COUNT), abs=4)
