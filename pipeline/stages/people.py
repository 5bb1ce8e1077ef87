"""The stage that brings one source together: who is who, which voice is whose, and what the clips are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.binding.binder import BinderConfig
from mitds.annotators.binding.evidence import ACTIVE, ShotEvidence, identities
from mitds.annotators.binding.fusion import FusionConfig
from mitds.annotators.binding.joint import JointConfig, ShotView, solve
from mitds.annotators.binding.seen_speech import SeenSpeechConfig
from mitds.annotators.identity.joining import JoiningConfig, join_identities
from mitds.config import digest
from mitds.manifests.codec import pack_arrays, scores_from_npz, tracks_from_npz, voices_from_npz
from mitds.manifests.records import (
    Array,
    Binding,
    Clip,
    FaceTrack,
    Person,
    Provenance,
    SpeakingScores,
    SpeechTurn,
    Turn,
    Voices,
)
from mitds.manifests.source_labels import SourceLabels, TrackLabels, to_sample
from mitds.pipeline.selection import Candidate, ClipRules, candidates
from mitds.pipeline.stages.items import ShotItem, SourceItem
from mitds.pipeline.work import Work
from mitds.runs import bridge, runs_of
from mitds.store import write_bytes
from mitds.time import CLIP_FPS

FPS = float(CLIP_FPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnConfig:
    """How speaking probabilities become turns.

    Attributes:
        threshold: A person speaks above it.
        max_pause_s: Shorter pauses do not end a turn.
        min_turn_s: Shorter turns are dropped.
    """

    threshold: float = 0.5
    max_pause_s: float = 0.2
    min_turn_s: float = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleConfig:
    """Settings of the stage."""

    joining: JoiningConfig
    binder: BinderConfig
    fusion: FusionConfig
    seen_speech: SeenSpeechConfig
    turns: TurnConfig
    rules: ClipRules
    models: Mapping[str, str]
    digests: Mapping[str, str]
    tool: str
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClip:
    """One candidate; see `ClipItem` for its fields, `shot` is the shot's key."""

    clip: Clip
    shot: str
    first: int
    unit: str
    looks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleResult:
    """Every candidate clip of a source, kept and filtered, in order.

    Their arrays lie in the work folder, "people" UNIT.npz, and the source's labels there too, SOURCE.json and .npz.
    """

    clips: tuple[PlannedClip, ...]


@dataclass(frozen=True, slots=True)
class _Shot:
    """All that is known of one shot."""

    item: ShotItem
    size: tuple[int, int]
    tracks: Sequence[FaceTrack]
    scores: Mapping[int, SpeakingScores]
    evidence: ShotEvidence
    speaking: Mapping[int, Array]


class PeopleStage:
    """Worker of the stage "people"; needs "faces" and "speaking" of all shots and the "voices" of the source."""

    def __init__(self, config: PeopleConfig, work: Work) -> None:
        self._config, self._work = config, work
        self._joint = JointConfig(binder=config.binder, fusion=config.fusion, seen=config.seen_speech)

    def __call__(self, item: SourceItem) -> PeopleResult:
        """Join identities, solve who speaks from sound and picture, and select the clips of one source.

        The item lists only the shots whose faces and scores are there. Work folder: "people" CLIP.npz.
        """
        voices = self._voices(item)
        joined = join_identities([self._tracks(s) for s in item.shots], self._config.joining)
        names = identities(joined)
        offset = item.sound.about.start if item.sound else Fraction(0)
        scores = [self._scores(s) for s in item.shots]
        views = [
            ShotView(s.grid, tracks, list(score.values()))
            for s, tracks, score in zip(item.shots, joined, scores, strict=True)
        ]
        joint = solve(views, names, voices, offset, self._joint)
        bindings = joint.bindings
        shots = [
            _Shot(s, _size(item), t, c, e, _speaking(t, c, f, names))
            for s, t, c, e, f in zip(item.shots, joined, scores, joint.evidence, joint.speaking, strict=True)
        ]
        turns = _source_turns(joint.voices, offset)
        clips = [
            self._plan(item, shot, found, turns, bindings) for shot in shots for found in self._found(shot)
        ]
        labels = SourceLabels(
            source=item.source,
            shots=tuple(s.shot for s in item.shots),
            tracks=tuple(_labels(i, track, shot) for i, shot in enumerate(shots) for track in shot.tracks),
            turns=turns,
            bindings=bindings,
            models=dict(self._config.models),
            digests=dict(self._config.digests),
        )
        for ext, data in to_sample(labels).items():
            write_bytes(self._work.path("people", item.unit, f".{ext}"), data)
        return PeopleResult(clips=tuple(clips))

    def _tracks(self, shot: ShotItem) -> list[FaceTrack]:
        return tracks_from_npz(self._work.path("faces", shot.name, ".npz").read_bytes())

    def _scores(self, shot: ShotItem) -> dict[int, SpeakingScores]:
        data = self._work.path("speaking", shot.name, ".npz").read_bytes()
        return {s.track: s for s in scores_from_npz(data)}

    def _voices(self, item: SourceItem) -> Voices | None:
        if item.sound is None:
            return None
        return voices_from_npz(self._work.path("voices", item.name, ".npz").read_bytes())

    def _found(self, shot: _Shot) -> list[Candidate]:
        return candidates(shot.item.grid.count, shot.size[1], shot.tracks, shot.speaking, self._config.rules)

    def _plan(
        self,
        item: SourceItem,
        shot: _Shot,
        found: Candidate,
        turns: Sequence[SpeechTurn],
        bindings: Sequence[Binding],
    ) -> PlannedClip:
        """Make one candidate's record, and leave its arrays in the work folder."""
        grid = shot.item.grid.part(found.first, found.count)
        arrays = _clip_arrays(shot, found)
        persons = tuple(
            self._person(shot, found, name, arrays["speaking_NT"][n], bindings)
            for n, name in enumerate(found.identities)
        )
        heard = _clipped(turns, float(grid.start), float(grid.end))
        open_ = {b.voice for b in bindings if b.abstained}
        in_view = {b.voice for b in bindings if b.identity in found.identities}
        clip = Clip(
            key=digest(item.source.id, grid.start, grid.end, self._config.digests),
            source_id=item.source.id or "",
            source_name=item.source.name,
            source_url=item.source.url,
            rights=item.source.rights,
            shot=shot.item.shot.key,
            start=grid.start,
            end=grid.end,
            frames=grid.count,
            width=shot.size[0],
            height=shot.size[1],
            persons=persons,
            offscreen=tuple(t for t in heard if t.voice not in in_view | open_),
            unassigned=tuple(t for t in heard if t.voice in open_),
            status=found.status,
            reasons=found.reasons,
            scores={**found.scores, **_speech_scores(shot.evidence, found, arrays["speaking_NT"])},
            models=dict(self._config.models),
            digests=dict(self._config.digests),
            provenance=Provenance(
                fetched_at=item.source.fetched_at,
                notes=item.source.notes,
                tool=self._config.tool,
                libraries=dict(self._config.libraries),
            ),
        )
        span = shot.item.name, found.first, found.count
        unit = _unit(item, span, arrays, persons, clip.offscreen)
        write_bytes(self._work.path("people", unit, ".npz"), pack_arrays(arrays))
        looks = _unit(
            item, span, {name: arrays[name] for name in ("face_xyxy_NT4", "face_score_NT", "visible_NT")}
        )
        return PlannedClip(clip=clip, shot=shot.item.shot.key, first=found.first, unit=unit, looks=looks)

    def _person(
        self, shot: _Shot, found: Candidate, name: str, speaking_T: Array, bindings: Sequence[Binding]
    ) -> Person:
        track = _main_track(shot.tracks, found, name)
        own = [b for b in bindings if b.identity == name]
        best = max(own, key=lambda b: (b.evidence_s, b.probability), default=None)
        turns = turns_of(speaking_T, self._config.turns)
        doubted = bool(turns) or any(b.abstained for b in bindings)
        return Person(
            track=track.track,
            identity=name,
            voice=best.voice if best else None,
            voice_probability=best.probability if best else None,
            voice_status="bound" if best else "abstained" if doubted else "none",
            turns=turns,
            speaking_model=self._config.models["asd"],
        )


def _unit(item: SourceItem, span: object, arrays: Mapping[str, NDArray[Any]], *more: object) -> str:
    """Name a candidate's results after all that they depend on; the name begins as all of its source's do."""
    return f"{item.key}-{digest(span, hashlib.sha256(pack_arrays(arrays)).hexdigest(), *more)}"


def _speaking(
    tracks: Sequence[FaceTrack], scores: Mapping[int, SpeakingScores], fused_IT: Array, names: Sequence[str]
) -> dict[int, Array]:
    """Return the revised speaking probability over each track's frames."""
    return {
        t.track: fused_IT[names.index(t.identity), t.first : t.last + 1]
        for t in tracks
        if t.identity is not None and t.track in scores
    }


def turns_of(speaking_T: Array, config: TurnConfig) -> tuple[Turn, ...]:
    """Turn a speaking probability into turns on the same clock, seconds; NaN counts as not speaking."""
    runs = bridge(runs_of(speaking_T > config.threshold), config.max_pause_s * FPS)
    return tuple(Turn(start_s=s / FPS, end_s=e / FPS) for s, e in runs if e - s >= config.min_turn_s * FPS)


def _size(item: SourceItem) -> tuple[int, int]:
    """Width and height of the source's upright pictures; the files may hold one more column or row."""
    if item.source.probe is None:
        raise ValueError("a source without a probe")
    return item.source.probe.width, item.source.probe.height


def _source_turns(voices: Voices | None, offset: Fraction) -> tuple[SpeechTurn, ...]:
    """Put the diarized turns on the source's clock."""
    if voices is None:
        return ()
    shift = float(offset)
    return tuple(
        SpeechTurn(voice=t.voice, start_s=t.start_s + shift, end_s=t.end_s + shift) for t in voices.turns
    )


def _clipped(turns: Sequence[SpeechTurn], start: float, end: float) -> list[SpeechTurn]:
    """Return the parts of turns inside [start, end), on the clock that begins at `start`."""
    return [
        SpeechTurn(voice=t.voice, start_s=max(t.start_s, start) - start, end_s=min(t.end_s, end) - start)
        for t in turns
        if t.end_s > start and t.start_s < end
    ]


def _speech_scores(evidence: ShotEvidence, found: Candidate, speaking_NT: Array) -> dict[str, float]:
    """Return the share of frames with speech, and with two people speaking, by ear or by eye."""
    span = slice(found.first, found.first + found.count)
    heard_T = (evidence.activity_TV[span] > ACTIVE).sum(axis=1)
    seen_T = (speaking_NT > ACTIVE).sum(axis=0)
    return {
        "speech_share": float((evidence.speech_T[span] > ACTIVE).mean()),
        "overlap_share": float((np.maximum(heard_T, seen_T) > 1).mean()),
    }


def _main_track(tracks: Sequence[FaceTrack], found: Candidate, name: str) -> FaceTrack:
    """Return the track that shows a person for most of a candidate's frames."""

    def frames_inside(track: FaceTrack) -> int:
        return min(track.last + 1, found.first + found.count) - max(track.first, found.first)

    return max((t for t in tracks if t.identity == name), key=frames_inside)


def _clip_arrays(shot: _Shot, found: Candidate) -> dict[str, NDArray[Any]]:
    """Cut the rows of the clip's people out of the shot's tracks; NaN where a face is out of view."""
    people, frames = len(found.identities), found.count
    boxes = np.full((people, frames, 4), np.nan, np.float32)
    scores = np.zeros((people, frames), np.float32)
    speaking = np.full((people, frames), np.nan, np.float32)
    visible = np.zeros((people, frames), bool)
    for track in shot.tracks:
        low, high = max(track.first, found.first), min(track.last + 1, found.first + frames)
        if track.identity not in found.identities or low >= high:
            continue
        row = found.identities.index(track.identity)
        here, there = (
            slice(low - found.first, high - found.first),
            slice(low - track.first, high - track.first),
        )
        boxes[row, here] = track.xyxy_T4[there]
        scores[row, here] = track.score_T[there]
        visible[row, here] = True
        if track.track in shot.speaking:
            speaking[row, here] = shot.speaking[track.track][there]
    return {"face_xyxy_NT4": boxes, "face_score_NT": scores, "speaking_NT": speaking, "visible_NT": visible}


def _labels(index: int, track: FaceTrack, shot: _Shot) -> TrackLabels:
    nothing = np.full(len(track.score_T), np.nan, np.float32)
    score = shot.scores.get(track.track)
    return TrackLabels(
        shot=index,
        track=track.track,
        first=track.first,
        identity=track.identity,
        xyxy_T4=track.xyxy_T4,
        score_T=track.score_T,
        detected_T=track.detected_T,
        speaking_T=shot.speaking.get(track.track, nothing),
        logit_T=score.logit_T if score else nothing,
    )
