"""Music, noise, speech quality, voice-over and fingerprints on real clips, altered in known ways."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.quality.dubbing import measure_dubbing, measure_synchrony
from mitds.annotators.quality.fingerprints import PICTURE_HZ, Fingerprint, picture_hashes, sound_hashes
from mitds.annotators.quality.overlaps import overlap
from mitds.annotators.quality.sound import SoundMeter, SoundMeterConfig, clipped_share
from mitds.annotators.quality.synchrony import MovedScores
from mitds.annotators.speech.diarizer import SegmentationEcapa
from mitds.annotators.speech.segmentation import HOP_S, Segmenter
from mitds.media import Sound, grid_frames, read_sound, write_video
from mitds.time import CLIP_FPS, Grid
from mitds.weights import resolve

pytestmark = pytest.mark.media

STEP = int(CLIP_FPS) // PICTURE_HZ


@cache
def heard(path: Path) -> np.ndarray:
    sound = read_sound(path)
    assert sound is not None
    return sound.mono()


@cache
def speech(path: Path) -> np.ndarray:
    return Segmenter(stride_s=5.0, device="cpu").segment(heard(path)).any_F


@cache
def meter() -> SoundMeter:
    return SoundMeter(SoundMeterConfig(quality_hop_s=1.0))


@cache
def as_it_is(path: Path) -> dict[str, float]:
    return meter().measure(heard(path), speech(path), HOP_S)


def tune(samples: int) -> np.ndarray:
    """Chords of plucked strings, half a second each, peak 1."""
    t = np.arange(8000) / 16_000
    chords = ((220, 277.2, 329.6), (196, 246.9, 293.7), (174.6, 220, 261.6))
    played = [sum(np.sin(2 * np.pi * f * k * t) / k for f in c for k in range(1, 6)) for c in chords]
    wave_S = np.concatenate([chord * np.exp(-2 * t) for chord in played])
    return np.asarray(np.resize(wave_S / np.abs(wave_S).max(), samples), np.float32)


def test_speech_quality_is_that_of_the_authors_program_and_falls_with_noise() -> None:
    """The numbers are those of speechmos 0.0.1.1 on the same samples."""
    path = resolve("media.introduction")
    wave_S = heard(path)
    clean = as_it_is(path)
    assert [clean[f"dnsmos_{k}"] for k in ("sig", "bak", "ovr")] == pytest.approx(
        [3.3406, 3.7505, 2.9122], abs=0.02
    )
    rng = np.random.default_rng(0)
    rms = float(np.sqrt(np.mean(wave_S**2)))
    ratings = [clean["dnsmos_ovr"]]
    for db in (20, 0):
        noisy_S = wave_S + rng.standard_normal(len(wave_S)).astype(np.float32) * rms * 10 ** (-db / 20)
        ratings.append(meter().measure(noisy_S, speech(path), HOP_S)["dnsmos_ovr"])
    assert ratings[0] > ratings[1] + 0.3 > ratings[2] + 0.6


def test_music_is_heard_under_speech_and_not_in_it() -> None:
    path = resolve("media.introduction")
    wave_S = heard(path)
    scored = meter().measure(wave_S + 0.05 * tune(len(wave_S)), None, HOP_S)
    assert as_it_is(path)["music_share"] < 0.02
    assert scored["music_share"] > 0.9


def test_noise_and_clipping_are_measured_as_they_were_made() -> None:
    path = resolve("media.introduction")
    wave_S = heard(path)
    rng = np.random.default_rng(0)
    spoken = np.repeat(speech(path) > 0.5, 270)[: len(wave_S)]
    rms = float(np.sqrt(np.mean(wave_S[: len(spoken)][spoken] ** 2)))
    noisy_S = wave_S + rng.standard_normal(len(wave_S)).astype(np.float32) * rms / 10
    found = meter().measure(noisy_S, speech(path), HOP_S)
    assert found["snr_db"] == pytest.approx(20, abs=1.5)
    assert as_it_is(path)["snr_db"] > found["snr_db"] + 5
    ceiling = float(np.quantile(np.abs(wave_S), 0.98))
    assert found["clipped_share"] < 1e-3
    assert clipped_share(np.clip(wave_S, -ceiling, ceiling)) == pytest.approx(0.02, abs=0.008)


def test_a_music_clip_and_a_silent_one(shared_media: Path) -> None:
    music = meter().measure(heard(shared_media / "silent_faces/liveportrait_s18.mp4"), None, HOP_S)
    assert music["music_share"] > 0.9
    silent_S = heard(shared_media / "silent_faces/liveportrait_s20.mp4")
    silent = meter().measure(silent_S, np.zeros(10, np.float32), HOP_S)
    assert (silent["music_share"], silent["speech_share"]) == (0, 0)
    assert "dnsmos_ovr" not in silent


def fingerprint(path: Path, start: float, seconds: float) -> Fingerprint:
    grid = Grid(Fraction(start).limit_denominator(1000), int(seconds * 25))
    frames = islice(grid_frames(path, grid, max_side=320), 0, None, STEP)
    sound = read_sound(path)
    assert sound is not None
    return Fingerprint(picture_hashes(frames), sound_hashes(sound.part(grid.start, grid.end).mono()))


def test_footage_is_known_again_and_other_footage_of_the_same_people_is_not(tmp_path: Path) -> None:
    """Ten seconds of news, cropped, smaller, brighter, at CRF 34, from two and a third seconds on."""
    path = resolve("media.interview")
    frames = [
        np.clip(frame[8:-8, 10:-10].astype(np.float32) * 1.1 + 8, 0, 255).astype(np.uint8)[::2, ::2]
        for frame in grid_frames(path, Grid(Fraction(7, 3), 250), max_side=480)
    ]
    sound = read_sound(path)
    assert sound is not None
    part = sound.part(Fraction(7, 3), Fraction(37, 3))
    copy = tmp_path / "copy.mp4"
    times = ((Fraction(k, 25), frame) for k, frame in enumerate(frames))
    write_video(copy, times, sound=Sound(part.wave_CS * np.float32(0.5), part.rate, Fraction(0)), crf=34)
    found = overlap(fingerprint(copy, 0, 10), fingerprint(path, 0, 14))
    assert found.picture_share is not None
    assert found.sound_share is not None
    assert min(found.picture_share, found.sound_share) > 0.9
    assert found.offset_s == pytest.approx(7 / 3, abs=0.02)
    assert overlap(fingerprint(copy, 0, 10), fingerprint(path, 20, 14)).offset_s is None


def extra_voices(path: Path, start: float, seconds: float) -> float:
    """Return extra_voice_share with one face in view throughout."""
    wave_S = heard(path)[int(start * 16_000) : int((start + seconds) * 16_000)]
    voices = SegmentationEcapa().diarize(wave_S)
    talks_NT = np.ones((1, len(voices.speech_F)), np.float32)
    return measure_dubbing(talks_NT, voices.activity_FV, voices.speech_F)["extra_voice_share"]


def test_an_interpreter_over_the_original_is_one_voice_too_many(shared_media: Path) -> None:
    single = shared_media / "single"
    assert extra_voices(single / "l2l_dubbed_voiceover.mp4", 0, 13) > 0.2
    assert extra_voices(single / "l2l_face_vs_foreign_voice_mix.mp4", 0, 10) > 0.2
    assert extra_voices(single / "wda_aoc.mp4", 0, 8) < 0.05


@pytest.mark.usefixtures("lr_asd_weights")
def test_a_face_keeps_step_with_its_own_voice_only() -> None:
    path, grid = resolve("media.podium"), Grid(Fraction(0), 130)
    frames = list(grid_frames(path, grid, max_side=480))
    track = max(YuNetTracker().track(frames), key=lambda t: len(t.score_T))
    own_S, foreign_S = heard(path)[:83_200], heard(resolve("media.interview"))[160_000:243_200]
    scorer = MovedScores()
    own, foreign = (
        measure_synchrony(scorer.at_lags(frames, [track], wave_S)[0], np.ones(len(track.score_T)))
        for wave_S in (own_S, foreign_S)
    )
    assert own["sync_steadiness"] >= 0.75
    assert abs(own["sync_lag_s"]) < 0.21
    assert foreign["sync_steadiness"] < 0.75 or abs(foreign["sync_lag_s"]) > 0.21
