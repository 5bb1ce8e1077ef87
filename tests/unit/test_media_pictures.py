"""Decoding pictures: order, time, geometry, colour, damage."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mitds.errors import NotVideo, SourceUnreachable, Undecodable
from mitds.media import DecodeLog, grid_frames, pictures, probe, write_video
from mitds.time import Grid

Frame = NDArray[np.uint8]


def shade(number: int) -> int:
    """A grey level that tells frame numbers apart after lossy coding."""
    return 16 + number * 37 % 220


def grey(number: int, width: int = 64, height: int = 48) -> Frame:
    return np.full((height, width, 3), shade(number), np.uint8)


def numbered(path: Path, times: Sequence[Fraction]) -> Path:
    write_video(path, ((t, grey(k)) for k, t in enumerate(times)), crf=1)
    return path


def level(frame_HWC: Frame) -> float:
    return float(frame_HWC.mean())


def encode(
    path: Path,
    frames: Sequence[Frame],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    clockwise: int = 0,
    matrix: int = 1,
    full_range: bool = False,
    container_format: str | None = None,
) -> Path:
    """Encode at 25 fps with whatever makes a file unusual."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25, options={"bf": "0", **(options or {})})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full_range else 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if clockwise:
            stream.set_display_rotation(-clockwise)  # it counts the other way
        for k, frame_HWC in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(frame_HWC, "rgb24").reformat(
                format=pix_fmt, dst_colorspace=matrix, dst_color_range=2 if full_range else 1
            )
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_variable_rate_times_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 40, 73, 140, 141, 500, 533, 1533)]
    got = list(pictures(numbered(tmp_path / "a.mp4", times)))
    assert [p.pts for p in got] == times
    assert [p.index for p in got] == list(range(len(times)))
    assert [round(level(p.frame_HWC)) for p in got] == pytest.approx([shade(k) for k in range(8)], abs=3)


def test_probe_tells_variable_from_constant_rate(tmp_path: Path) -> None:
    constant = probe(numbered(tmp_path / "c.mp4", [Fraction(k * 1001, 30000) for k in range(30)]))
    assert (constant.fps, constant.vfr, constant.duration) == (
        Fraction(30000, 1001),
        False,
        Fraction(1001, 1000),
    )
    variable = probe(numbered(tmp_path / "v.mp4", [Fraction(k, 25) for k in range(20) if k != 7]))
    assert variable.vfr
    assert variable.duration == Fraction(20, 25)


def test_probe_forgives_a_clock_of_milliseconds(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", [grey(k) for k in range(20)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].time_base == Fraction(1, 1000)
    found = probe(path)
    assert (found.fps, found.vfr) == (Fraction(25), False)


def corners() -> Frame:
    frame_HWC = np.zeros((48, 64, 3), np.uint8)
    frame_HWC[:16, :16] = 255  # white at the stored top left
    return frame_HWC


@pytest.mark.parametrize(
    ("clockwise", "white"),
    [
        (90, (slice(2, 12), slice(-12, -2))),
        (180, (slice(-12, -2), slice(-12, -2))),
        (270, (slice(-12, -2), slice(2, 12))),
    ],
)
def test_rotation_flag_is_applied(tmp_path: Path, clockwise: int, white: tuple[slice, slice]) -> None:
    path = encode(tmp_path / "r.mp4", [corners()] * 3, clockwise=clockwise)
    found = probe(path)
    assert found.rotation == clockwise
    assert (found.width, found.height) == ((48, 64) if clockwise % 180 else (64, 48))
    frame_HWC = next(iter(pictures(path))).frame_HWC
    assert frame_HWC.shape == (found.height, found.width, 3)
    assert frame_HWC[white].mean() > 230
    assert frame_HWC.mean() < 60


def test_pixels_become_square_before_turning_and_scaling(tmp_path: Path) -> None:
    path = encode(tmp_path / "s.mp4", [corners()] * 2, aspect=Fraction(3, 2), clockwise=90)
    found = probe(path)
    assert (found.width, found.height, found.sample_aspect) == (48, 96, Fraction(3, 2))
    assert next(iter(pictures(path))).frame_HWC.shape == (96, 48, 3)
    assert next(iter(pictures(path, max_side=24))).frame_HWC.shape == (24, 12, 3)
    assert next(iter(pictures(path, max_side=500))).frame_HWC.shape == (96, 48, 3)


@pytest.mark.parametrize(
    ("pix_fmt", "matrix", "full_range"),
    [
        ("yuv420p", 1, False),
        ("yuv420p", 6, False),
        ("yuv420p", 9, False),
        ("yuv444p", 6, False),
        ("yuv420p10le", 1, False),
        ("yuv420p", 1, True),
    ],
)
def test_colours_survive_matrix_range_and_depth(
    tmp_path: Path, pix_fmt: str, matrix: int, full_range: bool
) -> None:
    colour = (200, 60, 30)
    solid = np.full((48, 64, 3), colour, np.uint8)
    path = encode(
        tmp_path / "c.mp4",
        [solid] * 2,
        pix_fmt=pix_fmt,
        matrix=matrix,
        full_range=full_range,
        options={"crf": "1"},
    )
    assert probe(path).pixel_format.removeprefix("yuvj") in (pix_fmt, pix_fmt.removeprefix("yuv"))
    assert next(iter(pictures(path))).frame_HWC.mean(axis=(0, 1)) == pytest.approx(colour, abs=4)


@pytest.mark.parametrize(("size", "matrix"), [((64, 48), 5), ((1280, 720), 1)])
def test_unlabelled_colours_follow_the_picture_size(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    colour = (40, 190, 60)
    path = tmp_path / "u.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1", "preset": "ultrafast"})
        stream.width, stream.height = size
        solid = np.full((size[1], size[0], 3), colour, np.uint8)
        frame = av.VideoFrame.from_ndarray(solid, "rgb24").reformat(
            format="yuv420p", dst_colorspace=matrix, dst_color_range=1
        )
        frame.colorspace = 2
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == 2
    assert next(iter(pictures(path))).frame_HWC.mean(axis=(0, 1)) == pytest.approx(colour, abs=4)


def test_interlaced_pictures_lose_their_comb_and_none_is_lost(tmp_path: Path) -> None:
    frames = []
    for k in range(12):  # a bar that moves between the two fields of each frame
        frame_HWC = np.zeros((64, 96, 3), np.uint8)
        frame_HWC[0::2, 4 * k : 4 * k + 20] = 255
        frame_HWC[1::2, 4 * k + 10 : 4 * k + 30] = 255
        frames.append(frame_HWC)
    options = {"flags": "+ildct+ilme", "field_order": "tt", "q": "2", "b": "5000000"}
    path = encode(tmp_path / "i.mpg", frames, codec="mpeg2video", options=options)
    assert probe(path).interlaced
    got = list(pictures(path))
    assert len(got) == len(frames)
    comb = [np.abs(np.diff(f[..., 0].astype(int), axis=0)).mean() for f in (frames[6], got[6].frame_HWC)]
    assert comb[1] < comb[0] / 2
    assert np.diff([float(p.pts) for p in got]) == pytest.approx([0.04] * 11, abs=1e-4)


def test_damage_is_skipped_and_counted(tmp_path: Path) -> None:
    path = numbered(tmp_path / "d.mp4", [Fraction(k, 25) for k in range(120)])
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        spans = [(p.pos, p.size) for p in packets[20:30]]
    for at, size in spans:
        data[at + 4 : at + size] = rng.integers(0, 256, size - 4, np.uint8).tobytes()
    path.write_bytes(data)
    log = DecodeLog()
    got = list(pictures(path, log=log))
    assert log.broken + log.concealed >= 5
    assert log.decoded == len(got) < 125
    assert level(got[-1].frame_HWC) == pytest.approx(shade(119), abs=4)  # the key frame at 100 mends it
    assert got[-1].pts == Fraction(119, 25)


def test_nothing_decodable_is_said_with_the_count(tmp_path: Path) -> None:
    path = numbered(tmp_path / "n.mp4", [Fraction(k, 25) for k in range(10)])
    with av.open(str(path)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for at, size in spans:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    for read in (probe, lambda p: list(pictures(p)), lambda p: list(grid_frames(p, Grid(Fraction(0), 3)))):
        with pytest.raises(Undecodable, match="no picture decodes"):
            read(path)


def test_time_that_runs_backwards_is_dropped_and_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "one.ts", [grey(k) for k in range(10)])
    twice = tmp_path / "two.ts"
    twice.write_bytes(path.read_bytes() * 2)
    log = DecodeLog()
    times = [p.pts for p in pictures(twice, log=log)]
    assert len(times) == 10
    assert log.dropped == 10
    assert times == sorted(set(times))


def test_missing_times_are_repaired_and_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "raw.h264", [grey(k) for k in range(10)], container_format="h264")
    log = DecodeLog()
    times = [p.pts for p in pictures(path, log=log)]
    assert log.repaired_pts == 10
    assert np.diff([float(t) for t in times]) == pytest.approx([0.04] * 9, abs=1e-6)


def brute_force(path: Path, grid: Grid) -> list[float]:
    seen = [(p.pts, level(p.frame_HWC)) for p in pictures(path)]
    return [min(seen, key=lambda s: (abs(s[0] - grid.at(k)), s[0]))[1] for k in range(grid.count)]


@pytest.mark.parametrize(
    "grid",
    [
        Grid(Fraction(0), 40),
        Grid(Fraction(-1), 60),  # before the first picture
        Grid(Fraction(11), 60),  # beyond the last
        Grid(Fraction(7), 50),  # far enough in to seek
        Grid(Fraction(7) + Fraction(1, 77), 90, Fraction(60)),
        Grid(Fraction(29, 100), 30, Fraction(10)),
    ],
)
def test_grid_shows_the_nearest_picture(tmp_path: Path, grid: Grid) -> None:
    rng = np.random.default_rng(3)
    ticks = np.cumsum(rng.integers(10, 120, 190))
    path = numbered(tmp_path / "g.mp4", [Fraction(0), *(Fraction(int(t), 1000) for t in ticks)])
    got = [level(f) for f in grid_frames(path, grid)]
    assert got == brute_force(path, grid)


def test_grid_takes_the_earlier_picture_on_a_tie(tmp_path: Path) -> None:
    path = numbered(tmp_path / "t.mp4", [Fraction(0), Fraction(2, 25)])
    got = [round(level(f)) for f in grid_frames(path, Grid(Fraction(0), 3))]
    assert got == pytest.approx([shade(0), shade(0), shade(1)], abs=3)


def test_the_default_track_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, side in zip(streams, (64, 96), strict=True):
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
        streams[1].disposition = 1  # default
        streams[0].disposition = 0
        for stream, side in zip(streams, (64, 96), strict=True):
            frame = av.VideoFrame.from_ndarray(grey(1, side, side), "rgb24")
            container.mux([*stream.encode(frame), *stream.encode(None)])
    found = probe(path)
    assert (found.width, found.video_tracks) == (96, 2)


def jpeg(path: Path) -> Path:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(grey(3), "rgb24").reformat(format="yuvj420p")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def covered_sound(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = 1024  # attached picture
        sound = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.VideoFrame.from_ndarray(grey(3), "rgb24").reformat(format="yuvj420p")
        container.mux([*cover.encode(frame), *cover.encode(None)])
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        wave.sample_rate = 16000
        container.mux([*sound.encode(wave), *sound.encode(None)])
    return path


def refusal(path: Path) -> str:
    with pytest.raises(NotVideo) as caught:
        probe(path)
    with pytest.raises(NotVideo):
        next(pictures(path))
    assert str(path) in str(caught.value)
    return caught.value.what


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    still = tmp_path / "still.mp4"
    jpeg(tmp_path / "still.jpg").rename(still)
    assert "still image" in refusal(still)
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("not a film\n")
    assert "empty" in refusal(empty)
    assert "neither video nor sound" in refusal(text)
    assert "sound only" in refusal(covered_sound(tmp_path / "song.m4a"))


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    numbered(tmp_path / "real.mp4", [Fraction(0)])
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n")
    assert "neither video nor sound" in refusal(playlist)


def test_a_file_cut_short_before_its_index_is_said_so(tmp_path: Path) -> None:
    path = encode(tmp_path / "whole.mp4", [grey(k) for k in range(50)])
    short = tmp_path / "short.mp4"
    short.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(Undecodable, match="cut short"):
        probe(short)


def test_a_missing_file_and_an_awkward_name(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="no such file"):
        probe(tmp_path / "nowhere.mp4")
    awkward = numbered(tmp_path / "http: é 中 %03d.mp4", [Fraction(0), Fraction(1, 25)])
    assert probe(awkward).width == 64
