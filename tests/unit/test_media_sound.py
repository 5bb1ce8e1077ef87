"""Sound: its clock, its parts, resampling, tracks and damage."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import mitds.media.sound as sound_module
from mitds.errors import Undecodable, UsageError
from mitds.media import DecodeLog, Sound, audible_track, read_sound, write_flac, write_video, write_wav16k


def tone(seconds: float, rate: int, hertz: float = 440.0, channels: int = 1) -> np.ndarray:
    wave_S = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave_S.astype(np.float32), (channels, 1))


def lay(path: Path, blocks: Sequence[tuple[int, np.ndarray]], rate: int = 8000) -> Path:
    """Write PCM blocks at given sample positions, gaps and overlaps included."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for position, wave_CS in blocks:
            samples = np.rint(wave_CS * 32768).clip(-32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), position
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def heard(path: Path, **options: object) -> Sound:
    sound = read_sound(path, **options)  # type: ignore[arg-type]
    assert sound is not None
    return sound


def test_part_is_exact_and_silent_outside() -> None:
    sound = Sound(np.arange(1, 101, dtype=np.float32)[None], 100, Fraction(2))
    part = sound.part(Fraction(5, 2), Fraction(51, 20))
    assert part.wave_CS.tolist() == [[51, 52, 53, 54, 55]]
    assert (part.start, part.end) == (Fraction(5, 2), Fraction(51, 20))
    around = sound.part(Fraction(198, 100), Fraction(302, 100))
    assert around.wave_CS[0, [0, 1, 2, -3, -2, -1]].tolist() == [0, 0, 1, 100, 0, 0]
    assert not sound.part(Fraction(9), Fraction(10)).wave_CS.any()


@pytest.mark.parametrize("start", [Fraction(1, 3), Fraction(7, 11), Fraction(-2, 7)])
def test_a_part_is_as_long_as_asked_wherever_it_starts(start: Fraction) -> None:
    part = Sound(tone(1, 44_100), 44_100, Fraction(0)).part(start, start + Fraction(1, 25))
    assert part.wave_CS.shape == (1, 1764)
    assert abs(part.start - start) <= Fraction(1, 2 * 44_100)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_mono_keeps_length_phase_and_level(rate: int) -> None:
    found_S = Sound(tone(1.01, rate, 1000, channels=2), rate, Fraction(0)).mono(16_000)
    assert len(found_S) == round(round(1.01 * rate) * 16_000 / rate)
    assert found_S.dtype == np.float32
    assert np.abs(found_S - tone(2, 16_000, 1000)[0, : len(found_S)])[500:-500].max() < 1e-3


def test_mono_lets_nothing_alias() -> None:
    found_S = Sound(tone(1, 48_000, 9500), 48_000, Fraction(0)).mono(16_000)
    assert np.abs(found_S[500:-500]).max() < 1e-4


def test_flac_and_wav_come_back_and_repeat_byte_for_byte(tmp_path: Path) -> None:
    sound = Sound(tone(0.5, 44_100, channels=2), 44_100, Fraction(3))
    for name in ("a.flac", "b.flac"):
        write_flac(tmp_path / name, sound)
        write_wav16k((tmp_path / name).with_suffix(".wav"), sound.mono())
    back = heard(tmp_path / "a.flac")
    assert (back.rate, back.start, back.wave_CS.shape) == (44_100, 0, sound.wave_CS.shape)
    assert np.abs(back.wave_CS - sound.wave_CS).max() <= 1 / 32768
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 8000)


def test_loud_samples_are_clipped_not_wrapped(tmp_path: Path) -> None:
    write_wav16k(tmp_path / "loud.wav", np.array([2.0, -2.0, 1.0, 0.25], np.float32))
    assert heard(tmp_path / "loud.wav").wave_CS[0] == pytest.approx([1, -1, 1, 0.25], abs=1e-4)


def test_a_gap_becomes_silence_and_an_overlap_is_cut(tmp_path: Path) -> None:
    ones = np.full((1, 800), 0.5, np.float32)
    gap = heard(lay(tmp_path / "gap.mkv", [(0, ones), (1600, ones)])).wave_CS[0]
    assert len(gap) == 2400
    assert gap[800:1600].tolist() == [0] * 800
    assert gap[1600:].tolist() == [0.5] * 800
    overlap = heard(lay(tmp_path / "over.mkv", [(0, ones), (400, ones / 2), (1200, ones)])).wave_CS[0]
    assert overlap.tolist() == [0.5] * 800 + [0.25] * 400 + [0.5] * 800


def test_jitter_below_the_tolerance_cuts_nothing(tmp_path: Path) -> None:
    steady = tone(0.5, 8000)
    blocks = [(k * 400 + 8 * (k % 2), steady[:, k * 400 : k * 400 + 400]) for k in range(10)]
    found = heard(lay(tmp_path / "j.mkv", blocks)).wave_CS
    assert np.abs(found - steady).max() < 1e-4


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    sound = heard(lay(tmp_path / "late.mkv", [(2000, tone(0.1, 8000))]))
    assert sound.start == Fraction(1, 4)


def test_no_track_is_none_and_a_wrong_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    write_video(path, [(Fraction(0), np.zeros((16, 16, 3), np.uint8))])
    assert read_sound(path) is None
    with pytest.raises(UsageError, match="no sound track 1"):
        read_sound(lay(tmp_path / "one.mkv", [(0, tone(0.1, 8000))]), track=1)


def two_tracks(path: Path) -> Path:
    """Write a file of an empty first and a 16 kHz second track."""
    with av.open(str(path), "w") as container:
        container.add_stream("pcm_s16le", rate=8000, layout="mono")
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 8192, np.int16), "s16", "mono")
        frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_an_empty_track_is_said_and_the_other_only_read_when_asked_for(tmp_path: Path) -> None:
    path = two_tracks(tmp_path / "two.mkv")
    with pytest.raises(
        Undecodable, match=r"sound track 0 is there, but none of it decodes.*another of the 2"
    ):
        read_sound(path)
    second = heard(path, track=1)
    assert (second.rate, second.wave_CS.shape) == (16_000, (1, 1600))


def tracks_of(path: Path, *waves_1S: np.ndarray) -> Path:
    """Write a file of PCM tracks at 8 kHz, in blocks of 0.1 s."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in waves_1S]
        for stream, wave_1S in zip(streams, waves_1S, strict=True):
            samples = np.rint(wave_1S * 32768).astype(np.int16)
            for position in range(0, samples.shape[1], 800):
                block = np.ascontiguousarray(samples[:, position : position + 800])
                frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
                frame.sample_rate, frame.time_base, frame.pts = 8000, Fraction(1, 8000), position
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


SILENT, TONE = np.zeros((1, 16_000), np.float32), tone(2, 8000)
LATE = np.concatenate([SILENT, TONE], axis=1)


@pytest.mark.parametrize(
    ("waves_1S", "track"),
    [
        ((SILENT, TONE), 1),
        ((TONE, SILENT), 0),
        ((LATE, TONE), 0),
        ((SILENT, SILENT, LATE), 2),
        ((TONE * 1e-3, TONE), 1),
        ((SILENT, SILENT), 0),
        ((SILENT,), 0),
        ((TONE,), 0),
    ],
    ids=["second", "first", "late", "third", "below the floor", "none", "one silent", "one"],
)
def test_the_first_audible_track(tmp_path: Path, waves_1S: Sequence[np.ndarray], track: int) -> None:
    assert audible_track(tracks_of(tmp_path / "tracks.mkv", *waves_1S)) == track


def test_the_floor_of_audible_is_a_choice(tmp_path: Path) -> None:
    path = tracks_of(tmp_path / "quiet.mkv", TONE * 1e-3, TONE)  # peaks at -66 and -6 dB
    assert audible_track(path, floor_db=-70) == 0
    assert audible_track(path, floor_db=-3) == 0, "none is that loud"


def test_a_track_that_does_not_decode_is_silent_and_no_sound_is_track_0(tmp_path: Path) -> None:
    assert audible_track(two_tracks(tmp_path / "two.mkv")) == 1
    write_video(tmp_path / "mute.mp4", [(Fraction(0), np.zeros((16, 16, 3), np.uint8))])
    assert audible_track(tmp_path / "mute.mp4") == 0


def test_audible_stops_decoding_at_the_first_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, blocks = tracks_of(tmp_path / "tracks.mkv", SILENT, TONE), []
    samples = sound_module.samples_of
    monkeypatch.setattr(sound_module, "samples_of", lambda frame: blocks.append(frame) or samples(frame))
    assert audible_track(path) == 1
    assert len(blocks) == 21, "all 20 of the silent track, one of the other"


def test_a_high_rate_is_brought_down(tmp_path: Path) -> None:
    path = lay(tmp_path / "hi.wav", [(0, tone(0.5, 96_000))], rate=96_000)
    sound = heard(path, max_rate=32_000)
    assert (sound.rate, sound.wave_CS.shape) == (32_000, (1, 16_000))
    assert np.abs(sound.wave_CS[0] - tone(0.5, 32_000)[0])[300:-300].max() < 1e-3


def test_broken_packets_are_counted_and_leave_everything_else_in_place(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    clicks = np.zeros((1, 96_000), np.float32)
    clicks[0, 72_000] = 0.9
    frames = [(Fraction(k, 25), np.zeros((16, 16, 3), np.uint8)) for k in range(50)]
    write_video(path, frames, sound=Sound(clicks, 48_000, Fraction(0)))
    with av.open(str(path)) as container:
        spans = [(p.pos, p.size) for p in container.demux(audio=0) if p.size][20:30]
    data = bytearray(path.read_bytes())
    for at, size in spans:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    log = DecodeLog()
    sound = heard(path, log=log)
    assert log.broken >= 5
    assert sound.wave_CS.shape == (1, 96_000)
    assert np.abs(sound.wave_CS[0]).argmax() == pytest.approx(72_000, abs=24)
