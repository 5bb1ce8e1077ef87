"""Writing clips: exact times, the same bytes, nothing half-done; and sight and sound kept together."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mitds.errors import UsageError
from mitds.media import Sound, grid_frames, pictures, read_sound, write_video
from mitds.time import Grid

Frame = NDArray[np.uint8]
RATE = 48_000


def moving(
    count: int, fps: Fraction = Fraction(25), size: tuple[int, int] = (48, 64)
) -> Iterator[tuple[Fraction, Frame]]:
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    for k in range(count):
        frame_HWC = np.stack([(x * 3 + 5 * k) % 200, (y * 4) % 220, (x + y + k) % 240], axis=2).astype(
            np.uint8
        )
        yield Fraction(k) / fps, frame_HWC


def noise(seconds: float, channels: int = 2) -> Sound:
    rng = np.random.default_rng(5)
    wave_CS = rng.normal(0, 0.05, (channels, round(seconds * RATE))).astype(np.float32)
    return Sound(wave_CS, RATE, Fraction(0))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """An encoder that reads unset memory differs in a few runs of a hundred: so the heap is stirred."""
    rng, written = np.random.default_rng(0), set()
    for k in range(30):
        junk = [rng.integers(0, 256, rng.integers(1000, 90_000), np.uint8) for _ in range(20)]
        del junk
        path = tmp_path / f"{k}.mp4"
        write_video(path, moving(14, size=(121, 161)), sound=noise(0.5))
        written.add(path.read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(15)])
def test_times_are_exact_at_common_rates(tmp_path: Path, fps: Fraction) -> None:
    assert write_video(tmp_path / "a.mp4", moving(50, fps)) == 50
    assert [p.pts for p in pictures(tmp_path / "a.mp4")] == [k / fps for k in range(50)]


def test_other_rates_are_exact_with_their_own_unit_and_close_without(tmp_path: Path) -> None:
    fps = Fraction(24000, 1001)
    write_video(tmp_path / "own.mp4", moving(50, fps), time_base=Fraction(1, 24_000))
    assert [p.pts for p in pictures(tmp_path / "own.mp4")] == [k / fps for k in range(50)]
    write_video(tmp_path / "near.mp4", moving(50, fps))
    off = [abs(p.pts - p.index / fps) for p in pictures(tmp_path / "near.mp4")]
    assert max(off) <= Fraction(1, 180_000)


def test_the_end_of_the_last_picture_is_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(5), end=Fraction(2), sound=noise(3))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        assert video.duration * video.time_base == 2
    sound = read_sound(tmp_path / "a.mp4")
    assert sound is not None
    assert sound.wave_CS.shape == (2, 2 * RATE)


def test_odd_sizes_gain_a_copied_edge_and_keep_coordinates(tmp_path: Path) -> None:
    original = [f for _, f in moving(4, size=(47, 63))]
    write_video(tmp_path / "a.mp4", moving(4, size=(47, 63)), crf=1)
    for picture, wanted in zip(pictures(tmp_path / "a.mp4"), original, strict=True):
        assert picture.frame_HWC.shape == (48, 64, 3)
        inside = picture.frame_HWC[:47, :63].astype(int) - wanted
        assert np.abs(inside).mean() < 6
        assert np.abs(picture.frame_HWC[:47, 63].astype(int) - wanted[:, 62]).mean() < 12


def test_labels_say_what_the_pixels_are(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(2))
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv420p", 1, 1)
        assert "creation_time" not in container.metadata
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"Lavf" not in data
    assert b"Lavc" not in data


@pytest.mark.parametrize("times", [[], [1], [0, 0], [0, 2, 1]])
def test_wrong_times_leave_no_file(tmp_path: Path, times: list[int]) -> None:
    frames = ((Fraction(t), np.zeros((16, 16, 3), np.uint8)) for t in times)
    with pytest.raises(UsageError):
        write_video(tmp_path / "a.mp4", frames)
    assert list(tmp_path.iterdir()) == []


def test_wrong_sizes_and_rates_are_refused(tmp_path: Path) -> None:
    sizes = [(Fraction(k), np.zeros((16 + 2 * k, 16, 3), np.uint8)) for k in range(2)]
    with pytest.raises(UsageError, match="differs from the first"):
        write_video(tmp_path / "a.mp4", sizes)
    with pytest.raises(UsageError, match="11111 Hz"):
        write_video(
            tmp_path / "a.mp4", moving(2), sound=Sound(np.zeros((1, 9), np.float32), 11_111, Fraction(0))
        )


def test_sound_starts_where_its_clock_says(tmp_path: Path) -> None:
    click = np.zeros((1, RATE), np.float32)
    click[0, :40] = 0.9
    for start in (Fraction(1, 2), Fraction(-1, 4)):
        sound = Sound(click, RATE, start).part(start, start + 1)
        late = Sound(np.roll(sound.wave_CS, RATE // 2, axis=1), RATE, start)
        write_video(tmp_path / "a.mp4", moving(50), sound=late)
        found = read_sound(tmp_path / "a.mp4")
        assert found is not None
        assert found.start == 0
        at = np.abs(found.wave_CS[0]).argmax() / RATE
        assert at == pytest.approx(float(start) + 0.5, abs=0.001)


def test_the_centre_of_surround_sound_is_heard(tmp_path: Path) -> None:
    wave_CS = np.zeros((6, RATE), np.float32)
    wave_CS[2, 20_000:20_040] = 0.9
    write_video(tmp_path / "a.mp4", moving(25), sound=Sound(wave_CS, RATE, Fraction(0)))
    found = read_sound(tmp_path / "a.mp4")
    assert found is not None
    assert found.wave_CS.shape == (1, RATE)
    assert np.abs(found.wave_CS).argmax() == pytest.approx(20_020, abs=40)


FLASHES = [Fraction(n, 100) for n in (40, 260, 500, 720)]


def flash_and_click(path: Path, fps: Fraction) -> Path:
    """Write 8 s in which a white picture and a click come at the same times (of the nearest picture)."""
    count = int(8 * fps)
    lit = {round(t * fps) for t in FLASHES}
    wave_CS = np.zeros((1, 8 * RATE), np.float32)
    for k in lit:
        at = round(k / fps * RATE)
        wave_CS[0, at : at + 24] = 0.9
    frames = ((k / fps, np.full((48, 64, 3), 255 if k in lit else 0, np.uint8)) for k in range(count))
    write_video(path, frames, sound=Sound(wave_CS, RATE, Fraction(0)))
    return path


def onsets(sound: Sound) -> list[float]:
    loud = np.flatnonzero(np.abs(sound.wave_CS[0]) > 0.4)
    first = loud[np.diff(loud, prepend=-RATE) > RATE // 10]
    return [float(sound.start) + at / RATE for at in first]


def flashes(path: Path) -> list[float]:
    return [float(p.pts) for p in pictures(path) if p.frame_HWC.mean() > 128]


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_sight_and_sound_stay_together_through_random_cuts(tmp_path: Path, fps: Fraction) -> None:
    """Cut at random pictures and write again: within 1 ms by presentation time, 5 ms for who ignores it."""
    source = flash_and_click(tmp_path / "source.mp4", fps)
    whole = read_sound(source)
    assert whole is not None
    rng = np.random.default_rng(11)
    for number in range(6):
        first = int(rng.integers(1, round(3 * fps)))
        count = int(rng.integers(round(3 * fps), round(5 * fps)))
        start, end = first / fps, (first + count) / fps
        chosen = ((p.pts - start, p.frame_HWC) for p in pictures(source) if start <= p.pts < end)
        clip, part = tmp_path / f"{number}.mp4", whole.part(start, end)
        write_video(clip, chosen, sound=Sound(part.wave_CS, part.rate, part.start - start))
        sound = read_sound(clip)
        assert sound is not None
        seen, heard = flashes(clip), onsets(sound)
        assert len(seen) == len(heard) >= 1
        assert np.abs(np.subtract(seen, heard)).max() <= 0.001
        by_count = [p.index / float(fps) for p in pictures(clip) if p.frame_HWC.mean() > 128]
        by_sample = [t - float(sound.start) for t in heard]
        assert np.abs(np.subtract(by_count, by_sample)).max() <= 0.005


def test_a_grid_of_a_clip_is_the_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(40))
    direct = [p.frame_HWC for p in pictures(tmp_path / "a.mp4")]
    for a, b in zip(direct, grid_frames(tmp_path / "a.mp4", Grid(Fraction(0), 40)), strict=True):
        assert np.array_equal(a, b)
