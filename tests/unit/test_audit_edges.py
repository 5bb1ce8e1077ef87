"""Audits of silence, of missing labels, of passages, of transitions, and of names and rates that differ."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import BadShard, UsageError
from mitds.manifests.source_labels import SourceLabels
from mitds.manifests.truth import Truth, TruthFaces, write_truth
from mitds.pipeline.audit.results import Audit, Measure
from mitds.pipeline.audit.run import audit
from tests import factories
from tests.unit.test_audit import alternating, audited, labels, said, truth, values

OTHER = "7a" * 32


def other(name: str, **changes: object) -> SourceLabels:
    """Labels of a second source."""
    shots = tuple(replace(s, source_id=OTHER) for s in factories.source_labels().shots)
    return labels(source=factories.source(id=OTHER, name=name), shots=shots, **changes)


def measure(found: Audit, id_: str) -> Measure:
    return next(m for m in found.measures if m.id == id_ and not m.by)


def no_faces() -> TruthFaces:
    return TruthFaces(
        frame_R=np.zeros(0, np.int64),
        person_R=(),
        xyxy_R4=np.zeros((0, 4), np.float32),
        speaking_R=np.zeros(0, np.bool_),
    )


@pytest.mark.parametrize("duration_s", [12.0, None])
def test_speech_invented_where_nobody_speaks_is_false_alarm(tmp_path: Path, duration_s: float | None) -> None:
    invented = other("silent.mp4", turns=(said("V0", 1.0, 11.0),))
    silent = truth("silent", speech=(), faces=None, duration_s=duration_s)
    found = audited(tmp_path, truth(), silent, of=(labels(), invented))
    value = values(found)
    assert value["diarization.der"] == pytest.approx(10 / 12)
    assert value["diarization.false_alarm"] == pytest.approx(10 / 12)
    assert measure(found, "diarization.der").n == pytest.approx(12)
    assert measure(found, "diarization.der").high is not None, "the silent video is drawn too"
    assert found.per_video["silent"]["diarization.der"] is None
    assert any("silent (10.0 s said)" in note for note in found.notes)


def test_missing_labels_are_no_right_silence(tmp_path: Path) -> None:
    speech = tuple(replace(t, voice="eve") for t in alternating("ann", "bob"))
    found = audited(tmp_path, truth(), truth("lost", speech=speech))
    assert found.per_video["lost"]["binding.offscreen_nobody"] == 0.0
    assert measure(found, "binding.offscreen_nobody").n > 0
    assert found.per_video["lost"]["faces.switches"] is None
    assert measure(found, "faces.switches").n == 2, (
        "the people of missing labels are not there to be mixed up"
    )
    assert found.per_video["lost"]["people.exact"] == 0.0
    assert found.per_video["lost"]["speaking.balanced_accuracy"] == 0.0
    assert values(found)["speaking.balanced_accuracy"] == 0.5
    note = next(note for note in found.notes if note.startswith("No labels of lost"))
    for word in ("missed or wrong", "switches", "calibration"):
        assert word in note


def test_empty_frames_of_missing_labels_are_not_right(tmp_path: Path) -> None:
    found = audited(tmp_path, truth("lost", faces=no_faces()))
    assert values(found)["people.exact"] == 0.0


def test_binding_is_judged_in_certain_passages_alone(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/talk.scored.txt").write_text("0.00 2.00 all\n2.00 3.00 face\n3.00 4.00 diar\n")
    faces = truth().faces
    assert faces is not None
    kept = faces.frame_R < 75
    known = TruthFaces(
        frame_R=faces.frame_R[kept],
        person_R=faces.person_R[: int(kept.sum())],
        xyxy_R4=faces.xyxy_R4[kept],
        speaking_R=faces.speaking_R[kept],
    )
    found = audited(tmp_path, truth(faces=known))
    assert measure(found, "binding.right").n == 50
    assert measure(found, "binding.voice").n == 50
    assert measure(found, "binding.offscreen_nobody").n == 0, (
        "faces outside of certain passages are not off screen"
    )
    later = audited(tmp_path / "later", truth(faces=known))
    assert measure(later, "binding.offscreen_nobody").n > 0


def test_bodies_are_judged_in_certain_passages_alone(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/talk.scored.txt").write_text("0.00 1.00 all\n1.00 12.00 diar\n")
    assert measure(audited(tmp_path), "binding.body").n == 25


def test_frames_of_gradual_transitions_are_no_frames_of_one_shot(tmp_path: Path) -> None:
    faces = truth().faces
    assert faces is not None
    inside = (faces.frame_R >= 140) & (faces.frame_R <= 159) & (np.array(faces.person_R) == "bob")
    fewer = TruthFaces(
        frame_R=faces.frame_R[~inside],
        person_R=tuple(p for p, gone in zip(faces.person_R, inside, strict=True) if not gone),
        xyxy_R4=faces.xyxy_R4[~inside],
        speaking_R=faces.speaking_R[~inside],
    )
    hard = audited(tmp_path / "hard", truth(faces=fewer))
    assert values(hard)["people.exact"] == pytest.approx(280 / 300)
    assert values(hard)["faces.precision"] == pytest.approx(580 / 600)
    soft = audited(tmp_path / "soft", truth(faces=fewer, cuts=(), soft=((140, 159),)))
    for id_, cases in (("people.exact", 280), ("faces.precision", 560)):
        assert (measure(soft, id_).value, measure(soft, id_).n) == (1.0, cases)
        assert "gradual transitions" in measure(soft, id_).definition


def test_frames_are_counted_at_the_rate_of_the_source(tmp_path: Path) -> None:
    fast = labels(
        source=factories.source(probe=factories.probe(fps=Fraction(50))),
        shots=tuple(replace(s, first_frame=s.first_frame * 2) for s in factories.source_labels().shots),
    )
    known = truth(fps=Fraction(50), cuts=(300,), frames=600)
    assert known.faces is not None
    doubled = replace(known, faces=replace(known.faces, frame_R=known.faces.frame_R * 2))
    write_truth(tmp_path / "truth", doubled)
    (tmp_path / "truth/talk.json").unlink()
    factories.write_clips(tmp_path, factories.clip(0))
    factories.write_sources(tmp_path, fast)
    found = audit([str(tmp_path / "clips-*.tar")], tmp_path / "truth")
    assert values(found)["shots.hard.f1"] == 1.0
    assert values(found)["faces.recall"] == 1.0


@pytest.mark.parametrize(
    ("file", "name"), [("Interview 1.mp4", "Interview 1"), ("a.b.mp4", "a.b"), ("a_b.cut.mov", "a_b.cut")]
)
def test_truth_is_found_by_the_name_of_the_export(tmp_path: Path, file: str, name: str) -> None:
    found = audited(tmp_path, truth(name), of=(labels(source=factories.source(name=file)),))
    assert found.names == (name,)
    assert found.missing == ()
    assert values(found)["diarization.der"] == pytest.approx(0.0)


def test_names_that_become_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"truths of a b and a\.b cannot be told apart"):
        audited(tmp_path, truth("a b"), truth("a.b"))


def test_shards_that_are_not_clips_are_named(tmp_path: Path) -> None:
    audited(tmp_path)
    with pytest.raises(BadShard, match="does not hold clips") as caught:
        audit([str(tmp_path / "*.tar")], tmp_path / "truth")
    assert Path(caught.value.where).name.startswith("sources-")


def test_a_truth_of_25_stays_for_sources_that_are_missing(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth", Truth(name="lost", speech=(said("ann", 0.0, 1.0),)))
    (tmp_path / "truth/lost.json").unlink()
    assert audited(tmp_path).missing == ("lost",)
