"""Audits of real truth agree with the independent scorers beside the test media.

The labels are the truth made worse at random: boxes moved and lost, faces invented, scores that overlap and tie,
voices split, joined and shifted, cuts moved. Both sides read them: ours from shards, theirs from exports.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.manifests.records import SpeechTurn
from mitds.manifests.source_labels import SourceLabels, TrackLabels
from mitds.manifests.truth import Truth, read_truth, truth_names
from mitds.pipeline.audit.results import Audit
from mitds.pipeline.audit.run import audit
from mitds.pipeline.export import export
from tests import factories

pytestmark = [pytest.mark.media, pytest.mark.shared]


def _tool(shared_media: Path, name: str) -> Path:
    path = shared_media.parent / "tools" / name
    if not path.is_file():
        pytest.skip(f"no independent scorer at {path}")
    return path


def _worsened(truth: Truth, rng: np.random.Generator) -> SourceLabels:
    """Return labels that are the truth with every kind of mistake."""
    frames = truth.frames or 0
    cuts = [c + int(rng.integers(-3, 4)) for c in truth.cuts or ()] + [frames - 40]
    first = [0, *sorted(cuts)]
    last = [*first[1:], frames]
    identity = f"{rng.integers(1 << 60):016x}" * 4
    shots = tuple(
        factories.shot(
            k,
            key=f"{identity[:16]}-s{k:04d}",
            source_id=identity,
            start=Fraction(a, 25),
            end=Fraction(b, 25),
            first_frame=a,
        )
        for k, (a, b) in enumerate(zip(first, last, strict=True))
    )
    probe = factories.probe(width=truth.width or 1280, height=truth.height or 720)
    source = factories.source(id=identity, name=f"{truth.name}.mp4", probe=probe)
    tracks = tuple(_tracks(truth, list(zip(first, last, strict=True)), rng))
    return factories.source_labels(
        source=source, shots=shots, tracks=tracks, turns=_turns(truth, rng), bindings=()
    )


def _tracks(truth: Truth, shots: list[tuple[int, int]], rng: np.random.Generator) -> Iterator[TrackLabels]:
    assert truth.faces is not None
    person_R = np.array(truth.faces.person_R)
    size_4 = np.array([truth.width or 1280, truth.height or 720] * 2)
    for k, (first, last) in enumerate(shots):
        for n, person in enumerate(sorted(set(truth.faces.person_R))):
            rows = (person_R == person) & (truth.faces.frame_R >= first) & (truth.faces.frame_R < last)
            if not rows.any():
                continue
            xyxy_T4 = np.full((last - first, 4), np.nan)
            at = truth.faces.frame_R[rows] - first
            side = np.diff(truth.faces.xyxy_R4[rows][:, [0, 2]], axis=1)
            moved = truth.faces.xyxy_R4[rows] + side * rng.normal(0, 0.15, (len(at), 1))
            xyxy_T4[at] = np.where(rng.random((len(at), 1)) < 0.05, np.nan, moved)
            speaking = np.zeros(last - first)
            speaking[at] = truth.faces.speaking_R[rows]
            logit = np.round(rng.normal(2 * speaking - 1, 1.5), 1)
            score = 1 / (1 + np.exp(-logit))
            score[rng.random(len(score)) < 0.03] = np.nan
            yield _track(k, n, xyxy_T4 * size_4, score)
        invented = np.tile([0.02, 0.02, 0.1, 0.14], (last - first, 1))
        yield _track(k, 90, invented * size_4, rng.random(last - first))


def _track(shot: int, track: int, xyxy_T4: np.ndarray, score_T: np.ndarray) -> TrackLabels:
    return factories.track_labels(
        shot,
        track,
        len(score_T),
        xyxy_T4=xyxy_T4.astype(np.float32),
        speaking_T=score_T.astype(np.float32),
        logit_T=score_T.astype(np.float32),
    )


def _turns(truth: Truth, rng: np.random.Generator) -> tuple[SpeechTurn, ...]:
    """Shift ends, drop and invent turns, and call some by another voice."""
    turns = []
    people = sorted({t.voice for t in truth.speech or ()})
    for turn in truth.speech or ():
        start = max(0.0, turn.start_s + rng.normal(0, 0.15))
        end = turn.end_s + rng.normal(0, 0.15)
        number = people.index(turn.voice) if rng.random() < 0.8 else int(rng.integers(len(people) + 1))
        if end > start + 0.05 and rng.random() < 0.9:
            turns.append(SpeechTurn(voice=f"V{number}", start_s=round(start, 3), end_s=round(end, 3)))
    turns.append(SpeechTurn(voice="V0", start_s=1.0, end_s=2.5))
    return tuple(sorted(turns, key=lambda t: t.start_s))


def _labels(truths: Path, names: list[str], folder: Path) -> str:
    """Write shards of worsened labels and their exports; returns the pattern of the shards."""
    rng = np.random.default_rng(5)
    factories.write_clips(folder, factories.clip(0))
    factories.write_sources(folder, *(_worsened(read_truth(truths, name), rng) for name in names))
    shards = str(folder / "clips-*.tar")
    for format in ("rttm", "ava", "cuts"):
        export([shards], format, folder / "said", "source")
    return shards


def _values(found: Audit, name: str | None = None) -> dict[str, float | None]:
    if name is not None:
        return found.per_video[name]
    return {m.id: m.value for m in found.measures if not m.by}


def _agree(ours: dict[str, float | None], theirs: dict[str, Any], pairs: dict[str, str]) -> None:
    """Compare within what four digits of their numbers and of exported scores leave."""
    for id_, key in pairs.items():
        if theirs.get(key) is None:
            assert ours[id_] is None, id_
        else:
            assert ours[id_] == pytest.approx(theirs[key], abs=1e-3), id_


SHOTS = {"shots.hard.precision": "precision", "shots.hard.recall": "recall", "shots.hard.f1": "f1"}
FACES = {
    "faces.recall": "face_recall",
    "speaking.ap": "ap",
    "speaking.f1": "f1",
    "speaking.auc": "auc",
    "binding.right": "bind",
    "binding.right_argmax": "bind_argmax",
    "binding.offscreen_nobody": "offscreen_reject",
}
SPEECH = {
    "diarization.der": "der",
    "diarization.der_c25": "der_c25",
    "diarization.miss": "miss",
    "diarization.false_alarm": "fa",
    "diarization.confusion": "conf",
}


def test_composites_agree_with_the_independent_scorer(shared_media: Path, tmp_path: Path) -> None:
    tool, truths = _tool(shared_media, "score.py"), shared_media / "composite"
    names = truth_names(truths)
    shards = _labels(truths, names, tmp_path)
    found = audit([shards], truths, draws=0)
    command = [sys.executable, str(tool), "--truth", str(truths), "--pred", str(tmp_path / "said")]
    done = subprocess.run([*command, "-o", str(tmp_path / "theirs.json")], capture_output=True, check=True)
    assert not done.stderr
    theirs = json.loads((tmp_path / "theirs.json").read_text())
    for name, scored in [(None, theirs["pooled"]), *theirs["videos"].items()]:
        ours = _values(found, name)
        _agree(ours, scored["shots"], SHOTS)
        _agree(ours, scored["asd"], {**FACES, "faces.precision": "face_precision"})
        _agree(ours, scored["diar"], SPEECH)
    assert 0.3 < (_values(found)["binding.right"] or 0) < 0.95, "labels made worse are neither right nor lost"


def test_certain_passages_agree_with_the_independent_scorer(shared_media: Path, tmp_path: Path) -> None:
    tool, truths = _tool(shared_media, "score_labels.py"), shared_media / "ground_truth" / "labels"
    names = [name for name in truth_names(truths) if (truths / f"{name}.scored.txt").is_file()]
    shards = _labels(truths, names, tmp_path)
    found = audit([shards], truths, names=names, draws=0)
    command = [sys.executable, str(tool), str(truths), str(tmp_path / "said"), *names]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    theirs = json.loads((tmp_path / "score_labels.json").read_text())
    # Their crops make the ends of passages into boundaries of speech, so their collar reaches further.
    speech = {id_: key for id_, key in SPEECH.items() if id_ != "diarization.der_c25"}
    for name in (None, *names):
        faces, heard = (theirs[k]["videos"][name] if name else theirs[k]["pooled"] for k in ("asd", "diar"))
        _agree(_values(found, name), faces["asd"], FACES)
        _agree(_values(found, name), heard["diar"], speech)
