"""Labels, pictures and sound keep to the source's clock through ingest and annotate, whatever the source is like."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import tests.numbered as numbered
from mitds import load
from mitds.manifests.dataset import LoadedClip
from mitds.manifests.records import Source
from mitds.media import DecodeLog, pictures
from mitds.pipeline.annotate import annotate
from mitds.pipeline.ingest import ingest
from tests.inline import inline, with_fakes
from tests.numbered import DOUBLE_NTSC, FILM, NTSC, Coding, encode, face_in, number_in

pytestmark = pytest.mark.media

B_FRAMES = {"bf": "3", "b-pyramid": "normal"}
VFR_CUT, NEVER = 45, 1 << 20
"""The first picture of the second scene of the source of varying rate, and the first of its slow part."""


def steady(fps: Fraction | int, count: int, start: Fraction | int = 0) -> list[Fraction]:
    return [start + k / Fraction(fps) for k in range(count)]


VARYING = [*steady(30, VFR_CUT), *steady(10, 20, Fraction(VFR_CUT, 30))]
EARLY, LATE = Fraction(-2, 5), Fraction(1, 2)
MILLI, TENTH_MICRO = Fraction(1, 1000), Fraction(1, 24_000)

SOURCES: dict[str, tuple[list[Fraction], Coding]] = {
    "varying.mp4": (VARYING, Coding()),
    "5994.mp4": (steady(DOUBLE_NTSC, 120), Coding(options=B_FRAMES)),
    "2997.ts": (steady(NTSC, 60), Coding(options=B_FRAMES)),
    "23976.mkv": (steady(FILM, 48), Coding(options=B_FRAMES, unit=TENTH_MICRO)),
    "counted_h264.avi": (steady(25, 40), Coding(options=B_FRAMES, unit=Fraction(1, 25))),
    "counted_mpeg4.avi": (
        steady(25, 40),
        Coding(codec="mpeg4", options={"bf": "2", "b": "3000000"}, unit=Fraction(1, 25)),
    ),
    "hidden.webm": (
        steady(30, 45),
        Coding(
            codec="libvpx-vp9",
            options={"lag-in-frames": "12", "auto-alt-ref": "1", "b": "2000000", "cpu-used": "8"},
            unit=MILLI,
        ),
    ),
    "edited.mp4": (steady(25, 50, EARLY), Coding(options=B_FRAMES, tone_from=Fraction(0))),
    "negative.ts": (
        steady(25, 40, EARLY),
        Coding(options=B_FRAMES, mux={"avoid_negative_ts": "disabled"}, tone_from=Fraction(0)),
    ),
    "negative.mkv": (
        steady(25, 40, EARLY),
        Coding(mux={"avoid_negative_ts": "disabled"}, unit=MILLI, tone_from=Fraction(0)),
    ),
    "late.mp4": (steady(25, 40, LATE), Coding(options=B_FRAMES, tone_from=Fraction(0))),
    "turned90.mp4": (steady(25, 30), Coding(turn=(0, 1, -1, 0), options=B_FRAMES)),
    "turned180.mp4": (steady(25, 30), Coding(turn=(-1, 0, 0, -1))),
    "turned270.mp4": (steady(25, 30), Coding(turn=(0, -1, 1, 0))),
    "mirrored.mp4": (steady(25, 30), Coding(turn=(-1, 0, 0, 1))),
    "flipped.mp4": (steady(25, 30), Coding(turn=(1, 0, 0, -1))),
    "mirrored90.mp4": (steady(25, 30), Coding(turn=(0, 1, 1, 0))),
    "mirrored270.mp4": (steady(25, 30), Coding(turn=(0, -1, -1, 0))),
    "squeezed.mp4": (steady(25, 30), Coding(aspect=Fraction(4, 3))),
    "squeezed90.mp4": (steady(25, 30), Coding(aspect=Fraction(4, 3), turn=(0, 1, -1, 0))),
    "hevc10_pq.mp4": (
        steady(25, 30),
        Coding(codec="libx265", pix_fmt="yuv420p10le", trc=16, options={"x265-params": "log-level=none"}),
    ),
    "422_10.mp4": (steady(25, 30), Coding(pix_fmt="yuv422p10le")),
    "444_hlg.mp4": (steady(25, 30), Coding(pix_fmt="yuv444p", trc=18)),
    "full_range.mp4": (steady(25, 30), Coding(full_range=True)),
    "counted_interlaced.avi": (
        steady(25, 30),
        Coding(
            codec="mpeg2video", options={"flags": "+ildct+ilme", "b": "5000000", "bf": "2"}, unit=Fraction(1, 25)
        ),
    ),
    "interlaced.mpg": (
        steady(25, 30),
        Coding(codec="mpeg2video", options={"flags": "+ildct+ilme", "b": "5000000", "bf": "2"}, unit=Fraction(1, 25)),
    ),
}  # fmt: skip
"""Times of the pictures, and what makes the file unusual."""


@dataclass(frozen=True)
class Done:
    """What became of one source: its record, and its clips in order."""

    source: Source
    clips: list[LoadedClip]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Ingest and annotate all sources."""
    folder = tmp_path_factory.mktemp("truth")
    for name, (times, coding) in SOURCES.items():
        encode(folder / name, times, coding, VFR_CUT if name == "varying.mp4" else NEVER)
    (folder / "list.txt").write_text("\n".join(SOURCES) + "\n")
    with inline():
        raw = ingest(folder / "list.txt", folder / "raw")
        annotate(
            [str(shard) for shard in raw.shards], folder / "clips", with_fakes(f"{numbered.__name__}:Reader")
        )
    clips = list(load(str(folder / "clips" / "clips-*.tar")))
    clips.sort(key=lambda clip: clip.clip.start)
    return {s.name: Done(s, [c for c in clips if c.clip.source_id == s.id]) for s in raw.sources}


def truth(done: Done) -> tuple[NDArray[np.float64], float]:
    """Return when each drawn picture is shown, on the source's clock, and by how much a container may round."""
    assert done.source.probe is not None
    times, coding = SOURCES[done.source.name]
    suffix = Path(done.source.name).suffix
    first = next(k for k, time in enumerate(times) if time >= 0 or suffix != ".mp4")
    shift = done.source.probe.start - times[first]
    # Transport and program streams begin wherever their muxer likes; the others begin where they were told to.
    assert shift == 0 or suffix in (".ts", ".mpg")
    tick = MILLI if suffix in (".mkv", ".webm") else coding.unit if suffix != ".avi" else numbered.UNIT
    return np.array([float(time + shift) for time in times]), float(tick)


def test_every_source_is_there_in_full(done: dict[str, Done]) -> None:
    for name, (times, _) in SOURCES.items():
        source = done[name].source
        assert (source.status, source.detail) == ("kept", ""), name
        assert source.probe is not None
        assert (source.probe.width, source.probe.height) == (numbered.WIDTH, numbered.HEIGHT), name
        first = sum(time < 0 for time in times) if name.endswith("mp4") else 0
        shown = sum(clip.clip.end - clip.clip.start for clip in done[name].clips)
        assert float(shown) == pytest.approx(float(times[-1] - times[first]) + 1 / 25, abs=0.07), name


@pytest.mark.parametrize("name", SOURCES)
def test_label_frame_is_picture_frame_is_the_picture_of_that_time(name: str, done: dict[str, Done]) -> None:
    times_N, tick = truth(done[name])
    assert done[name].clips
    for loaded in done[name].clips:
        clip, arrays = loaded.clip, loaded.arrays
        frames = list(loaded.frames())
        shown = [number_in(frame) for frame in frames]
        assert np.array_equal(arrays.face_score_NT[0] * 1024, shown)
        assert len(shown) == clip.frames == len(arrays.pts_T)
        for k, number in enumerate(shown):
            away_N = np.abs(times_N - float(clip.start) - k / 25)
            assert away_N[number] <= away_N.min() + 2 * tick


@pytest.mark.parametrize("name", SOURCES)
def test_boxes_are_upright_inside_and_where_the_face_is(name: str, done: dict[str, Done]) -> None:
    for loaded in done[name].clips:
        face_T4 = loaded.arrays.face_xyxy_NT4[0]
        assert (loaded.clip.width, loaded.clip.height) == (numbered.WIDTH, numbered.HEIGHT)
        assert (face_T4 >= 0).all()
        assert (face_T4[:, 2:] <= (loaded.clip.width, loaded.clip.height)).all()
        for box_4, frame_HWC in zip(face_T4, loaded.frames(), strict=True):
            assert np.abs(box_4 - face_in(frame_HWC)).max() <= 2
            assert np.abs(box_4 - numbered.face_of(number_in(frame_HWC))).max() <= 2


def test_the_cut_of_a_source_of_varying_rate_lies_at_its_picture(done: dict[str, Done]) -> None:
    first, second = done["varying.mp4"].clips
    assert second.clip.start == VARYING[VFR_CUT]
    assert abs(first.clip.end - VARYING[VFR_CUT]) <= Fraction(1, 50)
    assert [number_in(frame) for frame in first.frames()][-1] == VFR_CUT - 1
    assert number_in(next(second.frames())) == VFR_CUT


def test_late_pictures_keep_their_time(done: dict[str, Done]) -> None:
    assert done["late.mp4"].clips[0].clip.start == LATE


@pytest.mark.parametrize(
    ("name", "tone"), [("hevc10_pq.mp4", "PQ"), ("444_hlg.mp4", "HLG"), ("422_10.mp4", "")]
)
def test_the_tone_is_noted(name: str, tone: str, tmp_path: Path) -> None:
    times, coding = SOURCES[name]
    log = DecodeLog()
    list(pictures(encode(tmp_path / name, times[:3], coding), log=log))
    assert log.tone == tone
