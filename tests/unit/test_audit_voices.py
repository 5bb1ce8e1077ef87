"""The diarizer is measured on recordings whose turns are known, whoever's RTTM says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mitds.annotators.speech.fake import FakeDiarizer, FakeDiarizerConfig
from mitds.cli import app
from mitds.errors import UsageError
from mitds.media import write_wav16k
from mitds.pipeline.audit.voices import audit_voices

ONE_VOICE = FakeDiarizer(FakeDiarizerConfig(turns=(("V0", 0.0, 99.0),)))


def record(folder: Path, name: str, seconds: float = 4.0) -> None:
    write_wav16k(folder / f"{name}.wav", np.full(int(seconds * 16000), 0.1, np.float32))


def line(name: str, start_s: float, seconds: float, who: str) -> str:
    return f"SPEAKER {name} 1 {start_s} {seconds} <NA> <NA> {who} <NA> <NA>\n"


def test_turns_come_from_the_own_file_or_a_shared_one(tmp_path: Path) -> None:
    for name in ("own", "shared", "unknown"):
        record(tmp_path, name)
    (tmp_path / "own.rttm").write_text(line("another_id", 0, 3, "ann"))  # one second of silence at the end
    (tmp_path / "all.rttm").write_text(line("shared", 0, 2, "ann") + line("shared", 2, 2, "bob"))
    audit = audit_voices(tmp_path, ONE_VOICE, draws=0)
    assert audit.names == ("own", "shared")
    assert audit.notes == ("Not scored, because no turns of it are known: unknown.wav.",)
    assert audit.per_video["own"]["diarization.false_alarm"] == pytest.approx(1 / 3)
    assert audit.per_video["shared"]["diarization.confusion"] == pytest.approx(0.5)
    pooled = {m.id: m.value for m in audit.measures}
    assert pooled["diarization.der"] == pytest.approx(3 / 7)


def test_a_folder_without_known_turns_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "alone")
    with pytest.raises(UsageError, match="no recording whose turns are known"):
        audit_voices(tmp_path, ONE_VOICE)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit-voices", str(tmp_path / "nothere"), "--out", str(tmp_path)])
    assert isinstance(done.exception, (UsageError, SystemExit)), done.exception
    with pytest.raises(UsageError, match="no such folder") as caught:
        audit_voices(tmp_path / "nothere", ONE_VOICE)
    assert str(caught.value.where).endswith("nothere")


def test_a_silent_recording_counts(tmp_path: Path) -> None:
    for name in ("silent", "talk"):
        record(tmp_path, name)
    (tmp_path / "silent.rttm").write_text("")
    (tmp_path / "talk.rttm").write_text(line("talk", 0, 4, "ann"))
    found = audit_voices(tmp_path, ONE_VOICE, draws=0)
    assert found.names == ("silent", "talk")
    assert {m.id: m.value for m in found.measures}["diarization.false_alarm"] == pytest.approx(1.0)
    assert any("silent (4.0 s said)" in note for note in found.notes)


def test_the_page_is_made_of_audits(tmp_path: Path) -> None:
    from mitds.pipeline.audit.results import write_audit

    record(tmp_path, "own")
    (tmp_path / "own.rttm").write_text(line("own", 0, 2, "ann"))
    write_audit(tmp_path / "audit.json", audit_voices(tmp_path, ONE_VOICE, draws=0))
    page = tmp_path / "accuracy.md"
    run = f"standard@audio-anytalker={tmp_path / 'audit.json'}"
    done = CliRunner().invoke(app, ["audit-page", run, "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert "1.000" in page.read_text()  # two seconds of false alarm over two of speech
