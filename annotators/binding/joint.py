"""Who is who and who speaks, over one source, from sound and picture together.

Voices told apart by ear and faces scored frame by frame meet here, in five steps:

1. one posterior over all pairings of voices and faces, with nobody as a further owner (`binder`);
2. each face's speaking probability, frame by frame, given whose the voices are (`fusion`);
3. speech that is seen but was not heard as that person's goes to their voice, new where they had none
   (`seen_speech`);
4. where speech changed hands, the first two are done again with the purer voices;
5. turns lose the pauses that their owner is seen to make (`trimming`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from mitds.annotators.binding.binder import BinderConfig, Ownership, bindings_of, own
from mitds.annotators.binding.evidence import ShotEvidence, shot_evidence
from mitds.annotators.binding.fusion import FusionConfig, fuse
from mitds.annotators.binding.seen_speech import NewVoice, SeenSpeech, SeenSpeechConfig, revise, seen_speech
from mitds.annotators.binding.trimming import Span, TrimConfig, silences, trim
from mitds.manifests.records import Array, Binding, FaceTrack, SpeakingScores, Voices
from mitds.time import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """Settings of the parts."""

    binder: BinderConfig = field(default_factory=BinderConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    seen: SeenSpeechConfig = field(default_factory=SeenSpeechConfig)
    trim: TrimConfig = field(default_factory=TrimConfig)


@dataclass(frozen=True, slots=True)
class ShotView:
    """The faces of one shot on its grid, and how much each speaks by itself."""

    grid: Grid
    tracks: Sequence[FaceTrack]
    scores: Sequence[SpeakingScores]


@dataclass(frozen=True, slots=True)
class Joint:
    """What sound and picture say together.

    Attributes:
        voices: The voices with what was seen; None without sound.
        bindings: One a voice, in the order of the voices.
        evidence: One a shot, by the voices as heard.
        speaking: Of each shot speaking_IT, the probability that each identity speaks; NaN where not scored.
    """

    voices: Voices | None
    bindings: tuple[Binding, ...]
    evidence: tuple[ShotEvidence, ...]
    speaking: tuple[Array, ...]


def solve(
    shots: Sequence[ShotView],
    identities: Sequence[str],
    voices: Voices | None,
    sound_start: Fraction,
    config: JointConfig = JointConfig(),
) -> Joint:
    """Bring the shots of one source and its voices together.

    Args:
        shots: All shots in order, their tracks named by `identities`.
        identities: The people of the source.
        voices: By ear alone; None without sound.
        sound_start: Where the sound starts on the source's clock.
        config: Settings.
    """
    evidence, ownership, speaking = _weigh(shots, identities, voices, sound_start, config)
    if voices is None:
        return Joint(None, (), evidence, speaking)
    mistaken = [s for s in _seen(shots, evidence, ownership, speaking, sound_start, config) if _moves(s)]
    if mistaken:
        voices = revise(voices, mistaken, ownership, config.seen).voices
        evidence, ownership, speaking = _weigh(shots, identities, voices, sound_start, config)
    bindings = bindings_of(ownership, identities, voices.voices, config.binder)
    on_top = [s for s in _seen(shots, evidence, ownership, speaking, sound_start, config) if not _moves(s)]
    revised = revise(voices, on_top, ownership, config.seen)
    names = revised.voices.voices[len(voices.voices) :]
    for name, voice in zip(names, revised.new, strict=True):
        bindings.append(_binding(identities[voice.identity], name, voice, config.binder))
    silent_V = [_silences(b, shots, identities, speaking, sound_start, config.trim) for b in bindings]
    return Joint(trim(revised.voices, silent_V, config.trim), tuple(bindings), evidence, speaking)


def _weigh(
    shots: Sequence[ShotView],
    identities: Sequence[str],
    voices: Voices | None,
    sound_start: Fraction,
    config: JointConfig,
) -> tuple[tuple[ShotEvidence, ...], Ownership, tuple[Array, ...]]:
    """Find whose the voices are, and who speaks by that."""
    evidence = tuple(
        shot_evidence(shot.grid, shot.tracks, shot.scores, identities, voices, sound_start) for shot in shots
    )
    ownership = own(evidence, len(identities), len(voices.voices) if voices else 0, config.binder)
    return evidence, ownership, tuple(fuse(shot, ownership, config.fusion) for shot in evidence)


def _seen(
    shots: Sequence[ShotView],
    evidence: Sequence[ShotEvidence],
    ownership: Ownership,
    speaking: Sequence[Array],
    sound_start: Fraction,
    config: JointConfig,
) -> list[SeenSpeech]:
    return [
        span
        for shot, heard, speaking_IT in zip(shots, evidence, speaking, strict=True)
        for span in seen_speech(
            heard, speaking_IT, ownership, shot.grid, float(shot.grid.start - sound_start), config.seen
        )
    ]


def _silences(
    binding: Binding,
    shots: Sequence[ShotView],
    identities: Sequence[str],
    speaking: Sequence[Array],
    sound_start: Fraction,
    config: TrimConfig,
) -> list[Span]:
    """Return where the owner of a voice is seen silent, on the sound's clock."""
    if binding.identity is None or binding.probability < config.sure:
        return []
    row = identities.index(binding.identity)
    return [
        span
        for shot, speaking_IT in zip(shots, speaking, strict=True)
        for span in silences(speaking_IT[row], float(shot.grid.start - sound_start), config)
    ]


def _moves(span: SeenSpeech) -> bool:
    return span.mistaken is not None


def _binding(identity: str, name: str, voice: NewVoice, config: BinderConfig) -> Binding:
    """Bind a voice that is known by sight alone."""
    unsure = voice.probability < config.min_probability
    return Binding(
        identity=None if unsure else identity,
        voice=name,
        probability=voice.probability,
        abstained=unsure,
        evidence_s=voice.seconds,
    )
