"""Shards that survive a kill: any history of interrupted runs and changed plans ends in the bytes of one run."""

from __future__ import annotations

import hashlib
import random
from contextlib import suppress
from pathlib import Path

import pytest

from mitds.errors import UsageError
from mitds.manifests import shard_journal
from mitds.manifests.shards import ShardWriter, read_shard
from mitds.manifests.standing_shards import StandingShards

Plan = list[tuple[str, str]]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def content(key: str, token: str) -> dict[str, bytes]:
    draw = random.Random(f"{key}{token}")  # noqa: S311
    return {"mp4": draw.randbytes(draw.randrange(1, 3000)), "json": token.encode()}


def run(folder: Path, plan: Plan, *, kill_at: int | None = None) -> list[str]:
    """Write a plan; returns the keys whose content had to be made."""
    made: list[str] = []

    def make(key: str, token: str) -> dict[str, bytes]:
        made.append(key)
        return content(key, token)

    with StandingShards(
        "clips-%06d.tar", folder, folder / ".work" / "shards", max_bytes=8000, max_samples=5
    ) as shards:
        for number, (key, token) in enumerate(plan):
            if number == kill_at:
                raise Killed
            shards.add(key, token, lambda key=key, token=token: make(key, token), media=f"m-{key}-{token}")
        shards.publish()
    return made


def bytes_of(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.tar"))}


def unbroken(folder: Path, plan: Plan) -> dict[str, str]:
    with ShardWriter("clips-%06d.tar", folder, max_bytes=8000, max_samples=5) as writer:
        for key, token in plan:
            writer.add(key, content(key, token))
    return bytes_of(folder)


def plan_of(count: int, version: str = "a") -> Plan:
    return [(f"k{n:03d}", version) for n in range(count)]


def test_one_run_gives_the_bytes_of_the_plain_writer(tmp_path: Path) -> None:
    made = run(tmp_path / "out", plan_of(23))
    assert len(made) == 23
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", plan_of(23))
    assert not list((tmp_path / "out" / ".work").rglob("*.part"))


def test_the_same_plan_again_makes_and_touches_nothing(tmp_path: Path) -> None:
    run(tmp_path, plan_of(23))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.tar")}
    assert run(tmp_path, plan_of(23)) == []
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.tar")} == before


@pytest.mark.parametrize("kill_at", [0, 1, 4, 5, 12, 22])
def test_a_killed_run_is_finished_and_nothing_made_twice(tmp_path: Path, kill_at: int) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "out", plan_of(23), kill_at=kill_at)
    assert bytes_of(tmp_path / "out") == {}
    assert run(tmp_path / "out", plan_of(23)) == [key for key, _ in plan_of(23)][kill_at:]
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", plan_of(23))


def test_shards_before_a_difference_are_not_touched(tmp_path: Path) -> None:
    run(tmp_path / "out", plan_of(23))
    first = (tmp_path / "out" / "clips-000000.tar").stat().st_mtime_ns
    changed = [(key, "b" if key == "k012" else token) for key, token in plan_of(23)]
    assert run(tmp_path / "out", changed) == ["k012"]
    assert (tmp_path / "out" / "clips-000000.tar").stat().st_mtime_ns == first
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", changed)


def test_what_another_plan_staged_is_used_where_it_fits(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "out", plan_of(23), kill_at=20)
    inserted = [("new", "a"), *plan_of(23)]
    made = run(tmp_path / "out", inserted)
    assert made == ["new", "k020", "k021", "k022"]
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", inserted)


@pytest.mark.parametrize("seed", range(40))
def test_any_history_ends_in_the_bytes_of_one_run(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)  # noqa: S311
    plans = [
        [(f"k{n:02d}", draw.choice("aab")) for n in sorted(draw.sample(range(30), draw.randrange(1, 25)))]
        for _ in range(3)
    ]
    real = shard_journal.os.fsync
    for step in range(6):
        left = draw.randrange(1, 60)

        def fsync(number: int, left: list[int] = [left]) -> None:  # noqa: B006
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            real(number)

        monkeypatch.setattr("os.fsync", fsync)
        plan = draw.choice(plans)
        with suppress(Killed):
            run(tmp_path / "out", plan, kill_at=draw.choice([None, draw.randrange(len(plan))]))
        for shard in (tmp_path / "out").glob("*.tar"):
            assert list(read_shard(shard)), f"step {step} left {shard.name} damaged"
    monkeypatch.setattr("os.fsync", real)
    run(tmp_path / "out", plans[0])
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", plans[0])
    assert run(tmp_path / "out", plans[0]) == []


def test_a_kill_between_a_shards_rename_and_its_journals_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def settle(self: StandingShards, name: str) -> None:
        calls.append(name)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(StandingShards, "_settle", settle)
        with pytest.raises(Killed):
            run(tmp_path / "out", plan_of(9))
    assert calls
    assert run(tmp_path / "out", plan_of(9)) == []
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", plan_of(9))


def test_a_half_written_journal_line_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "out", plan_of(9), kill_at=3)
    journal = tmp_path / "out" / ".work" / "shards" / "clips-000000.tar.journal"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert run(tmp_path / "out", plan_of(9))[0] == "k002"
    assert bytes_of(tmp_path / "out") == unbroken(tmp_path / "plain", plan_of(9))


def test_media_that_stands_is_found_by_what_it_was_made_of(tmp_path: Path) -> None:
    run(tmp_path, plan_of(9))
    shards = StandingShards("clips-%06d.tar", tmp_path, tmp_path / ".work" / "shards")
    assert shards.stands("m-k004-a")
    assert not shards.stands("m-k004-b")
    assert shards.encoded("m-k004-a") == content("k004", "a")
    assert shards.encoded("m-k004-b") is None


def test_a_key_is_used_once_and_must_fit(tmp_path: Path) -> None:
    with StandingShards("clips-%06d.tar", tmp_path, tmp_path / ".work" / "shards") as shards:
        shards.add("a", "t", lambda: {"json": b"{}"})
        with pytest.raises(UsageError, match="twice"):
            shards.add("a", "t", lambda: {"json": b"{}"})
        with pytest.raises(UsageError, match="cannot be the name"):
            shards.add("../a", "t", lambda: {"json": b"{}"})
        with pytest.raises(UsageError, match="empty"):
            shards.add("b", "t", dict)
