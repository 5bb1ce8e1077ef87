"""The diarizer alone, on recordings without pictures whose turns are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mitds.annotators.contracts import Diarizer
from mitds.annotators.runtime import single_threaded
from mitds.errors import UsageError
from mitds.manifests.records import SpeechTurn
from mitds.manifests.truth import Truth, speech_of
from mitds.media import read_sound
from mitds.pipeline.audit.diarization import measure_diarization
from mitds.pipeline.audit.notes import on_truth
from mitds.pipeline.audit.reading import nothing
from mitds.pipeline.audit.results import VERSION, Audit
from mitds.pipeline.audit.run import DRAWS, SEED, scene
from mitds.pipeline.audit.scenes import Labels, Scene
from mitds.pipeline.audit.statistics import alone, measured
from mitds.time import AUDIO_HZ

SOUNDS = (".wav", ".flac", ".mp3", ".m4a", ".ogg")


def audit_voices(
    folder: Path,
    diarizer: Diarizer,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Audit:
    """Diarize every recording of a folder and measure it against the RTTM files there.

    The turns of NAME.wav are those of NAME.rttm, or, where there is none, the lines about NAME in any RTTM file
    beside it. Recordings without either are named in the notes.

    Args:
        folder: Recordings and RTTM files.
        diarizer: What is measured.
        draws: Bootstrap draws for intervals; recordings are resampled.
        seed: Of the draws.
        progress: Told how many recordings of how many are heard.

    Raises:
        UsageError: If there is no such folder, or it holds no recording with known turns.
        MissingDependency: If pyannote.metrics is not installed.
    """
    single_threaded()
    known = dict(_recordings(folder))
    scored = {path: turns for path, turns in known.items() if turns is not None}
    if not scored:
        raise UsageError(
            "the folder holds no recording whose turns are known",
            where=str(folder),
            remedy="Put NAME.wav and NAME.rttm there.",
        )
    scenes = []
    for done, (path, turns) in enumerate(scored.items()):
        progress("recordings", done, len(scored))
        labels, seconds = _heard(path, diarizer)
        scenes.append(scene(Truth(name=path.stem, duration_s=seconds, speech=turns), labels))
    unknown = [path.name for path in known if path not in scored]
    notes = tuple(f"Not scored, because no turns of it are known: {name}." for name in unknown)
    return _record(scenes, diarizer.name, draws, seed, (*notes, *on_truth(scenes)))


def _record(scenes: Sequence[Scene], model: str, draws: int, seed: int, notes: tuple[str, ...]) -> Audit:
    found, names = measure_diarization(scenes), tuple(s.truth.name for s in scenes)
    return Audit(
        version=VERSION,
        profile="",
        models={"speech": model},
        names=names,
        measures=tuple(measured(f, draws, seed) for f in found),
        per_video={name: {f.spec.id: alone(f, place) for f in found} for place, name in enumerate(names)},
        reliability=(),
        abstention=(),
        missing=(),
        notes=notes,
    )


def _recordings(folder: Path) -> Iterator[tuple[Path, tuple[SpeechTurn, ...] | None]]:
    """Yield each recording with its turns, None where they are not known; an RTTM of its own may hold none."""
    if not folder.is_dir():
        raise UsageError(
            "there is no such folder", where=str(folder), remedy="Name a folder of recordings and RTTM files."
        )
    shared = sorted(folder.glob("*.rttm"))
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SOUNDS):
        own = path.with_suffix(".rttm")
        if own.is_file():
            yield path, speech_of(own)
        else:
            yield path, next((t for r in shared if (t := speech_of(r, path.stem))), None)


def _heard(path: Path, diarizer: Diarizer) -> tuple[Labels, float]:
    """Diarize one recording; also returns its length in seconds."""
    sound = read_sound(path)
    if sound is None:
        raise UsageError("the file holds no sound", where=str(path))
    wave_S = sound.mono(AUDIO_HZ).astype(np.float32)
    labels = nothing()
    voices = diarizer.diarize(wave_S)
    heard = Labels(
        cuts=labels.cuts,
        turns=voices.turns,
        bindings=labels.bindings,
        faces=labels.faces,
        identities=labels.identities,
        bodies=None,
        size=labels.size,
    )
    return heard, len(wave_S) / AUDIO_HZ
