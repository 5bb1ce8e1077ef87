"""Speech that the picture tells better than the ear: a second voice nobody could name, two like voices taken for one.

Diarization by ear names a voice by how it sounds alone. Somebody who talks only over others has no voice then,
and two people who sound alike share one. Where the faces are in view, they tell whose speech it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.binding.binder import Ownership
from mitds.annotators.binding.evidence import ACTIVE, ShotEvidence
from mitds.manifests.records import Array, SpeechTurn, Voices
from mitds.runs import bridge, runs_of
from mitds.time import CLIP_FPS, Grid

FPS = float(CLIP_FPS)
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSpeechConfig:
    """When the picture corrects the ear.

    Attributes:
        sure: Probability from which a voice counts as a face's.
        clear_logit: A voice moves from its owner to another face where their log odds lie this far below
            and above zero.
        pause_s: Shorter pauses do not part a stretch, nor a turn.
        shortest_s: Shorter stretches are left as heard.
        new_voice_s: A face that no voice belongs to gets one for so much speech, all its stretches together.
    """

    sure: float = 0.8
    clear_logit: float = 2.0
    pause_s: float = 0.12
    shortest_s: float = 0.3
    new_voice_s: float = 0.5


@dataclass(frozen=True, slots=True)
class SeenSpeech:
    """A stretch in which an identity is seen to speak and its voice was not heard; seconds on the sound's clock.

    Attributes:
        mistaken: The voice, another's, that it was taken for; None where it was heard on top of it.
        probability: Mean probability that the identity speaks.
    """

    identity: int
    start_s: float
    end_s: float
    mistaken: int | None
    probability: float


def seen_speech(
    shot: ShotEvidence,
    speaking_IT: Array,
    ownership: Ownership,
    grid: Grid,
    offset_s: float,
    config: SeenSpeechConfig,
) -> Iterator[SeenSpeech]:
    """Yield the stretches of one shot; `offset_s` is the time of its first frame on the sound's clock."""
    voice_of = sure_voices(ownership, config)
    active_TV = shot.activity_TV > ACTIVE
    spoken_T = shot.speech_T > ACTIVE
    for identity in range(len(speaking_IT)):
        own = voice_of.get(identity)
        heard_T = active_TV[:, own] if own is not None else np.zeros(grid.count, np.bool_)
        for voice, mask_T in _unheard(shot, speaking_IT, identity, voice_of, active_TV, config):
            for first, end in bridge(runs_of(mask_T & spoken_T & ~heard_T), config.pause_s * FPS):
                if end - first >= config.shortest_s * FPS:
                    p = float(np.nanmean(speaking_IT[identity, first:end]))
                    yield SeenSpeech(identity, offset_s + first / FPS, offset_s + end / FPS, voice, p)


def sure_voices(ownership: Ownership, config: SeenSpeechConfig) -> dict[int, int]:
    """Return the voice of each identity that surely has one."""
    best_I = ownership.owner_VI.argmax(axis=0) if len(ownership.owner_VI) else np.zeros(0, np.int64)
    return {i: int(v) for i, v in enumerate(best_I) if ownership.owner_VI[v, i] >= config.sure}


def _unheard(
    shot: ShotEvidence,
    speaking_IT: Array,
    identity: int,
    voice_of: dict[int, int],
    active_TV: Flags,
    config: SeenSpeechConfig,
) -> Iterator[tuple[int | None, Flags]]:
    """Yield where a face speaks on top of the voices named, and where it speaks instead of another face."""
    unnamed_T = (active_TV.sum(axis=1) == 0) | ((active_TV.sum(axis=1) == 1) & (shot.overlap_T > ACTIVE))
    yield None, (np.nan_to_num(speaking_IT[identity]) > ACTIVE) & unnamed_T
    clear_T = np.nan_to_num(shot.logit_IT[identity]) > config.clear_logit
    for other, voice in voice_of.items():
        if other != identity:
            at_rest_T = np.nan_to_num(shot.logit_IT[other]) < -config.clear_logit
            yield voice, clear_T & at_rest_T & active_TV[:, voice]


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A voice that is known by sight: whose it is, the mean probability that they speak, and for how long."""

    identity: int
    probability: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Revised:
    """Voices after the picture had its say.

    Attributes:
        voices: Those heard first, in their places, then one for each face that had none.
        new: The latter.
    """

    voices: Voices
    new: tuple[NewVoice, ...]


def revise(
    voices: Voices, found: Sequence[SeenSpeech], ownership: Ownership, config: SeenSpeechConfig
) -> Revised:
    """Add what was seen to the voices it belongs to, and take it from those it was taken for."""
    voice_of = sure_voices(ownership, config)
    voiceless = [_new_voice(i, found) for i in sorted({s.identity for s in found} - set(voice_of))]
    new = tuple(voice for voice in voiceless if voice.seconds >= config.new_voice_s)
    number = voice_of | {voice.identity: len(voices.voices) + n for n, voice in enumerate(new)}
    grown = _with_room(voices, len(new))
    for span in (s for s in found if s.identity in number):
        grown = _moved(grown, span, number[span.identity], config)
    return Revised(grown, new)


def _new_voice(identity: int, found: Sequence[SeenSpeech]) -> NewVoice:
    mine = [(s.probability, s.end_s - s.start_s) for s in found if s.identity == identity]
    seconds = sum(length for _, length in mine)
    return NewVoice(identity, sum(p * length for p, length in mine) / seconds, seconds)


def _with_room(voices: Voices, count: int) -> Voices:
    """Append `count` voices that never speak and whose sound is not known."""
    silence_FN = np.zeros((len(voices.speech_F), count), np.float32)
    unknown_ND = np.full((count, voices.embedding_VD.shape[1]), np.nan, np.float32)
    names = tuple(f"V{len(voices.voices) + n}" for n in range(count))
    return replace(
        voices,
        voices=voices.voices + names,
        activity_FV=np.concatenate([voices.activity_FV, silence_FN], axis=1),
        embedding_VD=np.concatenate([voices.embedding_VD, unknown_ND]),
    )


def _moved(voices: Voices, span: SeenSpeech, voice: int, config: SeenSpeechConfig) -> Voices:
    """Give one stretch to a voice, and take it from the one it was mistaken for."""
    activity_FV, turns = voices.activity_FV.copy(), list(voices.turns)
    steps = slice(max(0, round(span.start_s / voices.hop_s)), max(0, round(span.end_s / voices.hop_s)))
    activity_FV[steps, voice] = np.maximum(activity_FV[steps, voice], voices.speech_F[steps])
    if span.mistaken is not None:
        activity_FV[steps, span.mistaken] = 0
        turns = _without(turns, voices.voices[span.mistaken], span)
    turns = _with(turns, voices.voices[voice], span, config.pause_s)
    ordered = tuple(sorted(turns, key=lambda t: (t.start_s, t.end_s, t.voice)))
    return replace(voices, activity_FV=activity_FV, turns=ordered)


def _without(turns: Sequence[SpeechTurn], voice: str, span: SeenSpeech) -> list[SpeechTurn]:
    """Cut a stretch out of a voice's turns."""
    kept = [t for t in turns if t.voice != voice or t.end_s <= span.start_s or t.start_s >= span.end_s]
    for turn in (t for t in turns if t not in kept):
        if turn.start_s < span.start_s:
            kept.append(replace(turn, end_s=span.start_s))
        if turn.end_s > span.end_s:
            kept.append(replace(turn, start_s=span.end_s))
    return kept


def _with(turns: Sequence[SpeechTurn], voice: str, span: SeenSpeech, pause_s: float) -> list[SpeechTurn]:
    """Add a stretch to a voice's turns, as one with those it touches."""
    low, high = span.start_s - pause_s, span.end_s + pause_s
    touched = [t for t in turns if t.voice == voice and t.end_s >= low and t.start_s <= high]
    start_s = min([span.start_s, *(t.start_s for t in touched)])
    end_s = max([span.end_s, *(t.end_s for t in touched)])
    rest = [t for t in turns if t not in touched]
    return [*rest, SpeechTurn(voice=voice, start_s=start_s, end_s=end_s)]
