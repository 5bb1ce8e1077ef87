"""Ingest in units: killed anywhere and run again, in whatever order jobs end, the same shards come out."""

from __future__ import annotations

import contextlib
import importlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.errors import UsageError
from mitds.manifests.records import Probe, Shot
from mitds.manifests.removals import RECORDS, Removal, append_record, url_digest
from mitds.manifests.shards import read_shard
from mitds.manifests.truth import Truth
from mitds.media import Sound, write_video
from mitds.pipeline import ingest as step
from mitds.pipeline.audit.reading import on_truth
from mitds.pipeline.export import cuts as cut_export
from mitds.pipeline.ingest import IngestConfig, IngestResult, ingest, ingest_forecast
from mitds.pipeline.ingest_fetch import one_ahead
from mitds.pipeline.jobs import Job, Outcome
from mitds.pipeline.shot_shards import read_sources
from mitds.pipeline.sources.contract import FetchConfig
from mitds.pipeline.stages import split
from mitds.pipeline.stages.split import CutsResult, SplitConfig, effort_s, groups
from mitds.store import sha256_file, write_json
from tests.factories import shot, source_labels
from tests.webserver import Answer, Site

OPEN = IngestConfig(
    fetch=FetchConfig(private_hosts=True, attempts=1, host_interval_s=0.0), split=SplitConfig(max_shot_s=1.0)
)


class Killed(BaseException):
    """The process is no more."""


class Inline:
    """Runs jobs here and now, in an order drawn from a seed, and dies where it is told to."""

    seed = 0
    lives: int | None = None
    ran: list[str] = []  # noqa: RUF012  shared by all runners of a test
    break_at: str = ""

    def __init__(self, stages: Any, progress: Any, recall: Callable[[Job], Outcome | None]) -> None:
        self._stages, self._recall = {stage.name: stage for stage in stages}, recall

    def run(self, jobs: Any, follow_ups: Callable[[Job, Outcome], Any]) -> None:
        waiting, draw = list(jobs), random.Random(Inline.seed)  # noqa: S311
        while waiting:
            job = waiting.pop(draw.randrange(len(waiting)))
            waiting += follow_ups(job, self._recall(job) or self._work(job))

    def _work(self, job: Job) -> Outcome:
        if Inline.lives is not None:
            Inline.lives -= 1
            if Inline.lives < 0:
                raise Killed
        Inline.ran.append(f"{job.stage} {job.item}")
        if Inline.break_at == Inline.ran[-1]:
            return Outcome(reason="crashed", detail="the worker process died")
        module, _, name = self._stages[job.stage].worker.partition(":")
        value = getattr(importlib.import_module(module), name)(**self._stages[job.stage].arguments)(
            job.payload
        )
        assert job.done is not None
        write_json(job.done, value)
        return Outcome(value=value)


@contextlib.contextmanager
def inline() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "Runner", Inline)
        patch.setattr(step, "ray_session", lambda **options: contextlib.nullcontext())
        patch.setattr(split, "GROUP_S", 2.0)
        Inline.seed, Inline.lives, Inline.ran, Inline.break_at = 0, None, [], ""
        yield


@pytest.fixture(autouse=True)
def _inline() -> Iterator[None]:
    with inline():
        yield


def film(seed: int, seconds: float = 5.0) -> Iterator[tuple[Fraction, np.ndarray]]:
    noise = np.random.default_rng(seed).integers(0, 60, (2, 32, 48, 3), np.uint8)
    for k in range(round(seconds * 10)):
        yield Fraction(k, 10), noise[int(k >= 27)] + np.uint8(150 * (k >= 27))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three sources of 5 s: a cut at 2.7 s, which pieces of 1 s make five or six shots of."""
    folder = tmp_path_factory.mktemp("films")
    tone = Sound(np.full((1, 80_000), 0.1, np.float32), 16_000, Fraction(0))
    for seed in range(3):
        write_video(folder / f"{seed}.mp4", film(seed), sound=tone if seed else None)
    return sorted(folder.glob("*.mp4"))


def listed(folder: Path, *urls: object) -> Path:
    (folder / "list.txt").write_text("".join(f"{url}\n" for url in urls))
    return folder / "list.txt"


def digests(result: IngestResult) -> list[str]:
    assert [sha256_file(path) for path in result.shards] == [record.sha256 for record in result.records]
    return [record.sha256 for record in result.records]


@pytest.fixture(scope="module")
def unbroken(
    films: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str], list[str]]:
    """The folder of an unbroken run, its shards and its jobs."""
    folder = tmp_path_factory.mktemp("unbroken")
    with inline():
        found = digests(ingest(listed(folder, *films), folder / "whole", OPEN))
        return folder / "whole", found, list(Inline.ran)


@pytest.fixture
def whole(unbroken: tuple[Path, list[str], list[str]], films: list[Path], tmp_path: Path) -> list[str]:
    """The shards of an unbroken run, which lies in `tmp_path / "whole"`."""
    shutil.copytree(unbroken[0], tmp_path / "whole")
    listed(tmp_path, *films)
    return unbroken[1]


def everything(out: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_killed_at_any_job_and_run_again_gives_the_unbroken_shards(
    films: list[Path], tmp_path: Path, unbroken: tuple[Path, list[str], list[str]]
) -> None:
    _, whole, jobs = unbroken
    assert len(jobs) == len(set(jobs)) == 3 * (1 + 1 + 3)
    for lives in (1, 6, 11):
        out, Inline.ran, Inline.seed = tmp_path / f"killed{lives}", [], lives
        for survived in (lives, 2):
            Inline.lives = survived
            with pytest.raises(Killed):
                ingest(listed(tmp_path, *films), out, OPEN)
            assert not list(out.glob("*.tar"))
            assert not list(out.glob("run.json"))
        Inline.lives = None
        assert digests(ingest(listed(tmp_path, *films), out, OPEN)) == whole
        assert sorted(Inline.ran) == sorted(jobs), "each job was done once over all three runs"


def test_shards_do_not_depend_on_the_order_in_which_jobs_end(
    films: list[Path], tmp_path: Path, whole: list[str]
) -> None:
    Inline.seed = 2
    assert digests(ingest(listed(tmp_path, *films), tmp_path / "other", OPEN)) == whole


def test_a_finished_run_is_left_alone(films: list[Path], tmp_path: Path, whole: list[str]) -> None:
    out, list_path = tmp_path / "whole", tmp_path / "list.txt"
    before, Inline.ran = everything(out), []
    done = {row.stage: (row.done, row.to_do, row.open) for row in ingest_forecast(list_path, out, OPEN)}
    assert done == {
        "fetch": (3, 0, False),
        "probe": (3, 0, False),
        "cuts": (3, 0, False),
        "shots": (9, 0, False),
    }
    assert digests(ingest(list_path, out, OPEN)) == whole
    after = everything(out)
    assert {p for p in {*after, *before} if after.get(p) != before.get(p)} == set()
    assert Inline.ran == []


def test_no_media_is_left_in_the_work_folder(tmp_path: Path, whole: list[str]) -> None:
    left = {path.suffix for path in (tmp_path / "whole" / ".work").rglob("*") if path.is_file()}
    assert left >= {".done", ".journal"}
    assert not left & {".mp4", ".flac", ".part", ".aside"}


def test_a_source_that_fails_costs_no_other_and_is_tried_again(films: list[Path], tmp_path: Path) -> None:
    list_path, out = listed(tmp_path, *films), tmp_path / "out"
    Inline.break_at = "shots 2 part 2"
    broken = ingest(list_path, out, OPEN)
    assert [(s.status, s.reason) for s in broken.sources] == [
        ("kept", ""),
        ("failed", "crashed"),
        ("kept", ""),
    ]
    assert [item.source.row for item in read_sources([str(p) for p in broken.shards])] == [1, 3]
    Inline.break_at, Inline.ran = "", []
    mended = ingest(list_path, out, OPEN)
    assert Inline.ran == ["shots 2 part 2"]
    assert digests(mended) == digests(ingest(list_path, tmp_path / "fresh", OPEN))


def test_a_changed_setting_redoes_what_it_touches(tmp_path: Path, whole: list[str]) -> None:
    """Sound that lies in a shard only is decoded again; the source without sound is not even cut anew."""
    changed, list_path = IngestConfig(split=SplitConfig(max_shot_s=1.0, crf=30)), tmp_path / "list.txt"
    steps = {s.stage: (s.done, s.to_do) for s in ingest_forecast(list_path, tmp_path / "whole", changed)}
    assert steps == {"fetch": (3, 0), "probe": (3, 0), "cuts": (1, 2), "shots": (0, 3)}
    result = ingest(list_path, tmp_path / "whole", changed)
    assert {job for job in Inline.ran if "shots" not in job} == {"cuts 2", "cuts 3"}
    assert digests(result) != whole


def test_the_same_path_with_other_bytes_is_another_source(films: list[Path], tmp_path: Path) -> None:
    path, out = tmp_path / "film.mp4", tmp_path / "out"
    path.write_bytes(films[0].read_bytes())
    first = ingest(listed(tmp_path, path), out, OPEN)
    path.write_bytes(films[1].read_bytes())
    second = ingest(listed(tmp_path, path), out, OPEN)
    assert first.sources[0].id != second.sources[0].id
    assert digests(second) == digests(ingest(listed(tmp_path, path), tmp_path / "fresh", OPEN))


# ---- downloads


def test_what_was_fetched_is_not_fetched_again(site: Site, films: list[Path], tmp_path: Path) -> None:
    urls = [site.put(f"/{path.name}", Answer(body=path.read_bytes())) for path in films[:2]]
    Inline.lives = 1
    with pytest.raises(Killed):
        ingest(listed(tmp_path, *urls), tmp_path / "out", OPEN)
    asked, Inline.lives = len(site.asked), None
    done = ingest(listed(tmp_path, *urls), tmp_path / "out", OPEN)
    assert len(site.asked) == asked
    assert not list((tmp_path / "out" / ".work" / "downloads").iterdir()), "packed: not needed any more"
    times = [source.fetched_at for source in done.sources]
    assert all(times)
    before = everything(tmp_path / "out")
    again = ingest(listed(tmp_path, *urls), tmp_path / "out", OPEN)
    assert [source.fetched_at for source in again.sources] == times
    assert (len(site.asked), everything(tmp_path / "out")) == (asked, before)


def test_of_a_longer_list_only_what_is_new_is_done(site: Site, films: list[Path], tmp_path: Path) -> None:
    urls = [site.put(f"/{path.name}", Answer(body=path.read_bytes())) for path in films]
    ingest(listed(tmp_path, *urls[:2]), tmp_path / "out", OPEN)
    asked, Inline.ran = len(site.asked), []
    steps = ingest_forecast(listed(tmp_path, *urls), tmp_path / "out", OPEN)
    assert [(s.done, s.to_do, s.open) for s in steps] == [
        (2, 1, False),
        (2, 0, True),
        (2, 0, True),
        (6, 0, True),
    ]
    longer = ingest(listed(tmp_path, *urls), tmp_path / "out", OPEN)
    assert {path for _, path in site.asked[asked:]} == {"/2.mp4"}
    assert {job.split()[1] for job in Inline.ran} == {"3"}
    assert [source.status for source in longer.sources] == ["kept"] * 3


def test_an_unchanged_setting_needs_no_download_and_a_changed_one_does(
    site: Site, films: list[Path], tmp_path: Path
) -> None:
    url = site.put("/film.mp4", Answer(body=films[0].read_bytes()))
    ingest(listed(tmp_path, url), tmp_path / "out", OPEN)
    asked = len(site.asked)
    changed = IngestConfig(fetch=OPEN.fetch, split=SplitConfig(max_shot_s=1.0, crf=30))
    assert ingest_forecast(tmp_path / "list.txt", tmp_path / "out", changed)[0].to_do == 1
    ingest(tmp_path / "list.txt", tmp_path / "out", changed)
    assert len(site.asked) > asked


def test_duplicates_leave_no_download_behind(
    site: Site, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "WINDOW", 1)
    urls = [site.put(f"/{n}.mp4", Answer(body=films[0].read_bytes())) for n in range(3)]
    done = ingest(listed(tmp_path, *urls), tmp_path / "out", OPEN)
    assert [s.reason for s in done.sources] == ["", "duplicate_of", "duplicate_of"]
    assert not list((tmp_path / "out" / ".work" / "downloads").iterdir())


def test_what_was_withdrawn_is_not_taken_in(site: Site, films: list[Path], tmp_path: Path) -> None:
    urls = [site.put(f"/{path.name}", Answer(body=path.read_bytes())) for path in films]
    out = tmp_path / "out"
    out.mkdir()
    about: dict[str, Any] = {"identities": (), "at": "2026-01-01T00:00:00Z", "by": "me", "why": "asked"}
    append_record(out / RECORDS, Removal(sources=(), urls=(url_digest(urls[0]),), **about))
    append_record(out / RECORDS, Removal(sources=(sha256_file(films[1]),), urls=(), **about))
    done = ingest(listed(tmp_path, *urls), out, OPEN)
    assert [(s.status, s.reason) for s in done.sources] == [
        ("filtered", "removed"),
        ("filtered", "removed"),
        ("kept", ""),
    ]
    assert "/0.mp4" not in {path for _, path in site.asked}
    assert urls[0] not in (out / "ledger.jsonl").read_text()
    assert not list((out / ".work" / "downloads").iterdir())


def test_a_shorter_list_loses_nothing_silently(films: list[Path], tmp_path: Path, whole: list[str]) -> None:
    out = tmp_path / "whole"
    before = {path: data for path, data in everything(out).items() if ".work" not in path.parts}
    with pytest.raises(UsageError, match="an earlier run kept 2 sources"):
        ingest(listed(tmp_path, films[0]), out, OPEN)
    assert {path: data for path, data in everything(out).items() if ".work" not in path.parts} == before


def test_the_next_window_is_fetched_ahead_and_errors_come_through() -> None:
    assert list(one_ahead(str, range(5))) == list("01234")
    with pytest.raises(ZeroDivisionError):
        list(one_ahead(lambda n: 1 // n, [2, 1, 0, 3]))
    assert list(one_ahead(str, [])) == []


# ---- what is in the shards


def test_samples_say_what_made_them_and_pieces_that_they_continue(tmp_path: Path, whole: list[str]) -> None:
    items = read_sources([str(tmp_path / "whole" / "shots-*.tar")])
    assert [item.source.row for item in items] == [1, 2, 3]
    (made_by,) = {item.made_by for item in items} | {s.made_by for item in items for s in item.shots}
    assert len(made_by) == 16
    assert [item.sound is None for item in items] == [True, False, False]
    for item in items:
        shots = [s.shot for s in item.shots]
        assert [s.continues for s in shots] == [False, True, True, False, True, True]
        assert [s.cut_score is not None for s in shots] == [False, False, False, True, False, False]
        assert [a.end for a in shots[:-1]] == [b.start for b in shots[1:]]
        assert max(s.end - s.start for s in shots) <= Fraction(11, 10)
        assert sum(s.frames for s in shots) == 50
        (line,) = cut_export.source_lines("name", _labels(shots))
        assert line.split()[0] == "27"
    samples = list(read_shard(tmp_path / "whole" / "shots-000000.tar"))
    assert json.loads(samples[0].members["json"])["made_by"] == made_by


def _labels(shots: list[Shot]) -> Any:
    return type("Labels", (), {"shots": shots})


def test_no_border_of_a_piece_counts_as_a_cut() -> None:
    pieces = (shot(0), shot(1, 6, continues=True, cut_score=None), shot(2, 12), shot(3, 18, continues=True))
    labels = source_labels(shots=pieces, tracks=())
    truth = Truth(name="talk", fps=Fraction(25), frames=600, cuts=(300,))
    assert on_truth(labels, (), truth).cuts == (300,)
    assert [line.split()[0] for line in cut_export.source_lines("talk", labels)] == ["300"]


def test_shots_are_dealt_into_groups_of_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "GROUP_S", 300.0)
    lengths = [120, 120, 60, 1, 299, 0.5, 700, 20]
    ends = np.cumsum(lengths)
    shots = tuple(
        Shot(
            key=f"k-s{n:04d}",
            source_id="0" * 64,
            index=n,
            start=Fraction(end - length),
            end=Fraction(end),
            first_frame=n,
            frames=1,
            cut_score=None,
            detector="d",
        )
        for n, (length, end) in enumerate(zip(lengths, ends, strict=True))
    )
    dealt = groups(CutsResult(shots, tuple(range(8)), None, ()), Path("x"))
    assert [[s.index for s in group.shots] for group in dealt] == [[0, 1, 2], [3, 4], [5], [6], [7]]
    assert [group.marks for group in dealt] == [(0, 1, 2), (3, 4), (5,), (6,), (7,)]


def test_deadlines_scale_with_length_and_size() -> None:
    small, large = (_probe(width, height) for width, height in ((1920, 1080), (7680, 4320)))
    assert effort_s(small, 60) == 60
    assert effort_s(large, 60) == pytest.approx(16 * 60)
    assert effort_s(_probe(160, 90), 60) == 60
    assert effort_s(small, 1e12) <= 48 * 3600


def _probe(width: int, height: int) -> Probe:
    return Probe(
        container="mp4",
        start=Fraction(0),
        duration=Fraction(60),
        fps=Fraction(30),
        vfr=False,
        width=width,
        height=height,
        rotation=0,
        sample_aspect=Fraction(1),
        interlaced=False,
        video_codec="h264",
        pixel_format="yuv420p",
        video_tracks=1,
        audio_codec=None,
        audio_rate=None,
        audio_channels=None,
        audio_tracks=0,
    )
