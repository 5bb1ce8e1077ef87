"""A white picture and a click at one instant, cut at 100 random places: they stay together."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mitds import load
from mitds.annotators.contracts import Cut
from mitds.annotators.faces.fake import FakeFaceTrackerConfig
from mitds.manifests.shards import read_shard
from mitds.media import Picture, pictures, read_sound
from mitds.pipeline.annotate import annotate
from mitds.pipeline.ingest import IngestConfig, ingest
from mitds.pipeline.stages.split import SplitConfig
from tests.inline import inline, with_fakes
from tests.numbered import NTSC

pytestmark = pytest.mark.media

RATE = 48_000
CUTS = 100
LENGTHS = np.random.default_rng(21).integers(18, 36, CUTS + 1)
"""Pictures in each shot."""

LIT = frozenset(np.cumsum(np.random.default_rng(22).integers(5, 20, 260)).tolist()) & set(
    range(LENGTHS.sum())
)
"""Numbers of the white pictures."""


class RandomCuts:
    """A shot detector that does not look."""

    name = "random"
    max_side = 16

    def detect(self, pictures: Iterable[Picture]) -> list[Cut]:
        firsts = set(np.cumsum(LENGTHS)[:-1].tolist())
        return [Cut(p.pts, p.index, 1.0) for p in pictures if p.index in firsts]


def film(path: Path, fps: Fraction) -> None:
    """Write H.264 with reordered pictures, and PCM, in which nothing has to be cut off."""
    wave_1S = np.zeros((1, round(int(LENGTHS.sum()) / fps * RATE)), np.int16)
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", options={"bf": "2", "preset": "ultrafast", "g": "50"})
        track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        track.codec_context.time_base, track.codec_context.framerate = Fraction(1, 90_000), fps
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for k in range(int(LENGTHS.sum())):
            picture_HWC = np.full((32, 32, 3), 255 if k in LIT else 0, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture_HWC, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(k / fps * 90_000), Fraction(1, 90_000)
            container.mux(track.encode(frame))
            if k in LIT:
                at = round(k / fps * RATE)
                wave_1S[0, at : at + 24] = 30_000
        container.mux(track.encode(None))
        block = av.AudioFrame.from_ndarray(wave_1S, "s16", "mono")
        block.sample_rate, block.time_base, block.pts = RATE, Fraction(1, RATE), 0
        container.mux([*sound.encode(block), *sound.encode(None)])


@dataclass(frozen=True)
class InMemory:
    """A file that is nowhere on the disk."""

    data: bytes

    def open(self, mode: str = "rb") -> IO[bytes]:
        return io.BytesIO(self.data)


@dataclass(frozen=True)
class Cutting:
    """What 101 pieces of one film are: their mp4 and, where they are clips, their 16 kHz sound."""

    fps: Fraction
    mp4: list[bytes]
    waves: list[NDArray[np.float32]]


@pytest.fixture(scope="module")
def cuttings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cutting]:
    """Ingest films of 25 and 29.97 pictures a second, and annotate that of 25."""
    folder = tmp_path_factory.mktemp("flash")
    settings = IngestConfig(split=SplitConfig(detector=f"{__name__}:RandomCuts"))
    in_view = replace(
        with_fakes("mitds.annotators.faces.fake:FakeFaceTracker"),
        faces=FakeFaceTrackerConfig(boxes=((8.0, 8.0, 24.0, 24.0),)),
    )
    found: dict[str, Cutting] = {}
    with inline():
        for name, fps in (("25", Fraction(25)), ("29.97", NTSC)):
            film(folder / f"{name}.mov", fps)
            (folder / f"{name}.txt").write_text(f"{name}.mov\n")
            raw = ingest(folder / f"{name}.txt", folder / f"raw-{name}", settings)
            samples = [s for shard in raw.shards for s in read_shard(shard) if "-s" in s.key]
            found[f"shots at {name}"] = Cutting(fps, [s.members["mp4"] for s in samples], [])
            if fps == 25:
                shards = [str(shard) for shard in raw.shards]
                annotate(shards, folder / "clips", in_view)
    clips = list(load(str(folder / "clips" / "clips-*.tar")))
    waves = [wave_S for clip in clips if (wave_S := clip.wave()) is not None]
    return found | {"clips": Cutting(Fraction(25), [clip.mp4 for clip in clips], waves)}


def onsets(wave_S: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Return when clicks begin, s from the first sample."""
    loud = np.flatnonzero(np.abs(wave_S) > 0.4)
    return loud[np.diff(loud, prepend=-rate) > rate // 20] / rate


def decoded_wave(mp4: bytes) -> NDArray[np.float32]:
    """Return the samples as a decoder gives them, one after the other."""
    with av.open(io.BytesIO(mp4)) as container:
        return np.concatenate([block.to_ndarray()[0] for block in container.decode(audio=0)])


@pytest.mark.parametrize("kind", ["shots at 25", "shots at 29.97", "clips"])
def test_by_presentation_time_they_are_within_a_millisecond(kind: str, cuttings: dict[str, Cutting]) -> None:
    assert len(cuttings[kind].mp4) == CUTS + 1
    apart: list[float] = []
    for mp4 in cuttings[kind].mp4:
        seen = [float(p.pts) for p in pictures(InMemory(mp4)) if p.frame_HWC.mean() > 128]
        sound = read_sound(InMemory(mp4))
        assert sound is not None
        heard = onsets(sound.wave_CS[0], sound.rate) + float(sound.start)
        assert len(seen) == len(heard)
        apart += np.abs(np.subtract(seen, heard)).tolist()
    assert len(apart) == len(LIT)
    assert max(apart) <= 0.001


@pytest.mark.parametrize("kind", ["shots at 25", "shots at 29.97", "clips"])
def test_by_counting_they_are_within_five_milliseconds(kind: str, cuttings: dict[str, Cutting]) -> None:
    found = cuttings[kind]
    for k, mp4 in enumerate(found.mp4):
        shown = [p.frame_HWC.mean() > 128 for p in pictures(InMemory(mp4))]
        seen = np.flatnonzero(shown) / float(found.fps)
        waves = [(decoded_wave(mp4), RATE), *((wave_S, 16_000) for wave_S in found.waves[k : k + 1])]
        for wave_S, rate in waves:
            heard = onsets(wave_S, rate)
            assert len(seen) == len(heard)
            assert np.abs(seen - heard).max(initial=0) <= 0.005
