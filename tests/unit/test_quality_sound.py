"""Noise, clipping and the windows of speech quality on made sounds; the event network's arithmetic."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mitds.annotators.quality import sound, sound_events, speech_quality
from mitds.annotators.quality.sound import SoundMeter, SoundMeterConfig, clipped_share, noise
from mitds.errors import MissingWeights, UsageError

HOP_S = 0.01


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with the amplitudes of speech: Laplacian, at the pace of syllables."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (rng.laplace(0, 0.05, len(t)) * (0.3 + np.sin(2 * np.pi * 3 * t) ** 2)).astype(np.float32)


def talk_and_pause(noise_rms: float) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of speech of rms .1, two of pause, over noise."""
    rng = np.random.default_rng(1)
    wave_S = rng.standard_normal(64_000) * noise_rms
    wave_S[:32_000] += rng.standard_normal(32_000) * 0.1
    return wave_S.astype(np.float32), np.arange(400) < 200


@pytest.mark.parametrize("db", [0, 10, 30])
def test_signal_to_noise_is_what_was_mixed(db: float) -> None:
    wave_S, speaks_F = talk_and_pause(0.1 * 10 ** (-db / 20))
    found = noise(wave_S, speaks_F, HOP_S, margin_s=0.1, least_s=0.4)
    assert found["snr_db"] == pytest.approx(db, abs=0.3)
    assert found["noise_db"] == pytest.approx(-20 - db, abs=0.3)


def test_the_rim_of_speech_is_no_pause() -> None:
    wave_S, speaks_F = talk_and_pause(0.001)
    late_F = np.arange(400) < 195
    wide = noise(wave_S, late_F, HOP_S, margin_s=0.1, least_s=0.4)["noise_db"]
    none = noise(wave_S, late_F, HOP_S, margin_s=0.0, least_s=0.4)["noise_db"]
    assert wide == pytest.approx(-60, abs=0.5)
    assert none > wide + 10
    assert noise(wave_S, speaks_F, HOP_S, margin_s=0.1, least_s=0.4)["noise_db"] == pytest.approx(
        -60, abs=0.5
    )


def test_no_ratio_without_pauses_or_speech() -> None:
    wave_S, _ = talk_and_pause(0.01)
    assert noise(wave_S, np.ones(400, np.bool_), HOP_S, margin_s=0.1, least_s=0.4) == {}
    assert noise(wave_S, np.zeros(400, np.bool_), HOP_S, margin_s=0.1, least_s=0.4) == {}
    assert noise(wave_S, np.zeros(0, np.bool_), HOP_S, margin_s=0.1, least_s=0.0) == {}


def test_steps_beyond_the_wave_are_not_judged() -> None:
    wave_S, speaks_F = talk_and_pause(0.01)
    longer_F = np.append(speaks_F, np.ones(100, np.bool_))
    same = noise(wave_S, speaks_F, HOP_S, margin_s=0.1, least_s=0.4)
    assert noise(wave_S, longer_F[:430], HOP_S, margin_s=0.1, least_s=0.4) == same


@pytest.mark.parametrize("level", [1.0, 0.2])
def test_clipping_is_found_at_any_level(level: float) -> None:
    wave_S = speechlike(5)
    ceiling = float(np.quantile(np.abs(wave_S), 0.97))
    cut_S = np.clip(wave_S, -ceiling, ceiling) / ceiling * np.float32(level)
    assert clipped_share(wave_S) < 1e-4
    assert clipped_share(cut_S) == pytest.approx(0.03, abs=0.005)


class Deaf:
    """Networks that must not be asked."""

    def rate(self, wave_S: np.ndarray) -> dict[str, float]:
        raise AssertionError("asked")

    def __call__(self, wave_S: np.ndarray) -> np.ndarray:
        return np.tile(np.array([[0.9, 0.1, 0.8], [0.9, 0.7, 0.1], [0.9, 0.1, 0.1], [0.9, 0.2, 0.2]]), (5, 1))


def meter() -> SoundMeter:
    made = SoundMeter()
    made.__dict__["_events"], made._quality = Deaf(), Deaf()  # type: ignore[assignment]
    return made


def test_what_cannot_be_had_is_left_out() -> None:
    silent = meter().measure(np.zeros(16_000, np.float32), np.zeros(100, np.float32), HOP_S)
    assert set(silent) == {"level_db", "music_share", "singing_share", "speech_share"}
    assert silent["level_db"] == -100.0
    assert meter().measure(np.zeros(0, np.float32), None, HOP_S) == {}


def test_music_includes_singing() -> None:
    found = meter().measure(speechlike(1), np.zeros(100, np.float32), HOP_S)
    assert (found["music_share"], found["singing_share"]) == (0.5, 0.25)
    assert found["speech_share"] == 0.0


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="speech_threshold"):
        SoundMeterConfig(speech_threshold=1.5)
    with pytest.raises(UsageError, match="quality_hop_s"):
        SoundMeterConfig(quality_hop_s=0)


def test_windows_of_quality_cover_the_wave() -> None:
    window, second = speech_quality.WINDOW_S, 16_000
    assert speech_quality.window_starts(window, second) == [0]
    assert speech_quality.window_starts(window + second // 2, second) == [0]
    assert speech_quality.window_starts(window + 6 * second, 4 * second) == [0, 4 * second, 6 * second]
    assert len(speech_quality.repeated(np.ones(100_000, np.float32))) == 200_000


def test_a_tone_lies_in_its_mel_band() -> None:
    t = np.arange(16_000) / 16_000
    mel_FB = sound_events.log_mel(np.sin(2 * np.pi * 1000 * t).astype(np.float32) * np.float32(0.3))
    assert mel_FB.shape == (98, 80)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 82)
    assert int(mel_FB.mean(0).argmax()) == int(np.abs(edges[1:-1] - 1127 * np.log(1 + 1000 / 700)).argmin())
    assert sound_events.log_mel(np.zeros(399, np.float32)).shape == (0, 80)


def test_memories_look_back_and_ahead() -> None:
    values_FC = np.zeros((60, 2), np.float32)
    values_FC[30] = (1, 2)
    filter_CK = np.arange(40, dtype=np.float32).reshape(2, 20)
    past = sound_events._memory(values_FC, filter_CK, 0)
    coming = sound_events._memory(values_FC, filter_CK, sound_events.TAPS)
    assert past[30].tolist() == [19, 78]
    assert past[49].tolist() == [0, 40]
    assert not past[:30].any()
    assert coming[29].tolist() == [0, 40]
    assert coming[10].tolist() == [19, 78]
    assert not coming[30:].any()


@pytest.mark.parametrize(
    "data", [b"", b"nothing of the kind at all", struct.pack("<4s5I", b"OVAD", 1, 0, 8, 0, 0)]
)
def test_a_foreign_file_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(MissingWeights, match="not the event network"):
        sound_events.read_event_net(tmp_path / "x")


def test_decibels_end_at_silence() -> None:
    assert sound.decibel(0.0) == -100.0
    assert sound.decibel(1.0) == 0.0
