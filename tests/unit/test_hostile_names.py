"""Names from outside, from the list to the last export: never a path of their own, never lost, never merged."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mitds.errors import BadShard, SourceUnreachable, UsageError
from mitds.manifests.records import Rights
from mitds.pipeline.export import export
from mitds.pipeline.export.names import Names, stem
from mitds.pipeline.ingest_fetch import mark_duplicates
from mitds.pipeline.sources import Entry, FetchConfig, fetch, read_list
from mitds.pipeline.sources.words import MAX_CHARS, clean, file_name
from mitds.pipeline.work import Work
from mitds.store import safe_name
from tests import factories
from tests.webserver import Answer, Site

HOSTILE = (
    "../../etc/passwd", "..", "...", "/abs/olute.mp4", "//host/share", "C:\\Windows\\x.mp4", "a/../../b.mp4",
    "nul\x00byte.mp4", "new\nline.mp4", "tab\t.mp4", "q'uo\"te`s.mp4", "$(touch owned).mp4", "; rm -rf .mp4",
    "-rf.mp4", "--help", "x" * 300 + ".mp4", "𝕏" * 300 + ".mp4", "\u202egpj.mp4", "e\u0301\u0301\u0301.mp4",
    "👨‍👩‍👧‍👦.mp4", "مرحبا.mp4", "中文 名字.webm", "Dr. Who v1.2", "Dr. Who v1.3", "CON", "nul.mp4", "COM1.txt", "aux.",
    " lead and trail ", ".hidden", "~user", "%2e%2e%2fx.mp4", "<script>alert(1)</script>.mp4", "{{7*7}}.mp4",
    "\x1b[31mred\x1b[0m.mp4", "\x9b2J.mp4", "a\u2028b.mp4", "\ufeff.mp4", "", " ", "\u200b.mp4", "*?.mp4",
)  # fmt: skip
_ALPHABET = [
    *"ab.. //\\\n\x00'\"$()`;|&<>{}%-_~",
    "é",
    "\u202e",
    "\u0301",
    "漢",
    "👩",
    "\x1b",
    "\x9b",
    "\u2028",
    "𝕏",
]


def names(count: int = 300, seed: int = 6) -> list[str]:
    """The known bad names, and as many drawn from the letters that make names bad."""
    draw = random.Random(seed)  # noqa: S311
    return [*HOSTILE, *("".join(draw.choices(_ALPHABET, k=draw.randint(1, 300))) for _ in range(count))]


def is_component(name: str) -> bool:
    """Whether a name stays in its folder on any file system, and fits."""
    return (
        name not in ("", ".", "..")
        and not set(name) & set('/\\\0<>:"|?*')
        and name.isprintable()
        and len(name.encode()) <= 255
    )


def test_what_is_recorded_is_one_clean_line_and_no_path() -> None:
    for name in names():
        kept = file_name(name)
        assert kept
        assert len(kept) <= MAX_CHARS
        assert not set(kept) & {"/", "\\"}
        assert clean(kept) == kept.strip()
        assert kept.encode().decode() == kept


def test_letters_of_all_languages_are_kept() -> None:
    for name in ("é.mp4", "中文 名字.webm", "مرحبا.mp4", "e\u0301.mp4", "👨‍👩‍👧‍👦.mp4", "Dr. Who v1.2"):
        assert file_name(name) == name


def test_names_of_files_stay_in_their_folder() -> None:
    for name in names():
        if len(name.encode()) < 160:
            assert is_component(stem(name) + ".coco.json"), name
        assert "/" not in safe_name(name)


@pytest.mark.parametrize("name", ["𝕏" * 300 + ".mp4", "漢" * 80], ids=["𝕏", "漢"])
def test_names_of_files_fit_in_bytes(name: str) -> None:
    assert is_component(stem(name) + "-01234567.asd.csv")


@pytest.mark.parametrize("name", ["CON", "nul.mp4", "COM1", "lpt9.webm", "Aux.mp4"])
def test_names_of_devices_are_not_used(name: str) -> None:
    assert stem(name).casefold() not in ("con", "nul", "com1", "lpt9", "aux")


def test_versions_after_a_dot_are_not_suffixes() -> None:
    assert stem("Dr. Who v1.2") != stem("Dr. Who v1.3")
    assert (stem("Dr. Who v1.2"), stem("Dr. Who v1.2.mp4")) == ("Dr-Who-v1-2", "Dr-Who-v1-2")


def taken(wanted: Sequence[tuple[str, str]]) -> list[str]:
    given = Names()
    return [given.of(source_id, name).casefold() for source_id, name in wanted]


def test_no_two_sources_share_a_file() -> None:
    wanted = [(f"{k:064x}"[::-1], name) for k, name in enumerate(names())]
    found = taken(wanted)
    assert len(set(found)) == len(wanted)
    # Asked again, in any order, each gets what it had.
    given = Names()
    first = {source_id: given.of(source_id, name) for source_id, name in wanted}
    random.Random(1).shuffle(wanted)  # noqa: S311
    assert all(given.of(source_id, name) == first[source_id] for source_id, name in wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        [("aa" * 32, "talk"), ("bb" * 32, "talk"), ("cc" * 32, "talk-bbbbbbbb")],
        [("cc" * 32, "talk-bbbbbbbb"), ("aa" * 32, "talk"), ("bb" * 32, "talk")],
        [("aa" * 32, "talk"), ("bb" * 32, "talk"), ("b" * 8 + "c" * 56, "talk")],
    ],
)
def test_names_made_to_collide(wanted: list[tuple[str, str]]) -> None:
    assert len(set(taken(wanted))) == len(wanted)


@pytest.mark.parametrize("format", ["rttm", "ava", "cuts", "coco"])
@pytest.mark.parametrize("timeline", ["clip", "source"])
def test_exports_write_inside_their_folder_only(tmp_path: Path, format: str, timeline: str) -> None:
    shards, out = tmp_path / "in" / "shards", tmp_path / "in" / "out"
    wanted = [
        "../../etc/passwd",
        "/abs/olute.mp4",
        "nul\x00byte.mp4",
        "$(id)",
        "Dr. Who v1.2",
        "Dr. Who v1.3",
        "..",
        "",
    ]
    clips = [
        factories.clip(k, source_id=f"{k:02x}" * 32, source_name=name)
        for k, name in enumerate(wanted, start=1)
    ]
    factories.write_clips(shards, *clips)
    factories.write_sources(shards)
    before = everything(tmp_path)
    done = export([str(shards / "clips-*.tar")], format, out, timeline)
    new = everything(tmp_path) - before
    assert new == {path.relative_to(tmp_path) for path in done.paths} | {out.relative_to(tmp_path)}
    assert all(path.parent == out for path in done.paths)
    if timeline == "clip" and format != "cuts":
        assert len(done.paths) == len(wanted)


def everything(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@pytest.mark.parametrize("key", [name for name in HOSTILE if name not in ("--help", "CON")])
def test_work_files_are_named_by_keys_only(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadShard):
        Work(tmp_path).path("shots", key, ".mp4")


def test_lists_name_files_beside_them_and_keep_the_names(tmp_path: Path) -> None:
    usable = [name for name in names(100) if clean(name) == name and name and len(name.encode()) < 200]
    (tmp_path / "l.jsonl").write_text(
        "".join(json.dumps({"url": name}) + "\n" for name in usable if name.strip())
    )
    for entry in read_list(tmp_path / "l.jsonl"):
        assert entry.url.startswith(("/", "//"))


@pytest.mark.parametrize("bad", ["a\x00b", "a\ud800b"])
@pytest.mark.parametrize("column", ["url", "title", "licence", "consent", "note"])
def test_text_that_no_table_can_hold_is_refused_with_its_row(tmp_path: Path, column: str, bad: str) -> None:
    rows = [{"url": "a.mp4"}, {"url": "b.mp4", column: bad}]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError, match=column) as caught:
        read_list(tmp_path / "l.jsonl")
    assert caught.value.where == f"{tmp_path / 'l.jsonl'}:2"


def test_titles_of_strangers_are_clean(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text(json.dumps({"url": "a.mp4", "title": "\x1b[2Ja\nb\u202e" + "c" * 999}))
    (entry,) = read_list(tmp_path / "l.jsonl")
    assert entry.title == ("a b" + "c" * 999)[:MAX_CHARS]


# ---- duplicates


def test_one_address_twice_and_two_names_of_the_same_bytes(site: Site, tmp_path: Path) -> None:
    config = FetchConfig(private_hosts=True, host_interval_s=0.0)
    video = Answer(body=b"v" * 999, headers={"Content-Type": "video/mp4"})
    once, other = site.put("/a.mp4", video), site.put("/b.mkv", video)
    (tmp_path / "mine.mp4").write_bytes(b"v" * 999)
    urls = [once, once, other, f"{once}?utm_source=x", str(tmp_path / "mine.mp4")]
    got = [
        fetch(Entry(row, url, Rights()), tmp_path / "got", config) for row, url in enumerate(urls, start=1)
    ]
    assert len({found.sha256 for found in got}) == 1
    sources = [
        (replace(factories.source(), row=row, id=found.sha256), found.path)
        for row, found in enumerate(got, start=1)
    ]
    marked = [source for source, _ in mark_duplicates(sources, {})]
    assert [source.status for source in marked] == ["kept", *["filtered"] * 4]
    assert {(s.reason, s.detail) for s in marked[1:]} == {("duplicate_of", "the same bytes as line 1")}


def test_a_failed_line_is_nobodys_original() -> None:
    failed = replace(factories.source(), row=1, id=None, status="failed", reason="unreachable")
    kept = replace(factories.source(), row=2)
    marked = mark_duplicates([(failed, None), (kept, None), (replace(failed, row=3), None)], {})
    assert [source.status for source, _ in marked] == ["failed", "kept", "failed"]


def test_a_path_with_other_content_is_another_source(tmp_path: Path) -> None:
    """Row 18 of the table: the path is the same, the hash is not."""
    path = tmp_path / "a.mp4"
    ids = []
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        ids.append(fetch(Entry(1, str(path), Rights()), tmp_path / "got").sha256)
    assert ids[0] == ids[2] != ids[1]


def test_an_address_with_other_content_is_stored_beside_the_first(site: Site, tmp_path: Path) -> None:
    config = FetchConfig(private_hosts=True, host_interval_s=0.0)
    headers = {"Content-Type": "video/mp4"}
    url = site.put("/a.mp4", Answer(body=b"one", headers=headers), Answer(body=b"two", headers=headers))
    first, second = (fetch(Entry(1, url, Rights()), tmp_path / "got", config) for _ in range(2))
    assert first.path != second.path
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"one", b"two")


def test_a_link_to_a_device_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to("/dev/zero")
    with pytest.raises(SourceUnreachable, match="not a regular file"):
        fetch(Entry(1, str(tmp_path / "a.mp4"), Rights()), tmp_path / "got")
