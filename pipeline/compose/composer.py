"""Composes scenes with exact truth from clips of single speakers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.contracts import Frame
from mitds.config import plain
from mitds.errors import MitdsError, UsageError
from mitds.manifests.records import SpeechTurn
from mitds.manifests.truth import Truth, TruthFaces, write_truth
from mitds.media import write_video
from mitds.pipeline.compose.analysis import Analyst
from mitds.pipeline.compose.casting import Person, people_of
from mitds.pipeline.compose.config import ComposeConfig
from mitds.pipeline.compose.parts import Clip
from mitds.pipeline.compose.performance import Performance, perform
from mitds.pipeline.compose.picture import Faces, Painter
from mitds.pipeline.compose.script import Script, draw_script
from mitds.pipeline.compose.sound import Mixed, mix, scene_speech
from mitds.runs import runs_of
from mitds.time import CLIP_FPS

Progress = Callable[[str, int, int], None]
Speaking = Mapping[str, NDArray[np.bool_]]
"""The frames in which somebody is heard, speaking_T by name."""


@dataclass(frozen=True, slots=True)
class Composed:
    """What was made: scenes' paths and truth, the people that could be cast, and clips left out, with the reason."""

    scenes: tuple[tuple[Path, Truth], ...]
    people: tuple[Person, ...]
    left_out: tuple[tuple[str, str], ...]


def compose(
    clips: Sequence[Clip],
    out: Path,
    config: ComposeConfig = ComposeConfig(),
    *,
    seed: int = 1,
    scenes: int = 1,
    progress: Progress = lambda what, done, total: None,
) -> Composed:
    """Write `scenes` scenes with their truth into `out`: scene_seedN.mp4, .rttm, .asd.csv, .cuts.txt, .json.

    Scene n depends on the clips, the configuration and `seed` + n alone.

    Raises:
        UsageError: The clips hold too few people for the configuration; says which were left out, and why.
    """
    people, left_out = find_people(clips, config, progress)
    made = []
    for n in range(scenes):
        progress("compose", n, scenes)
        try:
            made.append(compose_scene(people, out, config, seed + n))
        except UsageError as error:
            raise error.at("; ".join(f"{name}: {reason}" for name, reason in left_out)) from error
    progress("compose", scenes, scenes)
    return Composed(tuple(made), tuple(people), left_out)


def find_people(
    clips: Sequence[Clip], config: ComposeConfig, progress: Progress = lambda what, done, total: None
) -> tuple[list[Person], tuple[tuple[str, str], ...]]:
    """Take clips apart and gather who is in them; also return the clips that gave nothing, and why."""
    analyst = Analyst(config.analysis)
    stretches, left_out = [], []
    for n, clip in enumerate(clips):
        progress("analyse", n, len(clips))
        try:
            found = analyst.stretches(clip)
        except MitdsError as error:
            if error.exit_code == 3:
                raise  # this machine lacks something: no clip is to blame
            left_out.append((clip.name, error.what))
            continue
        stretches += found
        if not found:
            left_out.append((clip.name, "nobody is alone in view for long enough"))
    progress("analyse", len(clips), len(clips))
    return people_of(stretches, config.script), tuple(left_out)


def compose_scene(
    people: Sequence[Person], out: Path, config: ComposeConfig, seed: int
) -> tuple[Path, Truth]:
    """Compose one scene; return its mp4 and its truth, which lies beside it."""
    script_rng, acting_rng, picture_rng, sound_rng = np.random.default_rng(seed).spawn(4)
    script = draw_script(people, config, script_rng)
    speech = scene_speech(script)
    speaking = {p.name: _speaking(speech, p.name, script.frames) for p in script.cast}
    acting = {
        p.name: perform(p, script.turns, speaking[p.name], config.script, acting_rng) for p in script.cast
    }
    painter = Painter(script, acting, config.picture, picture_rng)
    crf = int(picture_rng.integers(config.picture.crf[0], config.picture.crf[1] + 1))
    mixed = mix(script, config.sound, sound_rng)
    name = f"scene_seed{seed}"
    path = out / f"{name}.mp4"
    painter.load()
    seen: list[Faces] = []
    end = Fraction(script.frames, 1) / CLIP_FPS
    write_video(path, _timed(painter.frames(), seen), end=end, sound=mixed.sound, crf=crf)
    about = {"seed": seed, "config": plain(config), "crf": crf, **_about(script, acting, painter, mixed)}
    truth = _truth(name, script, acting, painter.size, speech, speaking, seen, about)
    write_truth(out, truth)
    return path, truth


def _timed(frames: Iterable[tuple[Frame, Faces]], seen: list[Faces]) -> Iterator[tuple[Fraction, Frame]]:
    for k, (frame_HWC, faces) in enumerate(frames):
        seen.append(faces)
        yield k / CLIP_FPS, frame_HWC


def _truth(
    name: str,
    script: Script,
    acting: dict[str, Performance],
    size: tuple[int, int],
    speech: tuple[SpeechTurn, ...],
    speaking: Speaking,
    seen: list[Faces],
    about: dict[str, Any],
) -> Truth:
    return Truth(
        name=name,
        frames=script.frames,
        width=size[0],
        height=size[1],
        duration_s=script.frames / float(CLIP_FPS),
        cuts=script.cuts,
        soft=script.soft,
        speech=speech,
        faces=_faces(seen, size, speaking),
        moving_lips=_moving_lips(acting, seen),
        about=about,
    )


def _speaking(speech: Sequence[SpeechTurn], name: str, frames: int) -> NDArray[np.bool_]:
    """Return the frames whose middle lies in somebody's speech."""
    middle_T = (np.arange(frames) + 0.5) / float(CLIP_FPS)
    speaking_T = np.zeros(frames, np.bool_)
    for turn in speech:
        if turn.voice == name:
            speaking_T |= (turn.start_s <= middle_T) & (middle_T < turn.end_s)
    return speaking_T


def _faces(seen: list[Faces], size: tuple[int, int], speaking: Speaking) -> TruthFaces:
    rows = [(k, name, box_4) for k, faces in enumerate(seen) for name, box_4 in faces.items()]
    sides_4 = np.array([*size, *size], np.float32)
    return TruthFaces(
        frame_R=np.array([k for k, _, _ in rows], np.int64),
        person_R=tuple(name for _, name, _ in rows),
        xyxy_R4=np.array([box_4 / sides_4 for _, _, box_4 in rows], np.float32).reshape(-1, 4),
        speaking_R=np.array([speaking[name][k] for k, name, _ in rows], np.bool_),
    )


def _moving_lips(acting: dict[str, Performance], seen: list[Faces]) -> tuple[SpeechTurn, ...]:
    """Return when lips move in view without a voice."""
    spans = []
    for name, performance in acting.items():
        in_view_T = np.array([name in faces for faces in seen], np.bool_)
        for first, end in runs_of(performance.lips_T & in_view_T):
            fps = float(CLIP_FPS)
            spans.append(SpeechTurn(voice=name, start_s=first / fps, end_s=end / fps))
    return tuple(sorted(spans, key=lambda s: (s.start_s, s.voice)))


def _about(script: Script, acting: dict[str, Performance], painter: Painter, mixed: Mixed) -> dict[str, Any]:
    """Return what the json says beyond the truth itself: recipe, sources, shots, turns, camera, background."""
    fps = float(CLIP_FPS)
    people = {p.name: p for p in (*script.cast, *script.voices)}
    seen = set(acting)
    return {
        "shots": [
            {
                "index": n, "start_frame": s.shot.first, "end_frame": s.shot.end, "start": s.shot.first / fps,
                "end": s.shot.end / fps, "layout": s.shot.layout, "persons": list(s.shot.people),
                "soft": s.shot.fade,
                "camera": {p.performance.person.name: p.camera.motion for p in s.people},
            }
            for n, s in enumerate(painter.settings)
        ],
        "cut_frames": list(script.cuts),
        "soft_cuts": [list(span) for span in script.soft],
        "turns": [
            {
                "person": t.person, "start": t.start / fps, "end": t.end / fps, "onscreen": t.person in seen,
                "source": people[t.person].stretches[t.stretch].clip.name,
                "source_start": float(people[t.person].stretches[t.stretch].grid.at(t.source)),
            }
            for t in script.turns
        ],
        "speech": [
            {"person": t.voice, "start": t.start_s, "end": t.end_s, "onscreen": t.voice in seen}
            for t in mixed.speech
        ],
        "persons": {p.name: {"shots": _shots_of(script, p.name), "sources": _sources(p)} for p in people.values()},
        "background": dict(mixed.background),
    }  # fmt: skip


def _shots_of(script: Script, name: str) -> list[int]:
    return [n for n, shot in enumerate(script.shots) if name in shot.people]


def _sources(person: Person) -> list[dict[str, Any]]:
    clips = {s.clip.sha256: s.clip for s in person.stretches}
    return [
        {"name": c.name, "url": _address(c), "sha256": c.sha256, "licence": c.licence} for c in clips.values()
    ]


def _address(clip: Clip) -> str:
    """Return where a clip can be had: scenes are published, so no folder of this machine is named."""
    local = "://" not in clip.url or clip.url.startswith("file:")
    return PurePosixPath(clip.url).name if local else clip.url
