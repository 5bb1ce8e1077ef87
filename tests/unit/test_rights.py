"""Withdrawal and verification: what was withdrawn is gone, the rest stays byte for byte, swapped labels are seen."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mitds.cli import app
from mitds.config import canonical
from mitds.errors import BadShard, UsageError
from mitds.manifests import removals as gone
from mitds.manifests import schemas
from mitds.manifests.codec import from_plain
from mitds.manifests.dataset import load
from mitds.manifests.items import Release
from mitds.manifests.ledger import read_ledger
from mitds.manifests.records import Clip
from mitds.manifests.shard_journal import Laid, begin_journal, read_journal
from mitds.manifests.shards import ShardWriter, index_shard, read_shard
from mitds.manifests.source_labels import from_sample
from mitds.manifests.standing_shards import StandingShards
from mitds.pipeline.export import export
from mitds.pipeline.rights import remove as removing
from mitds.pipeline.rights.remove import remove
from mitds.pipeline.rights.shards import samples
from mitds.pipeline.rights.verify import verify
from mitds.store import sha256_file, write_json
from tests import factories
from tests.rights_cases import (
    CLIPS,
    URL_A,
    URL_B,
    A,
    B,
    Killed,
    asked,
    build,
    everything,
    folders,
    killed_after,
    sample,
    tree,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def world(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "world")
    return tmp_path / "world"


# ---- verify


def faults(*where: Path) -> list[str]:
    return [f"{f.check}: {f.what}" for f in verify(folders=where).findings if f.level == "fault"]


def test_what_was_written_is_sound(world: Path) -> None:
    assert faults(world / "raw", world / "out", world / "release") == []
    assert verify([str(world / "out" / "*.tar")]).sound


def rewrite(path: Path, change: Callable[[dict[str, dict[str, bytes]]], None]) -> None:
    held = {s.key: dict(s.members) for s in read_shard(path)}
    change(held)
    with ShardWriter(path.name.replace("000000", "%06d"), path.parent / "new") as writer:
        for key, members in held.items():
            writer.add(key, members)
    (path.parent / "new" / path.name).replace(path)


@pytest.mark.parametrize("exts", [("json",), ("npz",), ("json", "npz"), ("mp4",)])
def test_two_swapped_label_files_are_caught(world: Path, exts: tuple[str, ...]) -> None:
    one, other = CLIPS[0].key, CLIPS[1].key

    def swap(held: dict[str, dict[str, bytes]]) -> None:
        held[other]["mp4"] = factories.mp4_bytes(11) if exts == ("mp4",) else held[other]["mp4"]
        for ext in exts:
            held[one][ext], held[other][ext] = held[other][ext], held[one][ext]

    path = world / "out" / "clips-000000.tar"
    rewrite(path, swap)
    found = verify([str(path)])
    assert not found.sound
    assert one in {f.where.rpartition(":")[2] for f in found.findings if f.check == "seal"}


def test_labels_of_sources_and_shots_are_held_against_their_seals_where_they_have_some(world: Path) -> None:
    def seal(held: dict[str, dict[str, bytes]]) -> None:
        for members in held.values():
            about = json.loads(members["json"])
            wrong = {
                ext: hashlib.sha256(data + b"!").hexdigest() for ext, data in members.items() if ext != "json"
            }
            members["json"] = canonical({**about, "seals": wrong}).encode()

    for path, ext in (
        (world / "out" / "sources-000000.tar", "npz"),
        (world / "raw" / "shots-000000.tar", "mp4"),
    ):
        rewrite(path, seal)
        assert f"its {ext} is not the one its json was written for" in {
            f.what for f in verify([str(path)]).findings
        }


def test_samples_from_before_seals_are_noted_and_pass(tmp_path: Path) -> None:
    factories.write_clips(tmp_path)
    found = verify([str(tmp_path / "clips-*.tar")])
    assert found.sound
    assert "2 of 2 samples are unsealed" in " ".join(f.what for f in found.findings)


def test_torn_shards_and_repeated_samples_are_faults(world: Path) -> None:
    out = world / "out"
    (out / "clips-000003.tar").write_bytes((out / "clips-000000.tar").read_bytes())
    torn = (out / "clips-000002.tar").read_bytes()
    (out / "clips-000002.tar").write_bytes(torn[: len(torn) // 2])
    words = " ".join(faults(out))
    for expected in (
        "the same sample is in",
        "not a shard",
        "not in run.json",
        "its sha256 is not",
        "table: it is not",
    ):
        assert expected in words


def test_a_table_a_ledger_and_a_list_that_say_something_else_are_faults(world: Path) -> None:
    out, raw = world / "out", world / "raw"
    table = pq.read_table(out / "clips.parquet")
    rows = table.to_pylist()
    rows[0]["start"], rows[1]["shard"] = "9/1", "clips-000002.tar"
    pq.write_table(type(table).from_pylist(rows[:-2], schema=table.schema), out / "clips.parquet")
    lines = (out / "ledger.jsonl").read_text().splitlines(keepends=True)
    (out / "ledger.jsonl").write_text("".join(lines[:-2]))
    (out / "clips-000002.tar").unlink()
    words = " ".join(faults(out))
    for expected in ("differ in start", "differ in shard", "its sums are not", "in run.json and not there"):
        assert expected in words
    (raw / "ledger.jsonl").unlink()
    assert "ledger: it is missing" in faults(raw)


def test_a_release_is_held_against_its_list(world: Path) -> None:
    path = world / "release" / "test-000000.tar"

    def change(held: dict[str, dict[str, bytes]]) -> None:
        for members in held.values():
            members["wav"] = b"other"

    rewrite(path, change)
    assert faults(world / "release") == ["release: it is not the file that the release lists"]


# ---- removal


def test_a_source_is_gone_from_everything_and_the_rest_is_as_it_was(world: Path) -> None:
    before = tree(world)
    done = remove(folders(world), asked())
    assert [one.left for one in done] == [(), (), (), ()]
    words = [A[:16], URL_A + '"', "mirror.example.org", "Talk of Ann", "Talk-of-Ann"]
    for path, data in everything(world):
        assert [w for w in words if w.encode() in data] == [], path
    after = tree(world)
    for kept in ("out/clips-000002.tar", "raw/shots-000001.tar", "release/test-000001.tar"):
        assert after[kept] == before[kept]
    for vanished in ("out/clips-000000.tar", "raw/shots-000000.tar", "release/test-000000.tar"):
        assert vanished not in after
    assert {n for n in after if n.startswith("exports/Bob")} == {
        n for n in before if n.startswith("exports/Bob")
    }
    assert "raw/.work/split-1234/b2b2b2b2b2b2b2b2.done" in after
    assert faults(*folders(world)[:3]) == []


def test_what_is_left_of_a_shard_is_what_would_have_been_written(world: Path) -> None:
    remove(folders(world), asked())
    with ShardWriter("clips-%06d.tar", world / "new") as writer:
        writer.add(CLIPS[3].key, sample(CLIPS[3]))
    path = world / "out" / "clips-000001.tar"
    assert path.read_bytes() == writer.paths[0].read_bytes()
    journal = read_journal(world / "out" / ".work" / "shards" / "published" / f"{path.name}.journal")
    assert [laid.key for laid in journal.laid] == [CLIPS[3].key]
    assert journal.laid[0].end == max(e.offset + -(-e.size // 512) * 512 for e in index_shard(path))
    assert journal.record
    assert journal.record.sha256 == sha256_file(path)


def test_the_next_run_writes_no_sample_again(world: Path) -> None:
    out = world / "out"
    remove(folders(world), asked())

    def members() -> dict[str, bytes]:
        raise AssertionError("this sample stands")

    with StandingShards("clips-%06d.tar", out, out / ".work" / "shards", max_samples=2) as shards:
        for one in CLIPS[3:]:
            shards.add(one.key, "token", members)
        shards.publish()
    assert [one.key for one in seen_clips(world)] == [one.key for one in CLIPS[3:]]
    assert [s.members for s in read_shard(out / "clips-000000.tar")] == [sample(one) for one in CLIPS[3:5]]


def test_sums_hold_afterwards(world: Path) -> None:
    remove(folders(world), asked())
    ends = read_ledger(world / "out" / "ledger.jsonl")
    clips = [end for end in ends if end.kind == "clip"]
    assert len(clips) == 7
    assert sum(end.reason == "removed" for end in clips) == 4
    raw = {end.item: (end.status, end.reason) for end in read_ledger(world / "raw" / "ledger.jsonl")}
    filtered = ("filtered", "removed")
    assert raw == {"1": filtered, "2": ("kept", ""), "3": filtered, "4": ("failed", "x")}
    rows = pq.read_table(world / "raw" / "sources.parquet").to_pylist()
    assert [row["row"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["name"] == rows[2]["name"] == "withdrawn"
    assert rows[1]["url"] == URL_B


def test_an_address_takes_everything_that_came_from_it_along(world: Path) -> None:
    remove(folders(world), asked(sources=(), urls=(URL_B,)))
    assert {one.source_id for one in seen_clips(world)} == {A}
    left = pq.read_table(world / "raw" / "sources.parquet").to_pylist()
    assert [row["url"] for row in left] == [
        URL_A,
        "",
        "https://mirror.example.org/a",
        "https://example.org/gone",
    ]
    assert URL_A in (world / "raw" / "events.jsonl").read_text(), "one address is the beginning of the other"


def seen_clips(world: Path) -> list[Clip]:
    return [loaded.clip for loaded in load(world / "out" / "clips-*.tar")]


def test_a_dead_link_can_be_withdrawn_and_is_refused_later(world: Path) -> None:
    remove([world / "raw"], asked(sources=(), urls=("https://example.org/gone",)))
    row = pq.read_table(world / "raw" / "sources.parquet").to_pylist()[3]
    assert (row["url"], row["status"], row["reason"]) == ("", "filtered", "removed")
    assert gone.removals(world / "raw").refuses("https://example.org/gone")


def test_a_release_says_what_it_was(world: Path) -> None:
    path = world / "release" / "release.json"
    before = from_plain(Release, json.loads(path.read_text()))
    remove(folders(world), asked())
    after = from_plain(Release, json.loads(path.read_text()))
    assert [item.source for item in after.items] == [B]
    assert after.train == (CLIPS[4].key,)
    assert after.config == {"withdrawn": "1", "withdrawn_from": before.digest}
    assert after.digest != before.digest
    assert not (world / "release" / "anchors.json").exists()
    assert len(list((world / "release").rglob("*.mp4"))) == 1
    assert json.loads((world / "release" / "funnel.json").read_text())["items"] == 1


def test_a_person_goes_and_the_source_stays(world: Path) -> None:
    first = (world / "out" / "clips-000000.tar").read_bytes()
    remove([world / "out"], asked(sources=(), identities=(f"{B[:16]}:P1",)))
    left = {one.key for one in seen_clips(world)}
    assert left == {CLIPS[n].key for n in (0, 1, 2)} | {CLIPS[5].key}
    assert (world / "out" / "clips-000000.tar").read_bytes() == first
    (a, b) = [from_sample(s) for s in read_shard(world / "out" / "sources-000000.tar")]
    assert {t.identity for t in a.tracks} == {"P0", "P1"}
    assert {t.identity for t in b.tracks} == {"P0"}
    assert [x.identity for x in b.bindings] == ["P0", None]
    assert {t.voice for t in b.turns} == {"V0", "V9"}
    assert not (world / "out" / ".work" / "faces-77" / f"{B[:16]}-s0000.npz").exists()
    known = gone.removals(world / "out")
    assert known.hidden(B) == {"P1"}
    assert known.shown(CLIPS[4])
    assert not known.shown(CLIPS[5])
    assert not known.refuses(B)
    assert faults(world / "out") == []


def test_staged_shards_lose_what_goes_and_keep_the_rest(world: Path) -> None:
    staging, shard = world / "out" / ".work" / "shards", world / "out" / "clips-000001.tar"
    (world / "out" / "clips.parquet").unlink()  # as in a run that was stopped
    places = list(samples(shard))
    data = shard.read_bytes()[: places[-1][1].end]
    (staging / "clips-000007.tar.part").write_bytes(data + b"half a sample")
    begin_journal(
        staging / "clips-000007.tar.journal", [Laid(key, "t", "m", stretch.end) for key, stretch in places]
    )
    (staging / "clips-000008.tar.part").write_bytes(data)
    shard.unlink()
    remove([world / "out"], asked())
    journal = read_journal(staging / "clips-000007.tar.journal")
    assert journal.laid == (Laid(CLIPS[3].key, "t", "m", places[1][1].end - places[1][1].start),)
    assert (staging / "clips-000007.tar.part").read_bytes() == data[places[1][1].start :]
    assert not (staging / "clips-000008.tar.part").exists(), "nothing says what lies in it"


def test_a_dry_run_says_what_would_go_and_changes_nothing(world: Path) -> None:
    before = tree(world)
    done = {one.folder.name: one.plan for one in remove(folders(world), asked(), dry_run=True)}
    assert tree(world) == before
    assert set(done["out"].shards) == {"clips-000000.tar", "clips-000001.tar", "sources-000000.tar"}
    assert (done["out"].counts["clips"], done["raw"].counts["shots"], done["release"].counts["items"]) == (
        3,
        1,
        1,
    )


@pytest.mark.parametrize("limit", [2, 7, 16, 29, 43, 58])
def test_a_removal_killed_on_its_way_is_completed_by_the_next_call(
    world: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, run = world.parent / "wanted", world.parent / "run"
    shutil.copytree(world, wanted)
    world.rename(run)
    remove(folders(wanted), asked())
    assert killed_after(limit, folders(run), monkeypatch)
    remove(folders(run), asked())
    assert tree(run) == tree(wanted)


def test_the_same_removal_twice_changes_nothing(world: Path) -> None:
    remove(folders(world), asked())
    before = tree(world)
    remove(folders(world), asked(at="2027-01-01T00:00:00+00:00", by="Somebody else"))
    assert tree(world) == before


def test_exports_that_a_format_owns_lose_clips_and_are_to_be_made_again(world: Path) -> None:
    hub, mit = world / "hub", world / "mit"
    (hub / "data").mkdir(parents=True)
    for path in (world / "out").glob("clips-*.tar"):
        os.link(path, hub / "data" / path.name)
    write_json(hub / "export.json", {"format": "hf", "complete": True})
    paths = []
    for one in CLIPS:
        name = f"{one.source_id[:16]}_{one.key}_000000to000010"
        (mit / name / "frames").mkdir(parents=True)
        paths.append({"video": f"{name}/video.mp4"})
    write_json(mit / "all_data_config" / "clips.json", paths)
    write_json(mit / "export.json", {"format": "mit", "complete": True})
    export([str(world / "out" / "clips-*.tar")], "croissant", world / "out")
    (raw,) = folders(world)[:1]
    write_json(raw / "croissant.json", {"name": "somebody's own"})
    remove([raw, world / "out", hub, mit], asked())
    shards = {path.name: path.read_bytes() for path in (world / "out").glob("clips-*.tar")}
    assert {path.name: path.read_bytes() for path in (hub / "data").iterdir()} == shards
    assert not (world / "out" / "croissant.json").exists()
    assert (raw / "croissant.json").exists()
    assert len(pq.read_table(world / "out" / "provenance.parquet")) == 3
    assert not json.loads((hub / "export.json").read_text())["complete"]
    assert {path.name[:16] for path in mit.glob("*to*")} == {B[:16]}
    assert json.loads((mit / "all_data_config" / "clips.json").read_text()) == paths[3:]
    assert not (hub / "removals.jsonl").exists()


def test_caches_that_came_back_are_cleared_again(world: Path) -> None:
    remove(folders(world), asked())
    again = world / "raw" / ".work" / "split-9" / f"{A[:16]}.done"
    again.parent.mkdir()
    again.write_text("{}")
    remove(folders(world), asked())
    assert not again.exists()


def test_the_chain_of_records_shows_what_was_altered(world: Path) -> None:
    out, path = world / "out", world / "out" / "removals.jsonl"
    remove([out], asked())
    letter = world / "letter.txt"
    letter.write_text("please")
    remove([out], asked(sources=(B,), signature=letter))
    first, second = gone.read_records(path)
    assert first.by == "Data officer"
    assert first.shards[0] == gone.Rewritten(
        name="clips-000000.tar", before=first.shards[0].before, after=None
    )
    assert first.shards[1].after == second.shards[0].before == second.shards[0].before
    assert second.signature == sha256_file(letter)
    assert gone.chain_faults(path) == []
    assert URL_A not in path.read_text()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0].replace("officer", "nobody") + lines[1])
    assert gone.chain_faults(path) == ["record 2 does not follow the one before it"]
    path.write_text(lines[1])
    assert any(fault.startswith("removal: record 1") for fault in faults(out))


def test_what_was_withdrawn_and_came_back_is_a_fault(world: Path) -> None:
    saved = (world / "out" / "clips-000000.tar").read_bytes()
    remove([world / "out"], asked())
    (world / "out" / "clips-000000.tar").write_bytes(saved)
    assert any("was withdrawn and is there" in fault for fault in faults(world / "out"))


# ---- refusing


def test_what_was_withdrawn_is_refused_by_bytes_and_by_address(world: Path, tmp_path: Path) -> None:
    remove([world / "raw"], asked())
    (tmp_path / "nothing-yet").mkdir()
    known = gone.removals(world / "raw", tmp_path / "nothing-yet")
    assert known.refuses(A)
    assert known.refuses(URL_A)
    assert known.refuses("https://user:secret@example.org/talk")
    assert known.refuses("https://mirror.example.org/a")
    assert not known.refuses(B)
    assert not known.refuses(URL_B)
    everywhere = gone.removals(world / "raw" / "removals.jsonl")
    assert everywhere == known
    with pytest.raises(UsageError, match="not there"):
        gone.removals(world / "no.jsonl")
    (world / "bad.jsonl").write_text("{}\n")
    with pytest.raises(BadShard, match=r"bad\.jsonl:1"):
        gone.removals(world / "bad.jsonl")


def test_a_removal_refuses_from_its_first_moment(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(removing, "STEPS", (die,))
    with pytest.raises(Killed):
        remove([world / "raw"], asked())
    assert gone.removals(world / "raw").refuses(A)
    assert gone.removals(world / "raw").refuses(URL_A)
    assert "removal: a removal was stopped: give the same mitds remove again" in faults(world / "raw")
    with pytest.raises(UsageError, match="not complete"):
        remove([world / "raw"], asked(), dry_run=True)


def test_removals_stopped_in_two_folders_reach_both(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise Killed

    raw, out = folders(world)[:2]
    with monkeypatch.context() as patch:
        patch.setattr(removing, "STEPS", (die,))
        for folder, source in ((raw, A), (out, B)):
            with pytest.raises(Killed):
                remove([folder], asked(sources=(source,)))
    remove([raw, out], asked())
    for folder in (raw, out):
        assert gone.removals(folder).sources == {A, B}
        assert not list(folder.glob("*.tar"))
        assert not (folder / ".removal.json").exists()


def test_the_record_of_a_refused_line_says_nothing(tmp_path: Path) -> None:
    schemas.write_sources(tmp_path / "sources.parquet", [gone.withdrawn_source(3)])
    (row,) = pq.read_table(tmp_path / "sources.parquet").to_pylist()
    assert (row["row"], row["url"], row["status"], row["reason"]) == (3, "", "filtered", "removed")


def test_a_folder_that_mitds_did_not_write_is_refused(world: Path) -> None:
    (world / "urls.txt").write_text(URL_A)
    for folder, words in ((world, "nothing that mitds wrote"), (world / "none", "no such folder")):
        with pytest.raises(UsageError, match=words):
            remove([world / "out", folder], asked())
    assert (world / "urls.txt").read_text() == URL_A
    assert len(seen_clips(world)) == len(CLIPS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": ()}, "nothing is named"),
        ({"by": " "}, "nobody signs"),
        ({"sources": ("a1a1",)}, "0 sources have an id"),
        ({"sources": (), "identities": (f"{A[:16]}:Ann",)}, "names no person"),
    ],
)
def test_removals_that_say_too_little_are_refused(
    world: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        remove([world / "out"], asked(**changes))


def test_the_commands(world: Path) -> None:
    from typer.testing import CliRunner

    from mitds import cli_rights

    if "verify" not in {command.name for command in app.registered_commands}:
        cli_rights.register(app)
    run = CliRunner().invoke
    dirs = [word for folder in folders(world) for word in ("--dir", str(folder))]
    done = run(app, ["remove", *dirs, "--source", A[:16], "--by", "Officer", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["folders"][1]["counts"]["clips"] == 3
    assert run(app, ["verify", str(world / "out")]).exit_code == 0
    (world / "out" / "clips-000002.tar").unlink()
    checked = run(app, ["verify", str(world / "out"), "--json"])
    assert checked.exit_code == 1
    assert not json.loads(checked.stdout)["sound"]
