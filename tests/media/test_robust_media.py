"""Every broken and unusual file decodes, or is refused with its right reason."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import InputFault, NotVideo, Undecodable
from mitds.media import DecodeLog, grid_frames, pictures, probe, read_sound
from mitds.time import Grid
from mitds.weights import resolve

pytestmark = [pytest.mark.media]


@dataclass(frozen=True)
class Outcome:
    """What a file must give: upright size, pictures (a range where damage decides), rotation, flags."""

    width: int
    height: int
    pictures: tuple[int, int]
    rotation: int = 0
    vfr: bool = False
    interlaced: bool = False
    sound: bool = False


def exactly(count: int) -> tuple[int, int]:
    return count, count


DECODES = {
    "counter.mp4": Outcome(1920, 1080, exactly(30)),
    "decord_corrupted.mp4": Outcome(1280, 720, (45, 50)),
    "decord_unordered.mov": Outcome(50, 50, exactly(4)),
    "decord_video_90.mov": Outcome(320, 568, exactly(3), rotation=90),
    "decord_video_180.mov": Outcome(568, 320, exactly(3), rotation=180),
    "decord_video_270.mov": Outcome(320, 568, exactly(3), rotation=270),
    "delayed_start.mp4": Outcome(480, 320, exactly(24)),
    "fades.mp4": Outcome(480, 320, exactly(250)),
    "goldeneye-vfr-drop3.mp4": Outcome(1280, 544, exactly(160), vfr=True),
    "issue-134-rotate.mp4": Outcome(544, 1280, exactly(240), rotation=90, sound=True),
    "issue-236-split-copy.mkv": Outcome(1920, 1080, exactly(48), sound=True),
    "testvideo.mp4": Outcome(1280, 720, exactly(720)),
    "torchcodec_av1_video.mkv": Outcome(640, 360, exactly(125)),
    "torchcodec_bt709_full_range.mp4": Outcome(1280, 720, exactly(30)),
    "torchcodec_h264_10bits.mp4": Outcome(200, 200, exactly(30)),
    "torchcodec_h265_10bits.mp4": Outcome(200, 200, exactly(30)),
    "torchcodec_nasa_13013.mp4": Outcome(320, 180, exactly(325), sound=True),
    "derived/bitflips_interview.mp4": Outcome(1280, 720, (400, 438), sound=True),
    "derived/fps60_audio8k_interview.mp4": Outcome(1280, 720, exactly(480), sound=True),
    "derived/hevc10_interview.mp4": Outcome(1280, 720, exactly(200), sound=True),
    "derived/interlaced_sar_mpeg2.mpg": Outcome(1024, 576, exactly(96), interlaced=True, sound=True),
    "derived/name with spaces é 中文 letterbox15fps.webm": Outcome(960, 720, exactly(120), sound=True),
    "derived/noaudio_interview.mp4": Outcome(1280, 720, exactly(202)),
    "derived/odd_height_yuv444_interview.mp4": Outcome(1278, 719, exactly(100), sound=True),
    "derived/rot90_flag_interview.mp4": Outcome(720, 1280, exactly(438), rotation=270, sound=True),
    "derived/two_audio_tracks_interview.mkv": Outcome(1280, 720, exactly(202), sound=True),
    "derived/vfr_interview.mp4": Outcome(1280, 720, exactly(314), vfr=True, sound=True),
}

REFUSED: dict[str, tuple[type[InputFault], str]] = {
    "derived/audio_only_interview.mp4": (NotVideo, "sound only"),
    "derived/jpeg_renamed.mp4": (NotVideo, "still image"),
    "derived/text_renamed.mp4": (NotVideo, "neither video nor sound"),
    "derived/zero_bytes.mp4": (NotVideo, "empty"),
    "derived/truncated_interview.mp4": (Undecodable, "cut short"),
    "derived/cut_both_ends_interview.ts": (Undecodable, "no picture decodes"),
}


@pytest.mark.shared
def test_the_tables_name_every_file(shared_media: Path) -> None:
    folder = shared_media / "robust"
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files == DECODES.keys() | REFUSED.keys()


@pytest.mark.shared
@pytest.mark.parametrize("name", DECODES)
def test_decodes(name: str, shared_media: Path) -> None:
    path, wanted = shared_media / "robust" / name, DECODES[name]
    found = probe(path)
    assert (found.width, found.height, found.rotation) == (wanted.width, wanted.height, wanted.rotation)
    assert (found.vfr, found.interlaced, found.audio_tracks > 0) == (
        wanted.vfr,
        wanted.interlaced,
        wanted.sound,
    )
    log = DecodeLog()
    times, shape = [], (0, 0, 0)
    for picture in pictures(path, max_side=160, log=log):
        times.append(picture.pts)
        shape = picture.frame_HWC.shape
    assert wanted.pictures[0] <= len(times) <= wanted.pictures[1]
    assert times == sorted(set(times))
    assert times[0] == found.start
    assert not log.truncated
    assert log.end is not None
    assert abs(log.end - (found.start + found.duration)) <= Fraction(1, 100)
    assert shape[1] / shape[0] == pytest.approx(found.width / found.height, rel=0.02)
    sound = read_sound(path)
    assert (sound is not None) == wanted.sound
    assert sound is None or abs(sound.start - found.start) < 1


@pytest.mark.shared
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(name: str, shared_media: Path) -> None:
    path, (kind, reason) = shared_media / "robust" / name, REFUSED[name]
    for read in (probe, lambda p: list(pictures(p)), lambda p: list(grid_frames(p, Grid(Fraction(0), 2)))):
        with pytest.raises(kind, match=reason):
            read(path)


@pytest.mark.shared
def test_one_scene_looks_the_same_through_every_coding(shared_media: Path) -> None:
    """10-bit, 4:4:4, odd height, interlaced anamorphic and rate-changed copies of one clip."""
    derived = shared_media / "robust" / "derived"
    grid = Grid(Fraction(0), 1)

    def first(path: Path) -> np.ndarray:
        at = Grid(probe(path).start, grid.count)
        return next(iter(grid_frames(path, at, max_side=160))).astype(float)

    original = first(shared_media / "multi" / "interview_studio_2men.mp4")
    for name in ("hevc10", "odd_height_yuv444", "noaudio", "vfr", "fps60_audio8k"):
        other = first(derived / f"{name}_interview.mp4")
        assert np.abs(other - original).mean() < 4, name
    assert np.abs(first(derived / "interlaced_sar_mpeg2.mpg") - original).mean() < 8
    turned = first(derived / "rot90_flag_interview.mp4")
    assert (
        np.abs(np.rot90(turned, -1) - original).mean() < 4
        or np.abs(np.rot90(turned, 1) - original).mean() < 4
    )


@pytest.mark.parametrize("name", ["media.statement", "media.podium", "media.introduction"])
def test_demo_clips_read_the_same_from_the_start_and_from_a_seek(name: str) -> None:
    path = resolve(name)
    found = probe(path)
    grid = Grid(found.start + found.duration - 1, 25)
    seen = [(p.pts, p.frame_HWC) for p in pictures(path, max_side=96)]
    for k, frame_HWC in enumerate(grid_frames(path, grid, max_side=96)):
        nearest = min(seen, key=lambda s: (abs(s[0] - grid.at(k)), s[0]))
        assert np.array_equal(frame_HWC, nearest[1])
    sound = read_sound(path)
    assert sound is not None
    assert float(abs(sound.end - found.start - found.duration)) < 0.5
