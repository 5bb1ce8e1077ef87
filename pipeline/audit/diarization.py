"""Who speaks when, by ear: diarization and Jaccard error rates, computed by pyannote.metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mitds.errors import MissingDependency
from mitds.manifests.records import SpeechTurn
from mitds.pipeline.audit.scenes import Flags, Floats, Scene, spans
from mitds.pipeline.audit.statistics import Found, Spec, Sums, ratio

_DER = (
    "(missed + false + confused) / true speech, overlap scored, best one-to-one mapping of voices to people"
)
DER = Spec(
    "diarization.der",
    "DER",
    f"{_DER}; no collar. Seconds are pooled over videos, and silent ones count too.",
    "seconds",
    "lower",
)
MISS = Spec("diarization.miss", "DER: missed", "Missed speech / true speech.", "seconds", "lower")
FALSE = Spec(
    "diarization.false_alarm",
    "DER: false alarm",
    "Speech said / true speech where there is none.",
    "seconds",
    "lower",
)
CONFUSION = Spec(
    "diarization.confusion",
    "DER: confusion",
    "Speech given to another person / true speech.",
    "seconds",
    "lower",
)
DER_COLLAR = Spec(
    "diarization.der_c25",
    "DER, collar .25",
    f"{_DER}; a quarter of a second around every true boundary is left out (.125 s each side).",
    "seconds",
    "lower",
)
JER = Spec(
    "diarization.jer",
    "JER",
    "Jaccard error rate: 1 - intersection over union of each person's speech and their voice's, mean over people.",
    "people",
    "lower",
)


def measure_diarization(scenes: Sequence[Scene]) -> list[Found]:
    """Score the turns of every scene whose speech is known, over its certain passages.

    Raises:
        MissingDependency: If pyannote.metrics is not installed.
    """
    rates = _metrics()
    rows = [tuple(_components(metric, s) for metric in rates) for s in scenes]
    plain, collar, jaccard = (np.array([row[k] for row in rows], np.float64) for k in range(3))
    known_V = np.array([s.truth.speech is not None for s in scenes], np.bool_)
    return [
        Found(DER, _rate(plain, [1, 2, 3], known_V)),
        Found(MISS, _rate(plain, [1], known_V)),
        Found(FALSE, _rate(plain, [2], known_V)),
        Found(CONFUSION, _rate(plain, [3], known_V)),
        Found(DER_COLLAR, _rate(collar, [1, 2, 3], known_V)),
        Found(JER, _rate(jaccard, [1, 2, 3])),
    ]


def _metrics() -> list[Any]:
    try:
        from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate
    except ImportError as error:
        raise MissingDependency(
            f"diarization is scored by pyannote.metrics, which cannot be loaded: {error}",
            remedy="Install it: pip install 'pyannote.metrics>=4'.",
        ) from error
    untyped: Any = JaccardErrorRate
    return [DiarizationErrorRate(), DiarizationErrorRate(collar=0.25), untyped()]


def _rate(sums_V4: Floats, errors: list[int], known_V: Flags | None = None) -> Sums:
    parts_V2 = np.stack([sums_V4[:, errors].sum(axis=1), sums_V4[:, 0]], 1)
    return Sums(parts_V2, sums_V4[:, 0], ratio, known_V)


def _components(metric: Any, scene: Scene) -> tuple[float, float, float, float]:
    """Return what is divided by, and up to three sums of errors."""
    if scene.truth.speech is None:
        return 0.0, 0.0, 0.0, 0.0
    from pyannote.core import Segment, Timeline

    scored = Timeline([Segment(a, b) for a, b in passages(scene)])
    found = metric(
        _annotation(scene.truth.speech), _annotation(scene.labels.turns), uem=scored, detailed=True
    )
    if "speaker count" in found:
        return float(found["speaker count"]), float(found["speaker error"]), 0.0, 0.0
    parts = ("total", "missed detection", "false alarm", "confusion")
    total, missed, false, confused = (float(found[part]) for part in parts)
    return total, missed, false, confused


def passages(scene: Scene) -> list[tuple[float, float]]:
    """Return where it is certain who speaks, seconds; truth that shows nothing and names no length holds throughout."""
    truth = scene.truth
    if truth.regions is not None:
        return [(r.start_s, r.end_s) for r in truth.regions if r.kind != "face"]
    spoken = max((t.end_s for t in truth.speech or ()), default=0.0)
    shown = float((truth.faces.frame_R.max(initial=-1) + 1) / truth.fps) if truth.faces else 0.0
    return [(0.0, truth.duration_s or max(spoken, shown) or scene.labels.duration_s)]


def _annotation(turns: Iterable[SpeechTurn]) -> Any:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for voice, own in spans(turns).items():
        for k, (start, end) in enumerate(own):
            annotation[Segment(start, end), f"{voice}-{k}"] = voice
    return annotation
