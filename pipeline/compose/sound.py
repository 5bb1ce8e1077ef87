"""A scene's sound: every voice as it was recorded, each clip's own room tone throughout, noise and music."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import welch

from mitds.manifests.records import Array, SpeechTurn
from mitds.media import Sound, read_sound
from mitds.pipeline.compose.casting import Person
from mitds.pipeline.compose.config import SoundConfig
from mitds.pipeline.compose.music import music, noise
from mitds.pipeline.compose.parts import Clip, Stretch
from mitds.pipeline.compose.script import Script
from mitds.pipeline.compose.turns import Turn, uniform
from mitds.runs import runs_of
from mitds.time import CLIP_FPS

RATE = 48_000
PER_FRAME = int(RATE / CLIP_FPS)
SPEECH_DB = -23.0
"""Level that voices are brought to, RMS over their speech, dB below full scale."""

TONE_BELOW_DB = 55.0
"""Room tone of clips without a silent moment: so far below their speech."""

TONE_TAPS = 1024
SEAM = int(0.03 * RATE)
"""Half of the time over which a turn's sound and the room tone give way to each other, samples."""

PAUSE_S = 0.2
"""Shorter pauses belong to the speech around them, as they do within a clip."""

PEAK = 0.97


@dataclass(frozen=True, slots=True)
class Mixed:
    """A scene's sound, who speaks in it, and what else is heard: levels relative to speech, dB."""

    sound: Sound
    speech: tuple[SpeechTurn, ...]
    background: Mapping[str, float]


def mix(script: Script, config: SoundConfig, rng: np.random.Generator) -> Mixed:
    """Mix a scene.

    A turn is heard exactly over its frames. Wherever a person's clip is not heard, noise of the same spectrum
    as its silence takes its place, so that no voice is announced by a change of the background.
    """
    count = script.frames * PER_FRAME
    mixed_S = np.zeros(count, np.float64)
    for person in (*script.cast, *script.voices):
        own = [turn for turn in script.turns if turn.person == person.name]
        if own:
            mixed_S += _voice(person, own, count, config, rng)
    background: dict[str, float] = {}
    if rng.random() < config.noise:
        background["noise"] = uniform(rng, config.noise_db)
        mixed_S += _at(noise(count, RATE, rng), SPEECH_DB - background["noise"])
    if rng.random() < config.music:
        background["music"] = uniform(rng, config.music_db)
        mixed_S += _at(music(count, RATE, rng), SPEECH_DB - background["music"])
    mixed_S += _at(noise(count, RATE, rng), -72.0)
    mixed_S *= min(1.0, PEAK / float(np.abs(mixed_S).max(initial=1e-9)))
    sound = Sound(mixed_S.astype(np.float32)[None], RATE, Fraction(0))
    return Mixed(sound, scene_speech(script), background)


def scene_speech(script: Script) -> tuple[SpeechTurn, ...]:
    """Return who speaks when in the scene, seconds: the clips' own speech within the turns, short pauses bridged."""
    people = {p.name: p for p in (*script.cast, *script.voices)}
    spoken: list[SpeechTurn] = []
    for name in sorted(people):
        spans = sorted(s for t in script.turns if t.person == name for s in _said(people[name], t))
        joined: list[tuple[float, float]] = []
        for start_s, end_s in spans:
            if joined and start_s - joined[-1][1] < PAUSE_S:
                joined[-1] = joined[-1][0], max(end_s, joined[-1][1])
            else:
                joined.append((start_s, end_s))
        spoken += [SpeechTurn(voice=name, start_s=round(a, 3), end_s=round(b, 3)) for a, b in joined]
    return tuple(sorted(spoken, key=lambda t: (t.start_s, t.voice)))


def _said(person: Person, turn: Turn) -> list[tuple[float, float]]:
    """Return the speech of one turn on the scene's clock."""
    fps = float(CLIP_FPS)
    first_s, end_s = turn.source / fps, (turn.source + turn.frames) / fps
    shift = (turn.start - turn.source) / fps
    spans = ((max(a, first_s), min(b, end_s)) for a, b in person.stretches[turn.stretch].speech)
    return [(a + shift, b + shift) for a, b in spans if b - a > 0.04]


def _voice(
    person: Person, turns: list[Turn], count: int, config: SoundConfig, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return one person's turns on a bed of the room tone of their clips."""
    level_db = SPEECH_DB + uniform(rng, (-config.spread_db, config.spread_db))
    main = person.stretches[turns[0].stretch]
    bed_S = _tone(main, count, rng) * _gain(main, level_db)
    voice_S = np.zeros(count)
    share_S = np.zeros(count)
    for turn in turns:
        stretch = person.stretches[turn.stretch]
        piece_S = _recorded(stretch, turn) * _gain(stretch, level_db)
        rise_S = np.sin(0.5 * np.pi * np.clip((np.arange(len(piece_S)) + 0.5) / (2 * SEAM), 0, 1)) ** 2
        window_S = rise_S * rise_S[::-1]
        span = slice(turn.start * PER_FRAME, turn.start * PER_FRAME + len(piece_S))
        voice_S[span] += piece_S * window_S
        share_S[span] = np.maximum(share_S[span], window_S)
    # Noises of two recordings add by power.
    return np.asarray(voice_S + bed_S * np.sqrt(1 - share_S**2))


@lru_cache(maxsize=8)
def _whole(path: Path) -> Array:
    """Return a clip's sound, mono at 48 kHz, from time 0 of its clock."""
    sound = read_sound(path)
    if sound is None:
        return np.zeros(0, np.float32)
    return sound.part(Fraction(0), sound.end).mono(RATE)


def _cut(clip: Clip, start: Fraction, frames: int) -> Array:
    first = round(start * RATE)
    part_S = _whole(clip.path)[max(0, first) : first + frames * PER_FRAME]
    return np.pad(part_S, (0, frames * PER_FRAME - len(part_S)))


def _recorded(stretch: Stretch, turn: Turn) -> Array:
    return _cut(stretch.clip, stretch.grid.at(turn.source), turn.frames)


def _gain(stretch: Stretch, level_db: float) -> float:
    """Return the factor that brings a stretch's speech to a level."""
    wave_S = _cut(stretch.clip, stretch.start, stretch.frames)
    spoken = [wave_S[int(a * RATE) : int(b * RATE)] for a, b in stretch.speech]
    power = float(np.mean(np.concatenate(spoken).astype(np.float64) ** 2))
    return 10 ** (level_db / 20) / float(np.sqrt(power + 1e-12))


def _tone(stretch: Stretch, count: int, rng: np.random.Generator) -> Array:
    """Return noise with the spectrum of a stretch's silence, at its level before any gain."""
    wave_S = _cut(stretch.clip, stretch.start, stretch.frames)
    silent = [wave_S[a * PER_FRAME : b * PER_FRAME] for a, b in runs_of(stretch.silent_T) if b - a >= 3]
    if not silent:
        return _at(noise(count, RATE, rng), -TONE_BELOW_DB) / _gain(stretch, 0.0)
    # The quieter half of the silences: breaths and clicks are no tone.
    silent.sort(key=lambda part: float(np.mean(part**2)))
    kept = silent[: max(1, len(silent) // 2)]
    densities = [welch(part, fs=RATE, nperseg=TONE_TAPS)[1] for part in kept]
    density_F = gaussian_filter1d(np.mean(densities, axis=0), 1.0)
    spectrum_F = np.fft.rfft(rng.standard_normal(count))
    hertz_F = np.fft.rfftfreq(count, 1 / RATE)
    shape_F = np.interp(hertz_F, np.fft.rfftfreq(TONE_TAPS, 1 / RATE), np.sqrt(density_F))
    tone_S = np.fft.irfft(spectrum_F * shape_F, count)
    level = float(np.sqrt(np.mean(np.concatenate(kept).astype(np.float64) ** 2)))
    return np.asarray(tone_S * level / float(tone_S.std() + 1e-12), np.float32)


def _at(wave_S: Array, level_db: float) -> Array:
    """Return a wave at an RMS level, dB below full scale."""
    scaled_S: Array = wave_S * np.float32(10 ** (level_db / 20) / float(wave_S.std() + 1e-12))
    return scaled_S
