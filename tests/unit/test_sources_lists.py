"""The user's list: what it may look like, and how bad rows are told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mitds.errors import UsageError
from mitds.manifests.records import Rights
from mitds.pipeline.sources import Entry, read_list


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_plain_lines_keep_their_numbers_and_resolve_paths(tmp_path: Path) -> None:
    text = "\ufeff# talks\n\nhttps://a.example/x#t=3\r\n  clips/é one.mp4  \n/abs/b.mp4\nmemory://m/c.mp4\n"
    assert [(e.row, e.url) for e in read_list(written(tmp_path, "urls.txt", text))] == [
        (3, "https://a.example/x#t=3"),
        (4, str(tmp_path / "clips/é one.mp4")),
        (5, "/abs/b.mp4"),
        (6, "memory://m/c.mp4"),
    ]


def test_csv_and_jsonl_carry_rights_to_the_entry(tmp_path: Path) -> None:
    rights = Rights(licence="CC-BY-4.0", consent="form 7", note="from the archive")
    csv = (
        "id,URL,license,consent,note,title\n"
        '1,http://a/b.mp4,CC-BY-4.0,form 7,"from the archive",T\n\n2,c.mp4,,,,\n'
    )
    assert read_list(written(tmp_path, "l.csv", csv)) == [
        Entry(2, "http://a/b.mp4", rights, "T"),
        Entry(4, str(tmp_path / "c.mp4"), Rights(), None),
    ]
    lines = (
        '{"url": "http://a/b.mp4", "licence": "CC-BY-4.0", "consent": "form 7", '
        '"note": "from the archive"}\n\n'
        '{"url": "c.mp4", "licence": null, "views": 7}\n'
    )
    assert read_list(written(tmp_path, "l.jsonl", lines)) == [
        Entry(1, "http://a/b.mp4", rights),
        Entry(3, str(tmp_path / "c.mp4"), Rights()),
    ]


def test_csv_comments_stand_between_rows_only(tmp_path: Path) -> None:
    text = (
        '\ufeff# "talks, mine\n\nurl,note,,\n# one, two\na.mp4,"first\n# second",,\n'
        '  # it\'s "done\r\n"#b.mp4",#,,\n'
    )
    assert read_list(written(tmp_path, "l.csv", text)) == [
        Entry(6, str(tmp_path / "a.mp4"), Rights(note="first\n# second")),
        Entry(8, str(tmp_path / "#b.mp4"), Rights(note="#")),
    ]


@pytest.mark.parametrize(
    ("name", "text", "row", "message"),
    [
        ("l.csv", "url,licence\na.mp4,MIT,extra\n", 2, "3 cells, the header 2"),
        ("l.csv", "link,licence\na.mp4,MIT\n", 1, "no column 'url'"),
        ("l.csv", "url,licnce\na.mp4,MIT\n", 1, "did you mean 'licence'"),
        ("l.csv", "url,note\na.mp4,x\n ,y\n", 3, "no url"),
        ("l.csv", 'url\n"a.mp4', 2, "not CSV"),
        ("l.csv", "# mine\nurl,note,URL,note\na,b,c,d\n", 2, "'note', 'url' is named twice"),
        ("l.csv", "url,licence,license\na.mp4,MIT,\n", 1, "both 'licence' and 'license'"),
        ("l.jsonl", '{"url": "a.mp4", "licence": "MIT", "license": "X"}', 1, "both 'licence' and 'license'"),
        ("l.jsonl", '{"url": "a.mp4"}\n{"url": ', 2, "not JSON"),
        ("l.jsonl", '["a.mp4"]', 1, "not a JSON object"),
        ("l.jsonl", '{"url": 7}', 1, "url is 7, not text"),
        ("l.txt", "a.mp4\nb\x00.mp4\n", 2, "control characters"),
    ],
)
def test_bad_rows_name_file_and_row(tmp_path: Path, name: str, text: str, row: int, message: str) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_list(path)
    assert caught.value.where == f"{path}:{row}"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("movie.mp4", b"\x00\x00\x00\x18ftypmp42\xff\xfe", "not UTF-8"),
        ("l.txt", b"# nothing\n", "no source"),
        ("l.csv", b"url,licence\n", "no source"),
        ("l.csv", b"", "no source"),
        ("l.csv", b"# nothing\n", "no source"),
        ("l.json", b'["a.mp4", "b.mp4"]\n', r"Write JSON lines: a \.jsonl file"),
        ("l.JSON", b'[\n  {"url": "a.mp4"}\n]\n', r"Write JSON lines: a \.jsonl file"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, name: str, text: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_list(written(tmp_path, name, text))


def test_a_list_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_list(tmp_path / "none.txt")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", ["l.txt", "l.csv", "l.jsonl"])
def test_a_list_that_is_no_regular_file(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    make(tmp_path / name)
    with pytest.raises(UsageError, match="not a regular file") as caught:
        read_list(tmp_path / name)
    assert caught.value.where == str(tmp_path / name)
