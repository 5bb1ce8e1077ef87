"""Who speaks when, in RTTM (NIST Rich Transcription): one SPEAKER line a turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mitds.manifests.source_labels import SourceLabels
from mitds.pipeline.export.reading import SourceClips

Turn = tuple[float, float, str]


def clip_lines(name: str, source: SourceClips) -> Iterator[str]:
    """Yield the turns of each clip on its own clock; the file id is the clip's key.

    Persons in view are called by identity ("P0"), voices of nobody in view by voice label ("V1").
    """
    for ref in source.clips:
        clip = ref.clip()
        turns = [(t.start_s, t.end_s, p.identity) for p in clip.persons for t in p.turns]
        turns += [(t.start_s, t.end_s, t.voice) for t in clip.offscreen]
        yield from _lines(clip.key, turns)


def source_lines(name: str, labels: SourceLabels) -> Iterator[str]:
    """Yield all turns of a source on its clock; voices that are bound to a face carry its identity."""
    faces = {b.voice: b.identity for b in labels.bindings if b.identity and not b.abstained}
    yield from _lines(name, [(t.start_s, t.end_s, faces.get(t.voice, t.voice)) for t in labels.turns])


def _lines(file_id: str, turns: Iterable[Turn]) -> Iterator[str]:
    for start_s, end_s, label in sorted(turns):
        yield f"SPEAKER {file_id} 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {label} <NA> <NA>\n"
