"""One run at a time, on this machine and on object storage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mitds.errors import EnvironmentFault, StorageFault, UsageError
from mitds.lease import LeaseTimes, output_lease
from mitds.lock import output_lock
from mitds.places import listing, place, remote
from mitds.store import write_bytes

HOLD = """
import sys, time
from pathlib import Path
from mitds.lock import output_lock
with output_lock(Path(sys.argv[1]), "annotate"):
    print("held", flush=True)
    time.sleep(60)
"""
TIMES = LeaseTimes(renew_s=0.02, watch_s=0.5)


def test_a_second_run_is_told_who_holds_the_folder(tmp_path: Path):
    out = tmp_path / "o ut"
    with output_lock(out, "annotate") as hold:
        hold.check()
        with (
            pytest.raises(UsageError, match=f"mitds annotate, process {os.getpid()} on .*since") as refused,
            output_lock(out, "ingest"),
        ):
            pass
        assert refused.value.where == str(out)
        assert refused.value.remedy
    assert listing(out) == set()
    with output_lock(out, "ingest"):
        pass


def test_a_killed_run_leaves_the_folder_free(tmp_path: Path):
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match=f"process {run.pid}"), output_lock(tmp_path, "annotate"):
        pass
    run.kill()
    run.communicate()
    assert listing(tmp_path) == {".lock"}
    with output_lock(tmp_path, "annotate"):
        pass
    assert listing(tmp_path) == set()


def test_a_run_that_fails_lets_go_and_its_error_is_its_own(tmp_path: Path):
    with pytest.raises(PermissionError, match="elsewhere"), output_lock(tmp_path, "annotate"):
        raise PermissionError(13, "elsewhere")
    with output_lock(tmp_path, "annotate"):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFault, match="a file stands"), output_lock(tmp_path / "file", "annotate"):
        pass


def test_a_lease_is_renewed_and_refuses_the_second():
    lock = remote(place("memory://leases/renewed/.lock"))
    with output_lease(
        lock, {"command": "annotate", "pid": "1", "host": "a", "started": "now"}, TIMES
    ) as lease:
        first = lock.version()
        while lock.version() == first:  # until it was renewed; the test has a deadline of its own
            time.sleep(0.01)
        with (
            pytest.raises(UsageError, match="mitds annotate, process 1 on a, since now"),
            output_lease(lock, {}, TIMES),
        ):
            pass
        lease.check()
    assert not lock.exists()


@pytest.fixture
def _an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("mitds.lease.time.time", lambda: now() + 3600)


def test_the_lease_of_a_killed_run_is_respected_for_a_while():
    lock = place("memory://leases/killed/.lock")
    write_bytes(lock, b'{"token": "dead"}\n')
    with pytest.raises(UsageError, match="killed, 5 minutes"), output_lease(remote(lock), {}, TIMES):
        pass


@pytest.mark.usefixtures("_an_hour_later")
def test_the_lease_of_a_silent_run_is_taken_over():
    lock = place("memory://leases/silent/.lock")
    write_bytes(lock, b'{"token": "dead", "command": "annotate"}\n')
    with output_lease(remote(lock), {}, TIMES) as lease:
        assert "gone silent" in lease.notice
        assert '"annotate"' in lease.notice
        lease.check()


@pytest.mark.usefixtures("_an_hour_later")
def test_a_lease_that_seems_old_but_is_renewed_while_watched_is_respected():
    """Clocks differ: one that runs fast must not take the lease of a run that lives."""
    lock = remote(place("memory://leases/clock/.lock"))
    with (
        output_lease(lock, {"command": "annotate"}, TIMES),
        pytest.raises(UsageError, match="another run"),
        output_lease(lock, {}, TIMES),
    ):
        pass


def test_a_lost_lease_stops_the_run_before_it_publishes():
    lock = place("memory://leases/lost/.lock")
    taken = b'{"token": "other"}\n'

    def run() -> None:
        with output_lease(remote(lock), {}, TIMES) as lease:
            write_bytes(lock, taken)
            lease.check()
            raise AssertionError("published")

    with pytest.raises(EnvironmentFault, match="taken this output over"):
        run()
    assert lock.read_bytes() == taken


def test_storage_that_is_silent_for_long_ends_the_right(monkeypatch: pytest.MonkeyPatch):
    def gone(*_: object) -> str | None:
        raise StorageFault("gone")

    def run() -> None:
        times = LeaseTimes(renew_s=0.02, stale_s=0.3)
        with output_lease(remote(place("memory://leases/gone/.lock")), {}, times) as lease:
            monkeypatch.setattr("mitds.lease.put_if", gone)
            time.sleep(0.6)
            lease.check()

    with pytest.raises(EnvironmentFault, match="could not be renewed"):
        run()
