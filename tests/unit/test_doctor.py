"""The doctor: what it finds on this machine, and what it says of machines that lack something."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mitds.pipeline import doctor
from mitds.pipeline.doctor import Check, examine
from mitds.weights import State, catalog


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path / "cache"))


def found(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def have_weights(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    states = [
        State(weight, "absent" if weight.name in absent else "ready", Path(weight.file))
        for weight in catalog().values()
    ]
    monkeypatch.setattr(doctor, "status", lambda: states)


def have_packages(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: None if package in absent else "1.0")


def test_this_machine_can_run_and_nothing_was_made(tmp_path: Path) -> None:
    checks = examine()
    assert {"python", "packages", "torch", "onnxruntime", "media", "ray", "memory", "cores"} <= {
        check.name for check in checks
    }
    assert [check for check in checks if check.level == "fail"] == []
    assert all(check.remedy for check in checks if check.level != "ok")
    assert list(tmp_path.iterdir()) == []


def test_profiles_by_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    have_packages(monkeypatch)
    have_weights(monkeypatch, "asd.lr_asd", "pose.rtmw")
    assert found("profile embedded").level == "ok"
    standard = found("profile standard")
    assert (standard.level, standard.remedy) == ("warn", "mitds weights pull asd.lr_asd")
    assert "3.4 MB" in standard.found
    full = found("profile full")
    assert full.level == "warn"
    assert "pose.rtmw" in full.found
    assert "https://" in full.remedy


def test_full_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    have_packages(monkeypatch)
    have_weights(monkeypatch)
    monkeypatch.setattr(doctor, "_has_cuda", lambda: False)
    assert "no CUDA device" in found("profile full").found
    monkeypatch.setattr(doctor, "_has_cuda", lambda: True)
    assert found("profile full").level == "ok"


def test_missing_packages_fail_with_the_line_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    have_packages(monkeypatch, "av", "torchaudio")
    have_weights(monkeypatch)
    assert found("packages") == Check("packages", "fail", "missing: av", doctor.REINSTALL)
    extra = found("packages for full strength")
    assert (extra.level, extra.found) == ("warn", "missing: torchaudio")
    assert "mitds[diar]" in extra.remedy
    assert found("profile embedded").level == "fail"


def test_a_package_that_cannot_load_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    check = found("onnxruntime")
    assert check.level == "fail"
    assert "cannot be imported" in check.found


def test_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(free: int) -> Any:
        return lambda path: type("Usage", (), {"free": free})

    for free, level in ((doctor.GIB // 2, "fail"), (2 * doctor.GIB, "warn"), (9 * doctor.GIB, "ok")):
        monkeypatch.setattr(doctor.shutil, "disk_usage", usage(free))
        check = found("disk for the cache")
        assert check.level == level
        assert ("MITDS_CACHE" in check.remedy) == (level != "ok")


def test_telemetry_that_somebody_turned_on_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("PYANNOTE_METRICS_ENABLED", raising=False)
    check = found("telemetry RAY_USAGE_STATS_ENABLED")
    assert (check.level, check.remedy) == ("warn", "export RAY_USAGE_STATS_ENABLED=0")
    assert found("telemetry PYANNOTE_METRICS_ENABLED").level == "ok"


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(*args: object) -> None:
        raise AssertionError("the doctor went to the network")

    monkeypatch.setattr("socket.socket.connect", connected)
    examine()
