"""Audits: perfect labels score perfectly, each kind of mistake moves its own number, and absence is no number."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mitds import cli_audit
from mitds.errors import BadShard, MissingDependency, UsageError
from mitds.manifests.records import Binding, SpeechTurn
from mitds.manifests.source_labels import SourceLabels
from mitds.manifests.truth import Truth, TruthFaces, write_truth
from mitds.pipeline.audit.results import Audit, read_audit, write_audit
from mitds.pipeline.audit.run import audit
from tests import factories

SIZE = np.array([factories.WIDTH, factories.HEIGHT] * 2, np.float32)
FRAMES = 300


def said(voice: str, start_s: float, end_s: float) -> SpeechTurn:
    return SpeechTurn(voice=voice, start_s=start_s, end_s=end_s)


def alternating(*voices: str) -> tuple[SpeechTurn, ...]:
    """Voices take turns of a second, as the factories' faces do in either shot."""
    return tuple(said(voices[k % len(voices)], float(k), float(k + 1)) for k in range(12))


BOUND = (
    Binding(identity="P0", voice="V0", probability=1.0, abstained=False, evidence_s=4.0),
    Binding(identity="P1", voice="V1", probability=1.0, abstained=False, evidence_s=4.0),
)


def labels(**changes: Any) -> SourceLabels:
    return factories.source_labels(**{"turns": alternating("V0", "V1"), "bindings": BOUND, **changes})


def truth(name: str = "talk", **changes: Any) -> Truth:
    """What the factories' labels say, as the truth: ann is P0, bob is P1."""
    boxes = [np.tile(factories.boxes(n, 150), (2, 1)) / SIZE for n in range(2)]
    talks = [np.tile(factories.speaking(n, 150), 2) > 0.5 for n in range(2)]
    known = Truth(
        name=name,
        frames=FRAMES,
        width=factories.WIDTH,
        height=factories.HEIGHT,
        duration_s=12.0,
        cuts=(150,),
        speech=alternating("ann", "bob"),
        faces=TruthFaces(
            frame_R=np.repeat(np.arange(FRAMES), 2),
            person_R=("ann", "bob") * FRAMES,
            xyxy_R4=np.stack(boxes, 1).reshape(-1, 4).astype(np.float32),
            speaking_R=np.stack(talks, 1).reshape(-1),
        ),
    )
    return replace(known, **changes)


def audited(
    folder: Path, *truths: Truth, of: tuple[SourceLabels, ...] | None = None, **settings: Any
) -> Audit:
    """Write shards and truths, and audit them; the truth is of "talk" unless told otherwise."""
    factories.write_clips(folder, factories.clip(0, start=Fraction(0), end=Fraction(2)))
    factories.write_sources(folder, *(of or (labels(),)))
    for each in truths or (truth(),):
        write_truth(folder / "truth", each)
    return audit([str(folder / "clips-*.tar")], folder / "truth", **settings)


def values(found: Audit) -> dict[str, float | None]:
    return {m.id: m.value for m in found.measures if not m.by}


def by_condition(found: Audit, id_: str) -> dict[str, float | None]:
    return {m.by: m.value for m in found.measures if m.id == id_}


def test_perfect_labels_score_perfectly(tmp_path: Path) -> None:
    found = audited(tmp_path)
    value = values(found)
    perfect = (
        "shots.hard.precision shots.hard.recall shots.hard.f1 faces.recall faces.precision faces.purity "
        "people.exact speaking.ap speaking.f1 speaking.balanced_accuracy speaking.auc "
        "binding.right binding.right_argmax binding.voice"
    )
    assert {id_: value[id_] for id_ in perfect.split()} == dict.fromkeys(perfect.split(), 1.0)
    flawless = (
        "faces.switches binding.wrong_at_full_confidence binding.abstained diarization.der diarization.jer"
    )
    assert {id_: value[id_] for id_ in flawless.split()} == pytest.approx(
        dict.fromkeys(flawless.split(), 0.0)
    )
    assert value["speaking.calibration_error"] == pytest.approx(0.1)  # said .9 and .1, found 1 and 0
    assert value["binding.calibration_error"] == pytest.approx(0.0)
    absent = ("shots.soft.recall", "binding.offscreen_nobody", "pose.pck")
    assert [value[id_] for id_ in absent] == [None] * 3
    assert found.names == ("talk",)
    assert found.missing == ()
    assert all(m.low is None and m.high is None for m in found.measures), "one video gives no interval"


def test_cuts_within_two_frames_are_found_and_gradual_ones_stand_apart(tmp_path: Path) -> None:
    shots = (factories.shot(0), factories.shot(1, start=6, first_frame=152))
    near = audited(tmp_path / "near", of=(labels(shots=shots),))
    assert values(near)["shots.hard.f1"] == 1.0
    shots = (factories.shot(0), factories.shot(1, start=6, first_frame=153))
    far = audited(tmp_path / "far", of=(labels(shots=shots),))
    assert values(far)["shots.hard.f1"] == 0.0
    soft = audited(tmp_path / "soft", truth(cuts=(), soft=((140, 148), (200, 210))))
    assert values(soft)["shots.soft.recall"] == 0.5
    assert values(soft)["shots.hard.f1"] is None, "the cut found is no false alarm, and there is no hard cut"


def test_a_track_that_runs_on_into_another_person_is_impure(tmp_path: Path) -> None:
    true = truth()
    assert true.faces is not None
    people = ("ann", "bob") * 250 + ("cyd", "bob") * 50
    found = audited(tmp_path, truth(faces=replace(true.faces, person_R=people)))
    value = values(found)
    assert value["faces.purity"] == pytest.approx(1 - 50 / 600)
    assert value["faces.switches"] == 0.0
    tracks = tuple(
        replace(t, identity="P7") if (t.shot, t.track) == (1, 0) else t
        for t in factories.source_labels().tracks
    )
    renamed = audited(tmp_path / "renamed", of=(labels(tracks=tracks),))
    assert values(renamed)["faces.switches"] == 0.5, "one change, two people"


def test_faces_not_found_and_boxes_on_nobody(tmp_path: Path) -> None:
    only = tuple(t for t in factories.source_labels().tracks if t.track == 0)
    found = audited(tmp_path, of=(labels(tracks=only),))
    value = values(found)
    assert value["faces.recall"] == 0.5
    assert value["people.exact"] == 0.0
    assert value["speaking.ap"] == pytest.approx(6 / 12, abs=0.02), "faces not found are never retrieved"
    assert value["binding.right"] == pytest.approx(0.5, abs=0.02)
    strange = factories.track_labels(0, 2, xyxy_T4=factories.boxes(0, 150) + np.float32(45))
    more = audited(tmp_path / "more", of=(labels(tracks=(*factories.source_labels().tracks, strange)),))
    assert values(more)["faces.precision"] == pytest.approx(600 / 750)
    assert values(more)["people.exact"] == 0.5


def test_a_voice_bound_to_the_wrong_face_for_sure_is_counted(tmp_path: Path) -> None:
    swapped = (replace(BOUND[0], identity="P1"), replace(BOUND[1], identity=None, abstained=True))
    found = audited(tmp_path, of=(labels(bindings=swapped),))
    value = values(found)
    assert value["binding.voice"] == 0.0
    assert value["binding.wrong_at_full_confidence"] == 1.0
    assert value["binding.abstained"] == 0.5
    assert value["binding.calibration_error"] == 1.0
    assert value["binding.right"] == 1.0, "frame by frame, the faces still speak rightly"
    assert found.abstention == ((0.5, 0.0),)


def test_the_surer_half_of_the_bindings_is_right(tmp_path: Path) -> None:
    doubtful = (BOUND[0], replace(BOUND[1], identity="P0", probability=0.6))
    found = audited(tmp_path, of=(labels(bindings=doubtful),))
    assert found.abstention == ((1.0, 0.5), (0.5, 1.0))
    assert values(found)["binding.wrong_at_full_confidence"] == 0.0


def test_an_offscreen_voice_given_to_a_face_is_wrong(tmp_path: Path) -> None:
    speech = tuple(replace(t, voice="eve") if t.start_s >= 8 else t for t in alternating("ann", "bob"))
    found = audited(tmp_path, truth(speech=speech))
    value = values(found)
    assert value["binding.offscreen_nobody"] == 0.0
    assert value["binding.voice"] == pytest.approx(2 / 3)
    rows = by_condition(found, "speaking.f1")
    assert "off-screen voice" in rows
    assert "overlap" not in rows


def test_conditions_take_their_own_rows(tmp_path: Path) -> None:
    speech = (*alternating("ann", "bob"), said("bob", 0.0, 1.0))
    found = audited(tmp_path, truth(speech=speech, moving_lips=(said("bob", 2.0, 3.0),)))
    counts = {m.by: m.n for m in found.measures if m.id == "speaking.f1"}
    assert counts == {"": 600, "small faces (< 64 px)": 600, "overlap": 50, "moving lips": 50}


def test_missing_labels_count_as_wrong_and_unknown_sources_are_named(tmp_path: Path) -> None:
    found = audited(tmp_path, truth("talk"), truth("lost"))
    value = values(found)
    assert found.missing == ("lost",)
    assert value["faces.recall"] == 0.5
    assert value["binding.right"] == 0.5
    assert value["diarization.miss"] == 0.5
    assert value["shots.hard.recall"] == 0.5
    assert found.per_video["lost"]["faces.recall"] == 0.0
    assert found.per_video["talk"]["faces.recall"] == 1.0
    recall = next(m for m in found.measures if m.id == "faces.recall")
    assert (recall.low, recall.high) == (0.0, 1.0)
    chosen = audited(tmp_path / "chosen", truth("talk"), truth("lost"), names=["lost"])
    assert any("talk" in note for note in chosen.notes)


def test_what_is_not_known_is_not_scored(tmp_path: Path) -> None:
    found = audited(tmp_path, truth(faces=None, cuts=None))
    value = values(found)
    assert [value[id_] for id_ in ("faces.recall", "speaking.ap", "binding.right", "shots.hard.f1")] == [
        None
    ] * 4
    assert value["diarization.der"] == pytest.approx(0.0)
    assert found.reliability == ()


def test_times_count_from_the_first_picture(tmp_path: Path) -> None:
    late = labels(
        source=factories.source(probe=factories.probe(start=Fraction(2))),
        shots=tuple(replace(s, start=s.start + 2, end=s.end + 2) for s in factories.source_labels().shots),
        turns=tuple(said(t.voice, t.start_s + 2, t.end_s + 2) for t in alternating("V0", "V1")),
    )
    value = values(audited(tmp_path, of=(late,)))
    assert (value["faces.recall"], value["speaking.ap"]) == (1.0, 1.0)
    assert value["diarization.der"] == pytest.approx(0.0)


def test_labels_by_hand_are_scored_in_their_passages(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/talk.scored.txt").write_text("0.00 2.00 all\n2.00 3.00 face\n")
    (tmp_path / "truth/talk.bindframes.json").write_text(json.dumps(list(range(30))))
    wrong_later = (*alternating("V0", "V1")[:3], said("V1", 3.0, 12.0))
    found = audited(tmp_path, of=(labels(turns=wrong_later),))
    assert values(found)["diarization.der"] == pytest.approx(0.0)
    assert next(m.n for m in found.measures if m.id == "diarization.der") == pytest.approx(2.0)
    assert next(m.n for m in found.measures if m.id == "binding.right") == 30
    assert values(found)["people.exact"] is None, "labels by hand leave faces out"


def test_the_body_has_the_head_of_the_speaker(tmp_path: Path) -> None:
    found = audited(tmp_path)
    body = next(m for m in found.measures if m.id == "binding.body")
    assert body.n == 50
    assert body.value is not None
    elsewhere = truth()
    assert elsewhere.faces is not None
    swapped = replace(
        elsewhere.faces, person_R=("bob", "ann") * FRAMES, speaking_R=~elsewhere.faces.speaking_R
    )
    wrong = audited(tmp_path / "wrong", truth(faces=swapped))
    assert values(wrong)["binding.body"] == 0.0


def test_points_are_compared_where_somebody_found_them(tmp_path: Path) -> None:
    box_4 = factories.boxes(0, 50)[10]
    pose_K3 = factories.pose(factories.boxes(0, 50))[10]
    near, far = (pose_K3[0, :2] + 3).tolist(), (pose_K3[1, :2] + box_4[3]).tolist()
    known = {
        "by": "hand",
        "points": [0, 1, 2],
        "rows": [{"frame": 10, "person": "ann", "xy": [near, far, None]}],
    }
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/talk.pose.json").write_text(json.dumps(known))
    found = audited(tmp_path)
    assert next((m.value, m.n) for m in found.measures if m.id == "pose.pck") == (0.5, 2)
    (tmp_path / "truth/talk.pose.json").write_text("{}")
    with pytest.raises(BadShard, match=r"talk\.pose\.json"):
        audited(tmp_path)


def test_an_audit_survives_the_disk_and_another_version_is_refused(tmp_path: Path) -> None:
    found = audited(tmp_path)
    write_audit(tmp_path / "audit.json", found)
    assert read_audit(tmp_path / "audit.json") == found
    write_audit(tmp_path / "audit.json", replace(found, version=99))
    with pytest.raises(BadShard, match="version 99"):
        read_audit(tmp_path / "audit.json")
    with pytest.raises(UsageError, match="no audit"):
        read_audit(tmp_path / "none.json")


def test_the_command_writes_the_record_and_the_report(tmp_path: Path) -> None:
    factories.write_run(tmp_path)
    write_truth(tmp_path / "truth", truth())
    app = typer.Typer()
    cli_audit.register(app)
    app.callback()(lambda: None)
    given = ["audit", "--shards", str(tmp_path / "clips-*.tar"), "--truth", str(tmp_path / "truth")]
    done = CliRunner().invoke(app, [*given, "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["audit"] == str(tmp_path / "audit.json")
    assert read_audit(tmp_path / "audit.json").names == ("talk",)
    assert "Who speaks: average precision" in (tmp_path / "report.html").read_text()
    elsewhere = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "out"), "--samples", "0"])
    assert "Faces found" in elsewhere.stdout
    assert "no case of it is known: pose." in elsewhere.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"audit.json"}


def test_what_cannot_be_audited_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited(tmp_path)
    with pytest.raises(UsageError, match="no truth of nobody"):
        audit([str(tmp_path / "clips-*.tar")], tmp_path / "truth", names=["nobody"])
    monkeypatch.setitem(sys.modules, "pyannote.metrics.diarization", None)
    with pytest.raises(MissingDependency, match=r"pip install 'pyannote\.metrics"):
        audit([str(tmp_path / "clips-*.tar")], tmp_path / "truth")
