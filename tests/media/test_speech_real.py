"""The diarizer with its published weights on real sound."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mitds.annotators.speech.diarizer import SegmentationEcapa, SegmentationEcapaConfig
from mitds.annotators.speech.ecapa import VoiceEmbedder
from mitds.manifests.records import Array, Voices
from mitds.media import read_sound
from mitds.weights import resolve

pytestmark = pytest.mark.media

CLIPS = ("media.statement", "media.podium", "media.introduction")
"""One voice each."""

REFERENCE_8 = (-0.01818, 0.07681, -0.04961, 0.08413, 0.02838, -0.05704, 0.16981, 0.02603)
"""First numbers of the unit-norm embedding of `hum`, by speechbrain 1.0.3 with the same checkpoint."""


def hum() -> Array:
    """Two seconds of a voice-like sound: 19 harmonics of 120 Hz with vibrato and tremolo."""
    t_S = np.arange(32_000) / 16_000
    phase_S = 2 * np.pi * 120 * t_S + 0.8 * np.sin(2 * np.pi * 3 * t_S)
    wave_S = (
        sum(np.sin(k * phase_S) / k for k in range(1, 20)) * 0.05 * (1 + 0.5 * np.sin(2 * np.pi * 4 * t_S))
    )
    return np.asarray(wave_S, np.float32)


@cache
def wave_of(path: Path) -> Array:
    sound = read_sound(path)
    assert sound is not None
    return sound.mono()


@cache
def diarizer() -> SegmentationEcapa:
    return SegmentationEcapa()


@cache
def voices_of(path: Path) -> Voices:
    return diarizer().diarize(wave_of(path))


def error_rate(rttm: Path, name: str, voices: Voices) -> float:
    """Return the diarization error rate, collar 0, overlap scored."""
    core = pytest.importorskip("pyannote.core")
    der = pytest.importorskip("pyannote.metrics.diarization").DiarizationErrorRate(
        collar=0, skip_overlap=False
    )
    truth, found = core.Annotation(), core.Annotation()
    for i, row in enumerate(line.split() for line in rttm.read_text().splitlines()):
        if row[1] == name:
            truth[core.Segment(float(row[3]), float(row[3]) + float(row[4])), i] = row[7]
    for i, turn in enumerate(voices.turns):
        found[core.Segment(turn.start_s, turn.end_s), i] = turn.voice
    end = len(voices.speech_F) * voices.hop_s
    return float(der(truth, found, uem=core.Timeline([core.Segment(0, end)])))


def test_embedding_equals_the_reference() -> None:
    embedding_D = VoiceEmbedder().embed(hum())
    assert embedding_D.shape == (192,)
    # 417 is the raw norm and the two front ends differ by 2e-4 dB, hence 1e-4.
    assert embedding_D[:8] == pytest.approx(REFERENCE_8, abs=1e-4)


def test_same_speakers_are_more_alike_than_different_ones() -> None:
    embedder = VoiceEmbedder()
    halves = []
    for clip in CLIPS:
        wave_S = wave_of(resolve(clip))
        middle = len(wave_S) // 2
        halves.append((embedder.embed(wave_S[:middle]), embedder.embed(wave_S[middle:])))
    like_NN = np.array([[first @ second for _, second in halves] for first, _ in halves])
    different = like_NN[~np.eye(len(CLIPS), dtype=np.bool_)]
    assert np.diag(like_NN).min() > 0.4
    assert different.max() < 0.25


@pytest.mark.parametrize("clip", CLIPS)
def test_one_speaker_is_one_voice(clip: str) -> None:
    voices = voices_of(resolve(clip))
    assert voices.voices == ("V0",)
    spoken = sum(turn.end_s - turn.start_s for turn in voices.turns)
    assert spoken > 0.5 * len(wave_of(resolve(clip))) / 16_000


def test_joined_clips_are_three_voices_in_their_places() -> None:
    waves = [wave_of(resolve(clip))[: 16_000 * 5] for clip in (*CLIPS, CLIPS[0])]
    voices = diarizer().diarize(np.concatenate(waves))
    assert len(voices.voices) == 3
    border_s = np.cumsum([len(wave_S) / 16_000 for wave_S in waves])
    busiest = []
    for start, end in zip([0.0, *border_s[:-1]], border_s, strict=True):
        inside = slice(round(start / voices.hop_s), round(end / voices.hop_s))
        busiest.append(int(voices.activity_FV[inside].sum(axis=0).argmax()))
    assert busiest == [0, 1, 2, 0]


@pytest.mark.parametrize("seconds", [0, 0.001, 0.25, 2, 5, 15])
@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_silence_and_noise_have_no_voices(kind: str, seconds: float) -> None:
    samples = round(seconds * 16_000)
    noise_S = np.random.default_rng(3).normal(0, 0.05, samples).astype(np.float32)
    voices = diarizer().diarize(noise_S if kind == "noise" else np.zeros(samples, np.float32))
    assert voices.voices == ()
    assert voices.turns == ()
    assert voices.activity_FV.shape == (-(-samples // 270), 0)


def test_same_sound_same_voices() -> None:
    path = resolve("media.statement")
    again = SegmentationEcapa(SegmentationEcapaConfig()).diarize(wave_of(path))
    assert again.turns == voices_of(path).turns
    assert (again.activity_FV == voices_of(path).activity_FV).all()


@pytest.mark.shared
@pytest.mark.parametrize(("seed", "people"), [(201, 7), (202, 4), (203, 7), (204, 6)])
def test_composites(shared_media: Path, seed: int, people: int) -> None:
    name = f"composite_seed{seed}"
    voices = voices_of(shared_media / "composite" / f"{name}.mp4")
    assert abs(len(voices.voices) - people) <= 1
    assert error_rate(shared_media / "composite" / f"{name}.rttm", name, voices) < 0.15


@pytest.mark.shared
@pytest.mark.parametrize(("start_s", "end_s"), [(1, 8), (1, 7.5)], ids=["hardly alone", "never alone"])
def test_an_interview_overlapped_throughout_has_voices(
    shared_media: Path, start_s: float, end_s: float
) -> None:
    wave_S = wave_of(shared_media / "multi" / "interview_studio_2men.mp4")
    voices = diarizer().diarize(wave_S[round(start_s * 16_000) : round(end_s * 16_000)])
    assert voices.speech_F.mean() > 0.9
    assert voices.overlap_F is not None
    assert voices.overlap_F.mean() > 0.5  # most of it in fact
    assert voices.voices
    assert (voices.activity_FV.max(axis=1) > 0.5).mean() > 0.9
    assert sum(turn.end_s - turn.start_s for turn in voices.turns) > 0.9 * (end_s - start_s)


@pytest.mark.shared
def test_two_similar_voices_on_the_phone(shared_media: Path) -> None:
    folder = shared_media / "audio_gt"
    voices = voices_of(folder / "pyannote_sample.wav")
    assert len(voices.voices) == 2
    assert error_rate(folder / "pyannote_sample.rttm", "sample", voices) < 0.12
