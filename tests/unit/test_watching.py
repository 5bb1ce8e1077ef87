"""Watching a run: its log, its state from another process, its figures, its time left."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mitds.errors import StorageFault, UsageError
from mitds.lock import output_lock
from mitds.manifests.shard_journal import ShardRecord
from mitds.pipeline import progress as display
from mitds.pipeline.jobs import Job, Outcome, Progress, Silent, Stage
from mitds.pipeline.progress import StageProgress
from mitds.pipeline.runner import Runner
from mitds.pipeline.watching import events as log
from mitds.pipeline.watching.events import EventReader, Replay, events_path
from mitds.pipeline.watching.metrics import MetricsServer, exposition
from mitds.pipeline.watching.plan import RunPlan
from mitds.pipeline.watching.recorder import Recorder, recorded
from mitds.pipeline.watching.status import Watch
from mitds.pipeline.watching.table import duration, run_line, run_table
from mitds.pipeline.watching.tally import WINDOW_S, Tally
from mitds.places import place
from mitds.store import write_json

PLAN = RunPlan(command="annotate", stages=("faces", "clips"), first=("faces",))
KEY = "0123456789abcdef"
SHARD = ShardRecord(name="clips-000000.tar", sha256="ab" * 32, bytes=10240, samples=2)


class Inside(Runner):
    """The runner itself, with actors that are told by a script what becomes of their jobs."""

    def __init__(
        self, progress: Progress, script: dict[str, list[str]], recall: Callable[..., object]
    ) -> None:
        super().__init__([Stage(name=s, worker="none:None") for s in PLAN.stages], progress, recall)  # type: ignore[arg-type]
        self._script, self._out = script, deque()

    def _start_waiting(self) -> None:
        for queue in self._waiting.values():
            while queue:
                attempt = queue.popleft()
                self._out.append(attempt.job)
                self._progress.started(attempt.job.stage, attempt.job.item)

    def _collect(self) -> Iterable[tuple[Job, Outcome]]:
        while self._out:
            job = self._out.popleft()
            what = (self._script.get(job.item) or ["done"]).pop(0)
            if what == "lost":
                self._progress.retried(job.stage, job.item, "crashed")
                self._out.append(job)
                self._progress.started(job.stage, job.item)
            elif what == "stop":
                raise KeyboardInterrupt
            elif what == "disk":
                raise StorageFault("the disk is full")
            else:
                yield self._told(job, Outcome(value=1) if what == "done" else Outcome(reason=what), "node-7")


def run(out: Path, script: dict[str, list[str]] | None = None, known: Iterable[str] = (), shown=None) -> None:
    """Take three items through two stages; `known` items are those of an earlier run."""
    jobs = [Job(stage="faces", item=f"{KEY}-s{n}", payload=None, media_s=10.0) for n in range(3)]

    def follow(job: Job, outcome: Outcome) -> list[Job]:
        goes_on = job.stage == "faces" and outcome.ok
        return [Job(stage="clips", item=f"{job.item}-c", payload=None, media_s=5.0)] if goes_on else []

    with output_lock(out, "annotate"), recorded(out, PLAN, shown) as told:
        recall = lambda job: Outcome(value=1) if job.item in set(known) else None  # noqa: E731
        Inside(told, {k: list(v) for k, v in (script or {}).items()}, recall).run(jobs, follow)
        told.published([SHARD])
        write_json(out / "run.json", {"command": "annotate", "complete": True, "shards": [SHARD]})


def events(out: Path) -> list[dict]:
    return [json.loads(line) for line in events_path(out).read_text().splitlines()]


def counts(out: Path) -> dict[str, tuple[int, ...]]:
    view = Watch(out).look().view
    assert view is not None
    return {r.stage: (r.done, r.failed, r.recalled, r.waiting, r.running, r.retries) for r in view.rows}


# ---- the log


def test_a_run_is_told_event_by_event(tmp_path: Path):
    run(tmp_path, {f"{KEY}-s1": ["lost"], f"{KEY}-s2": ["not_video"]})
    told = events(tmp_path)
    assert [e["event"] for e in told[:3]] == ["run", "added", "started"]
    assert told[0]["command"] == "annotate"
    assert told[1] | {"at": ""} == {"at": "", "event": "added", "stage": "faces", "jobs": 3, "media_s": 30.0}
    by = {kind: [e for e in told if e["event"] == kind] for kind in {e["event"] for e in told}}
    assert [(e["item"], e["reason"]) for e in by["retried"]] == [(f"{KEY}-s1", "crashed")]
    assert [(e["stage"], e["item"], e["reason"]) for e in by["failed"]] == [
        ("faces", f"{KEY}-s2", "not_video")
    ]
    assert len(by["done"]) == 4
    assert {e["node"] for e in by["done"]} == {"node-7"}
    assert all(e["seconds"] >= 0 and e["media_s"] in (5, 10) for e in by["done"])
    assert [(e["name"], e["samples"]) for e in by["shard"]] == [("clips-000000.tar", 2)]
    assert told[-1]["event"] == "run ended"
    assert told[-1]["how"] == "complete"
    assert told[-1]["counts"]["faces"] == {"done": 2, "failed": 1, "recalled": 0, "retries": 1}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["at"]) for e in told)


def test_a_log_names_items_and_nobody(tmp_path: Path):
    run(tmp_path, {f"{KEY}-s2": ["not_video"]})
    text = events_path(tmp_path).read_text()
    assert socket.gethostname() not in text
    assert str(tmp_path) not in text
    items = {e["item"] for e in events(tmp_path) if "item" in e}
    assert all(item.startswith(KEY) for item in items)


def test_a_run_that_finds_everything_done_leaves_no_trace(tmp_path: Path):
    run(tmp_path)
    before = events_path(tmp_path).read_bytes()
    everything = [f"{KEY}-s{n}{c}" for n in range(3) for c in ("", "-c")]
    run(tmp_path, known=everything)
    assert events_path(tmp_path).read_bytes() == before


def test_what_an_earlier_run_has_done_is_summed_up(tmp_path: Path):
    run(tmp_path, known=[f"{KEY}-s0", f"{KEY}-s1"])
    recalled = [e for e in events(tmp_path) if e["event"] == "recalled"]
    assert [(e["stage"], e["jobs"], e["media_s"]) for e in recalled] == [("faces", 2, 20.0)]
    assert counts(tmp_path)["faces"] == (1, 0, 2, 0, 0, 0)


def test_a_shard_that_stood_before_is_no_news(tmp_path: Path):
    run(tmp_path)
    run(tmp_path)
    assert sum(e["event"] == "shard" for e in events(tmp_path)) == 1
    assert sum(e["event"] == "run" for e in events(tmp_path)) == 2


def test_a_torn_line_harms_no_other(tmp_path: Path):
    run(tmp_path)
    path = events_path(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b'"how"')])
    status = Watch(tmp_path).look()
    assert (status.state, status.ended) == ("interrupted", "")
    assert counts(tmp_path)["clips"] == (3, 0, 0, 0, 0, 0)
    run(tmp_path)
    assert Watch(tmp_path).look().state == "complete"
    lines = path.read_bytes().splitlines()
    assert len([line for line in lines if not line.endswith(b"}")]) == 1


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b'{"event": 1, "at": 2}', b"\xff\xfe", b'{"event": "done", "at": "no time"}',
             b'{"event": "done", "at": "2026-01-01T00:00:00.000Z", "stage": "hats", "item": "x", "media_s": 1}']
)  # fmt: skip
def test_a_damaged_line_is_passed_over(tmp_path: Path, line: bytes):
    run(tmp_path)
    path = events_path(tmp_path)
    first, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(first + b"\n" + line + b"\n" + rest)
    assert Watch(tmp_path).look().state == "complete"
    assert counts(tmp_path) == {"faces": (3, 0, 0, 0, 0, 0), "clips": (3, 0, 0, 0, 0, 0)}


def test_a_reader_goes_on_where_it_was(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert list(reader.new()) == []
    line = b'{"at": "2026-01-01T00:00:00.000Z", "event": "shard"}\n'
    path.write_bytes(line + line[:20])
    assert len(list(reader.new())) == 1
    path.write_bytes(line + line)
    assert len(list(reader.new())) == 1
    assert list(reader.new()) == []


def test_a_long_log_is_set_aside_when_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run(tmp_path)
    first = events_path(tmp_path).read_bytes()
    monkeypatch.setattr(log, "MAX_BYTES", 100)
    run(tmp_path)
    assert events_path(tmp_path).with_name("events-old.jsonl").read_bytes() == first
    assert sum(e["event"] == "run" for e in events(tmp_path)) == 1


def test_a_log_that_cannot_be_written_is_a_fault_of_the_storage(tmp_path: Path):
    (tmp_path / ".work").write_text("a file where a folder is needed")
    with pytest.raises(StorageFault, match="a file stands where a folder is needed"):
        run(tmp_path)


def test_a_log_of_an_output_on_object_storage_is_put_there_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path))
    out = place(f"memory://watched-{os.getpid()}/out")
    for _ in range(2):
        with recorded(out, PLAN) as told:
            told.added("faces", 1.0)
            told.started("faces", KEY)
            assert Watch(out).look().view.busy == 1, "it is seen from this machine"
            told.ended("faces", KEY, True, media_s=1.0)
    assert not events_path(out).exists()
    published = (out / ".work" / "events.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["event"] for line in published] == [
        "run",
        "added",
        "started",
        "done",
        "run ended",
    ] * 2
    assert Watch(out).look().view.rows[0].done == 1


# ---- the state


def test_an_output_that_no_run_has_seen(tmp_path: Path):
    assert Watch(tmp_path / "nowhere").look().state == "never_begun"
    assert Watch(tmp_path).look().state == "never_begun"
    assert list(tmp_path.iterdir()) == [], "to look is to change nothing"


def test_a_complete_run(tmp_path: Path):
    run(tmp_path)
    status = Watch(tmp_path).look()
    assert (status.state, status.command, status.reason, status.published) == (
        "complete",
        "annotate",
        "",
        True,
    )
    assert status.began <= status.ended


def test_an_output_of_a_version_that_kept_no_log(tmp_path: Path):
    write_json(tmp_path / "run.json", {"command": "ingest"})
    status = Watch(tmp_path).look()
    assert (status.state, status.command, status.view) == ("complete", "ingest", None)


@pytest.mark.parametrize(
    ("how", "error", "reason"),
    [("stop", KeyboardInterrupt, "KeyboardInterrupt"), ("disk", StorageFault, "storage")],
)
def test_a_run_that_was_stopped_says_by_what(tmp_path: Path, how: str, error: type, reason: str):
    with pytest.raises(error):
        run(tmp_path, {f"{KEY}-s1": [how]})
    status = Watch(tmp_path).look()
    assert (status.state, status.reason, status.published) == ("interrupted", reason, False)
    assert status.ended


def test_a_rerun_that_is_stopped_leaves_what_stands(tmp_path: Path):
    run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {f"{KEY}-s1": ["stop"]})
    status = Watch(tmp_path).look()
    assert (status.state, status.published) == ("interrupted", True)


def test_a_run_that_goes_on_is_seen_with_its_counts(tmp_path: Path):
    with output_lock(tmp_path, "annotate"):
        watch = Watch(tmp_path)
        status = watch.look()
        assert (status.state, status.command, status.view) == ("running", "annotate", None)
        assert status.holder["pid"] == str(os.getpid())
        with recorded(tmp_path, PLAN) as told:
            for n in range(3):
                told.added("faces", 10.0)
                told.started("faces", f"{KEY}-s{n}")
            told.ended("faces", f"{KEY}-s0", False, media_s=10.0, reason="crashed")
            view = watch.look().view
            assert (view.rows[0].running, view.rows[0].failed, view.busy) == (2, 1, 2)
            assert [(f.item, f.reason) for f in view.failures] == [(f"{KEY}-s0", "crashed")]


def test_a_run_with_nothing_to_do_yet_does_not_show_the_one_before(tmp_path: Path):
    run(tmp_path)
    text = events_path(tmp_path).read_text()
    events_path(tmp_path).write_text(re.sub(r'"at": "\d{4}', '"at": "2001', text))
    with output_lock(tmp_path, "annotate"):
        status = Watch(tmp_path).look()
    assert (status.state, status.view, status.published) == ("running", None, True)


def test_a_killed_run_is_interrupted_and_its_lock_holds_nobody(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from mitds.lock import output_lock\n"
        "from mitds.pipeline.watching.recorder import recorded\n"
        "from mitds.pipeline.watching.plan import RunPlan\n"
        "out = Path(sys.argv[1])\n"
        "with output_lock(out, 'annotate'), recorded(out, RunPlan(stages=('faces',))) as told:\n"
        "    told.added('faces', 1.0); told.started('faces', 'a'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60).returncode == -9
    assert (tmp_path / ".lock").exists()
    status = Watch(tmp_path).look()
    assert (status.state, status.reason, status.ended) == ("interrupted", "", "")


def test_a_stale_lock_whose_process_number_lives_on_is_seen_through(tmp_path: Path):
    held = {"command": "annotate", "host": socket.gethostname(), "pid": str(os.getpid()), "started": "2026"}
    (tmp_path / ".lock").write_text(json.dumps(held))
    (tmp_path / ".work").mkdir()
    assert Watch(tmp_path).look().state == "interrupted"
    with (tmp_path / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Watch(tmp_path).look().state == "running"


def test_to_look_never_refuses_a_run_that_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".lock").touch()
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("a lock that has no text yet was touched"))
    assert Watch(tmp_path).look().state == "running"


def test_two_runs_at_once_keep_their_own_logs_and_the_second_on_one_output_none(tmp_path: Path):
    one, other = tmp_path / "one", tmp_path / "other"
    with output_lock(one, "annotate"), recorded(one, PLAN) as told:
        told.added("faces")
        told.started("faces", "mine")
        run(other)
        before = events_path(one).read_bytes()
        with pytest.raises(UsageError, match="another run writes to this output"):
            run(one)
        assert events_path(one).read_bytes() == before
        assert (Watch(one).look().state, Watch(other).look().state) == ("running", "complete")
    assert {e.get("item") for e in events(one)} == {None, "mine"}


# ---- the command


def status_of(*args: str):
    import typer

    from mitds import cli_status

    app = typer.Typer()
    app.callback()(lambda: None)
    cli_status.register(app)
    return CliRunner().invoke(app, ["status", *args])


def test_the_command_says_how_it_stands_and_ends_well(tmp_path: Path):
    run(tmp_path, {f"{KEY}-s2": ["not_video"]})
    for args in ([str(tmp_path)], [str(tmp_path), "--follow"]):
        said = status_of(*args)
        assert said.exit_code == 0
        assert "complete" in said.stdout
        assert re.search(rf"failed\s+faces {KEY}-s2: not_video", said.stdout)
        assert "time left" not in said.stdout
    assert status_of(str(tmp_path / "nowhere")).exit_code == 0
    assert "no run has begun here" in status_of(str(tmp_path / "nowhere")).stdout


def test_the_command_gives_one_line_of_json(tmp_path: Path):
    run(tmp_path)
    said = status_of(str(tmp_path), "--json")
    assert len(said.stdout.splitlines()) == 1
    status = json.loads(said.stdout)["status"]
    assert status["state"] == "complete"
    assert [row["stage"] for row in status["view"]["rows"]] == ["faces", "clips"]


# ---- figures


def samples(text: str) -> dict[str, float]:
    """Parse the format's samples, and check each family's head."""
    found, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            assert kind in ("counter", "gauge")
            assert kind == "gauge" or name.endswith("_total")
            typed.add(name)
        elif not line.startswith("# HELP"):
            name, labels, value = re.fullmatch(r"(\w+)\{((?:\w+=\"[^\"]*\",?)+)\} (\S+)", line).groups()
            assert name in typed, "a family's type comes before its samples"
            found[f"{name}{{{labels}}}"] = float(value)
    return found


def test_figures_are_served_on_loopback_while_a_run_goes_on(tmp_path: Path, capsys):
    with StageProgress(PLAN.stages, metrics_port=0) as shown:
        url = re.search(r"http://127\.0\.0\.1:\d+/metrics", capsys.readouterr().err)[0]
        run(tmp_path, {f"{KEY}-s1": ["lost"], f"{KEY}-s2": ["not_video"]}, shown=shown)
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.removesuffix("metrics"), timeout=10)
    found = samples(text)
    assert found['mitds_jobs_total{stage="faces",status="done"}'] == 2
    assert found['mitds_jobs_total{stage="faces",status="failed"}'] == 1
    assert found['mitds_failures_total{stage="faces",reason="not_video"}'] == 1
    assert found['mitds_retries_total{stage="faces"}'] == 1
    assert found['mitds_media_seconds_total{stage="clips"}'] == 10
    assert found['mitds_jobs{stage="clips",status="waiting"}'] == 0
    assert KEY not in text, "figures name no item"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


def test_labels_are_escaped():
    tally = Tally(RunPlan(stages=("a",)))
    tally.ended("a", "x", False, reason='a"b\\c\nd')
    assert '{stage="a",reason="a\\"b\\\\c\\nd"} 1' in exposition(tally.view())


def test_a_port_that_is_taken_is_refused_with_a_remedy():
    with MetricsServer(0, Tally(PLAN).view) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match="in use") as refused:
            StageProgress(PLAN.stages, metrics_port=port)
    assert refused.value.where == f"127.0.0.1:{port}"
    assert "--metrics-port" in refused.value.remedy


# ---- rates, time left, the table


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def work(tally: Tally, clock: Clock, stage: str, item: str, seconds: float, media_s: float) -> None:
    tally.started(stage, item)
    clock.now += seconds
    tally.ended(stage, item, True, media_s=media_s)


def test_rates_are_those_of_the_last_minutes():
    clock = Clock()
    tally = Tally(PLAN, clock)
    for n in range(4):
        tally.added("faces", 10.0)
        work(tally, clock, "faces", str(n), 30.0, 10.0)
    row = tally.view().rows[0]
    assert (row.jobs_per_min, row.media_per_min) == (2.0, 20.0)
    assert tally.view().rows[1].jobs_per_min is None
    clock.now += WINDOW_S
    assert tally.view().rows[0].jobs_per_min == 0


def test_time_left_is_unknown_until_all_stages_were_measured_and_right_then():
    clock = Clock()
    tally = Tally(PLAN, clock)
    for _ in range(10):
        tally.added("faces", 10.0)
    assert tally.view().left_s is None
    work(tally, clock, "faces", "0", 20.0, 10.0)
    assert tally.view().left_s is None, "nobody knows how many clips will come, and what they take"
    tally.added("clips", 5.0)
    assert tally.view().left_s is None
    work(tally, clock, "clips", "0", 10.0, 5.0)
    assert tally.view().left_s == pytest.approx(9 * 30.0)
    for n in range(1, 10):
        work(tally, clock, "faces", str(n), 20.0, 10.0)
        tally.added("clips", 5.0)
        work(tally, clock, "clips", str(n), 10.0, 5.0)
        assert tally.view().left_s == pytest.approx((9 - n) * 30.0, abs=1e-6)


def test_time_left_counts_workers_that_work_side_by_side():
    clock = Clock()
    tally = Tally(RunPlan(stages=("faces",), first=("faces",)), clock)
    for _ in range(10):
        tally.added("faces", 10.0)
    tally.started("faces", "0")
    tally.started("faces", "1")
    clock.now += 20
    for item in "01":
        tally.ended("faces", item, True, media_s=10.0)
    assert tally.view().left_s == pytest.approx(80.0)


def test_time_left_of_a_list_is_told_by_its_lines():
    clock = Clock()
    tally = Tally(RunPlan(stages=("fetch", "probe"), first=("fetch",), jobs=100), clock)
    tally.added("fetch")
    work(tally, clock, "fetch", "1", 2.0, 0.0)
    tally.added("probe", 4.0)
    work(tally, clock, "probe", "1", 1.0, 4.0)
    assert tally.view().left_s == pytest.approx(99 * 3.0)


def test_what_is_known_already_takes_no_time():
    clock = Clock()
    tally = Tally(RunPlan(stages=("faces",), first=("faces",)), clock)
    for n in range(10):
        tally.added("faces", 10.0)
        if n < 8:
            tally.ended("faces", str(n), True, media_s=10.0)
    work(tally, clock, "faces", "8", 20.0, 10.0)
    assert tally.view().left_s == pytest.approx(20.0)
    assert tally.view().rows[0].recalled == 8


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (20, "less than a minute"),
        (61, "about 1 min"),
        (3599, "about 1 h 00 min"),
        (7500, "about 2 h 05 min"),
    ],
)
def test_a_duration_is_said_as_a_person_would(seconds: float | None, said: str):
    assert duration(seconds) == said


def test_the_table_and_the_line_say_the_same(tmp_path: Path):
    clock = Clock()
    tally = Tally(PLAN, clock)
    tally.dashboard("http://127.0.0.1:8265")
    for _ in range(3):
        tally.added("faces", 10.0)
    work(tally, clock, "faces", "0", 30.0, 10.0)
    tally.started("faces", "[red]1")
    tally.ended("faces", "[red]1", False, reason="timeout")
    stream = io.StringIO()
    Console(file=stream, width=120).print(run_table(tally.view()))
    assert "http://127.0.0.1:8265" in stream.getvalue()
    assert "failed  faces [red]1: timeout" in stream.getvalue()
    assert "time left -" in stream.getvalue()
    assert run_line(tally.view()) == "faces 2/3 (1 failed)  time left -  0 workers busy"


class Told(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def write(self, text: str) -> int:
        self.heard.set()
        return super().write(text)


def test_elsewhere_than_on_a_terminal_a_line_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(display, "LINE_EVERY_S", 0.01)
    monkeypatch.setattr("sys.stderr", told := Told())
    with StageProgress(["faces"]) as shown:
        shown.added("faces")
        assert told.heard.wait(60)
    assert "time left -  0 workers busy\n" in told.getvalue()
    told.heard.clear()
    with StageProgress(["faces"], quiet=True, metrics_port=0):
        pass
    assert not told.heard.is_set()


def test_on_a_terminal_the_table_stays_when_the_run_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with StageProgress(PLAN.stages) as shown:
        run(tmp_path, {f"{KEY}-s2": ["not_video"]}, shown=shown)
    said = capsys.readouterr()
    assert said.out == ""
    assert "before" in said.err
    assert f"faces {KEY}-s2: not_video" in said.err


def test_whoever_shows_nothing_is_told_all(tmp_path: Path):
    assert isinstance(Recorder(tmp_path, PLAN, Silent()), Recorder)
    run(tmp_path, shown=Silent())
    replay = Replay()
    replay.take(EventReader(events_path(tmp_path)).new())
    assert replay.end["how"] == "complete"
