"""Entries that are wrong in any way harm themselves only, and words from outside come clean."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import fsspec
import pytest
import yt_dlp

from mitds.errors import SourceUnreachable
from mitds.manifests.records import Rights
from mitds.pipeline.sources import Entry, FetchConfig, Fetched, fetch
from mitds.pipeline.sources.http import retry_after_s
from mitds.pipeline.sources.words import MAX_CHARS, clean, file_name
from tests.webserver import Answer, Site

VIDEO = {"Content-Type": "video/mp4"}
QUICK = FetchConfig(private_hosts=True, backoff_s=0.01, host_interval_s=0.0, read_s=5.0, attempts=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def got(url: str, folder: Path) -> Fetched:
    return fetch(Entry(1, url, Rights()), folder, QUICK)


def refusal(url: str, folder: Path) -> SourceUnreachable:
    with pytest.raises(SourceUnreachable) as caught:
        got(url, folder)
    assert list(folder.iterdir()) == []
    return caught.value


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[bad", "malformed: Invalid IPv6 URL"),
        ("file://[", "malformed: Invalid IPv6 URL"),
        ("pypi://[", "malformed: Invalid IPv6 URL"),
        ("s3://[x", "malformed: Invalid IPv6 URL"),
        ("http://a..b/x.mp4", "label empty or too long"),
        ("github://a/b", "github:// is not among the file systems"),
        ("gopher://a/b", "gopher:// is not among the file systems"),
        ("simplecache::file:///etc/passwd", "file system inside another"),
        ("memory://", "memory:// fails: IsADirectoryError$"),
        ("memory://x/y.mp4", "no such file: /x/y.mp4"),
    ],
)
def test_bad_addresses_are_told_as_faults_of_their_own(tmp_path: Path, url: str, words: str) -> None:
    error = refusal(url, tmp_path / "got")
    assert error.where == url
    assert re.search(words, error.what)


@pytest.mark.parametrize("url", ["github://a/b", "reference://x", "jupyter://x", "generic://x", "dbfs://h/x"])
def test_drivers_that_were_allowed_fail_in_their_own_words(tmp_path: Path, url: str) -> None:
    scheme = url.partition(":")[0]
    with pytest.raises(SourceUnreachable, match=f"{scheme}:// fails: [A-Z]"):
        fetch(Entry(1, url, Rights()), tmp_path, FetchConfig(file_systems=(scheme,)))


def test_a_driver_has_its_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("\x1b[31mno region\nfor s3://me:s3cret@b")

    monkeypatch.setattr(fsspec, "open", refuse)
    assert refusal("s3://b/a.mp4", tmp_path / "got").what == "s3:// fails: RuntimeError: no region for s3://b"


def test_credentials_stay_out_of_malformed_addresses(tmp_path: Path) -> None:
    error = refusal("http://me:s3cret@[x", tmp_path / "got")
    assert error.where == "http://[x"
    assert "s3cret" not in str(error)


def test_malformed_answers_are_told(site: Site, tmp_path: Path) -> None:
    length = site.put("/a.mp4", Answer(headers={**VIDEO, "Content-Length": "\xb2"}))
    assert "malformed" in refusal(length, tmp_path / "got").what
    redirect = site.put("/b.mp4", Answer(status=302, headers={"Location": "http://[x"}))
    assert "malformed" in refusal(redirect, tmp_path / "got").what


@pytest.mark.parametrize(
    "text", ["\xb2", "Mon, 01 Jan 0001 00:00:00 +0100", "Mon, 01 Jan 2024 00:00:00 +99999999999999"]
)
def test_retry_after_that_no_clock_can_tell(text: str) -> None:
    assert retry_after_s(text) == 0.0


def test_an_extractor_that_trips_over_its_page(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trip(*args: object, **options: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'group'")

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", trip)
    url = site.put("/watch", Answer(body=b"<html>", headers={"Content-Type": "text/html"}))
    assert refusal(url, tmp_path / "got").what.startswith("yt-dlp fails: AttributeError: 'NoneType' object")


def test_a_file_that_opens_and_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> str:
        raise OSError(5, "Input/output error")

    # By import, because the package's attribute of this name is the function.
    monkeypatch.setattr(importlib.import_module("mitds.pipeline.sources.fetch"), "sha256_file", broken)
    (tmp_path / "a.mp4").write_bytes(b"x")
    assert refusal(str(tmp_path / "a.mp4"), tmp_path / "got").what == "cannot be read: Input/output error"


@pytest.mark.parametrize(
    ("path", "disposition", "name"),
    [
        ("/a.mp4", 'attachment; filename="../../etc/evil.mp4"', "evil.mp4"),
        ("/a.mp4", 'attachment; filename="C:\\\\\\\\Users\\\\\\\\x.mp4"', "x.mp4"),
        ("/a.mp4", "attachment; filename*=UTF-8''%1B%5B31mred%1B%5B0m%07.mp4", "red.mp4"),
        ("/a.mp4", f'attachment; filename="{"n" * 999}.mp4"', "n" * MAX_CHARS),
        ("/..%2F..%2Fb%0A%1b%5D0;owned%07.mp4", "", "b .mp4"),
        ("/a.mp4", 'attachment; filename=".."', "unnamed"),
    ],
)
def test_names_from_servers_are_clean(
    site: Site, tmp_path: Path, path: str, disposition: str, name: str
) -> None:
    answer = Answer(body=b"x" * 99, headers={**VIDEO, "Content-Disposition": disposition})
    assert got(site.put(path, answer), tmp_path / "got").name == name


def test_titles_and_words_of_sites_are_clean(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def info(*args: object, **options: object) -> dict[str, object]:
        return {
            "url": "http://x/a",
            "title": "AC/DC\n\x1b[1mlive" + "!" * 999,
            "license": "CC\x07 BY",
            "uploader": "a\x1b[2Jb",
        }

    def save(self: object, path: str, info: object) -> tuple[bool, bool]:
        Path(path).write_bytes(b"video")
        return True, True

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", info)
    monkeypatch.setattr(yt_dlp.YoutubeDL, "dl", save)
    url = site.put("/watch", Answer(body=b"<html>", headers={"Content-Type": "text/html"}))
    found = got(url, tmp_path / "got")
    assert found.title == ("AC/DC live" + "!" * 999)[:MAX_CHARS]
    assert found.name == ("AC-DC live" + "!" * 999)[:MAX_CHARS]
    assert (found.licence, found.notes) == ("CC BY", ("uploader: ab",))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("é – 漢 🎬", "é – 漢 🎬"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x9b31mred\u202e\ud800\u2028two", "red two"),
        ("\x1b(Ba\x1bcb\x1b", "ab"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize("text", ["", "..", "a/..", "/", "\\", "\x1b[0m", " . "])
def test_names_that_name_nothing(text: str) -> None:
    assert file_name(text) == "unnamed"
