"""Isolated calls: whatever a call does to its process, the caller only ever gets an outcome."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mitds.benchmark.isolation import Limits, Outcome, isolated_map, network_is_cut, run_isolated
from mitds.errors import EnvironmentFault

QUICK = Limits(memory_bytes=2 << 30, cpu_s=20, wall_s=20)

CODE = """
import ctypes, os, socket, sys, time
from mitds.errors import NotVideo

calls = 0

def act(what):
    global calls
    calls += 1
    return globals()[what[0]](*what[1:])

def double(x): return 2 * x
def count(): return calls
def pid(): return os.getpid()
def raw(n): return b"x" * n
def floats(): return [0.1, 1e-300, 1.7976931348623157e308]
def segfault(): ctypes.string_at(0)
def hang(): time.sleep(60)
def burn():
    while True: pass
def leave(): os._exit(3)
def fill(): return len(bytearray(8 << 30))
def talk(): print("x" * 100000); sys.stderr.write("y" * 100000); os.write(1, b"z" * 100000); return "quiet"
def bad(): raise ValueError("no such thing")
def known(): raise NotVideo("no pictures", where="a.mp4", remedy="Give some.")
def strange(): return object()
def connect(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2): return True
def write(path):
    with open(path, "wb") as f: f.write(b"x" * (1 << 20))
def open_many(): return len([open(os.devnull) for _ in range(1000)])
def threads(): return os.environ["OMP_NUM_THREADS"]
def garble():
    import mitds.benchmark.isolation_worker as w, gc, socket
    [s.sendall(b"\\x00" * 8 + b"?") for s in gc.get_objects() if isinstance(s, socket.socket)]
def child():
    import subprocess
    return subprocess.Popen(["sleep", "60"]).pid
"""


@pytest.fixture(scope="module")
def acts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("acts")
    (folder / "acts_for_isolation.py").write_text(CODE)
    sys.path.insert(0, str(folder))
    yield "acts_for_isolation:act"
    sys.path.remove(str(folder))


def _run(acts: str, what: list[Any], limits: Limits = QUICK) -> Outcome:
    return run_isolated(acts, what, limits)


def test_values_come_back_whole(acts: str) -> None:
    values = dict(isolated_map(acts, [["double", 21], ["raw", 3 << 20], ["floats"], ["threads"]], 1, QUICK))
    assert [values[k].value for k in range(4)] == [
        42,
        b"x" * (3 << 20),
        [0.1, 1e-300, 1.7976931348623157e308],
        "1",
    ]


@pytest.mark.parametrize(
    ("act", "what"),
    [
        ("segfault", "SIGSEGV"),
        ("leave", "status 3"),
        ("fill", "out of memory"),
        ("garble", "cannot be read"),
    ],
)
def test_death_is_an_outcome_and_the_next_call_is_served(acts: str, act: str, what: str) -> None:
    outcomes = dict(isolated_map(acts, [[act], ["double", 1]], 1, QUICK))
    assert outcomes[0].status == "crashed"
    assert what in outcomes[0].what
    assert outcomes[1] == Outcome("value", 2)


def test_out_of_memory_has_a_code(acts: str) -> None:
    assert _run(acts, ["fill"]).code == "out_of_memory"


def test_a_hanging_call_ends_at_its_deadline(acts: str) -> None:
    outcomes = dict(isolated_map(acts, [["hang"], ["double", 1]], 1, Limits(wall_s=1)))
    assert outcomes[0].status == "timeout"
    assert outcomes[1].value == 2


def test_processor_time_is_bounded(acts: str) -> None:
    outcome = _run(acts, ["burn"], Limits(cpu_s=1, wall_s=30))
    assert outcome == Outcome("timeout", what="its time is used up")


def test_processor_time_is_granted_to_each_call_anew(acts: str) -> None:
    code = [["double", sum(range(k))] for k in range(40)]
    assert all(o.status == "value" for _, o in isolated_map(acts, code, 1, Limits(cpu_s=1)))


def test_output_goes_nowhere(acts: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert _run(acts, ["talk"]).value == "quiet"
    assert capfd.readouterr() == ("", "")


def test_errors_keep_their_words(acts: str) -> None:
    plain, known = (_run(acts, [name]) for name in ("bad", "known"))
    assert (plain.status, plain.code, plain.what) == ("error", "ValueError", "no such thing")
    assert (known.code, known.what, known.where, known.remedy) == (
        "not_video",
        "no pictures",
        "a.mp4",
        "Give some.",
    )
    assert "act(what)" in plain.trace or "in act" in plain.trace


def test_a_result_that_is_not_json_is_an_error(acts: str) -> None:
    assert _run(acts, ["strange"]).code == "TypeError"


def test_an_oversized_reply_is_refused(acts: str) -> None:
    outcome = _run(acts, ["raw", 5000], Limits(reply_bytes=4096))
    assert outcome.status == "crashed"
    assert "5000 bytes" in outcome.what


def test_files_are_bounded_in_size_and_number(acts: str, tmp_path: Path) -> None:
    assert _run(acts, ["write", str(tmp_path / "big")], Limits(file_bytes=4096)).status == "error"
    assert (tmp_path / "big").stat().st_size <= 4096
    assert _run(acts, ["open_many"], Limits(files=64)).code == "OSError"


def test_workers_live_long_and_share_the_work(acts: str) -> None:
    outcomes = dict(isolated_map(acts, [["pid"]] * 12, 2, QUICK))
    assert sorted(outcomes) == list(range(12))
    assert len({o.value for o in outcomes.values()}) == 2
    assert os.getpid() not in {o.value for o in outcomes.values()}


def test_the_number_of_workers_does_not_change_values(acts: str) -> None:
    calls = [["double", k / 7] for k in range(20)]
    one, three = (dict(isolated_map(acts, calls, n, QUICK)) for n in (1, 3))
    assert one == three


def test_arguments_are_drawn_as_workers_become_free(acts: str) -> None:
    drawn: list[int] = []

    def calls() -> Any:
        for k in range(50):
            drawn.append(k)
            yield ["double", k]

    results = isolated_map(acts, calls(), 1, QUICK)
    next(results)
    assert len(drawn) < 5
    results.close()


def test_a_function_that_cannot_be_imported_is_said_at_once() -> None:
    with pytest.raises(EnvironmentFault, match="no_such_module"):
        run_isolated("no_such_module:f", None)
    with pytest.raises(EnvironmentFault, match="cannot start"):
        run_isolated("json:no_such_function", None)


def test_leaving_early_ends_the_processes(acts: str) -> None:
    results = isolated_map(acts, [["pid"], ["hang"]], 1, QUICK)
    pid = next(results)[1].value
    results.close()
    assert _gone(pid)


def test_what_a_call_starts_ends_with_its_worker(acts: str) -> None:
    assert _gone(_run(acts, ["child"]).value)


def test_the_network_is_out_of_reach_where_the_system_permits(acts: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert _run(acts, ["connect", port], Limits(network=True)).value is True
        if network_is_cut():
            assert _run(acts, ["connect", port]).code in ("OSError", "ConnectionRefusedError", "TimeoutError")


def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
